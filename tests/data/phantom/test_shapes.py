"""Shapes in millimetres against areas, lengths and points that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.data.phantom import shapes
from awcl.data.phantom.shapes import Structure

SMALL = st.floats(-50, 50)
RADIUS = st.floats(1, 50)
DEGREES = st.floats(-360, 360)


def area(points: np.ndarray) -> float:
    """Of a polygon, by the shoelace rule."""
    (x, y), (u, v) = points.T, np.roll(points, -1, axis=0).T
    return abs(float((x * v - u * y).sum())) / 2


def length(line: np.ndarray) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


@settings(deadline=None)
@given(SMALL, SMALL, RADIUS, RADIUS, DEGREES)
def test_the_points_of_an_ellipse_lie_on_it(x, y, a, b, turn):
    points = shapes.turned(shapes.ellipse(x, y, a, b, turn) - (x, y), -turn)
    assert np.square(points / (a, b)).sum(axis=1) == pytest.approx(1)
    assert area(points) == pytest.approx(np.pi * a * b, rel=0.005)
    assert np.diff(np.vstack([points, points[:1]]), axis=0).any(axis=1).all(), "no point twice"


def test_an_arc_begins_to_the_right_and_goes_below():
    arc = shapes.arc(10, 20, 3, 5, 0, 90)
    assert arc[0] == pytest.approx([13, 20]) and arc[-1] == pytest.approx([10, 25])


@settings(deadline=None)
@given(SMALL, SMALL, DEGREES)
def test_turning_keeps_distances_and_comes_back(x, y, degrees):
    points = np.array([[x, y]])
    turned = shapes.turned(points, degrees)
    assert np.hypot(*turned[0]) == pytest.approx(np.hypot(x, y), abs=1e-9)
    assert shapes.turned(turned, -degrees) == pytest.approx(points, abs=1e-9)


def test_turning_is_clockwise_on_the_screen():
    assert shapes.turned(np.array([[1.0, 0.0]]), 90) == pytest.approx(np.array([[0.0, 1.0]]))


@settings(deadline=None)
@given(st.lists(st.tuples(SMALL, SMALL), min_size=2, max_size=6))
def test_a_curve_runs_from_its_first_point_to_its_last(through):
    if min(np.hypot(*np.diff(np.array(through), axis=0).T)) < 1:
        return
    line = shapes.curve(*through, points=50)
    assert line.shape == (50, 2)
    assert line[0] == pytest.approx(through[0]) and line[-1] == pytest.approx(through[-1], abs=1e-6)


@pytest.mark.parametrize("through", [[(0, 0), (4, 3)], [(0, 0), (4, 3), (9, 3)],
                                     [(0, 0), (4, 3), (9, 3), (12, 9)]])  # fmt: skip
def test_a_curve_passes_through_the_points_given(through):
    line = shapes.curve(*through, points=2001)
    for point in through:
        assert np.hypot(*(line - point).T).min() < 0.01


def test_three_points_make_the_parabola_through_them():
    line = shapes.curve((0, 0), (3, 4), (6, 0), points=11)  # 5 mm and 5 mm long
    share = np.linspace(0, 1, 11)
    assert line == pytest.approx(np.stack([6 * share, 16 * share * (1 - share)], axis=1))


@settings(deadline=None)
@given(st.floats(5, 40), st.floats(0.5, 4))
def test_a_straight_band_has_the_area_of_its_length_and_width(long, wide):
    outline = shapes.band(shapes.curve((0, 0), (long, 0)), wide)
    assert area(outline) == pytest.approx(long * wide)


def test_a_band_may_have_a_width_of_its_own_at_each_point():
    line = shapes.curve((0, 0), (10, 0), points=11)
    assert area(shapes.band(line, np.linspace(0, 4, 11))) == pytest.approx(20)
    ring = shapes.arc(0, 0, 10, 10, 0, 180, points=400)
    assert area(shapes.band(ring, 2.0)) == pytest.approx(np.pi * 10 * 2, rel=1e-3)
    assert length(ring) == pytest.approx(np.pi * 10, rel=1e-3)


@settings(deadline=None)
@given(SMALL, SMALL, RADIUS, RADIUS, st.floats(0.1, 3))
def test_growing_keeps_the_middle_and_squares_the_area(x, y, a, b, factor):
    outline = shapes.ellipse(x, y, a, b)
    grown = shapes.grown(outline, factor)
    assert grown.mean(axis=0) == pytest.approx([x, y], abs=1e-6)
    assert area(grown) == pytest.approx(factor**2 * area(outline))


@settings(deadline=None)
@given(st.floats(0, 0.3), st.lists(st.floats(0, 6.28), min_size=1, max_size=4))
def test_bumps_are_no_larger_than_said(amount, phases):
    radius = np.hypot(*shapes.uneven(shapes.ellipse(0, 0, 10, 10), amount, np.array(phases)).T)
    most = amount * sum(1 / order for order in range(2, 2 + len(phases)))
    assert np.abs(radius / 10 - 1).max() <= most + 1e-6


@settings(deadline=None)
@given(st.floats(-1.2, 1.2))
def test_off_the_plane_a_ball_is_cut_in_smaller_circles(share):
    ball = Structure("soft", shapes.ellipse(3, 4, 10, 10), reach=10)
    outline = ball.at(10 * share)
    if abs(share) >= 1:
        assert outline is None
    else:
        radius = np.sqrt(100 - (10 * share) ** 2)
        assert np.hypot(*(outline - (3, 4)).T) == pytest.approx(radius, abs=1e-6)
