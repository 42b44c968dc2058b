"""Two encoders against each other, from what was stored of each: nothing is evaluated again."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from awcl.downstream import drawn, scores
from awcl.errors import InputError
from awcl.files import AnyPath, as_path, read_json

ROUNDING = 1e-5  # float32 on several threads
NEEDED = {"name": str, "time": float, "about": dict, "metrics": dict, "settings": dict}


@dataclass(frozen=True)
class Difference:
    """Second minus first in one score, with the 95 % interval over resamples of patients.

    differing: units (patients) in which the two differ at all.
    """

    score: str
    first: float
    second: float
    low: float
    high: float
    frames: int
    units: int
    differing: int

    @property
    def value(self) -> float:
        return self.second - self.first

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies on one side of zero, by more than rounding, and is of patients
        enough to show it."""
        enough = self.differing >= scores.FEWEST
        return enough and (self.low > ROUNDING or self.high < -ROUNDING)


def differences(first: pd.DataFrame, second: pd.DataFrame) -> list[Difference]:
    """A row for each predictor and each number that both tables have.

    first, second: predictions of one task, a row a test frame. A column of names is compared with
    the column `truth` by macro-F1; a column of numbers is compared by its mean over frames. Draws
    (columns that differ in a number before the last part of their name) count by their mean, those
    that both tables have; a score of which they share none is left out. Both tables get the same
    resamples of patients (connected groups of the audit). Raises InputError where frames, patients
    or truths differ.
    """
    first, second = (drawn.by_frame(table) for table in (first, second))
    _check_equal(first.index, second.index, "frames")
    _check_equal(first["unit"], second["unit"], "patients")
    if "truth" in first and "truth" in second:
        _check_equal(first["truth"].fillna(""), second["truth"].fillna(""), "truths")
    found, of_second = [], dict(drawn.score_names(second))
    for name, columns in drawn.score_names(first):
        ours, theirs = drawn.shared(columns, of_second.get(name, []))
        if ours:
            every = [first[column] for column in ours]
            for column in [*every, *(second[column] for column in theirs)]:
                _check_equal(every[0].notna(), column.notna(), f"frames in {column.name}")
            both = drawn.draw(first, ours), drawn.draw(second, theirs)
            found.append(_difference(name, *both))
    return found


def _check_alike(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Two results: their settings but for what differs between encoders, and names; taxonomies."""
    taxonomies = {of["taxonomy"] for of in (first, second) if "taxonomy" in of}
    if len(taxonomies) > 1:
        raise InputError("judged by two taxonomies; judge both by one")
    first, second = first["settings"], second["settings"]
    for name in sorted({*first, *second} - {"name", "pretrained"}):
        ours, theirs = first.get(name), second.get(name)
        if ours != theirs:
            raise InputError(f"judged with {name} {ours!r} and {theirs!r}; judge both alike")


def _check_equal(first: pd.Series | pd.Index, second: pd.Series | pd.Index, what: str) -> None:
    if not np.array_equal(first.to_numpy(), second.to_numpy()):
        raise InputError(f"the results are of different {what}; judge both on the same frames")


def _difference(score: str, first: drawn.Drawn, second: drawn.Drawn) -> Difference:
    low, high = scores.percentiles(second.resampled - first.resampled)
    differ = drawn.differing([first], [second])
    return Difference(
        score, first.value, second.value, low, high, first.frames, first.units, differ
    )


def stored(folder: str | AnyPath) -> dict[str, tuple[dict[str, Any], pd.DataFrame]]:
    """Name -> EVAL.json and predictions of each evaluation in a folder; none where it holds none.

    The folder is one that `awcl evaluate --out` made for an encoder, or a study's of a trial. Where
    a trial was judged at several checkpoints, the last counts.
    """
    path = as_path(folder)
    found: dict[str, tuple[AnyPath, dict[str, Any]]] = {}
    for file in [*sorted(path.glob("*/EVAL.json")), *sorted(path.glob("eval/*/EVAL.json"))]:
        result = read_json(file, NEEDED, "remove its folder, and judge again")
        known = found.get(result["name"])
        if known is None or _age(known[1]) < _age(result):
            found[result["name"]] = (file.parent, result)
    return {name: (result, read_predictions(at)) for name, (at, result) in found.items()}


def _age(result: dict[str, Any]) -> tuple[int, float]:
    return result.get("epoch", 0), result["time"]


def read_predictions(folder: AnyPath) -> pd.DataFrame:
    """What `write_evaluation` wrote of them; InputError where it is missing or damaged."""
    file = f"{folder}/predictions.parquet"
    advice = "remove the folder, and judge again"
    try:
        table = pd.read_parquet(BytesIO((folder / "predictions.parquet").read_bytes()))
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise InputError(f"{file}: cannot be read ({error}); {advice}") from error
    for column in ("frame_id", "patient", "audit_group"):
        if column not in table:
            raise InputError(f"{file}: lacks column {column!r}; {advice}")
    return table


def pairs(
    subjects: dict[str, dict[str, tuple[dict[str, Any], pd.DataFrame]]],
) -> Iterator[tuple[str, str, str, list[Difference]]]:
    """Task, first, other and their differences: each encoder against the first, task by task.

    subjects: encoder -> what `stored` gives. Raises InputError where two have no task in common.
    """
    (first, of_first), *others = subjects.items()
    for other, of_other in others:
        common = [task for task in of_first if task in of_other]
        if not common:
            raise InputError(f"{first} and {other}: no task that both were judged on")
        for task in common:
            try:
                _check_alike(of_first[task][0], of_other[task][0])
                yield task, first, other, differences(of_first[task][1], of_other[task][1])
            except InputError as error:
                raise InputError(f"{task} of {first} and {other}: {error}") from error
