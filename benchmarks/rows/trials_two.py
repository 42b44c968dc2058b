"""Are short trials on two cores faster one after the other, or two at a time? The same study."""

import time
from collections.abc import Iterator

from benchmarks.harness import Row, Run
from benchmarks.rows import trials


def measure(run: Run) -> Iterator[Row]:
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    took = {}
    with ray_session(Stages()):
        for places in (1, 2):
            began = time.perf_counter()
            trials.study(run, f"bench-{places}", run.size(trials.TRIALS, 2), places)
            took[places] = time.perf_counter() - began
    ratio = took[2] / took[1]
    yield Row(
        "six short trials on two cores, one at a time", f"{took[1]:.0f} s",
        f"{took[2]:.0f} s, two at a time on a core each", (ratio,) * 3, "the faster way is known",
    )  # fmt: skip
