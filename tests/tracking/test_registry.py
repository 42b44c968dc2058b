"""The best trial's encoder in the model registry: which one, once, and without pickle."""

import argparse
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from recorded import add, held, runs

from awcl import checkpoints, commands, complete
from awcl.encoder import Encoder, features
from awcl.errors import InputError
from awcl.records import TrialFolder
from awcl.tracking import Tracker
from awcl.tracking.registry import register

SIZE = 32


def trained(study, key: str, epochs: int, outcome: str = "finished", seed: int = 0) -> TrialFolder:
    """A trial with a checkpoint; the more epochs, the higher its proxy."""
    trial = add(study, key, epochs, outcome, epoch=epochs)
    checkpoint = trial.train / "launch" / checkpoints.folder_name(epochs)
    checkpoint.mkdir(parents=True)
    torch.manual_seed(seed)
    Encoder("test_resnet", SIZE).save(checkpoint / checkpoints.ENCODER)
    complete.mark(checkpoint)
    return trial


def versions(uri: str) -> dict[str, tuple[str, list[str]]]:
    """version -> the trial it is of, its aliases."""
    client = MlflowClient(uri)
    numbers = [found.version for found in client.search_model_versions("name = 'demo'")]
    found = [client.get_model_version("demo", number) for number in numbers]
    return {str(v.version): (v.tags["awcl.key"], v.aliases) for v in found}


def test_the_best_finished_trial_is_registered_once(uri, study):
    trained(study, "good", 2, seed=1)
    trained(study, "stopped", 4, "stopped", seed=2)
    trained(study, "worse", 1, seed=3)
    add(study, "pending", 5)
    Tracker(uri, study).sync()
    before = held(uri)
    for _ in range(2):
        made = register(uri, study)
        assert (made.name, made.version, made.trial, made.is_best) == ("demo", "1", "good", True)
    assert versions(uri) == {"1": ("good", ["best"])}
    [version] = MlflowClient(uri).search_model_versions("name = 'demo'")
    assert version.run_id == runs(uri)["good"].info.run_id
    assert "(N, 1, 32, 32) float32" in version.description and "255" in version.description
    after = held(uri)
    added = [item for item in after["good"]["artifacts"] if item not in before["good"]["artifacts"]]
    assert added and all(path.startswith("encoder/") for path, _ in added)
    after["good"]["artifacts"] = before["good"]["artifacts"]
    assert after == before, "nothing else is told of the runs"


def test_best_moves_where_another_trial_is_best(uri, study):
    trained(study, "good", 2, seed=1)
    assert register(uri, study).is_best
    trained(study, "better", 3, seed=2)
    again = register(uri, study, "good")
    assert (again.version, again.is_best) == ("1", False)
    assert versions(uri) == {"1": ("good", ["best"])}
    assert register(uri, study).version == "2"
    assert versions(uri) == {"1": ("good", []), "2": ("better", ["best"])}


def test_another_trial_is_a_version_without_the_alias(uri, study):
    trained(study, "good", 2, seed=1)
    trained(study, "other", 1, "stopped", seed=2)
    assert not register(uri, study, "other").is_best
    assert versions(uri) == {"1": ("other", [])}


def test_the_command_says_what_is_where(uri, study, capsys):
    trained(study, "good", 2)
    trained(study, "worse", 1, seed=1)
    given = {"name": "demo", "storage": str(study.path.parent), "tracking": uri}
    assert commands.study_register(argparse.Namespace(**given, trial=None)) == 0
    assert commands.study_register(argparse.Namespace(**given, trial="worse")) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"trial good is models:/demo/1, models:/demo@best at {uri}",
        f"trial worse is models:/demo/2 at {uri}",
    ]


def test_what_cannot_be_registered_is_refused(uri, study, tmp_path):
    with pytest.raises(InputError, match="no trial has finished"):
        register(uri, study)
    add(study, "pending", 1)
    add(study, "failed", 1, "failed", epoch=1)
    add(study, "bare", 1, "finished", epoch=1)
    for key, said in (
        ("none", "--trial none: no trial of .*; there are bare, failed, pending"),
        ("pending", "--trial pending: it is pending; only what has finished"),
        ("failed", "--trial failed: it is failed"),
        ("bare", "bare: no complete checkpoint to register"),
    ):
        with pytest.raises(InputError, match=said):
            register(uri, study, key)
    trained(study, "good", 2)
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    with pytest.raises(InputError, match=r"MLflow at sqlite.*broken\.db: ") as caught:
        register(f"sqlite:///{tmp_path / 'broken.db'}", study)
    assert "\n" not in str(caught.value)


LOAD = """
import sys
import mlflow.pytorch, numpy, torch
model = mlflow.pytorch.load_model("models:/demo@best")
with torch.no_grad():
    h = model(torch.from_numpy(numpy.load("x.npy")))
numpy.save("h.npy", h.numpy())
assert not any(name.startswith(("awcl", "timm")) for name in sys.modules)
"""


@pytest.mark.slow
def test_it_loads_without_pickle_and_gives_the_encoders_features(uri, study, tiny_pack, tmp_path):
    """In a process that knows nothing of this program, for a batch of another size."""
    trial = trained(study, "good", 2)
    register(uri, study)
    rows = np.arange(5)
    views = np.stack([tiny_pack.evaluation_view(row) for row in rows])[:, None]
    np.save(tmp_path / "x.npy", views.astype(np.float32) / 255)
    without = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path, env={**os.environ, **without}, check=True
    )
    encoder = Encoder.load(trial.checkpoint() / checkpoints.ENCODER)
    h = features(encoder, tiny_pack, rows)
    np.testing.assert_allclose(np.load(tmp_path / "h.npy"), h, rtol=0, atol=1e-5)
    assert h.std(axis=0).max() > 1e-3
