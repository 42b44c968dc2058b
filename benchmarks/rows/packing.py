"""Packing 1,000 PNG of 800 x 600, and reading the pack at random.

Packing is everything that `awcl pack` does: worker processes, checksums, content boxes, a table.
The peer is the loop that everybody writes first: PIL on one core, grey, resized, one array. Reading
is beside a copy of as much memory within the machine.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from awcl.data.pack import FramePack, side
from awcl.data.packing import build
from benchmarks import material
from benchmarks.harness import Row, Run, rate, spread

SIZE, CORES = 224, 2


def measure(run: Run) -> Iterator[Row]:
    paths = material.files(run.folder / "images", run.size(1000, 8))
    table, numbers = material.table(paths), count()

    def ours() -> None:
        build(table, SIZE, run.folder / f"packs-{next(numbers)}", workers=CORES, quiet=True)

    found = run.race({"ours": ours, "loop": lambda: loop(paths, run.folder)}, 3)
    ratio = found.ratio("loop", "ours")
    images = len(paths)
    yield Row(
        f"pack {images:,} PNG of 800 x 600", rate(found.median("ours"), images, "frames"),
        f"{rate(found.median('loop'), images, 'frames')}, PIL on one core", ratio, ">= 1.8x on 2",
        ratio[0] >= 1.8, why="see LOG.md",
    )  # fmt: skip
    yield reading(run, FramePack(next((run.folder / "packs-0").glob("*/PACK.json")).parent))


def loop(paths: list[Path], folder: Path) -> None:
    """Grey, the long side as in the pack, stacked, saved."""
    length = side(SIZE)
    stack = np.zeros((len(paths), length, length), np.uint8)
    for number, path in enumerate(paths):
        image = Image.open(path).convert("L")
        image = image.resize((length, round(length * image.height / image.width)))
        stack[number, : image.height] = np.asarray(image)
    np.save(folder / "loop.npy", stack)


def reading(run: Run, pack: FramePack) -> Row:
    """Every frame of the pack once, in random order, copied out to a place of its own."""
    order = np.random.default_rng(0).permutation(len(pack)).tolist()
    inside = np.stack([pack.image(row) for row in range(len(pack))])
    copy = np.empty_like(inside)

    def random() -> None:
        for place, row in enumerate(order):
            np.copyto(copy[place], pack.image(row))

    found = run.race({"ours": random, "memory": lambda: np.copyto(copy, inside)})
    speeds = {name: inside.nbytes / found.median(name) / 1e9 for name in found.seconds}
    low, mid, high = sorted(found.ratio("memory", "ours"))
    return Row(
        f"read a pack of {inside.nbytes / 1e6:.0f} MB at random",
        f"{speeds['ours']:.2f} GB/s, {rate(found.median('ours'), len(pack), 'frames')}",
        f"{speeds['memory']:.2f} GB/s, a copy in memory", spread([low, mid, high]), "stated",
    )  # fmt: skip
