"""Which points of its axes a study tries: a grid, random draws, a Sobol sequence. No ray in here.

A point is {dotted field: value}. Raising the number of samples only adds points, and the same axes
give the same points on every machine.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import model_validator
from scipy.stats import qmc

from awcl.config import Config

SEED = 0  # of what is drawn; other points come by more samples
DIGITS = 3  # of a number that is drawn, so that keys and tables can be read

Point = dict[str, Any]
Sampler = Literal["grid", "random", "sobol"]


class Range(Config):
    """All numbers from low to high, both included."""

    low: float
    high: float
    log: bool = False
    """Drawn evenly on a logarithmic scale."""
    integer: bool = False

    @model_validator(mode="after")
    def _sound(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic scale begins above 0, low is {self.low:g}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"{self.low:g} to {self.high:g} are not both integers")
        return self

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def at(self, share: float) -> float | int:
        """The number that lies this share of the way from low to high; share in [0, 1)."""
        low, high = self.low, self.high + self.integer
        value = low * (high / low) ** share if self.log else low + (high - low) * share
        if self.integer:
            return min(math.floor(value), int(self.high))
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        """The number in a few digits, still within the range."""
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


Axes = dict[str, list[Any] | Range]


def points(axes: Axes, sampler: Sampler, samples: int) -> Iterator[Point]:
    """The points of a study, in order. Of a list each value is drawn equally often."""
    if sampler == "grid":
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True))
        return
    for shares in _shares(sampler, samples, len(axes)):
        drawn = map(_value, axes.values(), shares)
        yield dict(zip(axes, drawn, strict=True))


def check(axes: Axes, sampler: Sampler, samples: int) -> None:
    """Raises ValueError where these do not fit together."""
    ranges = [name for name, axis in axes.items() if isinstance(axis, Range)]
    if sampler == "grid" and ranges:
        raise ValueError(f"axis {ranges[0]} is a range; it needs sampler 'random' or 'sobol'")
    if sampler == "grid" and samples:
        raise ValueError(
            f"samples {samples}: a grid is all combinations; leave samples out, or choose "
            "sampler 'random' or 'sobol'"
        )
    if sampler != "grid" and not samples:
        raise ValueError(f"sampler {sampler!r} draws `samples` points; say how many")
    if sampler != "grid" and not axes:
        raise ValueError(f"sampler {sampler!r} draws from axes; there are none")


def is_point(axes: Axes, point: Point) -> bool:
    """Whether a point has one value of each axis, and nothing else."""
    return set(point) == set(axes) and all(point[name] in axis for name, axis in axes.items())


def check_point(axes: Axes, point: Point) -> None:
    """Raises ValueError for a point that has not one value of each axis."""
    if not is_point(axes, point):
        raise ValueError(f"point {point} has not one value of each axis")


def _shares(sampler: Sampler, samples: int, axes: int) -> np.ndarray:
    """(samples, axes) in [0, 1); the first rows are the same for any number of samples."""
    if sampler == "random":
        return np.random.default_rng(SEED).random((samples, axes))
    sequence = qmc.Sobol(axes, scramble=True, rng=SEED)
    return sequence.random_base2(math.ceil(math.log2(samples)))[:samples]  # whole: it is balanced


def _value(axis: list[Any] | Range, share: float) -> Any:
    if isinstance(axis, Range):
        return axis.at(float(share))
    return axis[int(share * len(axis))]
