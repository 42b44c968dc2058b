"""The labels of few patients: which patients, what is reached with them, how it is drawn.

Two curves. transfer: the encoder as it was pre-trained, with whatever labels that used; only the
task has few. few_label: pre-training may have used the labels of the same patients, and of no
other. An encoder that used no label has all of this curve; one that used the labels of a share of
patients (anatomy.ratio, ratio_unit patient) has the point at that share and its own list of
patients, so its other points are other trials.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.data.pack import FramePack
from awcl.downstream import scores
from awcl.downstream.classification import Problem
from awcl.downstream.overlap import resampled_means
from awcl.downstream.pretrained import Pretrained
from awcl.taxonomy import Taxonomy

SHARES = [0.01, 0.05, 0.1, 0.25, 1.0]
DRAWS = 5  # below the share 1
CURVES = ("transfer", "few_label")
COLOURS = {"transfer": "tab:blue", "few_label": "tab:red"}
TITLES = {
    "transfer": "transfer: labels of pre-training as they were",
    "few_label": "few-label: pre-training had these patients' labels at most",
}


def patients_rows(
    pack: FramePack, rows: np.ndarray, taxonomy: Taxonomy, share: float, seed: int
) -> np.ndarray:
    """Those of these rows whose patients a share of them has labelled, as pre-training draws them.

    Nested: what 0.05 has, 0.25 has. A rare class may be lost, as it would be in a clinic.
    """
    anatomy = AnatomyConfig(ratio=share, ratio_unit="patient")
    return rows[usable_labels(pack.frames.iloc[rows], anatomy, taxonomy, seed)]


@dataclass(frozen=True)
class Lists:
    """The lists of patients of one point of a curve: one a seed, drawn among those of `pool`."""

    curve: str
    share: float
    seeds: list[int]
    pool: np.ndarray
    """Rows of the pack whose patients the share is of."""

    @property
    def name(self) -> str:
        """What a task's results call the point: 'transfer/0.05'."""
        return f"{self.curve}/{self.share:g}"


def lists(
    pack: FramePack,
    taxonomy: Taxonomy,
    pool: np.ndarray,
    pretrained: Pretrained | None,
    shares: Sequence[float],
    draws: int,
) -> tuple[list[Lists], str | None]:
    """The points of both curves, and why there is no few_label where there is none.

    pool: rows of the training frames that the task has; pretrained: None where it is not known,
    else its seed has a list of few_label, too: that of the trials which it is paired with.
    """

    def curve(name: str, pool: np.ndarray, further: Sequence[int] = ()) -> list[Lists]:
        few = sorted({*range(draws), *further})
        return [
            Lists(name, share, few if share < 1 else [0], pool) for share in sorted(set(shares))
        ]

    found = curve("transfer", pool)
    if pretrained is None:
        return found, "few_label: not known which labels pre-training used"
    anatomy, seen = pretrained.anatomy, pretrained.rows(pack)
    if not len(pretrained.labelled(pack, taxonomy)):
        return [*found, *curve("few_label", seen, [pretrained.seed])], None
    if anatomy.ratio == 1 or anatomy.ratio_unit == "patient":
        return [*found, Lists("few_label", anatomy.ratio, [pretrained.seed], seen)], None
    return found, "few_label: pre-training used labels of single frames (anatomy.ratio_unit)"


def drawn_lists(
    wanted: Sequence[Lists],
    frames_of: Callable[[np.ndarray, float, int], np.ndarray],
    left_out: list[str],
    lacking: str,
) -> Iterator[tuple[Lists, dict[int, np.ndarray]]]:
    """Each point with its lists by seed: numbers of a task's training frames.

    frames_of: a pool, a share and a seed -> the numbers of what the task has of that list. Lists
    of which it has nothing are no draw; a point that has no draw is told in left_out, with what is
    lacking, and not yielded.
    """
    for at in wanted:
        drawn = {seed: frames_of(at.pool, at.share, seed) for seed in at.seeds}
        found = {seed: numbers for seed, numbers in drawn.items() if len(numbers)}
        if found:
            yield at, found
        else:
            left_out.append(f"{at.name}: {lacking}")


@dataclass(frozen=True)
class Point:
    """Whose labels were used at a share of patients, draw by draw.

    probe: labels of the task. total: of pre-training and task, each counted once; None:
    pre-training's are not known.
    """

    curve: str
    share: float
    patients: list[int]
    probe: list[int]
    total: list[int] | None
    lost: list[int]
    """Classes that the task's labels lack."""

    def __str__(self) -> str:
        total = "unknown" if self.total is None else _range(self.total)
        lost = f"; {_range(self.lost)} classes lost" if any(self.lost) else ""
        return (
            f"labels {total} in all, {_range(self.probe)} of the task; "
            f"{_range(self.patients)} patients{lost}"
        )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Estimate:
    """A score at one point: mean over draws, ends of its interval, and each draw's value."""

    mean: float
    low: float
    high: float
    each: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Standard deviation over draws; 0 for one."""
        return float(np.std(self.each, ddof=1)) if len(self.each) > 1 else 0.0


def estimate(problem: Problem, predicted: Sequence[np.ndarray]) -> Estimate:
    """Macro-F1. predicted: (M,) class numbers of the judged frames, one array a draw.

    The interval is that of the mean over draws, over resamples of test patients, the same ones for
    each draw: it holds what patients add to the uncertainty; what draws do is shown by `each`.
    """
    each, resampled = scores.macro_f1_of_draws(
        problem.truth, predicted, problem.units, len(problem.classes)
    )
    return Estimate(float(np.mean(each)), *scores.percentiles(resampled), tuple(each))


def estimate_of_means(values: np.ndarray, units: np.ndarray) -> Estimate:
    """A mean over frames. values: (M, draws), nan where a frame has none; interval as above."""
    each = tuple(np.nanmean(values, axis=0).tolist())
    low, high = scores.percentiles(resampled_means(values.mean(1, keepdims=True), units)[:, 0])
    return Estimate(float(np.mean(each)), low, high, each)


def named(name: str, at: Estimate) -> Iterator[tuple[str, float]]:
    """What a task yields of an estimate; `/sd` is over draws."""
    yield from scores.interval(name, at.mean, (at.low, at.high))
    if len(at.each) > 1:
        yield f"{name}/sd", at.spread


def figure(points: Sequence[Point], estimates: Sequence[Estimate], score: str) -> Figure:
    """A score over the share of patients, a curve for each kind of point, all labels beside it."""
    drawn = Figure(figsize=(8, 5), layout="constrained")
    axes = drawn.subplots()
    for number, (curve, colour) in enumerate(COLOURS.items()):
        mine = [(p, e) for p, e in zip(points, estimates, strict=True) if p.curve == curve]
        if not mine:
            continue
        x = np.array([100 * p.share for p, _ in mine]) * (1.06 if number else 1 / 1.06)
        y = np.array([e.mean for _, e in mine])
        ends = np.array([[e.mean - e.low, e.high - e.mean] for _, e in mine]).T
        style = {"color": colour, "capsize": 3, "marker": "s" if number else "o"}
        axes.errorbar(x, y, ends, label=TITLES[curve], **style)
        for at, (_, e) in zip(x, mine, strict=True):
            axes.plot([at] * len(e.each), e.each, ".", color=colour, alpha=0.4, markersize=5)
        for at, (p, e) in zip(x, mine, strict=True):
            top, bottom = max(e.high, *e.each), min(e.low, *e.each)
            budget = "?" if p.total is None else f"{np.mean(p.total):.0f}"
            axes.annotate(
                budget, (at, bottom if number else top),
                xytext=(0, -6 if number else 6), textcoords="offset points", fontsize=8,
                ha="center", va="top" if number else "bottom", color=colour,
            )  # fmt: skip
    ticks = sorted({100 * p.share for p in points})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.minorticks_off()
    axes.margins(x=0.08, y=0.15)
    axes.set(
        xlabel="training patients whose labels the task has",
        ylabel=score,
        title="Numbers: labels used by pre-training and task together. Dots: draws of patients",
    )
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=9)
    return drawn
