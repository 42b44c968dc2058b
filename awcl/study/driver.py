"""A trial's driver: a Tune trainable that runs one Ray Train run and marks its end.

Three processes of a trial begin with importing this module; only the last of them, the training
worker, needs networks and frames, whose import takes as long again as Ray's and torch's together.
So this file imports neither, and what it does import imports neither.
"""

from typing import Any

import ray
import ray.train
from ray import tune
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.tune.integration.ray_train import TuneReportCallback

from awcl import records
from awcl.config import TrialConfig
from awcl.errors import NotFiniteError
from awcl.files import as_path

Job = dict[str, Any]


def drive(space: dict[str, Job]) -> None:
    """One trial. space: {"job": what `awcl.study.worker.training_job` gives}.

    Each launch has a Train run of its own name. What a trial goes on from is its newest complete
    checkpoint on storage, whichever launch wrote it; Train's own snapshot is never read, since a
    damaged one would make the trial unstartable.
    """
    job = space["job"]
    resources, config = job["resources"], TrialConfig.model_validate(job["config"])
    folder = records.TrialFolder(as_path(job["folder"]))
    per_worker = {"CPU": resources["cpus"]}
    if resources["gpus"]:
        per_worker["GPU"] = resources["gpus"]
    trainer = Trainer(
        _train,
        train_loop_config=job,
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.pretrain.workers,
            use_gpu=bool(resources["gpus"]),
            resources_per_worker=per_worker,
        ),
        run_config=ray.train.RunConfig(
            name=job["launch"],
            storage_path=str(folder.train),
            failure_config=ray.train.FailureConfig(
                max_failures=resources["retries"],
                max_preemption_failures=-1,  # a machine that goes on notice is nobody's failure
            ),
            callbacks=[TuneReportCallback(), NoSecondTry()],
        ),
    )
    try:
        trainer.fit()
        folder.write_done("finished", epoch=config.pretrain.epochs)
    except ray.train.TrainingFailedError as error:  # told once here; the other trials go on
        epoch = max((row["epoch"] for row in folder.history()), default=0)
        folder.write_done("failed", epoch=epoch, reason=_last_words(error))
    tune.report({"final": True})  # a trial without any report of its own would end Tune


class Trainer(TorchTrainer):
    """Ray Train without two processes a trial that a study has no use for.

    The cleaner of placement groups asks whichever Ray on the machine started last whether the
    run's controller lives. Beside another Ray the answer is that nobody knows it, and the cleaner
    takes the cores of a trial that is running; `awcl.study.freeing` does its work. The manager of
    Ray's datasets has none to manage: frames come from the pack.
    """

    def _create_default_callbacks(self) -> list[Any]:
        left_out = PlacementGroupCleanerCallback, DatasetsCallback
        return [one for one in super()._create_default_callbacks() if not isinstance(one, left_out)]


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


def _last_words(error: ray.train.TrainingFailedError) -> str:
    """The line that says why, from under the trace-backs of Ray and of a worker."""
    failures = getattr(error, "worker_failures", {})
    cause = failures[min(failures)] if failures else error
    return str(cause).strip().splitlines()[-1].removeprefix("awcl.errors.InputError: ")[:2000]
