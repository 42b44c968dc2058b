"""What Ray Tune calls: which trial is next, whether one stops, what is stored of it."""

import json
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from awcl.study import stopping
from awcl.study.asha import Asha
from awcl.study.evaluating import Evaluations
from awcl.study.plan import Plan, Trial
from awcl.study.progress import Bar
from awcl.tracking import Tracker
from awcl.version import code_version


class Slots(Searcher):
    """Gives Tune the next trial when a place is free.

    A trial that has ended is evaluated in its own place, before a new trial takes it, so that
    training and evaluation together never ask for more than there is; or beside, on machines that
    trials have no use for. beside: how many tasks fit there at a time.
    """

    def __init__(
        self,
        trials: list[Trial],
        places: int,
        evaluations: Evaluations,
        job: Callable[[Trial], dict[str, Any]],
        beside: int = 0,
    ):
        super().__init__()
        self.trials, self.places, self.evaluations, self.job = trials, places, evaluations, job
        self.beside = beside
        self.running = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Tune asks many times a second."""
        self.evaluations.collect()
        while self.evaluations.waiting and (self._beside() or self._free()):
            self.evaluations.begin(beside=self._beside())
        if self.trials and self._free():
            self.running += 1
            return {"job": self.job(self.trials.pop(0))}
        return None if self.trials or self.running else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.running -= 1

    def _free(self) -> bool:
        return self.running + self.evaluations.places < self.places

    def _beside(self) -> bool:
        return self.evaluations.beside < self.beside

    def save(self, checkpoint_path: str) -> None:
        """Tune saves for Tuner.restore, which is not used."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


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
        epoch, value = result["epoch"], result["proxy"]
        decision = stopping.decide(self.asha, self.folder, stored, epoch, value)
        stop = decision is not None and decision.stop
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE


class Recorder(tune.Callback):
    """Stores what Tune tells of trials, and has it projected to MLflow."""

    def __init__(
        self,
        plan: Plan,
        tracker: Tracker,
        asha: Asha | None,
        bar: Bar,
        evaluations: Evaluations,
    ):
        self.trials = {trial.key: trial for trial in plan.trials}
        self.tracker, self.asha, self.evaluations = tracker, asha, evaluations
        self.bar, self.progress = bar, bar.progress

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for Tuner.restore, which is not used

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        stored = self.trials[trial.config["job"]["key"]]
        launch, places = trial.config["job"]["launch"], self.progress.at_a_time
        start = {"time": time.time(), "launch": launch, "places": places, "code": code_version()}
        stored.folder.append_start(start)
        self.progress.started(stored.key, time.monotonic())
        self.tracker.trial(stored.folder)
        self.tracker.machines()

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
            stopping.mark_stopped(stored, self.asha)
            # Tune asks it to end, and sees to that when it next looks at its actors. While nothing
            # else runs it does not look: it waits, ten minutes at most, for the next trial, and the
            # next trial waits for this one's place.
            ray.kill(trial.temporary_state.ray_actor)
        self._ended(stored)

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        """The trial's driver itself died; a training that fails is told by its driver."""
        stored = self.trials[trial.config["job"]["key"]]
        epoch = max((row["epoch"] for row in stored.folder.history()), default=0)
        lines = str(trial.get_error()).strip().splitlines()
        worker = stored.folder.worker(0)  # its own log ends there, too
        stored.folder.write_done("failed", epoch=epoch, reason=lines[-1][:2000], worker=worker)
        self._ended(stored)

    def _ended(self, stored: Trial) -> None:
        done = stored.folder.done
        self.tracker.trial(stored.folder)
        self.tracker.machines()
        self.progress.ended(stored.key, done["epoch"], time.monotonic())
        why = done.get("reason") or f"{done['epoch']} epochs"
        self.bar.write(f"trial {stored.key} {done['outcome']}: {why}")
        if done["outcome"] != "failed":
            self.evaluations.add(stored)
