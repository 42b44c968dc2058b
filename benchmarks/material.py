"""What is measured on: drawn ultrasound as files of 800 x 600, tables of them, packs."""

import shutil
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from awcl.data.pack import FramePack
from awcl.data.packing import find_or_build
from awcl.data.phantom.scan import Settings, scan
from awcl.data.table import FrameTable
from awcl.taxonomy import Taxonomy

WIDTH, HEIGHT = 800, 600
DRAWN = 8  # different pictures; more files are copies of them, which decoders cannot know
ANATOMIES = ("4CH", "HCP", "FLP", None)


@cache
def picture(number: int) -> np.ndarray:
    """(HEIGHT, WIDTH) uint8 frame of the phantom: speckle compresses as badly as real images."""
    return cv2.resize(scan(number, Settings(size=WIDTH)).frame(40 + number), (WIDTH, HEIGHT))


def files(folder: Path, count: int) -> list[Path]:
    """So many PNG files of one channel."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:05d}.png" for number in range(count)]
    for number, path in enumerate(paths[:DRAWN]):
        Image.fromarray(picture(number)).save(path)
    for number, path in enumerate(paths[DRAWN:]):
        shutil.copy(paths[number % DRAWN], path)
    return paths


def table(paths: list[Path]) -> FrameTable:
    """One frame a file, four a patient, three quarters of them labelled, a fifth each val, test."""
    rows = []
    for number, path in enumerate(paths):
        patient = number // 4
        rows.append(
            {
                "frame_id": f"bench/{number:05d}",
                "path": str(path),
                "source": "bench",
                "patient": f"bench/{patient}",
                "anatomy": ANATOMIES[number % len(ANATOMIES)],
                "split": {3: "val", 4: "test"}.get(patient % 5, "train"),
            }
        )
    return FrameTable.build(pd.DataFrame(rows), Taxonomy.load(), "benchmarks")


def pack(paths: list[Path], size: int, folder: Path) -> FramePack:
    """Those files packed for views of `size` pixels."""
    return find_or_build(table(paths), size, folder, quiet=True)
