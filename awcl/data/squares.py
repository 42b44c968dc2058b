"""One frame as a pack keeps it: decoded, scaled into a square, with its mask and its checksums.

What the worker processes of packing do. Each of them begins by importing this file, so it needs
neither pandas nor scipy, whose import takes longer than a worker's first hundred frames.
"""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from awcl.data import decoding, ellipse
from awcl.data.images import UnreadableImage, read_grey
from awcl.errors import InputError


@dataclass(frozen=True)
class Packed:
    """One decoded frame: image (L, L) uint8, box (x, y, w, h) of its content, scale L/original."""

    image: np.ndarray
    mask: np.ndarray | None
    box: tuple[int, int, int, int]
    scale: float
    sha256: str
    mask_sha256: str


def decode(job: tuple[str, str | None, str | None, str | None, int]) -> Packed | str:
    """One image from its files (path, mask, mask_kind, mask_classes, side), or the error."""
    path, *mask, length = job
    (grey,) = decoding.greys(path, [0])
    return _packed(grey, *mask, length)


def decode_video(job: tuple[str, list[int], list, int, Path]) -> list[int]:
    """Decodes frames of a video (path, numbers, masks, side) into a file; places in it."""
    path, numbers, masks, length, file = job
    places = []
    with file.open("wb") as out:
        for grey, mask in zip(decoding.greys(path, numbers), masks, strict=True):
            places.append(out.tell())
            pickle.dump(_packed(grey, *mask, length), out)
    return places


def _packed(
    grey: np.ndarray | str,
    mask_path: str | None,
    mask_kind: str | None,
    mask_classes: str | None,
    length: int,
) -> Packed | str:
    """A frame from its pixels and its mask file, or why there is none."""
    if isinstance(grey, str):
        return grey
    try:
        mask = None
        if isinstance(mask_path, str):
            mask = _read_mask(mask_path, mask_kind, len(mask_classes.split(";")), grey.shape)
    except UnreadableImage as error:
        return str(error)
    image, box, scale = square(grey, length, cv2.INTER_AREA)
    stored = None if mask is None else square(mask, length, cv2.INTER_NEAREST_EXACT)[0]
    return Packed(image, stored, box, scale, _sha256(grey), "" if mask is None else _sha256(mask))


def _read_mask(path: str, kind: str, classes: int, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 with values 0..classes; an outline is filled. Raises UnreadableImage."""
    try:
        mask = read_grey(path, indices=kind != "ellipse_outline")
    except UnreadableImage as error:
        raise UnreadableImage(f"mask: {error}") from error
    if mask.shape != shape:
        raise UnreadableImage(f"mask is {mask.shape}, image {shape} (height, width)")
    if kind == "ellipse_outline":
        try:
            return ellipse.fill(mask)
        except InputError as error:
            raise UnreadableImage(f"mask: {error}") from error
    if classes == 1:
        return (mask > 0).astype(np.uint8)
    if mask.max() > classes:
        raise UnreadableImage(f"mask value {mask.max()}, but mask_classes names {classes}")
    return mask


def square(
    image: np.ndarray, length: int, shrink: int
) -> tuple[np.ndarray, tuple[int, int, int, int], float]:
    """(H, W) scaled so that its long side is `length`, centred in a square; its box and scale."""
    height, width = image.shape
    scale = length / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    nearest = shrink == cv2.INTER_NEAREST_EXACT
    how = shrink if scale < 1 or nearest else cv2.INTER_LINEAR
    out = np.zeros((length, length), np.uint8)
    x, y = (length - w) // 2, (length - h) // 2
    out[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=how)
    return out, (x, y, w, h), scale


def _sha256(pixels: np.ndarray) -> str:
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()
