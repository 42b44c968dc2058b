"""What every row needs: turns, ratios with their spread, and the form of a row."""

import gc
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PEERS = {"lightly": "lightly", "pytorch-metric-learning": "pytorch_metric_learning"}


@dataclass(frozen=True)
class Row:
    """A line of the table. ours, against: figures with their units; ratio: (median, low, high).

    met: whether the aim is, None where there is none. why: what keeps it from being met, said only
    where it is not; or, in a row without figures, why it did not run.
    """

    what: str
    ours: str = ""
    against: str = ""
    ratio: tuple[float, float, float] | None = None
    aim: str = ""
    met: bool | None = None
    why: str = ""
    details: dict[str, object] = field(default_factory=dict)


class Missing(Exception):
    """A row cannot run here; the message says what it lacks and how to get it."""


class Run:
    """One run of a file of rows. smoke: sizes at which it takes seconds and proves nothing.

    folder: for what it writes, gone afterwards. storage: where studies were stored.
    """

    def __init__(self, folder: Path, smoke: bool = False, storage: Path = Path("results")):
        self.folder, self.smoke, self.storage = folder, smoke, storage

    def size(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full

    def race(
        self,
        contenders: dict[str, Callable[[], object]],
        turns: int = 7,
        clock: Callable[[], float] = time.perf_counter,
        warm: bool = True,
    ) -> "Race":
        """`race`; in a smoke run each contender goes once."""
        return race(contenders, self.size(turns, 1), warm and not self.smoke, clock)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="awcl-bench-") as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Race:
    """Seconds of each contender, turn by turn."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, slower: str, faster: str) -> tuple[float, float, float]:
        """How many times as long the first took as the second: median, lowest and highest turn."""
        return spread(
            [a / b for a, b in zip(self.seconds[slower], self.seconds[faster], strict=True)]
        )


def race(
    contenders: dict[str, Callable[[], object]],
    turns: int,
    warm: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Race:
    """Each contender once a turn, in an order that is reversed every other turn.

    So a machine that slows down over the run, or cools down, favours none. warm: one turn before
    that does not count. clock: what a user waits for; `time.process_time` for work on one thread,
    which then is told apart from what else the machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(-1 if warm else 0, turns):
        for name in names if turn % 2 else reversed(names):
            gc.collect()
            began = clock()
            contenders[name]()
            took = clock() - began
            if turn >= 0:
                seconds[name].append(took)
    return Race(seconds)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch on so many threads meanwhile, and OpenCV on the one that calls it, as in awcl.data."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def has_peer(name: str) -> bool:
    """Whether a peer of `make bench-peers` is installed."""
    return importlib.util.find_spec(PEERS[name]) is not None


def without_peer(what: str, name: str) -> Row:
    """The row in place of one whose peer is not installed."""
    return Row(what, why=f"not run: {name} is not installed; `make bench-peers`")


def rate(seconds: float, items: int, unit: str) -> str:
    """'6,120 views/s'."""
    return f"{items / seconds:,.0f} {unit}/s"


def lasting(seconds: float) -> str:
    """'1.24 s', '83 ms', '12 us'."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def size(count: float) -> str:
    """Bytes for people: '1.50 GB', '12.3 MB'."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return f"{count:.0f} B"
