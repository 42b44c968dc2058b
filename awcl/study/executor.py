"""Runs what is pending of a study: training by Ray Tune over Ray Train, then evaluation.

Running a study again is how it resumes: this reads from storage what is done, hands the rest to a
fresh Tuner, and stores each step as it comes. `Tuner.restore` is not used: it forgets the
scheduler's state and starts over where its snapshot is damaged.
"""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from awcl.config import RunConfig
from awcl.errors import InputError
from awcl.records import StudyFolder, checkpoint_epoch
from awcl.study import driver, worker
from awcl.study.asha import Asha, Decision
from awcl.study.plan import Plan, Trial
from awcl.study.progress import Count, Course, Progress, goes_on
from awcl.study.space import Resources
from awcl.study.stages import Stages
from awcl.tracking import Tracker

# What a trial's driver asks for: next to nothing, so that drivers never take workers' cores.
DRIVER = {"TRAIN_DRIVER": 0.01}
DRIVER_WITHOUT_OURS = {"CPU": 0.01}  # on a cluster that somebody else started


def execute(plan: Plan, tracker: Tracker, stages: Stages) -> None:
    """Trains what is pending and evaluates what is not evaluated. The caller holds the study.

    Raises KeyboardInterrupt where it was interrupted with work left; everything is stored then.
    """
    plan.folder.catch_up()
    _close_what_ended(plan)
    stages.begin("mlflow", f"writing to {tracker.uri}")
    tracker.sync()
    if plan.done:
        print("every trial is done and evaluated; nothing to run")
        return
    tracker.start()
    try:
        with ray_session(stages):
            if plan.pending:
                _train(plan, tracker, stages)
            evaluate_missing(plan, tracker, stages)
    finally:
        stages.begin("mlflow", "writing what is left")
        tracker.sync()


@contextmanager
def ray_session(stages: Stages) -> Iterator[None]:
    """The Ray that is there (RAY_ADDRESS, or already initialised), else one on this machine."""
    stages.begin("ray", "starting")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its tables; ours says more in fewer lines
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # else Ctrl-C ends `fit` like success
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # A trial is 7 processes, most of them idle; else the raylet warns of them on small machines.
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "16")
    if ray.is_initialized():
        yield
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    _init_ray()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's prints a stack and aborts
    try:
        yield
    finally:
        ray.shutdown()


def _init_ray() -> None:
    if "RAY_ADDRESS" in os.environ:
        ray.init(logging_level="ERROR", log_to_driver=False)
        return
    # A process a trial less; this machine gives no notice before it goes.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    ray.init(
        address="local",
        include_dashboard=True,  # without it a stopped trial's placement group is never freed
        resources={"TRAIN_DRIVER": 1000},
        object_store_memory=200 * 2**20,  # frames come from the pack, not from Ray
        logging_level="ERROR",
        log_to_driver=False,
    )


# --- training --------------------------------------------------------------------------------


def _train(plan: Plan, tracker: Tracker, stages: Stages) -> None:
    pending = plan.pending
    for trial in pending:
        trial.folder.reopen()
    place = DRIVER if "TRAIN_DRIVER" in ray.cluster_resources() else DRIVER_WITHOUT_OURS
    asha = _restored_asha(plan)
    at_a_time = _concurrent(plan, place)
    ahead = _evaluations_to_come(plan)
    progress = Progress(_courses(plan), at_a_time, asha, ahead, time.monotonic())
    line = f"{len(pending)} trials to run, {at_a_time} at a time"
    there = goes_on(progress.courses)
    stages.begin("training", f"{line}; {there}" if there else line, progress.status)
    recorder = Recorder(plan, tracker, asha, progress)
    try:
        _tuner(plan, recorder, place, at_a_time).fit()
    finally:
        progress.close()
        stages.details.update(progress.times())
        shutil.rmtree(_notes(plan), ignore_errors=True)
    if any(trial.folder.done is None for trial in pending):
        raise KeyboardInterrupt


def _tuner(plan: Plan, recorder: "Recorder", place: dict[str, float], at_a_time: int) -> tune.Tuner:
    launch = time.strftime("launch-%Y%m%d-%H%M%S")
    jobs = [worker.training_job(trial, plan, launch) for trial in plan.pending]
    return tune.Tuner(
        tune.with_resources(driver.drive, place),
        param_space={"job": tune.grid_search(jobs)},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=at_a_time,
            scheduler=AshaScheduler(recorder.asha, plan) if recorder.asha else None,
        ),
        run_config=tune.RunConfig(
            name=launch, storage_path=str(_notes(plan)), callbacks=[recorder], verbose=0
        ),
    )


def _notes(plan: Plan) -> Path:
    """Where Tune writes its own; nothing reads them."""
    return plan.folder.path / "tune"


def _courses(plan: Plan) -> dict[str, Course]:
    """How far each trial of the study is."""
    courses = {}
    for trial in plan.trials:
        done = trial.folder.done
        budget, epochs = trial.config.pretrain.epochs, len(trial.folder.history())
        courses[trial.key] = Course(epochs, budget, ended=done is not None)
    return courses


def _evaluations_to_come(plan: Plan) -> int:
    there = sum(len(trial.folder.evaluations()) for trial in plan.trials)
    return max(0, len(plan.trials) * len(plan.study.tasks) - there)


def _concurrent(plan: Plan, driver: dict[str, float]) -> int:
    """How many trials fit, so that none holds a part of what it needs and waits for the rest."""
    workers = max(trial.config.pretrain.workers for trial in plan.pending)
    fit = _fitting(plan.study.resources, workers, driver, f"a trial ({workers} workers)")
    return min(fit, plan.study.resources.concurrent or fit)


def _fitting(asked: Resources, workers: int, driver: dict[str, float], what: str) -> int:
    """How often it fits the cluster. Raises InputError where it never does."""
    there = ray.cluster_resources()
    fit = []
    for name, need in {"CPU": asked.cpus * workers, "GPU": asked.gpus * workers}.items():
        if need:
            fit.append(int(there.get(name, 0) // (need + driver.get(name, 0))))
            if fit[-1] == 0:
                raise InputError(
                    f"{what} asks for {need:g} {name}, the cluster has {there.get(name, 0):g}; "
                    "lower pretrain.workers or the study's resources"
                )
    return min(fit)


class AshaScheduler(FIFOScheduler):
    """Tells Tune what Asha decides."""

    def __init__(self, asha: Asha, plan: Plan):
        super().__init__()
        self.asha, self.folder = asha, plan.folder
        self.trials = {trial.key: trial for trial in plan.trials}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if "proxy" not in result:
            return TrialScheduler.CONTINUE
        stored = self.trials[trial.config["job"]["key"]]
        decision = _decide(self.asha, self.folder, stored, result["epoch"], result["proxy"])
        stop = decision is not None and decision.stop
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE


class Recorder(tune.Callback):
    """Stores what Tune tells of trials, and has it projected to MLflow."""

    def __init__(self, plan: Plan, tracker: Tracker, asha: Asha | None, progress: Progress):
        self.trials = {trial.key: trial for trial in plan.trials}
        self.tracker, self.asha, self.progress = tracker, asha, progress

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for Tuner.restore, which is not used

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        self.progress.started(trial.config["job"]["key"], time.monotonic())

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        if "row" not in result:
            return
        stored = self.trials[trial.config["job"]["key"]]
        metrics = json.loads(result["row"])
        stored.folder.append_history(metrics)
        self.progress.epoch(stored.key, metrics["epoch"], metrics["val/proxy"], time.monotonic())
        self.tracker.trial(stored.folder)

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
        if stored.folder.done["outcome"] == "finished":
            stored.folder.prune(RunConfig().keep)
        self.tracker.trial(stored.folder)
        done = stored.folder.done
        self.progress.ended(stored.key, done["epoch"], time.monotonic())
        why = done.get("reason") or f"{done['epoch']} epochs"
        self.progress.bar.write(f"trial {stored.key} {done['outcome']}: {why}")


def _restored_asha(plan: Plan) -> Asha | None:
    """Rungs as the study left them: from the decisions, each with the values it was made on.

    Epochs that were stored but not decided (the driver died in between) are decided now, in the
    order in which they came.
    """
    stopping = plan.study.early_stopping
    if stopping is None:
        return None
    asha = Asha(stopping.grace, stopping.reduction)
    for made in plan.folder.decisions():
        asha.restore(Decision(**made))
    rows = [(row, trial) for trial in plan.trials for row in trial.folder.history()]
    for row, trial in sorted(rows, key=lambda pair: pair[0]["time"]):
        _decide(asha, plan.folder, trial, row["epoch"], row["val/proxy"])
    return asha


def _decide(
    asha: Asha, folder: StudyFolder, trial: Trial, epoch: int, value: float
) -> Decision | None:
    """Stores a new decision before it is acted on."""
    decided_before = (trial.key, epoch) in asha.decisions
    decision = asha.decide(trial.key, epoch, value, trial.config.pretrain.epochs)
    if decision is not None and not decided_before:
        folder.append_decision(decision.as_dict())
    return decision


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


def evaluate_missing(plan: Plan, tracker: Tracker, stages: Stages) -> None:
    """Evaluates, as Ray tasks, every finished or stopped trial that a task has not judged yet.

    An evaluation that fails is told at the end and holds up no other. Raises InputError then.
    """
    missing = list(plan.missing_evaluations())
    if not missing:
        return
    asked = plan.study.resources
    _fitting(asked, 1, {}, "an evaluation")
    remote = ray.remote(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=1)
    task = remote(worker.evaluate_job)
    there = sum(len(trial.folder.evaluations()) for trial in plan.trials)
    line = f"{len(missing)} to do" + (f"; goes on: {there} are there" if there else "")
    with Count(len(missing), "evaluation") as count:
        stages.begin("evaluation", line, count.status)
        waiting = {task.remote(worker.evaluation_job(e), asked.cpus): e for e in missing}
        failed = []
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            evaluation = waiting.pop(done[0])
            try:
                ray.get(done[0])
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1]
                failed.append(f"{evaluation.settings.name} of {evaluation.trial.key}: {reason}")
            tracker.trial(evaluation.trial.folder)
            count.one_more()
    if failed:
        raise InputError(f"{len(failed)} evaluations failed; the first, {failed[0]}")
