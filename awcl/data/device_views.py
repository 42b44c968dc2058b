"""Views made in batches by torch, on a card or a processor: those of awcl.data.views.

The processor draws, by the recipe's own steps from the same generators; the device does all that
touches pixels. Nothing there depends on a value that the host would have to wait for.

  crop, resize  OpenCV's INTER_LINEAR of uint8, which is arithmetic in whole numbers: weights of
                1/2048, two shifts that cut off, one that rounds. The same bits.
  mirror        the same columns in reverse order.
  grey steps    tables of 256 entries (awcl.data.greys), made on the processor. Contrast needs
                the picture's mean, whose sum is a whole number. The same bits.
  blur          sums in float32, whose order is not OpenCV's: about one pixel in a million of a
                blurred view is one grey level off.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

from awcl.data import greys
from awcl.data.views import Views
from awcl.errors import InputError

ORDER = (A.RandomResizedCrop, A.HorizontalFlip, A.ColorJitter, A.RandomGamma, A.GaussianBlur)
"""Steps that have a form here, each at most once and in this order; the crop is always there."""
VIEWS_AT_ONCE = 512  # at 224 px the steps between hold about 1 GB
WEIGHT_BITS = 11  # of OpenCV's resize of uint8


@dataclass
class Drawn:
    """What V views of each of B frames are made of.

    squares: (B, L, L) uint8, frames as the pack stores them. boxes: (B, V, 4) int32, the crop
    within the square as x, y, width, height. mirrored: (B, V) bool. before, after: (B, V, 256)
    uint8, tables of the grey steps before and after the contrast; contrast: (B, V) float64, its
    factor. kernels: (B, V, K) float32 of the blur, K odd; 1 for a recipe without.
    """

    squares: Tensor
    boxes: Tensor
    mirrored: Tensor
    before: Tensor
    contrast: Tensor
    after: Tensor
    kernels: Tensor

    def to(self, device: torch.device) -> "Drawn":
        return Drawn(*(part.to(device, non_blocking=True) for part in self._parts()))

    def pin_memory(self) -> "Drawn":
        return Drawn(*(part.pin_memory() for part in self._parts()))

    def split(self, frames: int) -> Iterator["Drawn"]:
        """So many frames at a time."""
        for parts in zip(*(part.split(frames) for part in self._parts()), strict=True):
            yield Drawn(*parts)

    def _parts(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]


# --- on the host ---------------------------------------------------------------------------------


class Draws:
    """Draws what views are made of, for one recipe, size and seed.

    Raises InputError for a recipe with a step that has no form here.
    """

    def __init__(self, views: Views):
        self.views, steps = views, views.pipeline.transforms
        places = [ORDER.index(type(step)) if type(step) in ORDER else -1 for step in steps]
        if places[:1] != [0] or places != sorted(set(places)) or not _is_linear(steps[0]):
            names = ", ".join(type(step).__name__ for step in steps)
            raise InputError(
                f"views on the device: no form there for a recipe of {names}; have "
                f"{', '.join(step.__name__ for step in ORDER)} in this order, or views cpu"
            )
        self.row = np.zeros((), _row_type(_widest_kernel(steps)))
        self.row["before"] = self.row["after"] = np.arange(256)
        self.row["contrast"] = self.row["kernel"][self.row["kernel"].size // 2] = 1

    def of(self, frame: int, epoch: int, first_view: int, views: int, box: np.ndarray) -> Any:
        """(views,) records of the frame with this 64-bit hash in this epoch; box: its content
        within its square, as x, y, width, height."""
        return np.stack([self._view(frame, epoch, first_view + v, box) for v in range(views)])

    def _view(self, frame: int, epoch: int, view: int, box: np.ndarray) -> np.ndarray:
        row, table = self.row.copy(), "before"
        pipeline, shape = self.views.pipeline, (box[3], box[2])
        self.views.reseed(frame, epoch, view)
        pipeline.py_random.random()  # as in Views.make
        for step in pipeline.transforms:
            if type(step) in greys.STEPS:
                for change, amount in greys.changes(step):
                    if change == "contrast":
                        row["contrast"], table = amount, "after"
                    else:
                        row[table] = greys.TABLES[change](row[table], amount)
            elif step.should_apply():
                self._place(step, _drawn(step, shape), row, box)
        return row

    @staticmethod
    def _place(step: A.BasicTransform, drawn: dict, row: np.ndarray, box: np.ndarray) -> None:
        """Writes what a step that is not grey has drawn into the record."""
        match step:
            case A.RandomResizedCrop():
                x, y, right, low = drawn["crop_coords"]
                row["box"] = box[0] + x, box[1] + y, right - x, low - y
            case A.HorizontalFlip():
                row["mirrored"] = True
            case A.GaussianBlur():
                kernel, missing = drawn["kernel"], row["kernel"].size - drawn["kernel"].size
                row["kernel"] = 0
                row["kernel"][missing // 2 : missing // 2 + kernel.size] = kernel


def _drawn(step: A.BasicTransform, shape: tuple[int, int]) -> dict:
    """What a step draws for a picture (h, w), as `BasicTransform.__call__` does."""
    data = {"image": np.broadcast_to(np.uint8(0), shape)}  # of which only the shape is read
    drawn = step.update_transform_params(step.get_params(), data)
    return {**drawn, **step.get_params_dependent_on_data(drawn, data)}


def _row_type(kernel: int) -> np.dtype:
    """A record of what one view is made of; names as in Drawn."""
    return np.dtype(
        [
            ("box", np.int32, 4), ("mirrored", np.bool_), ("before", np.uint8, 256),
            ("contrast", np.float64), ("after", np.uint8, 256), ("kernel", np.float32, kernel),
        ]
    )  # fmt: skip


def _is_linear(crop: A.RandomResizedCrop) -> bool:
    return crop.interpolation == cv2.INTER_LINEAR and crop.area_for_downscale is None


def _widest_kernel(steps: list[A.BasicTransform]) -> int:
    """Taps of the widest blur that the steps may draw; 1 where none blurs."""
    blurs = [step for step in steps if isinstance(step, A.GaussianBlur)]
    return max((int(b.sigma_limit[1] * 3.5) * 2 + 1 for b in blurs), default=1)


def together(squares: list[np.ndarray], rows: list[np.ndarray]) -> Drawn:
    """Of squares (L, L) and what `Draws.of` gave for each of them."""
    every = np.stack(rows)
    parts = [torch.from_numpy(every[name].copy()) for name in every.dtype.names]
    return Drawn(torch.from_numpy(np.stack(squares)), *parts)


# --- on the device -------------------------------------------------------------------------------


def made(drawn: Drawn, size: int) -> Tensor:
    """(B, V, 1, size, size) uint8 views, on the device that the draws are on."""
    frames = max(1, VIEWS_AT_ONCE // drawn.contrast.shape[1])
    parts = [_made(part, size) for part in drawn.split(frames)]
    return torch.cat(parts)[:, :, None]


def _made(drawn: Drawn, size: int) -> Tensor:
    views = resized(drawn.squares, drawn.boxes, drawn.mirrored, size)
    views = graded(views, drawn.before, drawn.contrast, drawn.after)
    return blurred(views, drawn.kernels)


def resized(squares: Tensor, boxes: Tensor, mirrored: Tensor, size: int) -> Tensor:
    """(B, V, size, size) uint8: each box of its square (B, L, L) by OpenCV's INTER_LINEAR.

    boxes: (B, V, 4); mirrored: (B, V). Not for a box of exactly twice the size either way, where
    OpenCV takes means of four; a pack's squares are less than that.
    """
    x, y, width, height = boxes.long().unbind(-1)
    column = _weights(width, size, clamped=True)
    left, right, of_left, of_right = torch.where(mirrored[..., None], column.flip(-1), column)
    top, low, of_top, of_low = _weights(height, size, clamped=False)
    frame = torch.arange(len(squares), device=squares.device)[:, None, None, None]
    left, right = ((x[..., None] + n)[..., None, :] for n in (left, right))
    of_left, of_right = (weight.int()[..., None, :] for weight in (of_left, of_right))

    def of_rows(row: Tensor, weight: Tensor) -> Tensor:
        """(B, V, size, size): a row's share of each pixel, in quarters of a grey level."""
        row = (y[..., None] + row)[..., None]
        across = squares[frame, row, left].int().mul_(of_left)
        across.add_(squares[frame, row, right].int().mul_(of_right))
        return across.bitwise_right_shift_(4).mul_(weight.int()[..., None]).bitwise_right_shift_(16)

    views = of_rows(top, of_top).add_(of_rows(low, of_low))
    return views.add_(2).bitwise_right_shift_(2).to(torch.uint8)


def _weights(length: Tensor, size: int, clamped: bool) -> Tensor:
    """(4, B, V, size) integers: for each of `size` places the two pixels out of `length` (B, V)
    that it lies between, and their weights in 1/2048.

    clamped: across, OpenCV gives a place beyond the middle of the outermost pixel to that pixel
    alone; down, it keeps both weights and reads the same row twice, which cuts off differently.
    """
    unit = 2**WEIGHT_BITS
    place = torch.arange(size, dtype=torch.float64, device=length.device) + 0.5
    place = (place * (1.0 / (size / length.double()))[..., None] - 0.5).float()
    first, last = place.floor(), (length - 1)[..., None]
    share = place - first
    if clamped:
        share = torch.where((first < 0) | (first >= last), 0, share)
        first = first.clamp(min=0)
    first = first.long()
    pixels = [first.clamp(min=0).minimum(last), (first + 1).clamp(min=0).minimum(last)]
    return torch.stack(
        [*pixels, ((1 - share) * unit).round().long(), (share * unit).round().long()]
    )


def graded(views: Tensor, before: Tensor, contrast: Tensor, after: Tensor) -> Tensor:
    """Views (B, V, S, S) uint8 after the grey steps; the others as in Drawn."""
    pixels = before.gather(-1, views.flatten(-2).long())
    mean = pixels.sum(-1, dtype=torch.int64).double() / pixels.shape[-1]
    shift = (mean * (1 - contrast)).float()[..., None]
    # Two operations, each of which rounds: one that is fused would round once.
    pixels = pixels.float().mul_(contrast.float()[..., None]).add_(shift).clamp_(0, 255)
    return after.gather(-1, pixels.long()).view_as(views)


def blurred(views: Tensor, kernels: Tensor) -> Tensor:
    """Views (B, V, S, S) uint8, each under its kernel (B, V, K), mirrored at the edges."""
    taps, size = kernels.shape[-1], views.shape[-1]
    if taps == 1:
        return views
    every = torch.nn.functional.pad(views.float(), [taps // 2] * 4, mode="reflect")
    for dim in (-1, -2):
        sums = torch.zeros_like(every.narrow(dim, 0, size))
        for tap in range(taps):
            sums.addcmul_(every.narrow(dim, tap, size), kernels[..., tap, None, None])
        every = sums
    return every.round_().clamp_(0, 255).to(torch.uint8)
