"""Segmentation: a decoder above the encoder, which stays frozen or is fine-tuned along with it."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, rows_where
from awcl.downstream import mask_figure, overlap, scores
from awcl.downstream.masks import MaskedFrames, check_classes, check_splits
from awcl.downstream.pretrained import Pretrained
from awcl.downstream.segmenting import FULL, QUICK, Trainer
from awcl.downstream.tasks import TaskSettings
from awcl.encoder import Encoder
from awcl.taxonomy import Taxonomy

HEAD_PLANES = "brain"  # the kind of plane in which a head's circumference is measured


class Settings(TaskSettings):
    task: Literal["segmentation"] = "segmentation"
    where: Where = {}
    """Frames that take part, e.g. {"source": "hc18"}; of them those that have a mask."""
    steps: int | None = Field(None, ge=1, exclude_if=lambda steps: steps is None)
    """Of training a decoder; None: 160 in quick form, 300 in the full suite."""


class Task:
    """Trained on the masks of train, judged on those of test, at the view's resolution.

    Yields plain names for the frozen encoder and `finetuned/...` in the full suite. Raises
    InputError where train or test has no mask, or test a class that no mask of train holds.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        rows = rows_where(pack.frames, settings.where)
        self.masks = MaskedFrames(pack, rows)
        check_splits(self.masks)
        self.train, self.test = self.masks.split("train"), self.masks.split("test")
        check_classes(self.masks, self.train, self.test)
        self.modes = ("frozen",) if settings.quick else ("frozen", "finetuned")
        self.recipe = (QUICK if settings.quick else FULL).of(settings.steps)
        self.is_head_plane = head_planes(self.masks.frames, taxonomy)
        self.about: dict[str, Any] = about_masks(self.masks, pack, settings.pretrained)
        trained = self.masks.frames.iloc[self.train]
        self.about["trained_on"] = {
            "frames": len(trained),
            "patients": int(trained["patient"].nunique()),
        }
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        frames, truth = self.masks.frames.iloc[self.test], self.masks.truths(self.test)
        units = scores.units_of(frames)
        tables = [frames[["frame_id", "patient", "audit_group", *DOMAINS]].reset_index(drop=True)]
        for mode in self.modes:
            trainer = Trainer(encoder, self.masks, self.recipe, tune=mode == "finetuned")
            segmenter, rate = trainer.segmenter(self.train)
            self.about[f"{mode}/rate"] = rate
            predicted = segmenter.predict(self.test)
            table = overlap.score_frames(
                truth,
                predicted,
                self.masks.classes,
                self.masks.pixel_mm(self.test),
                self.is_head_plane[self.test],
            )
            self.figures[f"{mode}_masks"] = mask_figure.draw(
                self.masks, self.test, predicted, table["dice"].to_numpy()
            )
            yield from with_intervals("" if mode == "frozen" else f"{mode}/", table, units)
            tables.append(table.add_prefix(f"{mode}/"))
        self.predictions = pd.concat(tables, axis=1)


def with_intervals(
    prefix: str, table: pd.DataFrame, units: np.ndarray
) -> Iterator[tuple[str, float]]:
    """The mean over frames of each column and the ends of its interval."""
    resampled = overlap.resampled_means(table.to_numpy(float), units)
    for name, drawn in zip(table, resampled.T, strict=True):
        ends = scores.percentiles(drawn)
        yield from scores.interval(prefix + name, float(table[name].mean()), ends)


def head_planes(frames: pd.DataFrame, taxonomy: Taxonomy) -> np.ndarray:
    """(N,) bool: the frames in which a head's circumference is measured."""
    kinds = [taxonomy.at(name, "coarse") for name in frames["anatomy"]]
    return np.array([kind == HEAD_PLANES for kind in kinds])


def about_masks(
    masks: MaskedFrames, pack: FramePack, pretrained: Pretrained | None
) -> dict[str, Any]:
    """Facts of the frames that a table of results must say."""
    about: dict[str, Any] = {"classes": masks.classes}
    if len(masks.lists()) > 1:  # what one source names may be background in another
        about["frames_by_list_of_classes"] = masks.lists()
    if (masks.frames["source"] == "hc18").any():  # it is kept apart, in our studies
        seen = pretrained and pack.frames["source"].iloc[pretrained.seen(pack)] == "hc18"
        about["hc18"] = (
            "whether pre-training saw it is not known" if seen is None
            else f"pre-training saw {seen.sum()} of its frames" if seen.any()
            else "transfer only: pre-training saw none of it"
        )  # fmt: skip
    return about
