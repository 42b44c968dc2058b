"""Scores of a classification from its confusion counts, and their intervals by bootstrap.

Counts have shape (..., C, C): rows are the truth, columns the prediction. Averages are over the
classes that the truth holds.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
import pandas as pd

Score = Callable[[np.ndarray], np.ndarray]
"""(..., C, C) counts to (...) values."""
RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 6  # patients: fewer cannot show a difference at 5 %, 2^(1-5) being above it


def confusions(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) counts of frames."""
    flat = np.bincount(truth * classes + predicted, minlength=classes**2)
    return flat.reshape(classes, classes)


def recall(counts: np.ndarray) -> np.ndarray:
    """(..., C); nan for a class that the truth does not hold."""
    return _ratio(_hits(counts), counts.sum(-1))


def precision(counts: np.ndarray) -> np.ndarray:
    """(..., C); 0 for a class that is in the truth and never predicted, nan where not in it."""
    present = counts.sum(-1) > 0
    value = np.nan_to_num(_ratio(_hits(counts), counts.sum(-2)))
    return np.where(present, value, np.nan)


def f1(counts: np.ndarray) -> np.ndarray:
    """(..., C); nan for a class that the truth does not hold."""
    value = _ratio(2 * _hits(counts), counts.sum(-1) + counts.sum(-2))
    return np.where(counts.sum(-1) > 0, value, np.nan)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """(..., C, C) counts, truth by prediction, to (...): mean F1 of classes that are there."""
    return _mean(f1(counts))


def macro_precision(counts: np.ndarray) -> np.ndarray:
    """As `macro_f1`, of precision."""
    return _mean(precision(counts))


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Also known as macro-averaged recall."""
    return _mean(recall(counts))


def macro_f1_of(members: np.ndarray) -> Score:
    """Macro-F1 over some classes, (C,) bool; nan where the truth holds none of them."""
    return lambda counts: _mean(f1(counts)[..., members])


MAIN = {"macro_f1": macro_f1, "balanced_accuracy": balanced_accuracy}
ALL = {**MAIN, "macro_precision": macro_precision, "macro_recall": balanced_accuracy}


def with_intervals(
    truth: np.ndarray,
    predicted: np.ndarray,
    units: np.ndarray,
    classes: int,
    scores: dict[str, Score],
) -> Iterator[tuple[str, float]]:
    """Yields name, name/low and name/high of each score that has a value."""
    counts = confusions(truth, predicted, classes)
    values = {name: float(score(counts)) for name, score in scores.items()}
    found = {name: score for name, score in scores.items() if not np.isnan(values[name])}
    ranges = intervals(truth, predicted, units, classes, found)
    for name in found:
        yield from interval(name, values[name], ranges[name])


def interval(name: str, value: float, ends: tuple[float, float]) -> Iterator[tuple[str, float]]:
    """The names that a value and the ends of its interval have in a result. No ends where these
    are nan: nothing is known of other patients."""
    yield name, value
    if not np.isnan(ends).any():
        yield f"{name}/low", ends[0]
        yield f"{name}/high", ends[1]


def intervals(
    truth: np.ndarray,
    predicted: np.ndarray,
    units: np.ndarray,
    classes: int,
    scores: dict[str, Score],
) -> dict[str, tuple[float, float]]:
    """95 % percentile interval of each score over resamples of whole units (patients)."""
    resampled = resample(truth, predicted, units, classes)
    return {name: percentiles(score(resampled)) for name, score in scores.items()}


def resample(
    truth: np.ndarray,
    predicted: np.ndarray,
    units: np.ndarray,
    classes: int,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """(RESAMPLES, C, C) counts, each of as many units (patients) as there are, drawn with return.

    units: (N,) names. strata: (N,) of what each has as many units in every resample, the same for
    all frames of a unit. The same units and strata give the same resamples, whatever was predicted,
    so that arms of a comparison are paired.

    Not stratified by class: where patients show many classes, the one that a patient shows most is
    chance, and whoever is alone in it is in every resample. With 13 classes and 8 patients such
    intervals of 95 % held the truth in half of the cases, these in nine of ten.
    """
    names, first, unit = np.unique(units.astype(str), return_index=True, return_inverse=True)
    by_unit = np.zeros((len(names), classes, classes))
    np.add.at(by_unit, (unit, truth, predicted), 1)
    of_unit = np.zeros(len(names)) if strata is None else strata[first]
    return np.tensordot(draws(of_unit), by_unit, 1)


def macro_f1_of_draws(
    truth: np.ndarray, predicted: Iterable[np.ndarray], units: np.ndarray, classes: int
) -> tuple[list[float], np.ndarray]:
    """Macro-F1 of each of several predictions (N,), and (RESAMPLES,) their mean in each resample.

    Every prediction meets the same resamples, so their mean holds what units add to the
    uncertainty, and not what differs between predictions.
    """
    each, resampled = [], []
    for found in predicted:
        each.append(float(macro_f1(confusions(truth, found, classes))))
        resampled.append(macro_f1(resample(truth, found, units, classes)))
    return each, np.mean(resampled, axis=0)


def draws(strata: np.ndarray) -> np.ndarray:
    """(RESAMPLES, units): how often each unit is drawn; of each stratum as many as it has.

    strata: (units,). nan where a unit is alone in its stratum, since nothing is known of others
    there. The same strata give the same draws. Not to be written to.
    """
    return _draws(tuple(strata.tolist()), RESAMPLES)


@lru_cache(maxsize=4)
def _draws(strata: tuple, resamples: int) -> np.ndarray:
    """Kept for the arms of a comparison, which are all drawn alike: it takes most of the time."""
    of_unit = np.array(strata)
    times = np.zeros((resamples, len(strata)))
    rng = np.random.default_rng(0)
    for stratum in np.unique(of_unit):
        members = np.flatnonzero(of_unit == stratum)
        even = np.full(len(members), 1 / len(members))
        drawn = rng.multinomial(len(members), even, size=resamples)
        times[:, members] = drawn if len(members) > 1 else np.nan
    times.flags.writeable = False
    return times


def units_of(frames: pd.DataFrame) -> np.ndarray:
    """(N,) names of what is resampled whole: the audit's connected groups, else patients."""
    return frames["audit_group"].fillna(frames["patient"]).to_numpy(str)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of (RESAMPLES,) values, those that are nan apart."""
    if np.isnan(values).all():
        return np.nan, np.nan
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis and what is not nan there; nan where nothing is."""
    return _ratio(np.nansum(values, -1), (~np.isnan(values)).sum(-1))


def _hits(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
