"""How an encoder's features lie, and what can be read off them that should not matter.

No clinical task: it tells why an encoder does well or badly on one. A machine or a patient that can
be read off is a shortcut that an encoder may have taken; beside each stands what chance gives.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from awcl import hashing
from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, rows_where
from awcl.downstream import map_figure, overlap, scores
from awcl.downstream.diagnostics import Diagnostics
from awcl.downstream.features import cached_features
from awcl.downstream.neighbourhoods import (
    purity,
    purity_by_chance,
    same_patient,
    structure_within,
)
from awcl.downstream.probes import ridge
from awcl.downstream.tasks import Suite, TaskSettings
from awcl.encoder import Encoder
from awcl.errors import NoFramesError
from awcl.taxonomy import LEVELS, Taxonomy

MOST, DRAWN = 5000, 2000  # frames of a split that take part; test frames on the map
WITHIN = "fine_within_coarse"


class Settings(TaskSettings):
    runs_in: ClassVar[Suite] = "full"
    task: Literal["diagnostics"] = "diagnostics"
    where: Where = {}
    """Frames of train and test that take part."""
    recipe: str = "ultrasound"
    """Augmentations of the views of val frames that alignment and uniformity are measured on."""
    neighbours: int = Field(10, ge=1)
    """Nearest frames that a frame's purity is over."""
    map_frames: int | None = Field(None, ge=2, exclude_if=lambda frames: frames is None)
    """Test frames on the map, at most. None: there is no map in quick form; 2000 in the full suite.
    t-SNE of 400 takes a second of a processor core, of 2000 seven."""


class Task:
    """alignment, uniformity, effective_rank: of val frames (awcl.downstream.diagnostics).

    LEVEL/purity: share of the nearest test frames of other patients that show the same anatomy, at
    each level. fine_within_coarse: how much of the fine classes is left inside coarse ones, over
    those that hold several, 0 by chance and 1 where nothing is lost (`structure_within`); and
    fine_within_coarse/COARSE of each. machine/balanced_accuracy: a ridge probe that was taught the
    machines of train, whose strength is chosen by patient-grouped folds, on other patients' frames
    of test. patient/accuracy: is a test frame's nearest neighbour of its patient? NAME/chance
    stands beside each that has another chance than 0. What the frames do not allow is in `about`.
    A map of test frames (t-SNE) in the full suite, or where it is asked for.

    Raises NoFramesError where test holds fewer than two frames.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        self.settings, self.pack = settings, pack
        frames = pack.frames
        rows = rows_where(frames, settings.where)
        test = rows[(frames["split"].iloc[rows] == "test").to_numpy()]
        if len(test) < 2:
            raise NoFramesError(
                f"split 'test' is empty: {len(test)} frames, and diagnostics need two or more"
            )
        self.test = _some(frames, test)
        self.judged = frames.iloc[self.test].reset_index(drop=True)
        self.units = scores.units_of(self.judged)
        self.names = {
            level: self.judged["anatomy"].map(lambda name, at=level: taxonomy.at(name, at))
            for level in LEVELS
        }
        machines = frames["machine"].iloc[rows].notna().to_numpy()
        train = (frames["split"].iloc[rows] == "train").to_numpy()
        self.taught = _some(frames, rows[machines & train])
        self.views = Diagnostics(pack, settings.recipe)
        self.about: dict[str, Any] = {
            "test_frames": len(self.test),
            "neighbours": settings.neighbours,
            "left_out": {},
        }
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        yield from self.views.run(encoder)
        kept = ["frame_id", "patient", "audit_group", *DOMAINS]
        self.predictions = self.judged[kept].copy()
        h = cached_features(encoder, self.pack, self.test)
        for level in LEVELS:
            yield from self._purity(level, h)
        yield from self._within(h)
        yield from self._machine(encoder, h)
        yield from self._patient(h)
        if self.settings.map_frames or not self.settings.quick:
            self.figures["map"] = self._map(h[: self.settings.map_frames or DRAWN])

    def _purity(self, level: str, h: np.ndarray) -> Iterator[tuple[str, float]]:
        name = f"{level}/purity"
        known = self.names[level].notna().to_numpy()
        labels, units = self.names[level][known].to_numpy(str), self.units[known]
        if len(np.unique(units)) < 2:
            self.about["left_out"][name] = "fewer than two test patients have a known anatomy"
            return
        values = np.full(len(h), np.nan)
        values[known] = purity(h[known], labels, units, self.settings.neighbours)
        yield from self._mean(name, values)
        yield f"{level}/chance", float(purity_by_chance(labels, units).mean())

    def _within(self, h: np.ndarray) -> Iterator[tuple[str, float]]:
        known = self.names["fine"].notna().to_numpy()
        fine, coarse = (self.names[level][known].to_numpy(str) for level in ("fine", "coarse"))
        values = np.full(len(h), np.nan)
        values[known] = structure_within(
            h[known], fine, coarse, self.units[known], self.settings.neighbours
        )
        if np.isnan(values).all():
            reason = "no coarse class has two fine ones in several test patients"
            self.about["left_out"][WITHIN] = reason
            return
        yield from self._mean(WITHIN, values)
        kinds = self.names["coarse"][~np.isnan(values)]
        for kind in sorted(kinds.unique()):
            of_kind = np.where(self.names["coarse"] == kind, values, np.nan)
            yield from self._interval(f"{WITHIN}/{kind}", of_kind)

    def _machine(self, encoder: Encoder, h: np.ndarray) -> Iterator[tuple[str, float]]:
        machines = self.pack.frames["machine"]
        names, labels = np.unique(machines.iloc[self.taught].to_numpy(str), return_inverse=True)
        known = self.judged["machine"].isin(names).to_numpy()
        truth = np.searchsorted(names, self.judged["machine"][known].to_numpy(str))
        present = len(np.unique(truth))
        if present < 2:
            reason = "fewer than two machines in both train and test"
            self.about["left_out"]["machine"] = reason
            return
        patients = self.pack.frames["patient"].iloc[self.taught].to_numpy(str)
        taught = cached_features(encoder, self.pack, self.taught)
        read = ridge(taught, labels, patients, h[known])
        self.predictions.loc[known, "machine/read"] = names[read]
        self.predictions.loc[known, "machine/right"] = (read == truth).astype(float)
        yield from scores.with_intervals(
            truth, read, self.units[known], len(names),
            {"machine/balanced_accuracy": scores.balanced_accuracy},
        )  # fmt: skip
        yield "machine/chance", 1 / present

    def _patient(self, h: np.ndarray) -> Iterator[tuple[str, float]]:
        patients = self.judged["patient"]
        scans = self.judged["scan"].fillna(patients)
        right, chance = same_patient(h, patients.to_numpy(str), scans.to_numpy(str))
        if np.isnan(right).all():
            self.about["left_out"]["patient"] = "no test patient has two frames"
            return
        yield from self._mean("patient/accuracy", right)
        yield "patient/chance", float(np.nanmean(chance))

    def _mean(self, name: str, values: np.ndarray) -> Iterator[tuple[str, float]]:
        """The mean over frames (N,) with its interval; the values become a column."""
        self.predictions[name] = values
        yield from self._interval(name, values)

    def _interval(self, name: str, values: np.ndarray) -> Iterator[tuple[str, float]]:
        known = ~np.isnan(values)
        drawn = overlap.resampled_means(values[known, None], self.units[known])[:, 0]
        yield from scores.interval(name, float(values[known].mean()), scores.percentiles(drawn))

    def _map(self, h: np.ndarray) -> Figure:
        shown = self.judged.iloc[: len(h)]
        panels = {
            f"anatomy, {level}": self.names[level].iloc[: len(h)] for level in reversed(LEVELS)
        }
        varying = [name for name in DOMAINS if shown[name].nunique() > 1] or ["source"]
        values = shown[varying].fillna("?").astype(str)
        panels[f"domain: {', '.join(varying)}"] = values.agg(", ".join, axis=1)
        title = f"{len(h)} test frames by their features (t-SNE); counts in brackets"
        return map_figure.draw(map_figure.t_sne(h), panels, title)


def _some(frames: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Up to MOST of the rows, drawn by the hash of their frames' names."""
    ranks = hashing.uint64s(frames["frame_id"].iloc[rows], "diagnostics")
    return rows[np.argsort(ranks, kind="stable")[:MOST]]
