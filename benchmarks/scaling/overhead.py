"""What a real trial costs beside its epochs, on a handful of them; and what an empty one of Train.

The figures of the benchmark row `trials`, in full.
"""

from statistics import mean, median
from typing import Any

from benchmarks.harness import Run
from benchmarks.rows import trials

EMPTY = 2


def measure(run: Run) -> dict[str, Any]:
    """parts: mean seconds of a trial, by what they went to. overhead: of each, without epochs."""
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    with ray_session(Stages()):
        spans = trials.times(trials.study(run, places=1))
    with trials.rays_own():
        empty = trials.empty_trials(run.size(EMPTY, 1), run.folder / "tune")
    return {
        "parts": {name: round(mean(span[name] for span in spans), 2) for name in spans[0]},
        "overhead": round(median(sum(span.values()) - span["epochs"] for span in spans), 2),
        "empty": round(median(empty), 2),
    }
