"""Evaluation as Ray tasks: one a (trial, checkpoint, task), each written once."""

import time

import ray

from awcl.errors import EvaluationError
from awcl.study import jobs, judging
from awcl.study.plan import Evaluation, Plan, Trial
from awcl.study.progress import Progress
from awcl.tracking import Tracker


class Evaluations:
    """What is to be evaluated, what is being evaluated, and what failed.

    A trial is evaluated in a place for trials, or beside them: whoever counts places calls `begin`.
    An evaluation that fails holds up nothing else; `tell_failed` tells of it at the end.
    """

    def __init__(self, plan: Plan, tracker: Tracker, progress: Progress):
        self.plan, self.tracker, self.progress = plan, tracker, progress
        ended = {
            evaluation.trial.key: evaluation.trial for evaluation in plan.missing_evaluations()
        }
        self.waiting: list[Trial] = list(ended.values())
        self.failed: list[str] = []
        self._running: dict[ray.ObjectRef, Evaluation] = {}
        self._beside: set[str] = set()
        self._asked = asked = plan.study.evaluations_ask
        remote = ray.remote(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=asked.retries)
        self._task = remote(judging.evaluate_job)

    @property
    def places(self) -> int:
        """How many trials are being evaluated, each in a trial's place."""
        return len({evaluation.trial.key for evaluation in self._running.values()} - self._beside)

    @property
    def beside(self) -> int:
        """How many tasks were begun beside trials and are not done."""
        return sum(e.trial.key in self._beside for e in self._running.values())

    def add(self, trial: Trial) -> None:
        """A trial that has just ended."""
        self.waiting.append(trial)

    def begin(self, beside: bool = False) -> None:
        """Starts every task on the trial that waited longest."""
        trial = self.waiting.pop(0)
        if beside:
            self._beside.add(trial.key)
        for evaluation in self.plan.missing_of(trial):
            job = jobs.evaluation_job(evaluation, self.plan)
            self._running[self._task.remote(job, self._asked.cpus, self._asked.gpus)] = evaluation
        if self._of(trial):
            self.progress.evaluating(time.monotonic(), takes_place=not beside)

    def collect(self, seconds: float = 0) -> None:
        """Takes what is done; waits for so long where nothing is."""
        if not self._running:
            return
        references = list(self._running)
        done, _ = ray.wait(references, num_returns=1, timeout=seconds)
        if done:  # and all others that are, so that none waits for the next call
            done, _ = ray.wait(references, num_returns=len(references), timeout=0)
        for reference in done:
            evaluation = self._running.pop(reference)
            try:
                ray.get(reference)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1]
                name = evaluation.settings.name
                self.failed.append(f"{name} of {evaluation.trial.key}: {reason}")
            self.tracker.trial(evaluation.trial.folder)
            trial = evaluation.trial
            place_free = trial.key not in self._beside and not self._of(trial)
            self.progress.evaluated(time.monotonic(), place_free)

    def finish(self) -> None:
        """Evaluates all that waits: nothing is trained any more, Ray's own queue sees to places."""
        while self.waiting:
            self.begin()
        while self._running:
            self.collect(seconds=1)

    def _of(self, trial: Trial) -> list[Evaluation]:
        return [e for e in self._running.values() if e.trial.key == trial.key]


def tell_failed(failed: list[str]) -> None:
    """Raises EvaluationError where an evaluation failed. failed: as `Evaluations` has it."""
    if failed:
        plural = "s" * (len(failed) > 1)
        raise EvaluationError(
            f"{len(failed)} evaluation{plural} failed; the first, {failed[0]}; "
            "`awcl study evaluate` tries again"
        )
