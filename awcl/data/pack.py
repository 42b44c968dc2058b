"""The frame pack: every frame decoded once, one channel, uint8, memory-mapped.

A frame is stored in a square of side L = ceil(8/7 x view size), its long side scaled to L and the
rest padded with 0; its content box and scale are kept, so crops are drawn inside the content and
millimetres survive. Padding only completes evaluation views.

    PACKS/<digest>/PACK.json  frames.parquet  shard-00000.npy ...  mask-00000.npy ...

A pack is named by what is in it, never by where it came from: two tables that list the same frames
in another order or folder give the same pack. No path enters it.
"""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from awcl.errors import InputError
from awcl.files import read_json

FORMAT = 1
SHARD_BYTES = 2**30


def side(size: int) -> int:
    """Side in pixels of a stored frame for views of `size` pixels; InputError below 16."""
    if size < 16:
        raise InputError(f"view size {size}: choose 16 pixels or more")
    return math.ceil(size * 8 / 7)


def images_per_shard(side: int) -> int:
    return max(1, SHARD_BYTES // side**2)


class FramePack:
    """A pack on disk.

    frames: the frame table without paths, sorted by frame_id, with the pack's own columns
    box_x, box_y, box_w, box_h, scale, sha256, mask_row (-1 = no mask). Row i is frame i.

    failed: frames of the table that are not in the pack, as {frame_id, error}; one of a video also
    has `video`, a number that it shares with that video's others. Two tables may give one pack, so
    they are of the table that was asked for; of a pack that is opened by itself, of its first one.
    """

    def __init__(self, folder: Path, failed: list[dict[str, Any]] | None = None):
        self.folder = Path(folder)
        self.about = read_json(self.folder / "PACK.json")
        if self.about.get("format") != FORMAT:
            raise InputError(f"{folder}: pack format {self.about.get('format')}, need {FORMAT}")
        for name, size in self.about["files"].items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise InputError(f"{path}: missing or cut off; remove the folder to pack again")
        self.failed = self.about["failed"] if failed is None else failed
        self.frames = pd.read_parquet(self.folder / "frames.parquet")
        boxes = self.frames[["box_x", "box_y", "box_w", "box_h"]]
        self.boxes = boxes.to_numpy(np.int64)
        self._images = _Shards(self.folder, "shard", self.about["side"])
        self._masks = _Shards(self.folder, "mask", self.about["side"])

    def __reduce__(self) -> tuple:
        return FramePack, (self.folder,)  # memory maps are opened anew in another process

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def digest(self) -> str:
        return self.about["digest"]

    @property
    def size(self) -> int:
        """View size in pixels."""
        return self.about["size"]

    def image(self, row: int) -> np.ndarray:
        """The stored square, (L, L) uint8."""
        return self._images[row]

    def content(self, row: int) -> np.ndarray:
        """The frame without padding, (h, w) uint8."""
        x, y, w, h = self.boxes[row]
        return self._images[row][y : y + h, x : x + w]

    def mask(self, row: int) -> np.ndarray:
        """The frame's mask in the stored square, (L, L) uint8, 0 = none of its classes."""
        number = int(self.frames["mask_row"].iloc[row])
        if number < 0:
            raise InputError(f"frame {self.frames['frame_id'].iloc[row]} has no mask")
        return self._masks[number]

    def evaluation_view(self, row: int) -> np.ndarray:
        """The whole frame, padded to a square, as (size, size) uint8."""
        return cv2.resize(self.image(row), (self.size, self.size), interpolation=cv2.INTER_AREA)


class _Shards:
    """Equal (L, L) images in numbered .npy files, opened when first read."""

    def __init__(self, folder: Path, name: str, side: int):
        self.folder, self.name = folder, name
        self.per_shard = images_per_shard(side)
        self.open: dict[int, np.ndarray] = {}

    def __getitem__(self, row: int) -> np.ndarray:
        number, place = divmod(int(row), self.per_shard)
        if number not in self.open:
            path = self.folder / f"{self.name}-{number:05d}.npy"
            self.open[number] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self.open[number][place]
