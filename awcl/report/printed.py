"""Charts as PNG, by matplotlib; no browser is needed."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from awcl.report.charts import TONES, Chart, Curves, Forest, Line, colour, style

GROUND = {"boxstyle": "square,pad=0.1", "facecolor": "white", "alpha": 0.8, "linewidth": 0}
DASHES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "D", "^")
ROW, LABEL = 0.3, 0.17  # inches


def png(chart: Chart) -> bytes:
    """The picture of a chart."""
    figure = _forest(chart) if isinstance(chart, Forest) else _curves(chart)
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=130, bbox_inches="tight")
    return made.getvalue()


def _curves(chart: Curves) -> Figure:
    figure = Figure(figsize=(7, max(4.2, 1 + LABEL * chart.rows)))
    axes = figure.subplots()
    for line in chart.lines:
        _draw(axes, line)
    for at, text in chart.marks.items():
        axes.axvline(at, color=TONES[""], linestyle=":", linewidth=1)
        axes.annotate(text, (at, 0.98), xycoords=("data", "axes fraction"), rotation=90, fontsize=7,
                      va="top", ha="left")  # fmt: skip
    for x, y, text in chart.labels:
        axes.annotate(_plain([text])[0], (x, y), xytext=(4, 0), textcoords="offset points",
                      fontsize=7, va="center", bbox=GROUND, zorder=3)  # fmt: skip
    if chart.is_log:
        axes.set_xscale("log")
        axes.minorticks_off()
        ticks = sorted({x for line in chart.lines for x in line.x if x is not None})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if chart.ticks:
        axes.set_xticks(list(chart.ticks), _plain(chart.ticks.values()))
    if not chart.y_ticks:
        axes.set_yticks([])
        axes.set_xlim(-0.2, len(chart.ticks) - 0.5)  # labels stand to the right of their places
    below = _plain([*filter(None, [chart.x_label]), *chart.notes])
    axes.set(xlabel="\n".join(below), ylabel=chart.y_label)
    axes.set_title(chart.title, fontsize=11)
    axes.grid(alpha=0.25)
    if chart.has_legend:
        _legend(axes)
    return figure


def _draw(axes: Axes, line: Line) -> None:
    of, number = colour(line.colour), style(line.colour)
    x, y = (np.array(values, dtype=float) for values in (line.x, line.y))  # None is nan
    label = _plain([line.name])[0] if line.in_legend else None
    if line.look == "line":
        axes.plot(x, y, color=of, linestyle=DASHES[number], label=label,
                  marker=MARKS[number], markersize=4, linewidth=1.4)  # fmt: skip
    else:
        mark = "." if line.look == "points" else "x"
        axes.plot(x, y, mark, color=of, alpha=0.6 if mark == "." else 1, label=label)
    if line.low:
        low, high = (np.array(values, dtype=float) for values in (line.low, line.high))
        axes.fill_between(x, low, high, color=of, alpha=0.15, linewidth=0)


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, fontsize=8, frameon=False, loc="upper left",
                    bbox_to_anchor=(1.01, 1))  # fmt: skip


def _forest(chart: Forest) -> Figure:
    figure = Figure(figsize=(7, 1.1 + ROW * len(chart.rows)))
    axes = figure.subplots()
    for at, row in enumerate(chart.rows):
        of = TONES[row.tone]
        if row.low is not None:
            axes.plot([row.low, row.high], [at, at], color=of, linewidth=2.5)
        axes.plot([row.value], [at], "o", color=of, markersize=7)
        if len(row.each) > 1:
            axes.plot(row.each, [at] * len(row.each), ".", color="0.35", markersize=4)
    if chart.zero:
        axes.axvline(0, color="0.4", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(chart.rows)), _plain(row.name for row in chart.rows))
    axes.set_ylim(len(chart.rows) - 0.5, -0.5)
    axes.set_xlabel(chart.x_label)
    axes.set_title(chart.title, fontsize=11)
    axes.grid(axis="x", alpha=0.25)
    return figure


def _plain(texts: object) -> list[str]:
    """Names as they are: a dollar would begin mathematics."""
    return [text.replace("$", r"\$") for text in texts]
