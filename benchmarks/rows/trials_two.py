"""Short trials on two cores, two at a time: what each costs then, and which way is the faster.

A study runs as many at a time as there are cores, unless it says otherwise: is that the faster way?
No part of `make bench`, which would take twice as long with it.
"""

from collections.abc import Iterator

from benchmarks.harness import Row, Run
from benchmarks.rows import trials


def measure(run: Run) -> Iterator[Row]:
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    with ray_session(Stages()):
        pairs = trials.study(run, places=2)
        one, two = trials.lasted(trials.study(run, places=1)), trials.lasted(pairs)
    yield trials.overhead(run, pairs, places=2)
    yield Row(
        "six short trials on two cores",
        f"{two:.0f} s, two at a time on a core each, as studies do",
        f"{one:.0f} s, one at a time on both; one run of each", (one / two,) * 3,
        ">= 1: they run the faster way", two <= one,
    )  # fmt: skip
