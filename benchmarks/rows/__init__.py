"""The rows of the table, a subject a file; `benchmarks` tells what each of them defines."""

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Plan:
    """seconds: that a file of rows may take on two free cores. long: no part of `make bench`."""

    seconds: int
    long: bool = False


FILES = {
    "startup": Plan(10),
    "views": Plan(40),
    "epoch": Plan(195),
    "loss": Plan(215),
    "loss_memory": Plan(600, long=True),
    "workers": Plan(20),
    "probes": Plan(80),
    "packing": Plan(55),
    "staging": Plan(15),
    "trials": Plan(255),
    "trials_two": Plan(480, long=True),
    "early_stopping": Plan(1800, long=True),
    "quickstart": Plan(10),
}
"""In the order in which they run and stand in the table."""


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
