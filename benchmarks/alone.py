"""A measurement in a process of its own, and how much other work the machine did meanwhile."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
MARK = "AWCL_MEASUREMENT"  # a variable that a measurement and all that it starts inherit
EVERY = 5.0  # seconds between two looks at the machine's processes
KERNEL = 2  # the parent of its threads, whose work is done for others


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

    Other work is that of processes which the measurement did not start. One that comes and goes
    between two looks is not seen.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    mark = f"{os.getpid()}-{time.time()}"
    with tempfile.NamedTemporaryFile(suffix=".json") as into:
        command = [sys.executable, "-m", module, *arguments, "--into", into.name]
        others = Others(mark)
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": ":".join(paths), MARK: mark}
        )
        while True:
            try:
                process.wait(EVERY)
                break
            except subprocess.TimeoutExpired:
                others.look()
        took = time.perf_counter() - began
        others.look()
        text = Path(into.name).read_text(encoding="utf-8")
    wrote = json.loads(text) if text else None
    return Done(wrote, process.returncode == 0, took, others.seconds / took)


class Others:
    """Seconds of the processor that other processes used since this was made."""

    def __init__(self, mark: str):
        self.mark, self.seconds = mark, 0.0
        self._used: dict[tuple[int, float], float] = {}  # by process
        self.look()
        self.seconds = 0.0

    def look(self) -> None:
        for process in psutil.process_iter():
            try:
                with process.oneshot():
                    if self._is_own(process):
                        continue
                    times = process.cpu_times()
                    which = process.pid, process.create_time()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            used = times.user + times.system
            self.seconds += used - self._used.get(which, 0.0)
            self._used[which] = used

    def _is_own(self, process: psutil.Process) -> bool:
        if process.pid in (os.getpid(), KERNEL) or process.ppid() == KERNEL:
            return True
        try:
            return process.environ().get(MARK) == self.mark
        except psutil.AccessDenied:  # another user's
            return False
