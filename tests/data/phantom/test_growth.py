"""Patients: the published charts, their continuation to younger ages, and populations drawn."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.data.ellipse import Ellipse
from awcl.data.phantom import growth

CHARTS = (growth.hc, growth.bpd, growth.ofd, growth.ac, growth.fl, growth.tcd)
ORGANS = ("hc", "ac", "fl", "tcd")
SEEDS = st.integers(0, 2**32 - 1)
TRIMESTERS = st.sampled_from(["first", "second"])


@functools.cache
def drawn(trimester: str, count: int = 1500) -> list[growth.Biometry]:
    rng = np.random.default_rng(0)
    return [growth.draw(trimester, rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("chart", "low", "high"),
    [
        (growth.hc, 172.0, 175.5),
        (growth.bpd, 47.5, 49.0),
        (growth.ofd, 60.0, 61.5),
        (growth.ac, 147.0, 150.5),
        (growth.fl, 30.8, 32.2),
        (growth.tcd, 19.5, 21.0),
    ],
)
def test_means_at_twenty_weeks_are_the_published_ones(chart, low, high):
    assert low < chart(20)[0] < high


@pytest.mark.parametrize("chart", CHARTS)
def test_a_fetus_grows_and_its_spread_is_a_small_positive_share(chart):
    weeks = np.linspace(11, 40, 200)
    mean, sd = np.array([chart(week) for week in weeks]).T
    assert (mean > 0).all() and (sd > 0).all()
    assert (np.diff(mean[weeks <= 34]) > 0).all()
    charted = weeks >= growth.CHART_BEGINS
    assert (sd < 0.13 * mean)[charted].all()


def test_the_circumference_of_the_chart_is_about_that_of_its_diameters():
    """Two measurements of one head: the charts were made apart, but agree."""
    for week in (14, 18, 22, 30):
        a, b = growth.ofd(week)[0] / 2, growth.bpd(week)[0] / 2
        assert growth.hc(week)[0] == pytest.approx(Ellipse((0, 0), (a, b), 0).perimeter, rel=0.03)


@pytest.mark.parametrize("name", ORGANS)
def test_the_second_trimester_has_the_mean_and_spread_of_its_chart(name):
    chart = getattr(growth, name)
    z = [(getattr(p, name) - chart(p.weeks)[0]) / chart(p.weeks)[1] for p in drawn("second")]
    assert np.mean(z) == pytest.approx(0, abs=0.1)
    assert np.std(z) == pytest.approx(0.96, abs=0.06)  # of a normal cut off at 2 SD
    assert np.abs(z).max() <= 2 + 1e-9


@pytest.mark.parametrize("name", ORGANS)
def test_the_first_trimester_has_the_spread_that_its_chart_begins_with(name):
    chart = getattr(growth, name)
    share = chart(growth.CHART_BEGINS)[1] / chart(growth.CHART_BEGINS)[0]
    z = [(getattr(p, name) / chart(p.weeks)[0] - 1) / share for p in drawn("first")]
    assert np.mean(z) == pytest.approx(0, abs=0.1)
    assert np.std(z) == pytest.approx(0.96, abs=0.06)


def test_ages_fill_their_trimester():
    for trimester, (low, high) in growth.WEEKS.items():
        weeks = [p.weeks for p in drawn(trimester)]
        assert low <= min(weeks) < low + 0.1 and high - 0.1 < max(weeks) <= high
        assert np.mean(weeks) == pytest.approx((low + high) / 2, abs=0.15)


@settings(deadline=None)
@given(TRIMESTERS, SEEDS)
def test_a_head_is_one_ellipse_of_a_plausible_shape(trimester, seed):
    size = growth.draw(trimester, np.random.default_rng(seed))
    head = Ellipse((0, 0), (size.ofd / 2, size.bpd / 2), 0)
    assert head.perimeter == pytest.approx(size.hc, rel=1e-9)
    assert (0.7 if trimester == "second" else 0.75) < size.bpd / size.ofd < 0.95
    if trimester == "second":
        mean, sd = growth.bpd(size.weeks)
        assert abs(size.bpd - mean) < 3 * sd


@settings(deadline=None)
@given(TRIMESTERS, SEEDS)
def test_every_size_is_above_nothing(trimester, seed):
    size = growth.draw(trimester, np.random.default_rng(seed))
    assert min(size.hc, size.bpd, size.ofd, size.ac, size.fl, size.tcd) > 1


def test_large_ones_are_large_throughout():
    patients = drawn("second")
    z = {
        name: [
            (getattr(p, name) - getattr(growth, name)(p.weeks)[0])
            / getattr(growth, name)(p.weeks)[1]
            for p in patients
        ]
        for name in ORGANS
    }
    assert np.corrcoef(z["hc"], z["ac"])[0, 1] == pytest.approx(0.64, abs=0.06)  # 0.8 squared
