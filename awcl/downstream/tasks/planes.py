"""Standard plane classification on frozen features: which anatomy does a frame show?"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, rows_where
from awcl.downstream import scores
from awcl.downstream.classification import Problem, finest_level
from awcl.downstream.features import cached_features
from awcl.downstream.tasks import TaskSettings
from awcl.encoder import Encoder
from awcl.taxonomy import Taxonomy

SUMMARY = {"macro_f1": scores.macro_f1, "balanced_accuracy": scores.balanced_accuracy}


class Settings(TaskSettings):
    task: Literal["planes"] = "planes"
    where: Where = {}
    """Frames that take part, e.g. {"source": "!hc18"}."""
    level: Literal["auto", "coarse", "fine"] = "auto"
    """auto: the finest level that is known for all frames with an anatomy."""


class Task:
    """Trained on the frames of train, judged on those of test; background takes no part.

    Raises InputError where a split holds no labelled frame, or test a class that train lacks.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        rows = rows_where(pack.frames, settings.where)
        level = finest_level(pack, rows, taxonomy) if settings.level == "auto" else settings.level
        self.problem = Problem(pack, rows, taxonomy, level, judged_on="test")
        self.about = {"level": level, "classes": self.problem.present}
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        problem = self.problem
        rows = np.concatenate([problem.rows, problem.judged_rows])
        every = cached_features(encoder, problem.pack, rows)
        predicted = problem.predict(every[: len(problem.rows)], every[len(problem.rows) :])
        truth, frames = problem.truth, problem.judged
        self.predictions = frames[["frame_id", "patient", "audit_group", *DOMAINS]].copy()
        self.predictions["truth"] = problem.classes[truth]
        for name, classes in predicted.items():
            self.predictions[name] = problem.classes[classes]
        units = frames["audit_group"].fillna(frames["patient"]).to_numpy()
        counts = scores.confusions(truth, predicted["ridge"], len(problem.classes))
        ranges = scores.intervals(truth, predicted["ridge"], units, len(problem.classes), SUMMARY)
        for name, score in SUMMARY.items():
            yield name, float(score(counts))
            yield f"{name}/low", ranges[name][0]
            yield f"{name}/high", ranges[name][1]
        knn = scores.confusions(truth, predicted["knn"], len(problem.classes))
        yield "knn/macro_f1", float(scores.macro_f1(knn))
        yield from self._per_class(counts)
        yield from self._per_domain(truth, predicted["ridge"])

    def _per_class(self, counts: np.ndarray) -> Iterator[tuple[str, float]]:
        for name in ("precision", "recall", "f1"):
            for label, value in zip(
                self.problem.classes, getattr(scores, name)(counts), strict=True
            ):
                if not np.isnan(value):
                    yield f"class/{label}/{name}", float(value)

    def _per_domain(self, truth: np.ndarray, predicted: np.ndarray) -> Iterator[tuple[str, float]]:
        for domain in DOMAINS:
            values = self.problem.judged[domain]
            for value in sorted(values.dropna().unique()):
                here = (values == value).to_numpy()
                counts = scores.confusions(truth[here], predicted[here], len(self.problem.classes))
                yield f"domain/{domain}/{value}/macro_f1", float(scores.macro_f1(counts))
