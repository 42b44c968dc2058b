"""How a study stands, from storage alone: the state of each trial, time used, time left. No ray."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from awcl import checkpoints
from awcl.config import TrialConfig, flat, parse
from awcl.records import StudyFolder, TrialFolder, epochs_done
from awcl.study.asha import Asha
from awcl.study.progress import UNKNOWN, Course, Progress, minutes
from awcl.study.stages import duration


@dataclass(frozen=True)
class Standing:
    """What is stored of one trial, each file read once.

    state: finished, stopped, failed, running, pending. starts, history: as `TrialFolder` gives
    them. evaluations: the results. rung: the last decision's epoch, or None. reason: why it was
    stopped or failed. worker: of a failed one, as in `TrialFolder.workers`. checkpoint: the newest,
    under trials/KEY/train; None before the first.
    """

    key: str
    config: TrialConfig
    state: str
    starts: list[dict[str, Any]]
    history: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    rung: int | None
    reason: str
    worker: dict[str, Any] | None
    checkpoint: str | None

    @property
    def epochs(self) -> int:
        """How many are done."""
        return epochs_done(self.history)

    @property
    def proxy(self) -> float:
        """Of the last epoch; -inf before the first."""
        return self.history[-1]["val/proxy"] if self.history else float("-inf")


def standings(study: StudyFolder) -> list[Standing]:
    """Every stored trial, in the order of their keys."""
    rungs: dict[str, int] = {}
    for made in study.decisions():
        rungs[made["key"]] = max(made["epoch"], rungs.get(made["key"], 0))
    starts = {trial: trial.starts() for trial in study.trials()}
    now = _launch_now(study, [start for each in starts.values() for start in each])
    return [_standing(trial, each, now, rungs.get(trial.key)) for trial, each in starts.items()]


def summary(study: StudyFolder, trials: list[Standing]) -> str:
    """Done, running, left, time used and time left, in a line."""
    count = {state: sum(t.state == state for t in trials) for state in ("running", "failed")}
    done = sum(t.state in ("finished", "stopped") for t in trials)
    parts = [f"{done} of {len(trials)} trials done"]
    parts += [f"{n} {state}" for state, n in count.items() if n]
    left = len(trials) - done - sum(count.values())
    parts += [f"{left} left"] * (left > 0)
    used = seconds_used(study, trials)
    parts += [f"{duration(used)} used"] * (used > 0)
    if left > 0 or count["running"]:
        to_come = seconds_left(study, trials)
        parts.append(UNKNOWN if to_come is None else f"about {minutes(to_come)} left")
    return f"study {study.definition['name']}: " + ", ".join(parts)


def seconds_used(study: StudyFolder, trials: list[Standing]) -> float:
    """What all runs of the study took; of one that was killed, up to the last epoch it stored."""
    runs = [(run["time"], run["time"] + sum(run["seconds"].values())) for run in study.timings()]
    total = sum(end - start for start, end in runs)
    launches: dict[str, list[float]] = {}
    for trial in trials:
        rows = [row["time"] for row in trial.history]
        for start, until in pairwise([*trial.starts, None]):
            if any(begun <= start["time"] <= end for begun, end in runs):
                continue
            upper = until["time"] if until else float("inf")
            told = [when for when in rows if start["time"] <= when < upper]
            launches.setdefault(start["launch"], []).extend([start["time"], *told])
    now = _launch_now(study, [start for trial in trials for start in trial.starts])
    if now in launches:
        launches[now].append(time.time())
    return total + sum(max(times) - min(times) for times in launches.values())


def trial_seconds(trial: Standing) -> float:
    """What it has taken so far: of each start, up to the last epoch that it told of, and of one
    that runs, up to now."""
    total = 0.0
    for start, until in pairwise([*trial.starts, None]):
        upper = until["time"] if until else float("inf")
        told = [row["time"] for row in trial.history if start["time"] <= row["time"] < upper]
        runs = until is None and trial.state == "running"
        total += (time.time() if runs else max([start["time"], *told])) - start["time"]
    return total


def seconds_left(study: StudyFolder, trials: list[Standing]) -> float | None:
    """As a running study estimates it (`Progress`), from the epochs that are stored."""
    places = max((start["places"] for t in trials for start in t.starts), default=1)
    alive = [trial for trial in trials if trial.state != "failed"]
    judged = sum(len(trial.evaluations) for trial in alive)
    tasks = len(alive) * (len(study.definition["tasks"]) - len(study.tasks_not_run))
    stopping = study.definition.get("early_stopping")
    asha = Asha(stopping["grace"], stopping["reduction"]) if stopping else None
    now = time.time()
    courses = {trial.key: _course(trial, study.definition) for trial in trials}
    progress = Progress(courses, places, asha, max(0, tasks - judged), now)
    for trial in trials:
        starts = [start["time"] for start in trial.starts]
        before = None
        for row in trial.history:
            started = max((start for start in starts if start < row["time"]), default=None)
            if started is None:
                continue
            if before is None or before < started:
                progress.first_epochs.append(row["time"] - started)
            else:
                progress.epochs.append(row["time"] - before)
            before = row["time"]
    return progress.seconds_left(now)


def _launch_now(study: StudyFolder, starts: list[dict[str, Any]]) -> str | None:
    """The launch under way: the newest, where whoever holds the study began it.

    Not that of a run that was killed, while the next one has not started a trial.
    """
    newest = max((start["launch"] for start in starts), default=None)  # names sort by time
    began = min((start["time"] for start in starts if start["launch"] == newest), default=0)
    since = study.held_since
    return newest if since is not None and began >= since else None


def _standing(
    trial: TrialFolder, starts: list[dict[str, Any]], running: str | None, rung: int | None
) -> Standing:
    done = trial.done or {}
    runs = running is not None and bool(starts) and starts[-1]["launch"] == running
    made = checkpoints.all_of(trial.train)
    return Standing(
        key=trial.key,
        config=parse(TrialConfig, trial.about["config"], trial.key),
        state=done.get("outcome", "running" if runs else "pending"),
        starts=starts,
        history=trial.history(),
        evaluations=[result for _, result in trial.evaluations()],
        rung=rung,
        reason=done.get("reason", ""),
        worker=done.get("worker"),
        checkpoint=str(made[-1].relative_to(trial.train)) if made else None,
    )


def _course(trial: Standing, definition: dict[str, Any]) -> Course:
    ended = trial.state in ("finished", "stopped", "failed")
    budget, stoppable = trial.config.pretrain.epochs, _is_stoppable(trial.config, definition)
    course = Course(trial.epochs, budget, ended, stoppable=stoppable)
    if trial.state == "running":
        course.started = trial.starts[-1]["time"]
        since = [row["time"] for row in trial.history if row["time"] > course.started]
        course.told = since[-1] if since else None
    return course


def _is_stoppable(config: TrialConfig, definition: dict[str, Any]) -> bool:
    """`awcl.study.space.never_stopped` by the fields alone, for an estimate."""
    confirms = definition.get("confirm", 0) > 0 and config.seed != definition["seeds"][0]
    baseline, values = definition.get("baseline", {}), flat(config)
    is_baseline = baseline and all(values.get(name) == value for name, value in baseline.items())
    return not (confirms or is_baseline)
