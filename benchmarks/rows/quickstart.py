"""Where the time of the quickstart goes, from the log of a run that is stored; drawn as bars."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import results
from benchmarks.harness import Missing, Row, Run

NAME = "quickstart"


def measure(run: Run) -> Iterator[Row]:
    from awcl.records import StudyFolder

    runs = StudyFolder(run.storage / NAME).timings()
    if not runs:
        raise Missing(f"no run of it is stored in {run.storage}; `make quickstart`")
    seconds: Counter[str] = Counter()
    for one in runs:
        seconds.update(one["seconds"])
    total = sum(seconds.values())
    draw(seconds, (run.folder if run.smoke else results.HERE) / results.FIGURE)
    told = ", ".join(f"{name} {value / total:.0%}" for name, value in seconds.most_common(4))
    yield Row(
        "the whole quickstart", f"{total / 60:.1f} min: {told}",
        f"{len(runs)} run(s) of it, the last on {_day(runs[-1]['time'])}",
        None, "stated", details=dict(seconds),
    )  # fmt: skip


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def draw(seconds: dict[str, float], file: Path) -> None:
    """One bar a stage, in the order in which they came."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.5 + 0.35 * len(seconds)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(seconds), list(seconds.values()), color="0.4")
    axes.bar_label(bars, fmt="%.0f s", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(file, dpi=120)
