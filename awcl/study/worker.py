"""What does the work inside Ray: a trial's training workers, an evaluation.

A job is plain data (JSON), so that no object of this program has to be unpickled elsewhere.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import ray.train
import torch

from awcl import records, warm
from awcl.config import RunConfig, TrialConfig
from awcl.data.pack import FramePack
from awcl.downstream import tasks
from awcl.downstream.diagnostics import Diagnostics
from awcl.downstream.evaluation import SEEN, evaluate, target_domain_seen, write_evaluation
from awcl.downstream.proxy import Proxy
from awcl.encoder import Encoder
from awcl.files import as_path
from awcl.pretrain import machine
from awcl.pretrain.loop import pretrain, pretrain_rows
from awcl.pretrain.reporter import Save, write_checkpoint
from awcl.study import arriving, packs
from awcl.study.plan import Evaluation, Plan, Trial
from awcl.study.starts import weights_folder
from awcl.taxonomy import Taxonomy

Job = dict[str, Any]


def training_job(trial: Trial, plan: Plan, launch: str) -> Job:
    """All that a trial's driver and workers need. launch: a name for this run of the study."""
    return {
        "key": trial.key,
        "folder": str(trial.folder.path),
        "launch": launch,
        "config": trial.config.model_dump(mode="json"),
        "pack": str(trial.pack.folder),
        "shared_pack": str(packs.shared(trial.pack, plan.folder.path.parent)),
        "node_disk": plan.study.resources.node_disk,
        "weights": str(weights_folder(plan.folder.path.parent)),
        "taxonomy": _absolute(trial.config.anatomy.taxonomy),
        "proxy_level": plan.study.proxy_level,
        "proxy_where": plan.study.proxy_where,
        "resources": plan.study.resources.model_dump(mode="json"),
    }


def evaluation_job(evaluation: Evaluation, plan: Plan) -> Job:
    """All that an evaluation needs."""
    trial = evaluation.trial
    asked = plan.study.evaluation or plan.study.resources
    return {
        "key": trial.key,
        "config": trial.config.model_dump(mode="json"),
        "pack": str(trial.pack.folder),
        "shared_pack": str(packs.shared(trial.pack, plan.folder.path.parent)),
        "node_disk": asked.node_disk,
        "taxonomy": _absolute(trial.config.anatomy.taxonomy),
        "settings": evaluation.settings.model_dump(mode="json"),
        "checkpoint": str(evaluation.checkpoint),
        "folder": str(evaluation.folder),
    }


def train(job: Job) -> None:
    """One training worker."""
    config, pack, taxonomy = _open(job)
    proxy = Proxy(pack, taxonomy, job["proxy_level"], job["proxy_where"])
    evaluators = [proxy, Diagnostics(pack, config.data.recipe)]
    asked = job["resources"]
    run = RunConfig(
        device=_device(asked["gpus"]),
        threads=asked["cpus"],
        loader_workers=asked["loader_workers"],
        views=asked["views"],
    )
    reporter = RayReporter(records.TrialFolder(as_path(job["folder"])), run.keep)
    pretrain(config, pack, taxonomy, reporter, evaluators, run, as_path(job["weights"]))


class RayReporter:
    """Metrics and checkpoints of epochs through Ray Train.

    Starts from the newest complete checkpoint, partial or not. A partial one is written past Train,
    which would tell Tune of it as of an epoch. Which ones are kept is decided here: Train would
    keep one of an epoch that was trained twice, remove both with the first, and fail at the second.
    keep: newest checkpoints kept.
    """

    def __init__(self, trial: records.TrialFolder, keep: int):
        self.trial, self.keep = trial, keep
        self.noticed: ray.train.PreemptionInfo | None = None
        self._copy = tempfile.TemporaryDirectory()  # of a checkpoint from an object store

    def start(self) -> Path | None:
        copy = Path(self._copy.name)
        return records.newest_checkpoint(self.trial.train, partial=True, copy=copy)

    def epoch(self, metrics: dict[str, Any], save: Save) -> None:
        # One JSON field, so that what Tune adds to a result cannot be taken for a metric of ours.
        row = {"epoch": metrics["epoch"], "row": json.dumps(metrics)}
        if ray.train.get_context().get_world_rank() > 0:
            ray.train.report(row)
            return
        row["proxy"] = metrics["val/proxy"]
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            ray.train.report(
                row,
                checkpoint=ray.train.Checkpoint.from_directory(folder),
                checkpoint_dir_name=records.checkpoint_name(metrics["epoch"]),
            )
        records.prune_checkpoints(self.trial.train, self.keep, up_to=metrics["epoch"])

    def notice(self) -> bool:
        """One more machine to go, or an earlier end, is one more notice."""
        before, self.noticed = self.noticed, ray.train.get_preemption_info()
        return self.noticed != before

    def partial(self, epochs: int, steps: int, save: Save) -> None:
        # Training goes on after it: Train ends the workers at the deadline, and where they ended
        # by themselves it would take that for the end of the training, or for a failure.
        if ray.train.get_context().get_world_rank() == 0:
            write_checkpoint(self.trial.train, records.checkpoint_name(epochs, steps), save)


def _device(gpus: float) -> Literal["cpu", "cuda"]:
    """Where a process that asked for so many cards works: a study that asks for a card has one, or
    says so. Of a card that it shares it takes no more memory than its share.
    """
    if not gpus:
        return "cpu"
    card = machine.device("cuda", rank=machine.place()[0])
    if gpus < 1:
        torch.cuda.set_per_process_memory_fraction(gpus, card)
    return "cuda"


def evaluate_job(job: Job, cpus: int, gpus: float) -> None:
    """Evaluates a checkpoint and writes the result once."""
    torch.set_num_threads(cpus)
    device = _device(gpus)
    config, pack, taxonomy = _open(job)
    checkpoint = as_path(job["checkpoint"])
    with records.opened(checkpoint) as local:
        encoder = Encoder.load(local / records.ENCODER).to(device)
    settings = tasks.settings(job["settings"])
    result, predictions, figures = evaluate(encoder, settings, pack, taxonomy)
    result["checkpoint"] = records.checkpoint_digest(checkpoint)
    result["epoch"] = records.checkpoint_epoch(checkpoint)
    result["metrics"] |= _seen(config, pack, predictions, result["metrics"])
    write_evaluation(as_path(job["folder"]), result, predictions, figures)


def _seen(
    config: TrialConfig, pack: FramePack, predictions: pd.DataFrame, metrics: Mapping[str, float]
) -> dict[str, float]:
    """Whether pre-training saw the domain of the test frames, for the metrics of an evaluation.

    Nothing where crossings have said it of theirs, since their predictions are of home, too; nor
    where the trial started from an encoder that may have seen what the trial has not.
    """
    if any(name.endswith(f"/{SEEN}") for name in metrics):
        return {}
    rows = pretrain_rows(pack, config) if config.pretrain.epochs else []
    seen = target_domain_seen(pack, rows, predictions)
    return {SEEN: float(seen)} if seen or warm.saw_no_frames(config.model.init) else {}


def _open(job: Job) -> tuple[TrialConfig, FramePack, Taxonomy]:
    config = TrialConfig.model_validate(job["config"])
    with arriving.telling() as tell:
        folder = packs.fetched(Path(job["pack"]), job["shared_pack"], job["node_disk"], tell)
    return config, FramePack(folder), Taxonomy.load(job["taxonomy"])


def _absolute(taxonomy: str) -> str:
    """Ray's workers run in another folder."""
    return str(Path(taxonomy).absolute()) if Path(taxonomy).is_file() else taxonomy
