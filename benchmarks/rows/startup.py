"""How long until the program answers: `awcl --help`, beside Python that does nothing."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import Row, Run, lasting


def measure(run: Run) -> Iterator[Row]:
    found = run.race(
        {
            "ours": lambda: started("-m", "awcl", "--help"),
            "python": lambda: started("-c", "pass"),
        },
    )
    took = found.median("ours")
    yield Row(
        "awcl --help: time", lasting(took), f"{lasting(found.median('python'))}, an empty program",
        found.ratio("ours", "python"), "< 0.5 s", took < 0.5,
    )  # fmt: skip


def started(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
