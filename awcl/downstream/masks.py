"""The frames of a pack that have a mask, with one list of classes for all of them."""

import functools

import cv2
import numpy as np

from awcl.data.pack import FramePack
from awcl.errors import InputError, NoFramesError

IGNORED = 255  # the value of padding: it counts neither in a loss nor in a score


class MaskedFrames:
    """The frames among `rows` that have a mask.

    rows: (N,) rows of the pack; frames: those rows of its table, numbered from 0.
    classes: the names of values 1, 2, ...: of all lists of the frames, by first appearance.
    Raises NoFramesError where no frame has a mask.
    """

    def __init__(self, pack: FramePack, rows: np.ndarray):
        rows = rows[pack.frames["mask_row"].to_numpy()[rows] >= 0]
        if not len(rows):
            raise NoFramesError(
                f"pack {pack.digest}: none of the frames asked for has a mask; segmentation needs "
                "the columns 'mask', 'mask_kind' and 'mask_classes' of the frame table"
            )
        self.pack, self.rows = pack, rows
        self.frames = pack.frames.iloc[rows].reset_index(drop=True)
        names = [name for given in self.frames["mask_classes"].unique() for name in _names(given)]
        self.classes = list(dict.fromkeys(names))

    def split(self, split: str) -> np.ndarray:
        """Numbers (places in `rows`) of the frames of a split."""
        return np.flatnonzero((self.frames["split"] == split).to_numpy())

    def images(self, numbers: np.ndarray) -> np.ndarray:
        """(B, 1, size, size) uint8 evaluation views."""
        return np.stack([self.pack.evaluation_view(row) for row in self.rows[numbers]])[:, None]

    def truths(self, numbers: np.ndarray) -> np.ndarray:
        """(B, size, size) uint8: 0, 1 + number of the class, or IGNORED.

        Raises InputError for a value that the frame's list of classes does not name.
        """
        return np.stack([self._truth(number) for number in numbers])

    def pixel_mm(self, numbers: np.ndarray) -> np.ndarray:
        """(B,) millimetres a pixel of an evaluation view; nan where not known."""
        frames, about = self.frames.iloc[numbers], self.pack.about
        stored = (frames["pixel_mm"] / frames["scale"]).to_numpy(float)
        return stored * about["side"] / about["size"]

    @functools.cached_property
    def held(self) -> np.ndarray:
        """(N, 1 + classes) bool: the values that each frame's mask holds. Reads every mask."""
        held = np.zeros((len(self.rows), 1 + len(self.classes)), bool)
        for number, of_frame in enumerate(held):
            values = np.unique(self._truth(number))
            of_frame[values[values != IGNORED]] = True
        return held

    def lists(self) -> dict[str, int]:
        """Each list of classes that frames have, and how many frames have it."""
        return {str(k): int(n) for k, n in self.frames["mask_classes"].value_counts().items()}

    def _truth(self, number: int) -> np.ndarray:
        mask = self.pack.mask(self.rows[number])
        names = _names(self.frames["mask_classes"][number])
        if mask.max() > len(names):
            raise InputError(
                f"frame {self.frames['frame_id'][number]}: mask value {mask.max()}, but "
                f"mask_classes names {len(names)} ({';'.join(names)}); correct the frame table"
            )
        values = np.array([0, *(1 + self.classes.index(name) for name in names)], np.uint8)
        x, y, w, h = self.pack.boxes[self.rows[number]]
        square = np.full(mask.shape, IGNORED, np.uint8)
        square[y : y + h, x : x + w] = values[mask[y : y + h, x : x + w]]
        size = (self.pack.size, self.pack.size)
        return cv2.resize(square, size, interpolation=cv2.INTER_NEAREST_EXACT)


def check_classes(masks: MaskedFrames, train: np.ndarray, judged: np.ndarray) -> None:
    """Raises InputError where frames that are judged hold a class that none of `train` holds."""
    lacking = masks.held[judged].any(0) & ~masks.held[train].any(0)
    if lacking[1:].any():
        name = masks.classes[int(np.argmax(lacking[1:]))]
        raise InputError(
            f"masks of split 'test' hold {name!r}, no mask of train does; "
            "leave those frames out by `where`"
        )


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(";")]


def check_splits(masks: MaskedFrames) -> None:
    """Raises NoFramesError where train or test has no frame with a mask."""
    for split in ("train", "test"):
        if not len(masks.split(split)):
            raise NoFramesError(
                f"split {split!r} holds no frame with a mask; see the columns 'split' and 'mask' "
                "of the frame table"
            )
        if not masks.held[masks.split(split)][:, 1:].any():
            raise NoFramesError(f"the masks of split {split!r} show background alone")
