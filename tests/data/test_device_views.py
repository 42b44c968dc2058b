"""Views made by torch: those of awcl.data.views, pixel by pixel, on the same draws."""

import albumentations as A
import cv2
import numpy as np
import pytest
import torch

from awcl.data import device_views, views
from awcl.data.device_views import Drawn, Draws, made, together
from awcl.data.pack import side
from awcl.data.views import RECIPES, Views
from awcl.errors import InputError

FRAMES = 40
OFF = 2e-5
"""Share of the pixels of a recipe with blur that may be a grey level off, many times what was seen;
a blur with another border or without its rounding is off in a thousand times as many."""


def frames(size: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Squares as a pack stores them, smooth or of noise, and the boxes of their contents."""
    rng, length, found = np.random.default_rng(seed), side(size), []
    for number in range(FRAMES):
        square = rng.integers(0, 256, (length, length), dtype=np.uint8)
        if number % 2:
            square = cv2.normalize(
                cv2.GaussianBlur(square, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX
            )
        w, h = rng.integers(length // 3, length + 1, 2)
        x, y = rng.integers(0, length - w + 1), rng.integers(0, length - h + 1)
        found.append((square, np.array([x, y, w, h])))
    return found


def on_device(recipe: str, size: int, of: list, epoch: int = 1, count: int = 2) -> np.ndarray:
    """(frames, count, size, size)."""
    draws = Draws(Views(recipe, size, seed=3))
    rows = [draws.of(number, epoch, 0, count, box) for number, (_, box) in enumerate(of)]
    return made(together([square for square, _ in of], rows), size)[:, :, 0].numpy()


def on_processor(recipe: str, size: int, of: list, epoch: int = 1, count: int = 2) -> np.ndarray:
    maker, found = Views(recipe, size, seed=3), []
    for number, (square, (x, y, w, h)) in enumerate(of):
        of_frame = maker.of(number, epoch)
        content = square[y : y + h, x : x + w]
        found.append([of_frame.view(content, view) for view in range(count)])
    return np.array(found)


@pytest.mark.parametrize("size", [16, 33, 112])
def test_without_blur_they_are_the_same_to_the_bit(size):
    of = frames(size)
    assert np.array_equal(on_device("paper", size, of), on_processor("paper", size, of))


@pytest.mark.parametrize("size", [33, 112])
def test_with_blur_hardly_a_pixel_is_one_level_off(size):
    of = frames(size)
    off = np.abs(
        on_device("ultrasound", size, of).astype(int) - on_processor("ultrasound", size, of)
    )
    assert off.max() <= 1
    assert (off > 0).mean() <= OFF


def test_a_strong_blur_is_that_of_the_processor(monkeypatch):
    """Every view blurred, and by up to nine pixels."""
    blur = A.GaussianBlur(blur_limit=0, sigma_limit=(0.5, 2.5), p=1)
    monkeypatch.setitem(RECIPES, "blur", lambda size: [*views.paper(size), blur])
    of = frames(48)
    off = np.abs(on_device("blur", 48, of).astype(int) - on_processor("blur", 48, of))
    assert off.max() <= 1
    assert (off > 0).mean() <= OFF


def test_a_crop_at_the_edge_or_of_a_single_pixel_is_that_of_the_processor():
    """Where OpenCV's arithmetic is special."""
    rng, size, length = np.random.default_rng(0), 32, side(32)
    squares = rng.integers(0, 256, (30, length, length), dtype=np.uint8)
    boxes = np.array([[w % length, h % length, w, h] for w, h in rng.integers(1, length, (30, 2))])
    boxes[:, :2] = np.minimum(boxes[:, :2], length - boxes[:, 2:])
    boxes[0] = 5, 7, 1, 1
    boxes[1] = 0, 0, length, 1
    boxes[2] = 2, 3, size, size
    found = device_views.resized(
        torch.from_numpy(squares),
        torch.from_numpy(boxes)[:, None].int(),
        torch.zeros(30, 1, dtype=torch.bool),
        size,
    )
    for square, (x, y, w, h), view in zip(squares, boxes, found[:, 0].numpy(), strict=True):
        assert np.array_equal(view, cv2.resize(square[y : y + h, x : x + w], (size, size)))


def test_other_epochs_and_frames_give_other_views_and_the_order_of_work_does_not(monkeypatch):
    of = frames(32)[:4]
    first = on_device("paper", 32, of, epoch=0)
    assert len({view.tobytes() for view in first.reshape(-1, 32 * 32)}) == 8
    assert not np.array_equal(first, on_device("paper", 32, of, epoch=1))
    monkeypatch.setattr(device_views, "VIEWS_AT_ONCE", 3)  # a frame at a time
    assert np.array_equal(first, on_device("paper", 32, of, epoch=0))


def test_what_is_drawn_travels_whole():
    of = frames(32)[:5]
    draws = Draws(Views("ultrasound", 32, 0))
    drawn = together(
        [s for s, _ in of], [draws.of(n, 0, 7, 2, box) for n, (_, box) in enumerate(of)]
    )
    assert [tuple(part.shape) for part in drawn._parts()] == [
        (5, 37, 37), (5, 2, 4), (5, 2), (5, 2, 256), (5, 2), (5, 2, 256), (5, 2, 7)
    ]  # fmt: skip
    moved = drawn.to(torch.device("cpu"))
    assert torch.equal(made(moved, 32), made(drawn, 32))
    assert [len(part.squares) for part in drawn.split(2)] == [2, 2, 1]
    assert isinstance(moved, Drawn)


@pytest.mark.parametrize(
    "steps",
    [
        lambda size: [A.HorizontalFlip(), A.RandomResizedCrop((size, size))],
        lambda size: [A.RandomResizedCrop((size, size)), A.VerticalFlip()],
        lambda size: [A.RandomResizedCrop((size, size)), A.RandomGamma(), A.RandomGamma()],
        lambda size: [A.RandomResizedCrop((size, size), interpolation=cv2.INTER_CUBIC)],
        lambda size: [A.HorizontalFlip()],
    ],
)
def test_a_recipe_without_a_form_there_is_refused(steps, monkeypatch):
    monkeypatch.setitem(RECIPES, "own", steps)
    with pytest.raises(InputError, match="views on the device: no form there for a recipe of "):
        Draws(Views("own", 32, 0))
