"""A trial's driver: a Tune trainable that runs one Ray Train run and marks its end.

Three processes of a trial begin with importing this module; only the last of them, the training
worker, needs networks and frames, whose import takes as long again as Ray's and torch's together.
So this file imports neither, and what it does import imports neither.
"""

from collections.abc import Iterator
from typing import Any

import ray
import ray.train
from ray import tune
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.queue import Queue

from awcl import records
from awcl.config import TrialConfig
from awcl.errors import NotFiniteError
from awcl.files import as_path
from awcl.threads import in_a_thread

Job = dict[str, Any]

LAST = None  # the word after a training's last one


def drive(space: dict[str, Job]) -> None:
    """One trial. space: {"job": what `awcl.study.jobs.training_job` gives}.

    Each launch has a Train run of its own name. What a trial goes on from is its newest complete
    checkpoint on storage, whichever launch wrote it; Train's own snapshot is never read, since a
    damaged one would make the trial unstartable.
    """
    job = space["job"]
    resources, config = job["resources"], TrialConfig.model_validate(job["config"])
    folder = records.TrialFolder(as_path(job["folder"]))
    told = Queue(1, actor_options={"num_cpus": 0})
    trainer = Trainer(
        _train,
        train_loop_config=job,
        scaling_config=scaling(config.pretrain.workers, resources),
        run_config=ray.train.RunConfig(
            name=job["launch"],
            storage_path=str(folder.train),
            failure_config=ray.train.FailureConfig(
                max_failures=resources["retries"],
                max_preemption_failures=-1,  # a machine that goes on notice is nobody's failure
            ),
            callbacks=[Telling(told), NoSecondTry()],
        ),
    )
    try:
        for metrics in _running(trainer, told):
            tune.report(metrics)
        folder.write_done("finished", epoch=config.pretrain.epochs)
    except ray.train.TrainingFailedError as error:  # told once here; the other trials go on
        epoch = max((row["epoch"] for row in folder.history()), default=0)
        failures = getattr(error, "worker_failures", {})  # of one attempt: rank -> what it raised
        first = min(failures, default=0)
        reason = _last_words(failures.get(first, error))
        folder.write_done("failed", epoch=epoch, reason=reason, worker=folder.worker(first))
    tune.report({"final": True})  # a trial without any report of its own would end Tune


def _running(trainer: TorchTrainer, told: Queue) -> Iterator[dict[str, Any]]:
    """What a run tells, as it comes, to the last word; raises at its end what the run raises.

    The run has a thread of its own, so that this one alone speaks to Tune. With Ray's own
    `TuneReportCallback` two threads do, by a queue with room for one word, and a trial stands still
    for ever where Tune is late: the thread that empties the queue has the run's last epoch to put
    into it, and finds there that the trial has ended.
    """

    def run() -> None:
        try:
            trainer.fit()
        finally:
            told.put(LAST)

    ended = in_a_thread(run)
    while (metrics := told.get()) is not LAST:  # asking again and again costs 4 % of a core
        yield metrics
    ended.result()


def scaling(workers: int, resources: dict[str, Any]) -> ray.train.ScalingConfig:
    """What Train starts for a trial. resources: `awcl.study.space.Resources` as JSON.

    A fixed number of workers, never a range: their number is part of the trial. Ray packs them onto
    as few machines as it can, its default.
    """
    per_worker = {"CPU": resources["cpus"]}
    if resources["gpus"]:
        per_worker["GPU"] = resources["gpus"]
    return ray.train.ScalingConfig(
        num_workers=workers, use_gpu="GPU" in per_worker, resources_per_worker=per_worker
    )


class Trainer(TorchTrainer):
    """Ray Train without two processes a trial that a study has no use for; tells where workers are.

    The cleaner of placement groups asks whichever Ray on the machine started last whether the
    run's controller lives. Beside another Ray the answer is that nobody knows it, and the cleaner
    takes the cores of a trial that is running; `awcl.study.freeing` does its work. The manager of
    Ray's datasets has none to manage: frames come from the pack.
    """

    def _create_default_callbacks(self) -> list[Any]:
        left_out = PlacementGroupCleanerCallback, DatasetsCallback
        kept = [one for one in super()._create_default_callbacks() if not isinstance(one, left_out)]
        return [*kept, Whereabouts(self.train_loop_config["folder"])]


class Whereabouts(WorkerGroupCallback):
    """Stores where a trial's workers run, each time that they start: their logs stay there.

    folder: the trial's.
    """

    def __init__(self, folder: str):
        self.folder = folder

    def after_worker_group_start(self, worker_group: Any) -> None:
        there = sorted(
            worker_group.get_workers(), key=lambda worker: worker.distributed_context.world_rank
        )
        records.TrialFolder(as_path(self.folder)).write_workers([
            {
                "host": worker.metadata.node_ip,
                "log": worker.log_file_path,
                "actor": worker.actor._actor_id.hex(),
            }
            for worker in there
        ])  # fmt: skip


class Telling(ray.train.UserCallback):
    """Hands on what the first of a trial's workers reports."""

    def __init__(self, told: Queue):
        self.told = told

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        self.told.put(metrics[0])


class NoSecondTry(ray.train.UserCallback):
    """Ends a run whose loss is not finite: its retries would all end there."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for error in worker_exceptions.values():
            if isinstance(error, NotFiniteError):
                raise error  # an error of a callback ends a run at once


def _train(job: Job) -> None:
    """One training worker."""
    from awcl.study.worker import train

    train(job)


def _last_words(cause: Exception) -> str:
    """The line that says why, from under the trace-backs of Ray and of a worker."""
    return str(cause).strip().splitlines()[-1].removeprefix("awcl.errors.InputError: ")[:2000]
