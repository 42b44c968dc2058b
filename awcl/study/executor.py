"""Runs what is pending of a study: training by Ray Tune over Ray Train, and evaluation.

Running a study again is how it resumes: this reads from storage what is done, hands the rest to a
fresh Tuner, and stores each step as it comes. `Tuner.restore` is not used: it forgets the
scheduler's state and starts over where its snapshot is damaged.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ray import tune

from awcl import checkpoints
from awcl.errors import InputError
from awcl.files import AnyPath, remove_folder
from awcl.study import arriving, driver, jobs, stopping
from awcl.study.asha import Asha
from awcl.study.cluster import beside, drivers_ask_for, fitting, ray_session, slots
from awcl.study.confirming import confirmed, without_baseline
from awcl.study.evaluating import Evaluations, tell_failed
from awcl.study.freeing import freed_places, placed
from awcl.study.plan import Plan
from awcl.study.progress import Bar, Course, Progress, goes_on, together
from awcl.study.space import never_stopped
from awcl.study.stages import Stages
from awcl.study.tuning import AshaScheduler, Recorder, Slots
from awcl.study.watching import watched
from awcl.tracking import Tracker
from awcl.tracking.client import shown

_NO_BASELINE = "none of its trials ran to the full budget, so none is confirmed"
_LOST = "has ended, but not every task has judged it and its checkpoint is gone or broken"


def execute(plan: Plan, tracker: Tracker, stages: Stages) -> None:
    """Trains what is pending and evaluates what is not evaluated. The caller holds the study.

    Raises KeyboardInterrupt where it was interrupted with work left; everything is stored then.
    Raises EvaluationError at the end where an evaluation failed; all else is done then.
    """
    plan.folder.catch_up()
    stopping.close_what_ended(plan)
    plan = confirmed(plan)
    for trial in plan.lost:
        print(f"trial {trial.key} {_LOST}: its last epochs are trained again")
    stages.begin("mlflow", f"writing to {shown(tracker.uri)}")
    tracker.sync()
    failed: list[str] = []
    if plan.done:
        print("every trial is done and evaluated; nothing to run")
    else:
        with _tracked(tracker, stages), ray_session(stages), freed_places():
            failed += _work(plan, tracker, stages)
            failed += _confirm(plan, tracker, stages)
    if without_baseline(plan):
        print(f"baseline {plan.study.baseline}: {_NO_BASELINE}")
    tell_failed(failed)


def evaluate(plan: Plan, tracker: Tracker, stages: Stages) -> None:
    """Evaluates every finished or stopped trial that a task has not judged yet; trains nothing.

    Raises InputError at the end where an evaluation failed, or a trial cannot be evaluated.
    """
    with _tracked(tracker, stages), ray_session(stages), freed_places():
        failed = _evaluate(plan, tracker, stages)
    tell_failed(failed)
    if plan.lost:
        keys = ", ".join(trial.key for trial in plan.lost)
        raise InputError(f"{keys}: {_LOST}; `awcl study run` trains the last epochs again")


@contextmanager
def _tracked(tracker: Tracker, stages: Stages) -> Iterator[None]:
    """MLflow shows the study as running meanwhile, and at the end what is stored."""
    try:
        tracker.start()
        yield
    finally:
        stages.begin("mlflow", "writing what is left")
        tracker.sync()


def _work(plan: Plan, tracker: Tracker, stages: Stages) -> list[str]:
    """Trains and evaluates; the evaluations that failed."""
    pending = plan.pending
    if not pending:
        return _evaluate(plan, tracker, stages)
    places = slots(plan.study.resources, max(t.config.pretrain.workers for t in pending))
    asha = stopping.restored(plan)
    progress = _progress(plan, places, asha)
    evaluations = _evaluations(plan, tracker, progress)
    line = f"{len(pending)} trials to run, {places} at a time"
    there = goes_on(progress.courses)
    with Bar(progress, arriving.listener()) as bar, watched(plan.folder, progress):
        stages.begin("training", f"{line}; {there}" if there else line, bar.status)
        for trial in pending:
            trial.folder.reopen()
        try:
            _tuner(plan, Recorder(plan, tracker, asha, bar, evaluations), places).fit()
        finally:
            stages.details = together(stages.details, progress.times())
            remove_folder(_notes(plan))
        if any(trial.folder.done is None for trial in pending):
            raise KeyboardInterrupt
        stages.begin("evaluation", status=bar.status)
        evaluations.finish()
    return evaluations.failed


def _confirm(plan: Plan, tracker: Tracker, stages: Stages) -> list[str]:
    """Runs what the end of the search adds; what failed in the search is not tried again now."""
    grown = confirmed(plan)
    before = {trial.key for trial in plan.trials}
    further = [trial for trial in grown.trials if trial.key not in before]
    return _work(replace(grown, trials=further), tracker, stages) if further else []


def _evaluate(plan: Plan, tracker: Tracker, stages: Stages) -> list[str]:
    missing = len(list(plan.missing_evaluations()))
    if not missing:
        return []
    progress = _progress(plan, places=1)
    there = f"; goes on: {progress.judged} are there" if progress.judged else ""
    with Bar(progress, arriving.listener()) as bar, watched(plan.folder, progress):
        stages.begin("evaluation", f"{missing} to do{there}", bar.status)
        evaluations = _evaluations(plan, tracker, progress)
        evaluations.finish()
    return evaluations.failed


def _evaluations(plan: Plan, tracker: Tracker, progress: Progress) -> Evaluations:
    fitting(plan.study.evaluations_ask, 1, {}, "an evaluation")
    return Evaluations(plan, tracker, progress)


def _progress(plan: Plan, places: int, asha: Asha | None = None) -> Progress:
    """How far each trial of the study is, and how many evaluations are there."""
    courses, is_exempt = {}, never_stopped(plan.study)
    pending = {trial.key for trial in plan.pending}
    for trial in plan.trials:
        budget, epochs = trial.config.pretrain.epochs, trial.folder.epochs_done
        ended, stoppable = trial.key not in pending, not is_exempt(trial.config)
        courses[trial.key] = Course(epochs, budget, ended, stoppable=stoppable)
    there = sum(len(trial.folder.evaluations()) for trial in plan.trials)
    left = max(0, len(plan.trials) * len(plan.judged_by) - there)
    now = time.monotonic()
    return Progress(courses, places, asha, left, now, judged=there, placed=placed)


def _tuner(plan: Plan, recorder: Recorder, places: int) -> tune.Tuner:
    study, launch = plan.study, time.strftime(f"{checkpoints.LAUNCH}%Y%m%d-%H%M%S")
    queue = Slots(
        list(plan.pending),
        places,
        recorder.evaluations,
        lambda trial: jobs.training_job(trial, plan, launch),
        beside(study.resources, study.evaluations_ask),
    )
    return tune.Tuner(
        tune.with_resources(driver.drive, drivers_ask_for()),
        tune_config=tune.TuneConfig(
            num_samples=-1,  # as many as the queue gives
            search_alg=queue,
            scheduler=AshaScheduler(recorder.asha, plan) if recorder.asha else None,
        ),
        run_config=tune.RunConfig(
            name=launch, storage_path=str(_notes(plan)), callbacks=[recorder], verbose=0
        ),
    )


def _notes(plan: Plan) -> AnyPath:
    """Where Tune writes its own; nothing reads them."""
    return plan.folder.path / "tune"
