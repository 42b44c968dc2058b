"""Standard plane classification: which anatomy does a frame show?

By a ridge probe and nearest neighbours on frozen features; in the full suite also by the encoder
itself, fine-tuned under a linear head.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, rows_where
from awcl.downstream import confusion, scores
from awcl.downstream.classification import Problem, finest_level
from awcl.downstream.features import cached_features
from awcl.downstream.finetuning import fine_tune
from awcl.downstream.tasks import TaskSettings
from awcl.encoder import Encoder
from awcl.taxonomy import Taxonomy

TITLES = {"ridge": "ridge probe", "knn": "nearest neighbours", "finetuned": "fine-tuned"}


class Settings(TaskSettings):
    task: Literal["planes"] = "planes"
    where: Where = {}
    """Frames that take part, e.g. {"source": "!hc18"}."""
    level: Literal["auto", "coarse", "fine"] = "auto"
    """auto: the finest level that is known for all frames with an anatomy."""
    steps: int = Field(300, ge=1)
    """Of fine-tuning, which is a part of the full suite."""


class Task:
    """Trained on the frames of train, judged on those of test; background takes no part.

    The ridge probe's scores bear plain names, the others' `knn/...` and `finetuned/...`. Where
    pre-training never saw the labels of some anatomies, `held_out/macro_f1` is over these and
    `not_held_out/macro_f1` over the others.

    Raises InputError where a split holds no labelled frame, or test a class that train lacks.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        rows = rows_where(pack.frames, settings.where)
        level = finest_level(pack, rows, taxonomy) if settings.level == "auto" else settings.level
        self.settings = settings
        self.problem = Problem(pack, rows, taxonomy, level, judged_on="test")
        self.about = {"level": level, "classes": self.problem.present}
        self.groups = self._groups(taxonomy)
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        problem = self.problem
        self.predictions = problem.judged[["frame_id", "patient", "audit_group", *DOMAINS]].copy()
        self.predictions["truth"] = problem.classes[problem.truth]
        for name, predicted in self._predicted(encoder).items():
            self.predictions[name] = problem.classes[predicted]
            counts = scores.confusions(problem.truth, predicted, len(problem.classes))
            self.figures[f"confusion_{name}"] = confusion.figure(
                counts, problem.classes, f"Planes, {TITLES[name]}"
            )
            prefix = "" if name == "ridge" else f"{name}/"
            for score, value in self._scores(predicted, counts):
                yield f"{prefix}{score}", value

    def _predicted(self, encoder: Encoder) -> dict[str, np.ndarray]:
        """(M,) class numbers by each predictor."""
        problem = self.problem
        every = cached_features(
            encoder, problem.pack, np.concatenate([problem.rows, problem.judged_rows])
        )
        found = problem.predict(every[: len(problem.rows)], every[len(problem.rows) :])
        if not self.settings.quick:
            found["finetuned"], rate = fine_tune(encoder, problem, self.settings.steps)
            self.about["finetuned"] = {"steps": self.settings.steps, "learning_rate": rate}
        return found

    def _scores(self, predicted: np.ndarray, counts: np.ndarray) -> Iterator[tuple[str, float]]:
        problem = self.problem
        yield from scores.with_intervals(
            problem.truth, predicted, problem.units, len(problem.classes),
            {**scores.ALL, **self.groups},
        )  # fmt: skip
        yield from self._per_class(counts)
        yield from self._per_domain(predicted)

    def _groups(self, taxonomy: Taxonomy) -> dict[str, scores.Score]:
        """Scores of the classes whose labels pre-training never saw, and of the others."""
        known = self.settings.pretrained
        if known is None or not known.anatomy.held_out:
            return {}
        covered = taxonomy.covered(known.anatomy.held_out, "pretrained.anatomy.held_out")
        held_out = np.isin(self.problem.classes, list(covered))
        self.about["held_out"] = [str(name) for name in self.problem.classes[held_out]]
        return {
            "held_out/macro_f1": scores.macro_f1_of(held_out),
            "not_held_out/macro_f1": scores.macro_f1_of(~held_out),
        }

    def _per_class(self, counts: np.ndarray) -> Iterator[tuple[str, float]]:
        for name in ("precision", "recall", "f1"):
            for label, value in zip(
                self.problem.classes, getattr(scores, name)(counts), strict=True
            ):
                if not np.isnan(value):
                    yield f"class/{label}/{name}", float(value)

    def _per_domain(self, predicted: np.ndarray) -> Iterator[tuple[str, float]]:
        for domain in DOMAINS:
            values = self.problem.judged[domain]
            for value in sorted(values.dropna().unique()):
                here = (values == value).to_numpy()
                counts = scores.confusions(
                    self.problem.truth[here], predicted[here], len(self.problem.classes)
                )
                yield f"domain/{domain}/{value}/macro_f1", float(scores.macro_f1(counts))
