"""How far a study is, and how long it still takes. No ray."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from awcl.study.asha import Asha

UNKNOWN = "time left not known yet"


@dataclass
class Course:
    """One trial: epochs done of its budget. started, told: when it was started, when it last told
    of an epoch, in seconds of any clock; None: not in this run. stoppable: whether early stopping
    may end it."""

    epochs: int
    budget: int
    ended: bool = False
    started: float | None = None
    told: float | None = None
    stoppable: bool = True


class Progress:
    """Trials, epochs, evaluations and time left of a study.

    courses: every trial of the study by its key. evaluations: how many are to come; judged: how
    many are there already. placed: tells how many trials' workers have their places; of None it is
    taken that all have that were started.

    Time left is an estimate from this run: the mean time from when a place was free for a trial to
    its first epoch, and the mean time of an epoch, times what is left of both, over the trials at a
    time. Of the trials that reach a rung of early stopping, one in `reduction` is expected to go
    on. An evaluation is taken for an epoch.
    """

    def __init__(
        self,
        courses: dict[str, Course],
        at_a_time: int,
        asha: Asha | None,
        evaluations: int,
        now: float,
        judged: int = 0,
        placed: Callable[[], int | None] = lambda: None,
    ):
        self.courses, self.at_a_time, self.asha, self.placed = courses, at_a_time, asha, placed
        self.evaluations, self.judged, self.best = evaluations, judged, float("-inf")
        self.judging: list[float] = []  # when the first evaluation began, when each was done
        self.places = [now] * at_a_time  # since when those that are free are so
        self.first_epochs: list[float] = []
        self.epochs: list[float] = []

    def started(self, key: str, now: float) -> None:
        """A trial runs, of whose processes the first is there."""
        course = self.courses[key]
        course.started, course.told = self.places.pop(0) if self.places else now, None

    def epoch(self, key: str, epoch: int, proxy: float, now: float) -> None:
        """A trial told of the end of an epoch."""
        course = self.courses[key]
        course.epochs = epoch
        if course.told is not None:
            self.epochs.append(now - course.told)
        elif course.started is not None:
            self.first_epochs.append(now - course.started)
        course.told = now
        self.best = max(self.best, proxy)

    def ended(self, key: str, epochs: int, now: float) -> None:
        """A trial ended, finished or not, after so many epochs."""
        course = self.courses[key]
        course.epochs, course.ended = epochs, True
        self.places.append(now)

    def evaluating(self, now: float, takes_place: bool = True) -> None:
        """Evaluations of a trial that ended have begun; takes_place: in a trial's place."""
        self.judging = self.judging or [now]
        if takes_place and self.places:
            self.places.pop(0)

    def evaluated(self, now: float, place_free: bool) -> None:
        """One evaluation is done; place_free: the last one in its place."""
        self.evaluations, self.judged = max(0, self.evaluations - 1), self.judged + 1
        self.judging.append(now)
        if place_free:
            self.places.append(now)

    @property
    def done(self) -> int:
        """Epochs and evaluations that are done."""
        return sum(course.epochs for course in self.courses.values()) + self.judged

    @property
    def most(self) -> int:
        """Epochs and evaluations that there will be at most."""
        courses = self.courses.values()
        epochs = sum(course.epochs if course.ended else course.budget for course in courses)
        return epochs + self.judged + self.evaluations

    def line(self, now: float) -> str:
        """All of it in one line."""
        courses = list(self.courses.values())
        judged = self.judged + self.evaluations
        ended = sum(course.ended for course in courses)
        running = self.queue()["running"]
        left = self.seconds_left(now)
        epochs, most = self.done - self.judged, self.most - judged
        parts = [
            f"epochs {epochs}/{most}",
            f"trials {ended}/{len(courses)} done, {running} running",
        ]
        parts += [f"evaluations {self.judged}/{judged}"] * (self.judged > 0)
        parts += [f"best proxy {self.best:.3f}"] * (self.best > float("-inf"))
        parts += [UNKNOWN if left is None else f"about {minutes(left)} left"]
        return ", ".join(parts)

    def queue(self) -> dict[str, int]:
        """How many trials are running, and how many wait for a place or for its machine."""
        left = [course for course in list(self.courses.values()) if not course.ended]
        running = sum(course.started is not None for course in left)
        placed = self.placed() if running else None
        if placed is not None:
            running = min(running, placed)
        return {"running": running, "waiting": len(left) - running}

    def seconds_left(self, now: float) -> float | None:
        """None before what is left was seen once: a first and a further epoch, or an evaluation."""
        left = [course for course in list(self.courses.values()) if not course.ended]
        if not left and len(self.judging) > 1:
            done = len(self.judging) - 1
            return self.evaluations * (self.judging[-1] - self.judging[0]) / done
        if not self.first_epochs or not self.epochs:
            return None
        seconds = [self._seconds(course, now) for course in left]
        seconds += [mean(self.epochs)] * self.evaluations
        return max([0, *seconds, sum(seconds) / self.at_a_time])

    def _seconds(self, course: Course, now: float) -> float:
        """What a trial that has not ended still takes."""
        rungs = self.asha.rungs(course.budget) if self.asha and course.stoppable else []
        reduction = self.asha.reduction if self.asha else 1
        epochs = expected_epochs(course.epochs, course.budget, rungs, reduction)
        if course.told is not None:
            return epochs * mean(self.epochs)
        waited = 0 if course.started is None else now - course.started
        return max(0, mean(self.first_epochs) - waited) + max(0, epochs - 1) * mean(self.epochs)

    def times(self) -> dict[str, dict[str, float]]:
        """For the study's timings: how often, and for how many seconds on average."""
        kinds = {"first_epochs": self.first_epochs, "further_epochs": self.epochs}
        return {
            name: {"count": len(seen), "mean_seconds": round(mean(seen), 2)}
            for name, seen in kinds.items()
            if seen
        }


def together(
    first: dict[str, dict[str, float]], second: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """`Progress.times` of two parts of a run as one: a search, and what confirmed its best."""
    found = {**first, **second}
    for name in set(first) & set(second):
        parts = [first[name], second[name]]
        count = sum(part["count"] for part in parts)
        seconds = sum(part["count"] * part["mean_seconds"] for part in parts)
        found[name] = {"count": count, "mean_seconds": round(seconds / count, 2)}
    return found


class Bar:
    """A study's progress as a bar, where there is a terminal; for use in a `with` statement.

    more: what else is under way, in a line, or nothing. It and `progress.placed` are asked only
    within the block.
    """

    def __init__(self, progress: Progress, more: Callable[[], str] = str):
        self.progress, self.more = progress, more
        form = "{percentage:3.0f}%|{bar}| {desc}"
        self._bar = tqdm(total=1, bar_format=form, dynamic_ncols=True, delay=1, disable=None)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self.more, self.progress.placed = str, lambda: None
        self._bar.close()

    def status(self) -> str:
        """How far it is, in one line; redraws the bar."""
        line = ", ".join(filter(None, [self.progress.line(time.monotonic()), self.more()]))
        if not self._bar.disable:
            self._bar.n, self._bar.total = self.progress.done, self.progress.most
            self._bar.set_description_str(line)
        return line

    def write(self, line: str) -> None:
        """A line above the bar."""
        self._bar.write(line)


def expected_epochs(done: int, budget: int, rungs: list[int], reduction: int) -> float:
    """Epochs that a trial still runs, where at each rung one in `reduction` goes on."""
    expected, share, at = 0.0, 1.0, done
    for rung in [*(rung for rung in rungs if rung > done), budget]:
        expected += share * (rung - at)
        share, at = share / reduction, rung
    return expected


def goes_on(courses: dict[str, Course]) -> str:
    """What an earlier run has left, in a line; empty where it is nothing."""
    begun = [course for course in courses.values() if course.epochs and not course.ended]
    ended = sum(course.ended for course in courses.values())
    if not begun and not ended:
        return ""
    of = f"{sum(c.epochs for c in begun)} of {sum(c.budget for c in begun)}"
    unit = "epoch" if len(begun) == 1 else "epochs"
    more = f", {len(begun)} begun ({unit} {of})" if begun else ""
    return f"goes on: {ended} of {len(courses)} trials done{more}"


def minutes(seconds: float) -> str:
    """A rough time for people."""
    return "1 min" if seconds < 90 else f"{seconds / 60:.0f} min"


def mean(values: list[float]) -> float:
    return sum(values) / len(values)
