"""Runs what is pending of a study: training by Ray Tune over Ray Train, then evaluation.

Running a study again is how it resumes: this reads from storage what is done, hands the rest to a
fresh Tuner, and stores each step as it comes. `Tuner.restore` is not used: it forgets the
scheduler's state and starts over where its snapshot is damaged.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from tqdm import tqdm

from awcl.errors import InputError
from awcl.records import StudyFolder, checkpoint_epoch
from awcl.study import worker
from awcl.study.asha import Asha, Decision
from awcl.study.plan import Plan, Trial
from awcl.tracking import Tracker

DRIVER = {"TRAIN_DRIVER": 0.01}
DRIVER_WITHOUT_OURS = {"CPU": 0.01}  # on a cluster that somebody else started
"""What a trial's driver asks for: next to nothing, so that drivers never take workers' cores."""


def execute(plan: Plan, tracker: Tracker) -> None:
    """Trains what is pending and evaluates what is not evaluated.

    Raises KeyboardInterrupt where it was interrupted with work left; everything is stored then.
    """
    with only_driver(plan.folder):
        tracker.sync()
        _close_what_ended(plan)
        if not plan.pending and not any(True for _ in plan.missing_evaluations()):
            return
        tracker.start()
        try:
            with ray_session():
                if plan.pending:
                    _train(plan, tracker)
                evaluate_missing(plan, tracker)
        finally:
            tracker.sync()


@contextmanager
def only_driver(folder: StudyFolder) -> Iterator[None]:
    """Holds the study's folder, so that two drivers cannot write one study."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with open(folder.path / "LEASE", "w", encoding="utf-8") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder.path}: another process is running this study") from error
        yield


@contextmanager
def ray_session() -> Iterator[None]:
    """The Ray that is there (RAY_ADDRESS, or already initialised), else one on this machine."""
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its tables; ours says more in fewer lines
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # A trial is 7 processes, most of them idle; else the raylet warns of them on small machines.
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "16")
    if ray.is_initialized():
        yield
        return
    if "RAY_ADDRESS" in os.environ:
        ray.init(logging_level="ERROR", log_to_driver=False)
    else:
        ray.init(
            address="local",
            include_dashboard=True,  # without it a stopped trial's placement group is never freed
            resources={"TRAIN_DRIVER": 1000},
            object_store_memory=200 * 2**20,  # frames come from the pack, not from Ray
            logging_level="ERROR",
            log_to_driver=False,
        )
    try:
        yield
    finally:
        ray.shutdown()


# --- training --------------------------------------------------------------------------------


def _train(plan: Plan, tracker: Tracker) -> None:
    pending, launch = plan.pending, time.strftime("launch-%Y%m%d-%H%M%S")
    for trial in pending:
        trial.folder.reopen()
    driver = DRIVER if "TRAIN_DRIVER" in ray.cluster_resources() else DRIVER_WITHOUT_OURS
    asha = _restored_asha(plan)
    experiment = plan.folder.path / "tune"
    print(f"{len(pending)} trials to run, {_concurrent(plan, driver)} at a time", flush=True)
    epochs = sum(trial.config.pretrain.epochs for trial in pending)
    with tqdm(total=epochs, desc="training", unit="epoch", disable=None) as bar:
        recorder = Recorder(plan, tracker, asha, bar)
        tune.Tuner(
            tune.with_resources(worker.drive, driver),
            param_space={
                "job": tune.grid_search([worker.training_job(t, plan, launch) for t in pending])
            },
            tune_config=tune.TuneConfig(
                max_concurrent_trials=_concurrent(plan, driver),
                scheduler=AshaScheduler(asha, plan.folder) if asha else None,
            ),
            run_config=tune.RunConfig(
                name=launch, storage_path=str(experiment), callbacks=[recorder], verbose=0
            ),
        ).fit()
    shutil.rmtree(experiment / launch, ignore_errors=True)  # Tune's own notes; nothing reads them
    if any(trial.folder.done is None for trial in pending):
        raise KeyboardInterrupt


def _concurrent(plan: Plan, driver: dict[str, float]) -> int:
    """How many trials fit, so that none holds a part of what it needs and waits for the rest."""
    asked = plan.study.resources
    workers = max(trial.config.pretrain.workers for trial in plan.pending)
    there = ray.cluster_resources()
    needs = {"CPU": asked.cpus * workers, "GPU": asked.gpus * workers}
    fit = []
    for name, need in needs.items():
        if need:
            fit.append(int(there.get(name, 0) // (need + driver.get(name, 0))))
            if fit[-1] == 0:
                raise InputError(
                    f"a trial asks for {need:g} {name} ({workers} workers), the cluster has "
                    f"{there.get(name, 0):g}; lower pretrain.workers or resources"
                )
    return min(*fit, asked.concurrent or fit[0])


class AshaScheduler(FIFOScheduler):
    """Tells Tune what Asha decides, and stores each decision before it is acted on."""

    def __init__(self, asha: Asha, folder: StudyFolder):
        super().__init__()
        self.asha, self.folder = asha, folder

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if "proxy" not in result:
            return TrialScheduler.CONTINUE
        key, epoch = trial.config["job"]["key"], result["epoch"]
        decided_before = (key, epoch) in self.asha.decisions
        decision = self.asha.decide(key, epoch, result["proxy"])
        if decision is None:
            return TrialScheduler.CONTINUE
        if not decided_before:
            self.folder.append_decision(decision.as_dict())
        return TrialScheduler.STOP if decision.stop else TrialScheduler.CONTINUE


class Recorder(tune.Callback):
    """Stores what Tune tells of trials, and has it projected to MLflow."""

    def __init__(self, plan: Plan, tracker: Tracker, asha: Asha | None, bar: tqdm):
        self.trials = {trial.key: trial for trial in plan.trials}
        self.tracker, self.asha, self.bar = tracker, asha, bar
        self.best, self.ended = float("-inf"), 0

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for Tuner.restore, which is not used

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        if "row" not in result:
            return
        stored = self.trials[trial.config["job"]["key"]]
        metrics = json.loads(result["row"])
        stored.folder.append_history(metrics)
        self.tracker.trial(stored.folder)
        self.best = max(self.best, metrics["val/proxy"])
        self.bar.update()
        self.bar.set_postfix_str(f"best proxy {self.best:.3f}")

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        """Ended by itself (the driver has marked it) or stopped by the scheduler."""
        stored = self.trials[trial.config["job"]["key"]]
        if stored.folder.done is None:
            _mark_stopped(stored, self.asha)
        self._ended(stored)

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        """The trial's driver itself died; a training that fails is told by its driver."""
        stored = self.trials[trial.config["job"]["key"]]
        epoch = max((row["epoch"] for row in stored.folder.history()), default=0)
        lines = str(trial.get_error()).strip().splitlines()
        stored.folder.write_done("failed", epoch=epoch, reason=lines[-1][:2000])
        self._ended(stored)

    def _ended(self, stored: Trial) -> None:
        self.tracker.trial(stored.folder)
        done, self.ended = stored.folder.done, self.ended + 1
        if self.bar.total is not None:  # None without a terminal
            self.bar.total -= stored.config.pretrain.epochs - done["epoch"]
        self.bar.refresh()
        why = done.get("reason") or f"{done['epoch']} epochs"
        self.bar.write(f"trial {stored.key} ({self.ended} ended) {done['outcome']}: {why}")


def _restored_asha(plan: Plan) -> Asha | None:
    """Rungs as the study left them: from the decisions, each with the value it was made on."""
    stopping = plan.study.early_stopping
    if stopping is None:
        return None
    epochs = max(trial.config.pretrain.epochs for trial in plan.trials)
    asha = Asha(stopping.grace, stopping.reduction, epochs)
    for made in plan.folder.decisions():
        asha.restore(Decision(**made))
    return asha


def _close_what_ended(plan: Plan) -> None:
    """Trials whose driver died between their end and its mark: nothing is left to train."""
    asha = _restored_asha(plan)
    for trial in plan.pending:
        checkpoint = trial.folder.checkpoint()
        if checkpoint is None:
            continue
        epoch = checkpoint_epoch(checkpoint)
        if epoch == trial.config.pretrain.epochs:
            trial.folder.write_done("finished", epoch=epoch)
        elif asha and _stop_decision(asha, trial.key):
            _mark_stopped(trial, asha)


def _mark_stopped(trial: Trial, asha: Asha | None) -> None:
    decision = asha and _stop_decision(asha, trial.key)
    if decision:
        trial.folder.write_done("stopped", epoch=decision.epoch, reason=decision.reason)


def _stop_decision(asha: Asha, key: str) -> Decision | None:
    return next((d for d in asha.decisions.values() if d.key == key and d.stop), None)


# --- evaluation ------------------------------------------------------------------------------


def evaluate_missing(plan: Plan, tracker: Tracker) -> None:
    """Evaluates, as Ray tasks, every finished or stopped trial that a task has not judged yet.

    An evaluation that fails is told at the end and holds up no other. Raises InputError then.
    """
    missing = list(plan.missing_evaluations())
    if not missing:
        return
    asked = plan.study.resources
    remote = ray.remote(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=1)
    task = remote(worker.evaluate_job)
    waiting = {task.remote(worker.evaluation_job(e), asked.cpus): e for e in missing}
    failed = []
    with tqdm(total=len(missing), desc="evaluating", unit="evaluation", disable=None) as bar:
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            evaluation = waiting.pop(done[0])
            try:
                ray.get(done[0])
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1]
                failed.append(f"{evaluation.settings.name} of {evaluation.trial.key}: {reason}")
            tracker.trial(evaluation.trial.folder)
            bar.update()
    if failed:
        raise InputError(f"{len(failed)} evaluations failed; the first, {failed[0]}")
