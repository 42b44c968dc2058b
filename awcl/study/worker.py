"""A trial's training worker, inside Ray.

Tasks and their figures are not imported here: every trial would wait for them.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Literal

import ray.train
import torch

from awcl import checkpoints, records
from awcl.config import RunConfig, TrialConfig
from awcl.data.pack import FramePack
from awcl.downstream.diagnostics import Diagnostics
from awcl.downstream.proxy import Proxy
from awcl.files import as_path
from awcl.pretrain import machine
from awcl.pretrain.loop import pretrain
from awcl.pretrain.reporter import Save, write_checkpoint
from awcl.study import arriving, packs
from awcl.taxonomy import Taxonomy


def train(job: dict[str, Any]) -> None:
    """One training worker."""
    config, pack, taxonomy = opened(job)
    proxy = Proxy(pack, taxonomy, job["proxy_level"], job["proxy_where"])
    evaluators = [proxy, Diagnostics(pack, config.data.recipe)]
    asked = job["resources"]
    run = RunConfig(
        device=device_for(asked["gpus"]),
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
        return checkpoints.newest(self.trial.train, partial=True, copy=copy)

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
                checkpoint_dir_name=checkpoints.folder_name(metrics["epoch"]),
            )
        checkpoints.prune(self.trial.train, self.keep, up_to=metrics["epoch"])

    def notice(self) -> bool:
        """One more machine to go, or an earlier end, is one more notice."""
        before, self.noticed = self.noticed, ray.train.get_preemption_info()
        return self.noticed != before

    def partial(self, epochs: int, steps: int, save: Save) -> None:
        # Training goes on after it: Train ends the workers at the deadline, and where they ended
        # by themselves it would take that for the end of the training, or for a failure.
        if ray.train.get_context().get_world_rank() == 0:
            write_checkpoint(self.trial.train, checkpoints.folder_name(epochs, steps), save)


def device_for(gpus: float) -> Literal["cpu", "cuda"]:
    """Where a process that asked for so many cards works: a study that asks for a card has one, or
    says so. Of a card that it shares it takes no more memory than its share.
    """
    if not gpus:
        return "cpu"
    card = machine.device("cuda", rank=machine.place()[0])
    if gpus < 1:
        torch.cuda.set_per_process_memory_fraction(gpus, card)
    return "cuda"


def opened(job: dict[str, Any]) -> tuple[TrialConfig, FramePack, Taxonomy]:
    """What a job of any kind is about; fetches the pack where this machine lacks it."""
    config = TrialConfig.model_validate(job["config"])
    with arriving.telling() as tell:
        folder = packs.fetched(Path(job["pack"]), job["shared_pack"], job["node_disk"], tell)
    return config, FramePack(folder), Taxonomy.load(job["taxonomy"])
