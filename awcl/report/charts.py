"""What a figure shows, said once and drawn twice: for the page (`interactive`) and as PNG
(`printed`)."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Place = float | None  # None: a gap in a line


@dataclass(frozen=True)
class Line:
    """Points of one name. texts: what hovering tells of each. low, high: a band, or none.

    colour: a number in `COLOURS`; below zero one of `RAMP`. look: points are joined, or
    stand alone; crosses mark ends.
    """

    name: str
    x: Sequence[Place]
    y: Sequence[Place]
    texts: Sequence[str]
    colour: int
    low: Sequence[Place] = ()
    high: Sequence[Place] = ()
    look: Literal["line", "points", "crosses"] = "line"
    in_legend: bool = True


@dataclass(frozen=True)
class Curves:
    """Lines over one axis.

    name: of its file. ticks: place -> label, where the axis is one of names. marks: place -> label
    of a vertical line. labels: (x, y, text) in the figure. about: what it shows, for those who do
    not see it. notes: lines below it. numbers: as `points` gives them, where places in the figure
    are not what they stand for.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    about: str
    is_log: bool = False
    ticks: Mapping[float, str] = field(default_factory=dict)
    marks: Mapping[float, str] = field(default_factory=dict)
    labels: Sequence[tuple[float, float, str]] = ()
    y_ticks: bool = True
    has_legend: bool = True
    notes: Sequence[str] = ()
    numbers: Sequence[Sequence[str]] = ()

    @property
    def rows(self) -> int:
        """The most labels above each other, which it has to be high enough for."""
        return max(Counter(x for x, _, _ in self.labels).values(), default=0)


@dataclass(frozen=True)
class Row:
    """A value with its interval, if there is one. each: of every seed. tone: '', 'better', 'worse',
    'best'."""

    name: str
    value: float
    low: Place
    high: Place
    each: Sequence[float]
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Forest:
    """A row an arm: its value with interval and seeds. zero: a line at zero, for differences."""

    name: str
    title: str
    x_label: str
    rows: Sequence[Row]
    about: str
    zero: bool = False


Chart = Curves | Forest

COLOURS = [
    "#2f7fc1", "#d9772b", "#2a9d78", "#c061a3", "#b08a10", "#7a6fd0", "#c94f4f", "#6b8e23",
    "#3aa6b9", "#8a6d5a",
]  # fmt: skip
"""Legible on white and on near black alike; `DASHES` and `MARKS` tell lines apart without them."""
FAINT = "#8b949e"
TONES = {"": FAINT, "better": "#2a9d78", "worse": "#c94f4f", "best": "#2f7fc1"}
DASHES = ("solid", "dash", "dot", "dashdot")
MARKS = ("circle", "square", "diamond", "triangle-up")


RAMP = ["#aab2bd", "#93a8bf", "#6f9ac4", "#2f7fc1", "#d9772b"]
"""From few to much; -1 is the most."""


def colour(number: int) -> str:
    return RAMP[number] if number < 0 else COLOURS[number % len(COLOURS)]


def style(number: int) -> int:
    """Which of the dashes and marks a line of this colour has; a ramp is solid throughout."""
    return max(number, 0) % len(DASHES)


def points(chart: Chart) -> list[list[str]]:
    """The numbers of a figure as rows, the first the head."""
    if isinstance(chart, Forest):
        head = ["arm", chart.x_label, "95 %", "each seed"]
        return [head, *(_cells(row) for row in chart.rows)]
    if chart.numbers:
        return [list(row) for row in chart.numbers]
    found = [["", chart.x_label, chart.y_label, "95 %"]]
    for line in chart.lines:
        for at, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
            if x is None or y is None or not line.in_legend:
                continue
            band = _interval(line.low[at], line.high[at]) if line.low else ""
            found.append([line.name, chart.ticks.get(x, _number(x)), f"{y:.3f}", band])
    return found


def _cells(row: Row) -> list[str]:
    each = " ".join(f"{value:.3f}" for value in row.each)
    return [row.name, f"{row.value:.3f}", _interval(row.low, row.high), each]


def _interval(low: Place, high: Place) -> str:
    return "too few patients" if low is None else f"[{low:.3f}, {high:.3f}]"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: float) -> str:
    return f"{value:.4g}"
