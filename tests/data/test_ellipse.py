"""Ellipses fitted to drawn annotations."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.data import ellipse
from awcl.errors import InputError

SHAPE = (240, 320)


def drawn(centre, axes, degrees=0.0, thickness=3) -> np.ndarray:
    """An ellipse as annotators' tools draw it; thickness -1 fills it. Sub-pixel by 1/16."""
    image = np.zeros(SHAPE, np.uint8)
    centre = tuple(round(16 * c) for c in centre)
    axes = tuple(round(16 * a) for a in axes)
    return cv2.ellipse(image, centre, axes, degrees, 0, 360, 255, thickness, cv2.LINE_8, 4)


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    return (one & two).sum() / (one | two).sum()


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.floats(130, 190), st.floats(100, 140)),
    st.tuples(st.floats(60, 90), st.floats(30, 55)),
    st.floats(0, 180),
)
def test_a_drawn_ring_gives_its_ellipse_back(centre, axes, degrees):
    ring = drawn(centre, axes, degrees)
    found = ellipse.fit(ring)
    assert ellipse.is_outline(ring)
    assert found.centre == pytest.approx(centre, abs=0.3)
    assert found.axes == pytest.approx(axes, abs=0.7)
    assert abs(np.sin(found.angle - np.deg2rad(degrees))) < 0.05
    filled = ellipse.fill(ring)
    assert filled.dtype == np.uint8 and set(np.unique(filled)) == {0, 1}
    assert not ellipse.is_outline(filled)


def test_the_perimeter_is_exact():
    assert ellipse.Ellipse((0, 0), (5, 5), 0).perimeter == pytest.approx(10 * np.pi)
    t = np.linspace(0, 2 * np.pi, 100_001)
    polygon = np.hypot(np.diff(7 * np.cos(t)), np.diff(2 * np.sin(t))).sum()
    assert ellipse.Ellipse((3, 4), (7, 2), 1.2).perimeter == pytest.approx(polygon, rel=1e-8)


def test_a_ring_cut_by_the_border_is_filled_up_to_it():
    whole = drawn((300, 120), (90, 60), 10, thickness=-1) > 0
    cut = drawn((300, 120), (90, 60), 10)
    assert overlap(ellipse.fill(cut) > 0, whole) > 0.97


@pytest.mark.parametrize("centre", [(160, 120), (290, 120)])  # the second is cut by the border
def test_a_filled_mask_gives_the_perimeter_of_its_edge(centre):
    expected = ellipse.Ellipse(centre, (90, 60), np.deg2rad(20))
    mask = expected.inside(SHAPE)
    assert not ellipse.is_outline(mask)
    found = ellipse.fit_filled(mask)
    assert found.perimeter == pytest.approx(expected.perimeter, rel=0.005)


@pytest.mark.parametrize("find", [ellipse.fit, ellipse.fill, ellipse.is_outline])
def test_an_annotation_of_too_few_pixels_is_refused(find):
    mask = np.zeros(SHAPE, np.uint8)
    mask[5, 5:9] = 255
    with pytest.raises(InputError, match="an annotation with 4 nonzero pixels has no ellipse"):
        find(mask)


def test_an_annotation_that_is_a_line_is_refused():
    mask = np.zeros(SHAPE, np.uint8)
    mask[50, 20:200] = 255
    with pytest.raises(InputError, match="lie on no ellipse"):
        ellipse.fit(mask)


def test_an_empty_filled_mask_is_refused():
    with pytest.raises(InputError, match="without a nonzero pixel"):
        ellipse.fit_filled(np.zeros(SHAPE, np.uint8))
