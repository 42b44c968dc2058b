"""Plane classification across domains: what a probe on frozen features is worth away from home.

in_domain: trained and tested at home. transfer: trained and tested away. shift: trained at home,
tested away. drop: in_domain minus shift.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, matches, rows_where
from awcl.downstream import scores
from awcl.downstream.classification import Problem, finest_level, labelled
from awcl.downstream.domains import Crossing, Crossings, crossings
from awcl.downstream.evaluation import away_seen
from awcl.downstream.features import cached_features
from awcl.downstream.tasks import TaskSettings
from awcl.encoder import Encoder
from awcl.errors import NoFramesError
from awcl.taxonomy import Taxonomy

ROUTES = {"in_domain": ("home", "home"), "transfer": ("away", "away"), "shift": ("home", "away")}
"""Where the probe is trained, and where it is judged."""


class Settings(TaskSettings):
    task: Literal["cross_planes"] = "cross_planes"
    where: Where = {}
    """Frames that take part, beside what a crossing asks of home and away."""
    level: Literal["auto", "coarse", "fine"] = "auto"
    """auto: the finest level that is known for all frames with an anatomy."""
    crossings: Crossings = Field([], exclude_if=lambda own: not own)
    """Each {"name": ..., "home": {...}, "away": {...}}; none: those of awcl.downstream.domains."""


class Task:
    """Every crossing that is asked for, or of awcl.downstream.domains that the frames allow.

    Over the classes that home and away both hold, in train and in test, so that a drop compares
    like with like. A route whose frames are lacking is left out, and `about` says why; a crossing
    without shift is left out as a whole. Raises NoFramesError where no crossing is left.

    Yields <crossing>/<route>/<score>, and <crossing>/target_domain_seen, whether pre-training saw
    frames (unlabelled or not) of the domain away, where it is known what it saw.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        self.pack, self.taxonomy, self.settings = pack, taxonomy, settings
        self.rows = rows_where(pack.frames, settings.where)
        auto = settings.level == "auto"
        self.level = finest_level(pack, self.rows, taxonomy) if auto else settings.level
        self.about: dict[str, Any] = {"level": self.level, "crossings": {}, "left_out": {}}
        self.problems: dict[str, dict[str, Problem]] = {}
        for crossing in crossings(pack.frames.iloc[self.rows], settings.crossings):
            found = self._problems(crossing)
            if "shift" in found:
                self.problems[crossing.name] = found
        if not self.problems:
            reasons = [f"; {name}: {why}" for name, why in self.about["left_out"].items()]
            raise NoFramesError(
                "no two domains to cross between; name them in the task's `crossings`"
                + "".join(reasons)
            )
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        self.predictions = self._frames()
        for crossing, problems in self.problems.items():
            predicted = {route: self._predict(encoder, of) for route, of in problems.items()}
            for route, problem in problems.items():
                for name, classes in predicted[route].items():
                    self._store(f"{crossing}/{route}/{name}", problem, classes)
                    found = scores.with_intervals(
                        problem.truth, classes, problem.units, len(problem.classes), scores.MAIN
                    )
                    prefix = f"{crossing}/{route}/" + ("" if name == "ridge" else f"{name}/")
                    yield from ((prefix + score, value) for score, value in found)
            if "in_domain" in problems:
                yield from self._drops(crossing, predicted)
            away = problems["shift"].judged
            yield from away_seen(crossing, self.settings.pretrained, self.pack, away)

    def _problems(self, crossing: Crossing) -> dict[str, Problem]:
        """The routes that a crossing allows; what it does not is noted in `about`."""
        sides = {"home": self._side(crossing.home), "away": self._side(crossing.away)}
        there = {
            (side, split): set(self._names(rows, split))
            for side, rows in sides.items()
            for split in ("train", "test")
        }
        known = [names for names in there.values() if names]
        common = sorted(set.intersection(*known)) if known else []
        if len(common) < 2:
            self.about["left_out"][crossing.name] = f"{len(common)} classes in common, it needs two"
            return {}
        at_level = self.pack.frames["anatomy"].map(lambda n: self.taxonomy.at(n, self.level))
        kept = {side: rows[at_level.iloc[rows].isin(common)] for side, rows in sides.items()}
        found = {}
        for route, (trained, judged) in ROUTES.items():
            lacking = [k for k in ((trained, "train"), (judged, "test")) if not there[k]]
            if lacking:
                side, split = lacking[0]
                why = f"{side}, split {split} holds no frame with an anatomy"
                self.about["left_out"][f"{crossing.name}/{route}"] = why
                continue
            found[route] = Problem(
                self.pack, kept[trained], self.taxonomy, self.level, "test", kept[judged]
            )
        self.about["crossings"][crossing.name] = {
            "home": crossing.home,
            "away": crossing.away,
            "classes": common,
            "frames": {route: [len(p.rows), len(p.judged_rows)] for route, p in found.items()},
        }
        return found

    def _side(self, where: Where) -> np.ndarray:
        return np.intersect1d(self.rows, np.flatnonzero(matches(self.pack.frames, where)))

    def _names(self, rows: np.ndarray, split: str) -> np.ndarray:
        return labelled(self.pack, rows, self.taxonomy, self.level, split)[1]

    def _predict(self, encoder: Encoder, problem: Problem) -> dict[str, np.ndarray]:
        train = cached_features(encoder, self.pack, problem.rows)
        return problem.predict(train, cached_features(encoder, self.pack, problem.judged_rows))

    def _frames(self) -> pd.DataFrame:
        """A row a frame that is judged on any route, numbered by its row in the pack."""
        routes = [problem for of in self.problems.values() for problem in of.values()]
        rows = np.unique(np.concatenate([problem.judged_rows for problem in routes]))
        frames = self.pack.frames.iloc[rows]
        table = frames[["frame_id", "patient", "audit_group", *DOMAINS]].copy()
        table["truth"] = frames["anatomy"].map(lambda name: self.taxonomy.at(name, self.level))
        return table

    def _store(self, column: str, problem: Problem, classes: np.ndarray) -> None:
        """Nothing where a frame is not judged on this route."""
        named = pd.Series(problem.classes[classes], index=problem.judged_rows, dtype=object)
        self.predictions[column] = named.reindex(self.predictions.index)

    def _drops(
        self, crossing: str, predicted: dict[str, dict[str, np.ndarray]]
    ) -> Iterator[tuple[str, float]]:
        """Resampled on both sides at once: a patient who is on both is drawn for both."""
        home, away = self.problems[crossing]["in_domain"], self.problems[crossing]["shift"]
        n = len(home.classes)
        truth = np.concatenate([home.truth, n + away.truth])
        units = np.concatenate([home.units, away.units])
        strata = np.isin(units, away.units)  # as many units of each side as it has
        for name in predicted["shift"]:
            both = [predicted["in_domain"][name], n + predicted["shift"][name]]
            classes = np.concatenate(both)
            point = scores.confusions(truth, classes, 2 * n)
            resampled = scores.resample(truth, classes, units, 2 * n, strata)
            for score, of in scores.MAIN.items():

                def drop(counts, of=of):
                    return of(counts[..., :n, :n]) - of(counts[..., n:, n:])

                prefix = f"{crossing}/drop/" + ("" if name == "ridge" else f"{name}/")
                ends = scores.percentiles(drop(resampled))
                yield from scores.interval(prefix + score, float(drop(point)), ends)
