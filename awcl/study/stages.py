"""The stages of a study's run: each is said as it begins, shown while it lasts, timed. No ray."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from awcl.records import StudyFolder

LINE_EVERY = 20  # seconds, where a bar cannot be seen
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
WORK = {"training", "evaluation"}  # a run with neither has nothing to tell of its times


class Stages:
    """The stage that a run is in, and how long each took so far; for use in a `with` statement.

    seconds: by stage. A stage lasts until the next begins, and may come again. details: what a
    stage found out about its time, stored beside them.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.details: dict[str, Any] = {}
        self._start = time.time()
        self._enter("start", self._for_how_long)
        self._over = threading.Event()
        self._pulse = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Stages":
        self._pulse.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._pulse.join(5)

    def begin(self, name: str, line: str = "", status: Callable[[], str] | None = None) -> None:
        """The next stage. status: how far it is, for whoever sees no bar."""
        self._leave()
        self._enter(name, status or self._for_how_long)
        if line:
            print(f"{name}: {line}", flush=True)

    def end(self) -> None:
        """The stage is over, and none follows."""
        self._leave()

    @contextmanager
    def stored(self, folder: StudyFolder) -> Iterator[None]:
        """Adds the run to the study's timings, however the block ends."""
        outcome = "failed"
        try:
            yield
            outcome = "done"
        except (KeyboardInterrupt, SystemExit):
            outcome = "interrupted"
            raise
        finally:
            self._leave()
            if WORK & set(self.seconds):
                seconds = {name: round(value, 2) for name, value in self.seconds.items()}
                folder.append_timings(
                    {"time": self._start, "outcome": outcome, "seconds": seconds, **self.details}
                )

    def summary(self) -> str:
        """Where the time went, in one line; what took less than a second is not told of."""
        told = {name: value for name, value in self.seconds.items() if value >= 1}
        parts = [f"{name} {duration(value)}" for name, value in told.items()]
        return ", ".join([*parts, f"total {duration(sum(self.seconds.values()))}"])

    def _enter(self, name: str, status: Callable[[], str]) -> None:
        self._name, self._status, self._began = name, status, time.monotonic()

    def _leave(self) -> None:
        now = time.monotonic()
        self.seconds[self._name] = self.seconds.get(self._name, 0) + now - self._began
        self._began = now

    def _for_how_long(self) -> str:
        return f"for {duration(time.monotonic() - self._began)} now"

    def _beat(self) -> None:
        """Bars redraw themselves once a second; without a terminal a line comes now and then."""
        told = time.monotonic()
        while not self._over.wait(1):
            status = self._status()
            if time.monotonic() - max(told, self._began) >= LINE_EVERY and not seen():
                told = time.monotonic()
                print(f"{self._name}: {status}", flush=True)


def amount(count: float) -> str:
    """Bytes for people: '131 GB', '12.3 MB', '518 kB'."""
    unit, size = next((one for one in UNITS if count >= 0.9995 * one[1]), UNITS[-1])
    number = count / size
    return f"{number:.3g} {unit}" if number < 999.5 else f"{number:,.0f} {unit}"


def seen() -> bool:
    """Whether somebody sees bars, and nothing of what is printed goes to a file."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def duration(seconds: float) -> str:
    """'42 s', '7 min 31 s', '3 h 5 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
