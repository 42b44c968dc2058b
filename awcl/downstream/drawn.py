"""A score from stored predictions, and what it is in each resample of the test patients.

The same frames, patients and truths give the same resamples, whatever was predicted. So arms that
were judged alike are paired: the difference of two `resampled` is that of one and the same draw.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from awcl.data.table import DOMAINS
from awcl.downstream import overlap, scores
from awcl.downstream.few_labels import CURVES

FRAME = ("frame_id", "patient", "audit_group", *DOMAINS)  # what a row is of, and no prediction


@dataclass(frozen=True)
class Drawn:
    """A score. resampled: (RESAMPLES,) its value in each resample. units: patients (connected
    groups of the audit). marks: (units,) of each what was predicted of it, as a hash."""

    value: float
    resampled: np.ndarray
    frames: int
    units: int
    marks: np.ndarray


def differing(first: Iterable[Drawn], second: Iterable[Drawn]) -> int:
    """In how many units two arms differ in any of their pairs of the same frames."""
    pairs = zip(first, second, strict=True)
    return int(np.any([one.marks != other.marks for one, other in pairs], axis=0).sum())


def by_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Predictions sorted and indexed by frame, with the column `unit`: what is resampled whole."""
    table = table.set_index("frame_id").sort_index()
    return table.assign(unit=scores.units_of(table))


def predictors(table: pd.DataFrame) -> dict[str, list[str]]:
    """The columns of each predictor: one, or one a draw (CURVE/SHARE/DRAW/NAME, as the tasks of few
    labels name them)."""
    found: dict[str, list[str]] = {}
    for column in table.columns.drop([*FRAME, "unit", "truth"], errors="ignore"):
        *above, last = column.split("/")
        if above and above[0] in CURVES and above[-1].isdigit():
            above.pop()
        found.setdefault("/".join([*above, last]), []).append(column)
    return found


def is_measured(predicted: pd.DataFrame) -> bool:
    """Whether a predictor's columns are numbers, which count by their mean, and no names."""
    return all(map(pd.api.types.is_numeric_dtype, predicted.dtypes))


def score_names(table: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Each score of a table by its name, NAME or NAME/macro_f1, and the columns it is made of."""
    for name, columns in predictors(table).items():
        if is_measured(table[columns]):
            yield name, columns
        elif "truth" in table:
            yield f"{name}/macro_f1", columns


def paired(columns: list[str], seed: int) -> list[str]:
    """Those of a score's columns that hold a trial of this seed against another arm's of it.

    Of few labels an encoder that was pre-trained without any has several lists of patients, one
    with labels that of its seed alone; so it is that list which both have. None where it is not
    among them.
    """
    return [c for c in columns if not c.startswith("few_label/") or _list(c) in (str(seed), ALL)]


def shared(first: list[str], second: list[str]) -> tuple[list[str], list[str]]:
    """Of two tables' columns of one score those of the lists of patients that both have."""
    both = {_list(column) for column in first} & {_list(column) for column in second}
    return [c for c in first if _list(c) in both], [c for c in second if _list(c) in both]


ALL = ""  # in place of a list: all patients, whatever number it has


def _list(column: str) -> str:
    """The number of the list of patients that a column is of."""
    curve, *above = column.split("/")[:-1] or [""]
    is_list = curve in CURVES and len(above) > 1 and float(above[0]) < 1
    return above[1] if is_list else ALL


def draw(table: pd.DataFrame, columns: list[str]) -> Drawn:
    """The score of one predictor: of numbers the mean over frames, of names the macro-F1 against
    `truth`; of several draws the mean. table: as `by_frame` gives it; frames in which a column is
    null do not count. At least one must be left."""
    table = table[table[columns].notna().all(axis=1)]
    units = table["unit"].to_numpy(str)
    marks = _marks(table[columns], units)
    if not is_measured(table[columns]):
        value, resampled = _macro_f1(table[columns], table["truth"].to_numpy(str), units)
    else:
        values = table[columns].to_numpy(float).mean(1)
        value = float(values.mean())
        resampled = overlap.resampled_means(values[:, None], units)[:, 0]
    return Drawn(value, resampled, len(units), len(marks), marks)


def _marks(predicted: pd.DataFrame, units: np.ndarray) -> np.ndarray:
    """A hash a unit, in the order of their names, of its frames and what was predicted of them."""
    names, unit = np.unique(units, return_inverse=True)
    marks = np.zeros(len(names), np.uint64)
    np.add.at(marks, unit, pd.util.hash_pandas_object(predicted).to_numpy(np.uint64))
    return marks


def _macro_f1(
    predicted: pd.DataFrame, truth: np.ndarray, units: np.ndarray
) -> tuple[float, np.ndarray]:
    names = np.unique(np.concatenate([truth, predicted.to_numpy(str).ravel()]))
    found = [np.searchsorted(names, predicted[column].to_numpy(str)) for column in predicted]
    places = np.searchsorted(names, truth)
    each, resampled = scores.macro_f1_of_draws(places, found, units, len(names))
    return float(np.mean(each)), resampled
