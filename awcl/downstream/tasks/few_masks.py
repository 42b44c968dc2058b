"""Few masks: segmentation by a decoder, above a frozen encoder, that has the masks of few patients.

The lists of patients, the two curves and their names are those of the task few_labels: so patients
with masks but without an anatomy label are on none, which `left_out` tells. Every point is trained
by the quick recipe, so that 5 draws of 4 shares take minutes; it still is the slowest task of a
frozen encoder, and only runs where it is asked for.
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
from awcl.downstream import few_labels, overlap, scores
from awcl.downstream.few_labels import DRAWS, SHARES, Estimate, Point
from awcl.downstream.masks import MaskedFrames, check_classes, check_splits
from awcl.downstream.segmenting import QUICK, Trainer
from awcl.downstream.tasks import Suite, TaskSettings
from awcl.downstream.tasks.segmentation import about_masks, head_planes
from awcl.encoder import Encoder
from awcl.errors import NoFramesError
from awcl.taxonomy import Taxonomy

SCORES = ("dice", "hc_error_mm")


class Settings(TaskSettings):
    runs_in: ClassVar[Suite] = "none"
    task: Literal["few_masks"] = "few_masks"
    where: Where = {}
    """Frames that take part; of them those that have a mask."""
    shares: list[Annotated[float, Field(gt=0, le=1)]] = Field(SHARES, min_length=1)
    """Of the training patients with labels."""
    draws: int = Field(DRAWS, ge=1, le=1000)
    """Lists of patients below the share 1, of the seeds 0, 1, ...; paired with trials by seed."""


class Task:
    """Trained on the masks of lists of train patients, judged on all masks of test.

    A point is the mean of the draws, with its interval over test patients and its `/sd` over draws.
    `about["labels"]` says of each how many anatomy labels pre-training and masks the decoder used.

    Raises InputError where train or test has no mask, test a class that no mask of train holds, or
    no patient of train with a mask has an anatomy label.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        self.settings, self.pack, self.taxonomy = settings, pack, taxonomy
        rows = rows_where(pack.frames, settings.where)
        self.masks = MaskedFrames(pack, rows)
        check_splits(self.masks)
        self.train, self.test = self.masks.split("train"), self.masks.split("test")
        check_classes(self.masks, self.train, self.test)
        self.pool = rows[(pack.frames["split"].iloc[rows] == "train").to_numpy()]
        listed = self._patients(self._list(self.pool, 1, 0))
        self.unlisted = self._patients(self.train) - listed
        if not listed:
            raise NoFramesError(
                f"task few_masks: of {self.unlisted} patients of train with masks none has an "
                "anatomy label, by which its lists of patients are drawn; use task segmentation"
            )
        known = settings.pretrained
        self.used = None if known is None else known.labelled(pack, taxonomy)
        self.about: dict[str, Any] = about_masks(self.masks, pack, known)
        self.about |= {"labels": {}, "left_out": []}
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        frames = self.masks.frames.iloc[self.test].reset_index(drop=True)
        units = scores.units_of(frames)
        judge = _Judge(Trainer(encoder, self.masks, QUICK), self.test, self.taxonomy)
        wanted, why_not = few_labels.lists(
            self.pack, self.taxonomy, self.pool, self.settings.pretrained,
            self.settings.shares, self.settings.draws,
        )  # fmt: skip
        self.about["labels"], self.about["left_out"] = {}, [why_not] if why_not else []
        if self.unlisted:
            told = f"masks of {self.unlisted} patients without an anatomy label: on no list"
            self.about["left_out"].append(told)
        tables = [frames[["frame_id", "patient", "audit_group", *DOMAINS]]]
        points: list[Point] = []
        estimates: list[Estimate] = []
        for at, lists in few_labels.drawn_lists(
            wanted, self._list, self.about["left_out"], "no mask of these patients"
        ):
            points.append(self._point(at.curve, at.share, list(lists.values())))
            self.about["labels"][at.name] = str(points[-1])
            found = {seed: judge(numbers) for seed, numbers in lists.items()}
            tables += [table.add_prefix(f"{at.name}/{seed}/") for seed, table in found.items()]
            for score in next(iter(found.values())):
                values = np.stack([table[score] for table in found.values()], axis=1)
                estimate = few_labels.estimate_of_means(values, units)
                estimates += [estimate] if score == "dice" else []
                yield from few_labels.named(f"{at.name}/{score}", estimate)
        self.predictions = pd.concat(tables, axis=1)
        self.figures["few_masks"] = few_labels.figure(points, estimates, "Dice, encoder frozen")

    def _list(self, pool: np.ndarray, share: float, seed: int) -> np.ndarray:
        """Numbers of the training frames with a mask of a list of patients."""
        rows = few_labels.patients_rows(self.pack, pool, self.taxonomy, share, seed)
        patients = set(self.pack.frames["patient"].iloc[rows])
        return self.train[self.masks.frames["patient"].iloc[self.train].isin(patients)]

    def _patients(self, numbers: np.ndarray) -> int:
        return self.masks.frames["patient"].iloc[numbers].nunique()

    def _point(self, curve: str, share: float, lists: list[np.ndarray]) -> Point:
        """lists: of each draw, numbers of the training frames."""
        wanted = self.masks.held[self.test].any(0)
        total = None
        if self.used is not None:
            total = [len(self.used) + len(numbers) for numbers in lists]
        return Point(
            curve,
            share,
            patients=[self._patients(numbers) for numbers in lists],
            probe=[len(numbers) for numbers in lists],
            total=total,
            lost=[int((wanted & ~self.masks.held[n].any(0))[1:].sum()) for n in lists],
        )


class _Judge:
    """Scores of each test frame by a decoder trained on some frames; lists may come twice."""

    def __init__(self, trainer: Trainer, test: np.ndarray, taxonomy: Taxonomy):
        self.trainer, self.test, masks = trainer, test, trainer.masks
        self.truth, self.pixel_mm = masks.truths(test), masks.pixel_mm(test)
        self.is_head_plane = head_planes(masks.frames, taxonomy)[test]
        self.found: dict[bytes, pd.DataFrame] = {}

    def __call__(self, train: np.ndarray) -> pd.DataFrame:
        key = train.tobytes()
        if key not in self.found:
            predicted = self.trainer.segmenter(train)[0].predict(self.test)
            table = overlap.score_frames(
                self.truth, predicted, self.trainer.masks.classes, self.pixel_mm, self.is_head_plane
            )
            self.found[key] = table[[name for name in SCORES if name in table]]
        return self.found[key]
