"""How much memory does a command need, with all the processes that it starts?

    python benchmarks/memory.py -- .venv/bin/awcl study run quickstart

Every 2 seconds: the sum of the proportional set sizes (PSS: a page that n processes share counts
1/n in each) of every process in the command's session. The command is started as the leader of a
new session, which outlives re-parenting and process groups: Ray's workers are children of its
raylet, and each leads a group of its own, but none leaves the session. PSS is read from
/proc/PID/smaps_rollup by psutil, so Linux only. Files that are mapped, such as packs, count where
they are in memory; the page cache behind them does not.

Prints the peak, when it was, and what it was made of. Ctrl-C goes to the command.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil

SHOWN = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=float, default=2.0, help="seconds between samples (2)")
    parser.add_argument("command", nargs="+", help="after --")
    options = parser.parse_args()
    began, peak, at, parts = time.monotonic(), 0, 0.0, Counter()
    child = subprocess.Popen(options.command, start_new_session=True)
    signal.signal(signal.SIGINT, lambda *_: os.killpg(child.pid, signal.SIGINT))
    while child.poll() is None:
        now = memory(child.pid)
        if sum(now.values()) > peak:
            peak, at, parts = sum(now.values()), time.monotonic() - began, now
        time.sleep(options.every)
    took = time.monotonic() - began
    print(f"\npeak PSS {peak / 2**30:.2f} GiB after {at:.0f} s of {took:.0f}, "
          f"exit code {child.returncode}")  # fmt: skip
    for name, size in parts.most_common(SHOWN):
        print(f"  {size / 2**30:5.2f} GiB  {name}")
    sys.exit(child.returncode)


def memory(session: int) -> Counter[str]:
    """Bytes by the name of the process, over all processes of a session."""
    sizes: Counter[str] = Counter()
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                sizes[process.name()] += process.memory_full_info().pss
        except (psutil.Error, ProcessLookupError):  # it has just ended
            continue
    return sizes


if __name__ == "__main__":
    main()
