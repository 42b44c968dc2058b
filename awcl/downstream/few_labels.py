"""Probes on the labels of few patients: which patients, what they reach, how it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.data.pack import FramePack
from awcl.downstream import scores
from awcl.downstream.classification import Problem
from awcl.taxonomy import Taxonomy

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
class Point:
    """Whose labels were used at a share of patients, draw by draw.

    total: labels of pre-training and probe, each counted once; None: pre-training's are not known.
    """

    curve: str
    share: float
    patients: list[int]
    probe: list[int]
    total: list[int] | None
    lost: list[int]
    """Classes that the probe's labels lack."""

    @property
    def name(self) -> str:
        return f"{self.curve}/{self.share:g}"

    def __str__(self) -> str:
        total = "unknown" if self.total is None else _range(self.total)
        lost = f"; {_range(self.lost)} classes lost" if any(self.lost) else ""
        return (
            f"labels {total} in all, {_range(self.probe)} of the probe; "
            f"{_range(self.patients)} patients{lost}"
        )


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Estimate:
    """Macro-F1 at one point: mean over draws, ends of its interval, and each draw's value."""

    mean: float
    low: float
    high: float
    each: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Standard deviation over draws; 0 for one."""
        return float(np.std(self.each, ddof=1)) if len(self.each) > 1 else 0.0


def estimate(problem: Problem, predicted: Sequence[np.ndarray]) -> Estimate:
    """predicted: (M,) class numbers of the judged frames, one array a draw.

    The interval is that of the mean over draws, over resamples of test patients, the same ones for
    each draw: it holds what patients add to the uncertainty; what draws do is shown by `each`.
    """
    n, each, resampled = len(problem.classes), [], []
    for classes in predicted:
        each.append(float(scores.macro_f1(scores.confusions(problem.truth, classes, n))))
        counts = scores.resample(problem.truth, classes, problem.units, n)
        resampled.append(scores.macro_f1(counts))
    low, high = scores.percentiles(np.mean(resampled, axis=0))
    return Estimate(float(np.mean(each)), low, high, tuple(each))


def figure(points: Sequence[Point], estimates: Sequence[Estimate]) -> Figure:
    """Macro-F1 over the share of patients, a curve for each kind of point, all labels beside it."""
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
        xlabel="training patients whose labels the probe has",
        ylabel="macro-F1 of the ridge probe",
        title="Numbers: labels used by pre-training and probe together. Dots: draws of patients",
    )
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=9)
    return drawn
