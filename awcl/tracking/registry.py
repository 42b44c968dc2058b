"""The encoder of a study's best trial in MLflow's model registry, in a form without pickle."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awcl import checkpoints
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.records import StudyFolder, TrialFolder
from awcl.tracking.client import connect, reason, shown
from awcl.tracking.projection import of_study, of_trial
from awcl.tracking.runs import Runs

BEST = "best"  # the alias of the best finished trial's version
DIGEST = "awcl.checkpoint"  # the tag that says which weights a version is


@dataclass(frozen=True)
class Registered:
    """A version of the model that has the study's name. is_best: it has the alias `best`."""

    name: str
    version: str
    trial: str
    is_best: bool


def register(uri: str, study: StudyFolder, key: str | None = None) -> Registered:
    """Registers a trial's newest checkpoint that counts; key None: of the best finished trial.

    The same weights are registered once; `best` is moved where another trial is the best one now.
    The caller holds the study. Raises InputError for a trial that has not ended or has no
    checkpoint, and where MLflow fails.
    """
    best = best_trial(study)
    trial = _ended(study, key) if key else best
    if trial is None:
        raise InputError(f"{study.path}: no trial has finished; let the study run, or give --trial")
    checkpoint = trial.checkpoint()
    if checkpoint is None:
        raise InputError(f"{trial.path}: no complete checkpoint to register")
    name, digest = study.definition["name"], checkpoints.digest(checkpoint)
    try:
        version = _version(connect(uri), name, digest)
        if version is None:
            with checkpoints.opened(checkpoint) as local:
                version = _add(uri, study, trial, Encoder.load(local / checkpoints.ENCODER), digest)
        is_best = best is not None and best.key == trial.key
        if is_best and BEST not in version.aliases:
            connect(uri).set_registered_model_alias(name, BEST, version.version)
    except InputError:
        raise
    except Exception as error:  # any server, driver or network may be behind it
        raise InputError(f"MLflow at {shown(uri)}: {reason(error)}") from error
    return Registered(name, str(version.version), trial.key, is_best)


def best_trial(study: StudyFolder) -> TrialFolder | None:
    """The finished trial with the highest val/proxy at its end; None where none has finished."""
    proxies = {trial: trial.last_proxy for trial in study.trials()}
    known = {trial: proxy for trial, proxy in proxies.items() if proxy is not None}
    return max(known, key=known.get, default=None)


def _ended(study: StudyFolder, key: str) -> TrialFolder:
    keys = [trial.key for trial in study.trials()]
    if key not in keys:
        raise InputError(f"--trial {key}: no trial of {study.path}; there are {', '.join(keys)}")
    outcome = study.trial(key).outcome
    if outcome in (None, "failed"):
        state = outcome or "pending"
        raise InputError(f"--trial {key}: it is {state}; only what has finished is registered")
    return study.trial(key)


def _version(client: Any, name: str, digest: str) -> Any:
    """The version with these weights, or None."""
    found = client.search_model_versions(f"name = '{name}'")
    ours = [version.version for version in found if version.tags.get(DIGEST) == digest]
    return client.get_model_version(name, ours[0]) if ours else None


def _add(uri: str, study: StudyFolder, trial: TrialFolder, encoder: Encoder, digest: str) -> Any:
    """Puts the encoder among the artifacts of the trial's run, and a version on it."""
    client, runs, name = connect(uri), Runs(uri, study), study.definition["name"]
    runs.write(of_study(study, running=False))
    run = runs.write(of_trial(study, trial, running=False))
    with tempfile.TemporaryDirectory() as folder:
        _save(encoder, Path(folder) / "model")
        client.log_artifacts(run, str(Path(folder) / "model"), artifact_path="encoder")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=f"Encoders of the AWCL study {name}.")
    return client.create_model_version(
        name,
        source=f"{client.get_run(run).info.artifact_uri}/encoder",
        run_id=run,
        tags={DIGEST: digest, "awcl.key": trial.key},
        description=_description(encoder, trial.key),
    )


def _description(encoder: Encoder, key: str) -> str:
    size = encoder.size
    return (
        f"{encoder.backbone} of trial {key}. Input: (N, 1, {size}, {size}) float32, the whole "
        "frame padded to a square, in grey values divided by 255, so from 0 to 1; mean and spread "
        f"are taken off inside. Output: (N, {encoder.width}) features."
    )


def _save(encoder: Encoder, folder: Path) -> None:
    """As a graph of torch.export: loading it needs neither this program nor pickle."""
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    size, kind = encoder.size, np.dtype("float32")
    signature = ModelSignature(
        Schema([TensorSpec(kind, (-1, 1, size, size))]),
        Schema([TensorSpec(kind, (-1, encoder.width))]),
    )
    mlflow.pytorch.save_model(
        encoder.eval(),
        str(folder),
        signature=signature,
        input_example=torch.zeros(2, 1, size, size),  # of a batch of one N would become fixed
        serialization_format="pt2",
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],  # else it would look
    )
