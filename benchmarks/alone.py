"""A measurement in a process of its own, and how much other work the machine did meanwhile."""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STAT = Path("/proc/stat")
SET_CHILD_SUBREAPER = 36  # of prctl(2)
LEFT = 10.0  # seconds that what a measurement started may outlive it


@dataclass(frozen=True)
class Done:
    """wrote: what it found, as JSON; None where it wrote nothing. well: whether it ended well.

    seconds: that it took. busy: cores that other work used meanwhile, on average.
    """

    wrote: Any
    well: bool
    seconds: float
    busy: float


def alone(module: str, *arguments: str) -> Done:
    """Runs `python -m module arguments --into FILE`, FILE being where it writes its JSON.

    Other work is all that kept cores busy but this process and whatever descends from it, daemons
    included: what a measurement leaves behind is waited for.
    """
    _adopt_orphans()
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.NamedTemporaryFile(suffix=".json") as into:
        command = [sys.executable, "-m", module, *arguments, "--into", into.name]
        busy, own, began = busy_seconds(), _own_seconds(), time.perf_counter()
        code = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": ":".join(paths)}
        ).returncode
        took = time.perf_counter() - began
        _wait_for_orphans()
        others = busy_seconds() - busy - (_own_seconds() - own)
        lasted = time.perf_counter() - began
        text = Path(into.name).read_text(encoding="utf-8")
    return Done(json.loads(text) if text else None, code == 0, took, max(0, others) / lasted)


def busy_seconds() -> float:
    """Seconds of all cores together in which they were neither idle nor waiting."""
    return busy_ticks(STAT.read_text(encoding="utf-8")) / os.sysconf("SC_CLK_TCK")


def busy_ticks(stat: str) -> int:
    """The same of what /proc/stat says, in ticks."""
    user, nice, system, _idle, _wait, *interrupts = map(int, stat.split("\n", 1)[0].split()[1:])
    return user + nice + system + sum(interrupts[:2])


def _own_seconds() -> float:
    """Of this process, and of its descendants that have ended and were waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _adopt_orphans() -> None:
    """Descendants whose parent has ended become this process's own children, who count."""
    ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait_for_orphans() -> None:
    end = time.monotonic() + LEFT
    while time.monotonic() < end:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.05)
