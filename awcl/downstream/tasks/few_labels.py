"""Few labels: plane classification by probes that have the labels of few patients.

Two curves, transfer/... and few_label/..., as awcl.downstream.few_labels tells them apart.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, rows_where
from awcl.downstream import few_labels
from awcl.downstream.classification import Problem, finest_level
from awcl.downstream.features import cached_features
from awcl.downstream.few_labels import DRAWS, SHARES, Estimate, Point
from awcl.downstream.tasks import Suite, TaskSettings
from awcl.encoder import Encoder
from awcl.taxonomy import Taxonomy

UNKNOWN = "unknown"


class Settings(TaskSettings):
    runs_in: ClassVar[Suite] = "full"
    task: Literal["few_labels"] = "few_labels"
    where: Where = {}
    """Frames that take part, e.g. {"source": "!hc18"}."""
    level: Literal["auto", "coarse", "fine"] = "auto"
    """auto: the finest level that is known for all frames with an anatomy."""
    shares: list[Annotated[float, Field(gt=0, le=1)]] = Field(SHARES, min_length=1)
    """Of the training patients with labels."""
    draws: int = Field(DRAWS, ge=1, le=1000)
    """Lists of patients below the share 1, of the seeds 0, 1, ...; paired with trials by seed."""


class Task:
    """Trained on the labels of lists of train patients, judged on all frames of test.

    A point is the mean of the draws' macro-F1, with its interval over test patients and its `/sd`
    over draws. `about["labels"]` says of each how many labels were used.

    Raises InputError where a split holds no labelled frame, or test a class that train lacks.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        self.settings, self.taxonomy = settings, taxonomy
        rows = rows_where(pack.frames, settings.where)
        level = finest_level(pack, rows, taxonomy) if settings.level == "auto" else settings.level
        self.problem = Problem(pack, rows, taxonomy, level, judged_on="test")
        self.pool = rows[(pack.frames["split"].iloc[rows] == "train").to_numpy()]
        known = settings.pretrained
        self.used = None if known is None else known.labelled(pack, taxonomy)
        self.about: dict[str, Any] = {
            "level": level,
            "classes": self.problem.present,
            "pretraining_labels": UNKNOWN if self.used is None else len(self.used),
            "labels": {},
            "left_out": [],
        }
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        problem = self.problem
        train = cached_features(encoder, problem.pack, problem.rows)
        judged = cached_features(encoder, problem.pack, problem.judged_rows)
        probes = _Probes(problem, train, judged)
        self.predictions = problem.judged[["frame_id", "patient", "audit_group", *DOMAINS]].copy()
        self.predictions["truth"] = problem.classes[problem.truth]
        columns: dict[str, np.ndarray] = {}
        wanted, why_not = few_labels.lists(
            problem.pack, self.taxonomy, self.pool, self.settings.pretrained,
            self.settings.shares, self.settings.draws,
        )  # fmt: skip
        self.about["labels"], self.about["left_out"] = {}, [why_not] if why_not else []
        points: list[Point] = []
        estimates: list[Estimate] = []
        for at, lists in few_labels.drawn_lists(
            wanted, self._list, self.about["left_out"], "no label of these patients here"
        ):
            points.append(self._point(at.curve, at.share, list(lists.values())))
            self.about["labels"][at.name] = str(points[-1])
            found = {seed: probes.predict(places) for seed, places in lists.items()}
            for probe in ("ridge", "knn"):
                for seed, predicted in found.items():
                    columns[f"{at.name}/{seed}/{probe}"] = problem.classes[predicted[probe]]
                reached = [predicted[probe] for predicted in found.values()]
                estimate = few_labels.estimate(problem, reached)
                estimates += [estimate] if probe == "ridge" else []
                prefix = f"{at.name}/" + ("" if probe == "ridge" else f"{probe}/")
                yield from few_labels.named(f"{prefix}macro_f1", estimate)
        self.predictions = pd.concat([self.predictions, pd.DataFrame(columns)], axis=1)
        score = "macro-F1 of the ridge probe"
        self.figures["few_labels"] = few_labels.figure(points, estimates, score)

    def _list(self, pool: np.ndarray, share: float, seed: int) -> np.ndarray:
        """Places among the training frames of those with the labels of a list of patients."""
        rows = few_labels.patients_rows(self.problem.pack, pool, self.taxonomy, share, seed)
        return np.flatnonzero(np.isin(self.problem.rows, rows))

    def _point(self, curve: str, share: float, lists: list[np.ndarray]) -> Point:
        """lists: of each draw, places among the training frames."""
        problem, total = self.problem, None
        if self.used is not None:
            total = [len(np.union1d(self.used, problem.rows[places])) for places in lists]
        return Point(
            curve,
            share,
            patients=[len(np.unique(problem.patients[places])) for places in lists],
            probe=[len(places) for places in lists],
            total=total,
            lost=[len(problem.classes) - len(np.unique(problem.labels[p])) for p in lists],
        )


class _Probes:
    """Predictions of the judged frames from the labels at some places; lists may come twice."""

    def __init__(self, problem: Problem, train: np.ndarray, judged: np.ndarray):
        self.problem, self.train, self.judged = problem, train, judged
        self.found: dict[bytes, dict[str, np.ndarray]] = {}

    def predict(self, places: np.ndarray) -> dict[str, np.ndarray]:
        key = places.tobytes()
        if key not in self.found:
            self.found[key] = self.problem.predict(self.train, self.judged, places)
        return self.found[key]
