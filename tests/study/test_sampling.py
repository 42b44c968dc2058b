"""What is drawn from axes: within them, readable, the same each time, and never other by more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awcl.study.sampling import Range, check, check_point, points

NUMBERS = st.floats(1e-6, 1e6, allow_nan=False)


@st.composite
def ranges(draw) -> Range:
    """Ranges of every kind; of integers at least one apart."""
    integer = draw(st.booleans())
    low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
    if integer:
        low, high = float(int(low) + 1), float(int(high) + 2)
    elif low == high:
        high = low * 2
    return Range(low=low, high=high, log=draw(st.booleans()), integer=integer)


@given(axis=ranges(), share=st.floats(0, 1, exclude_max=True))
def test_what_is_drawn_lies_in_the_range_in_a_few_digits(axis, share):
    value = axis.at(share)
    assert axis.low <= value <= axis.high
    if axis.integer:
        assert isinstance(value, int)
    elif value not in (axis.low, axis.high):
        assert value == float(f"{value:.3g}")


@given(
    axes=st.dictionaries(
        st.text(min_size=1), st.one_of(ranges(), st.lists(st.integers(), min_size=1)), min_size=1
    ),
    sampler=st.sampled_from(["random", "sobol"]),
    few=st.integers(1, 20),
    more=st.integers(0, 20),
)
def test_more_samples_only_add_points(axes, sampler, few, more):
    first = list(points(axes, sampler, few))
    assert len(first) == few
    assert list(points(axes, sampler, few + more))[:few] == first
    for point in first:
        check_point(axes, point)


RANDOM = [
    {"a": 0.337, "b": "x", "c": 1},
    {"a": 0.0525, "b": "z", "c": 8},
]
SOBOL = [
    {"a": 0.171, "b": "z", "c": 7},
    {"a": 0.523, "b": "x", "c": 3},
]


def test_points_that_were_drawn_once_are_drawn_for_ever():
    """Trials on disk are found by them. Where this fails, users' searches would start anew."""
    axes = {
        "a": Range(low=0.05, high=1, log=True),
        "b": ["x", "y", "z"],
        "c": Range(low=1, high=8, integer=True),
    }
    assert list(points(axes, "random", 2)) == RANDOM
    assert list(points(axes, "sobol", 2)) == SOBOL


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_values_of_a_list_and_integers_of_a_range_come_equally_often(sampler):
    axes = {"a": [1, 2, 3, 4], "b": Range(low=1, high=4, integer=True)}
    drawn = list(points(axes, sampler, 1024))
    for name in axes:
        counts = np.bincount([point[name] for point in drawn])[1:]
        assert len(counts) == 4 and (abs(counts - 256) < 60).all()


def test_a_logarithmic_range_is_drawn_evenly_on_its_scale():
    axes = {"a": Range(low=0.01, high=1, log=True), "b": Range(low=1, high=100, log=True)}
    drawn = list(points(axes, "sobol", 256))
    assert 120 < sum(point["a"] < 0.1 for point in drawn) < 136
    assert 120 < sum(point["b"] < 10 for point in drawn) < 136
    whole = Range(low=1, high=99, log=True, integer=True)
    assert 120 < sum(p["a"] < 10 for p in points({"a": whole}, "sobol", 256)) < 136


def test_sobol_fills_a_square_more_evenly_than_random_draws():
    axes = {"a": Range(low=0, high=1), "b": Range(low=0, high=1)}

    def emptiest(sampler):
        cells = [(int(p["a"] * 3.99), int(p["b"] * 3.99)) for p in points(axes, sampler, 64)]
        return min(cells.count((a, b)) for a in range(4) for b in range(4))

    assert emptiest("sobol") >= 3 > emptiest("random")


def test_a_grid_is_every_combination_in_order():
    assert list(points({"a": [1, 2], "b": [3, 4]}, "grid", 0)) == [
        {"a": a, "b": b} for a in (1, 2) for b in (3, 4)
    ]
    assert list(points({}, "grid", 0)) == [{}]


SPAN = Range(low=0, high=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (({"a": SPAN}, "grid", 0), "axis a is a range; it needs sampler 'random' or 'sobol'"),
        (({"a": [1]}, "grid", 8), "samples 8: a grid is all combinations"),
        (({"a": SPAN}, "sobol", 0), "sampler 'sobol' draws `samples` points; say how many"),
        (({}, "random", 8), "sampler 'random' draws from axes; there are none"),
    ],
)
def test_what_does_not_fit_together_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        check(*given)


@pytest.mark.parametrize("point", [{}, {"a": 2, "b": 1}, {"a": 0.5, "b": 3}, {"a": "x", "b": 1}])
def test_a_point_off_its_axes_is_refused(point):
    axes = {"a": SPAN, "b": [1, 2]}
    check_point(axes, {"a": 1, "b": 2})
    with pytest.raises(ValueError, match="has not one value of each axis"):
        check_point(axes, point)
