"""Memory and time of the loss at 65,536 views, whose similarities alone would be 17 GB.

Counted in a process of its own: the peak of its resident memory (VmHWM) less what it held before.
"""

import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from awcl.pretrain.loss import group_loss
from benchmarks.harness import Row, Run, lasting, size
from benchmarks.rows import loss


def measure(run: Run) -> Iterator[Row]:
    views = run.size(65536, 2048)
    small, its_groups = loss.made(256)
    loss.step(small, lambda z: group_loss(z, its_groups[None], loss.TEMPERATURE))()
    held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    z, groups = loss.made(views)
    began = time.perf_counter()
    loss.step(z, lambda z: group_loss(z, groups[None], loss.TEMPERATURE))()
    took = time.perf_counter() - began
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    used = int(peak) * 1024 - held
    yield Row(
        f"memory of the loss, {views:,} views", f"{size(used)}, {lasting(took)}",
        f"{size(4 * views**2)}, one matrix of all pairs", None, "< 1 GB", used < 1e9,
    )  # fmt: skip
