"""What is measured, each in a file of its own, and how long it may take."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Run
from benchmarks.scaling import driver, network, overhead, rungs, tracking, writes

TRIALS = (100, 1000)  # of the studies of stubs


def _of_driver(run: Run, trials: int) -> dict[str, Any]:
    return driver.measure(run, run.size(trials, 4))


SUBJECTS: dict[str, Callable[[Run], dict[str, Any]]] = {
    "overhead": overhead.measure,
    "driver-100": lambda run: _of_driver(run, TRIALS[0]),
    "driver-1000": lambda run: _of_driver(run, TRIALS[1]),
    "tracking": tracking.measure,
    "writes": writes.measure,
    "rungs": rungs.measure,
    "network": network.measure,
}
