"""Frames of a table to grey pixels: an image is read for its row, a video once for all of its rows.

What packs frames and what compares them both read them here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from awcl.data import videos
from awcl.data.images import UnreadableImage, read_grey

if TYPE_CHECKING:
    import pandas as pd  # packing's workers decode, and would wait for it


@dataclass(frozen=True)
class File:
    """A file, the rows of the table that it serves, and their frame numbers in it, ascending."""

    path: str
    rows: list[int]
    numbers: list[int]


def files(frames: "pd.DataFrame") -> list[File]:
    """What to read for a table's frames: each image for its row, each video for all of its rows."""
    found: dict[object, File] = {}
    order = frames["index"].to_numpy().argsort(kind="stable")
    paths, numbers = frames["path"].to_numpy(object), frames["index"].tolist()
    video = [videos.is_video(path) for path in paths]
    for row in order.tolist():
        file = found.setdefault(paths[row] if video[row] else row, File(paths[row], [], []))
        file.rows.append(row)
        file.numbers.append(numbers[row])
    return list(found.values())


def greys(path: str, numbers: Sequence[int]) -> Iterator[np.ndarray | str]:
    """Of each frame of a file its pixels, (H, W) uint8, or why it cannot be read.

    numbers: ascending; a video is decoded once, in order. An image is its own frame 0.
    """
    found = videos.frames(path, numbers) if videos.is_video(path) else _image(path)
    at, grey = -1, ""
    for number in numbers:
        if at < number:
            try:
                at, grey = next(found)
            except UnreadableImage as error:  # so it is for all that follow
                at, grey = math.inf, str(error)
        yield grey


def _image(path: str) -> Iterator[tuple[int, np.ndarray]]:
    yield 0, read_grey(path)
