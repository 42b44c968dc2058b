"""Grey steps as tables: what albumentations' own functions do to a picture that has every level."""

import albumentations as A
import numpy as np
import pytest
from albumentations.augmentations.pixel import functional as own
from hypothesis import given
from hypothesis import strategies as st

from awcl.data import greys

EVERY = greys.LEVELS[None]  # a picture
FACTORS = st.floats(0.01, 4)


@given(FACTORS, FACTORS)
def test_brightness_and_gamma_of_a_table_are_those_of_a_picture(first, second):
    bright = own.adjust_brightness_torchvision(EVERY, first)
    assert np.array_equal(greys.brightness(greys.LEVELS, first), bright[0])
    assert np.array_equal(greys.gamma(bright[0], second), own.gamma_transform(bright, second)[0])


@given(st.integers(0, 2**32), FACTORS)
def test_contrast_is_about_the_mean_of_the_picture(seed, factor):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 1 + rng.integers(1, 256), (7, 300), dtype=np.uint8)
    table = greys.contrast(greys.mean(image), factor)
    assert np.array_equal(table[image], own.adjust_contrast_torchvision(image, factor))


def test_the_mean_of_a_picture_is_numpys():
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (3, 7), (224, 224), (37, 1000)]:
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        assert greys.mean(image) == image.mean()


def test_a_picture_is_looked_up_in_a_copy_and_not_at_all_where_nothing_changes():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert greys.looked_up(image, greys.LEVELS) is image
    assert greys.looked_up(image[:, ::2], 255 - greys.LEVELS).tolist() == [[255, 253], [252, 250]]
    assert image[0, 0] == 0


@pytest.mark.parametrize("p", [0, 1])
def test_changes_come_in_the_order_drawn_and_not_where_the_step_is_left_out(p):
    jitter = A.ColorJitter((0.5, 0.6), (0.7, 0.8), p=p)
    drawn = [greys.changes(jitter) for _ in range(40)]
    if not p:
        assert not any(drawn)
        return
    assert {tuple(name for name, _ in of) for of in drawn} == {
        ("brightness", "contrast"),
        ("contrast", "brightness"),
    }
    assert all(0.5 <= dict(of)["brightness"] <= 0.6 for of in drawn)
    assert all(0.7 <= dict(of)["contrast"] <= 0.8 for of in drawn)
    (change,) = greys.changes(A.RandomGamma((50, 60), p=1))
    assert change[0] == "gamma" and 0.5 <= change[1] <= 0.6
