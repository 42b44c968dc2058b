"""Where the seconds of a process go: of the wall, and of the processor, which neighbours do not
stretch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest.mock import patch


@dataclass
class Spent:
    """calls; seconds of the wall; seconds of the calling thread's processor."""

    calls: int = 0
    wall: float = 0.0
    processor: float = 0.0

    def as_dict(self, digits: int = 4) -> dict[str, float]:
        return {
            "calls": self.calls,
            "wall": round(self.wall, digits),
            "processor": round(self.processor, digits),
        }


@dataclass
class Clock:
    """What was spent under each name, without what was spent under another within it."""

    spent: dict[str, Spent] = field(default_factory=dict)
    _within: list[list[float]] = field(default_factory=list)  # of each open name: others' seconds

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.thread_time()
        self._within.append([0.0, 0.0])
        try:
            yield
        finally:
            took = [time.perf_counter() - wall, time.thread_time() - processor]
            others = self._within.pop()
            spent = self.spent.setdefault(name, Spent())
            spent.calls += 1
            spent.wall += took[0] - others[0]
            spent.processor += took[1] - others[1]
            if self._within:
                self._within[-1] = [sum(p) for p in zip(self._within[-1], took, strict=True)]

    def on(self, owner: Any, method: str, name: str) -> Any:
        """A patch for `with`: calls of that method are timed under a name."""
        original: Callable = getattr(owner, method)

        @wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.running(name):
                return original(*args, **kwargs)

        return patch.object(owner, method, timed)
