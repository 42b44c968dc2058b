"""Where the time of the quickstart goes, from the log of a run that is stored; drawn as bars."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from awcl.records import StudyFolder
from benchmarks import results
from benchmarks.harness import Missing, Row, Run
from benchmarks.rows import trials

NAME = "quickstart"
WORDS = {
    "epochs": "epochs",
    "to the first step": "starting trials",
    "proxy and checkpoints": "proxy, checkpoints",
    "from the last epoch to its mark": "ending trials",
    "to the next trial": "between trials",
}
"""Parts of a trial's time as `trials.spans` has them -> as the bars name them."""


def measure(run: Run) -> Iterator[Row]:
    stored = StudyFolder(run.storage / NAME)
    runs = stored.timings()
    if not runs:
        raise Missing(f"no run of it is stored in {run.storage}; `make quickstart`")
    seconds: Counter[str] = Counter()
    for one in runs:
        seconds.update(one["seconds"])
    if len(runs) == 1:  # no trial tells of the time between two
        seconds = in_parts(stored, seconds)
    total = sum(seconds.values())
    draw(seconds, (run.folder if run.smoke else results.HERE) / results.FIGURE)
    told = ", ".join(f"{name} {value / total:.0%}" for name, value in seconds.most_common(5))
    yield Row(
        "the whole quickstart", f"{total / 60:.1f} min: {told}",
        f"{len(runs)} run{'s' * (len(runs) > 1)} of it, the last on {_day(runs[-1]['time'])}",
        None, "stated", details=dict(seconds),
    )  # fmt: skip


def in_parts(stored: StudyFolder, seconds: Counter[str]) -> Counter[str]:
    """The stages, of which training in its parts: what a trial's place spent on each, on average
    over the places. What is left of it is judging between trials, and places that have no more."""
    trials_of = [trial for trial in stored.trials() if trial.done]
    if not trials_of:
        return seconds
    places = max(start.get("places", 1) for trial in trials_of for start in trial.starts())
    each = trials.spans(stored, places)
    parts = {name: sum(span[name] for span in each) / places for name in (each or [{}])[0]}
    parts = {WORDS[name]: value for name, value in parts.items()}
    rest = max(0.0, seconds["training"] - sum(parts.values()))
    found: Counter[str] = Counter()
    for stage, value in seconds.items():
        found.update(
            {**parts, "last trials, judging": rest} if stage == "training" else {stage: value}
        )
    return found


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
