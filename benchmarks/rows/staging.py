"""A pack from a shared folder to the machine's own disk, beside a plain copy of its files.

Staging reads eight shards at a time, compares each with its sha256 as it comes, and has it on the
disk before it gets its name. The copy writes one after the other, and has them on the disk at its
end. Both folders are of one disk, so this is the work of the processor and the disk: a network's
part is its bandwidth.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from awcl import complete
from awcl.files import write_json
from awcl.study.staging import staged
from benchmarks.harness import Row, Run

DIGEST, SHARDS, SHARD_BYTES = "0123456789ab", 16, 2**24


def measure(run: Run) -> Iterator[Row]:
    source, numbers = made(run.folder / DIGEST, run.size(SHARD_BYTES, 2**12)), count()

    def ours() -> None:
        disk = run.folder / f"ours-{next(numbers)}"
        staged(source, disk, lambda there, total: None)
        shutil.rmtree(disk)

    def plain() -> None:
        copy = run.folder / f"copy-{next(numbers)}"
        shutil.copytree(source, copy)
        for file in copy.iterdir():
            with file.open("rb") as copied:
                os.fsync(copied.fileno())
        shutil.rmtree(copy)

    found = run.race({"ours": ours, "copy": plain}, 5)
    size = sum(file.stat().st_size for file in source.iterdir())
    speeds = {name: size / found.median(name) / 1e6 for name in found.seconds}
    yield Row(
        f"stage a pack of {size / 1e6:,.0f} MB from a folder: time",
        f"{speeds['ours']:,.0f} MB/s, compared with its sha256",
        f"{speeds['copy']:,.0f} MB/s, copied",
        found.ratio("ours", "copy"),
        "stated",
    )


def made(folder: Path, shard_bytes: int) -> Path:
    """A folder that is a pack as far as staging goes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"shard-{number:05d}.npy" for number in range(SHARDS)]
    for name in names:
        (folder / name).write_bytes(rng.bytes(shard_bytes))
    files = dict.fromkeys(names, shard_bytes)
    write_json(folder / "PACK.json", {"digest": folder.name, "files": files})
    complete.mark(folder)
    return folder
