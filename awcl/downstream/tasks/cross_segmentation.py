"""Segmentation across domains: what a decoder is worth away from home.

in_domain: trained and tested at home. transfer: trained and tested away. shift: trained at home,
tested away. drop: in_domain minus shift, over the same classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from awcl.config import Where
from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS, matches, rows_where
from awcl.downstream import mask_figure, overlap, scores
from awcl.downstream.domains import Crossing, Crossings, crossings
from awcl.downstream.evaluation import away_seen
from awcl.downstream.masks import MaskedFrames
from awcl.downstream.segmenting import FULL, QUICK, Trainer
from awcl.downstream.tasks import Suite, TaskSettings
from awcl.downstream.tasks.segmentation import about_masks, head_planes
from awcl.encoder import Encoder
from awcl.errors import NoFramesError
from awcl.taxonomy import Taxonomy

SCORES = ("dice", "iou", "hd95_mm", "hd95_px", "hc_error_mm")
DROPS = ("dice", "iou")
# Its images are of no anatomy but the head, and the planes of the other sets have no masks.
HC18 = Crossing(
    name="hc18",
    home={"source": ["fetal_planes_db", "african_planes"]},
    away={"source": ["hc18"]},
)


class Settings(TaskSettings):
    runs_in: ClassVar[Suite] = "full"
    task: Literal["cross_segmentation"] = "cross_segmentation"
    where: Where = {}
    """Frames that take part; of them those that have a mask."""
    steps: int | None = Field(None, ge=1, exclude_if=lambda steps: steps is None)
    """Of training a decoder; None: 160 in quick form, 300 in the full suite."""
    crossings: Crossings = Field([], exclude_if=lambda own: not own)
    """Each {"name": ..., "home": {...}, "away": {...}}; none: those of awcl.downstream.domains."""


@dataclass(frozen=True)
class Route:
    """A decoder trained on frames `train` and judged on frames `test` (numbers of MaskedFrames)."""

    kind: str
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Plan:
    """What is done for a crossing, and over which classes (values of masks)."""

    name: str
    routes: list[Route]
    values: list[int]


class Task:
    """Every crossing that is asked for, or of awcl.downstream.domains, whose frames have masks.

    Over the classes that train and test hold on both sides; where they have none in common, or no
    mask is at home, there is transfer alone, over the classes away, and `about` says so. Raises
    NoFramesError where no crossing is left.

    Yields [finetuned/]<crossing>/<route>/<score>, and <crossing>/target_domain_seen as cross_planes
    does.
    """

    def __init__(self, settings: Settings, pack: FramePack, taxonomy: Taxonomy):
        self.settings, self.pack = settings, pack
        self.masks = MaskedFrames(pack, rows_where(pack.frames, settings.where))
        self.about: dict[str, Any] = about_masks(self.masks, pack, settings.pretrained)
        self.about |= {"judged": {}, "left_out": {}}
        self.plans = list(filter(None, map(self._plan, self._crossings())))
        if not self.plans:
            reasons = [f"{name}: {why}" for name, why in self.about["left_out"].items()]
            raise NoFramesError(
                "no two domains with masks to cross between; name them in the task's `crossings`"
                + "".join(f"; {reason}" for reason in reasons)
            )
        self.modes = ("frozen",) if settings.quick else ("frozen", "finetuned")
        self.recipe = (QUICK if settings.quick else FULL).of(settings.steps)
        self.is_head_plane = head_planes(self.masks.frames, taxonomy)
        self.predictions = pd.DataFrame()
        self.figures: dict[str, Figure] = {}

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        routes = [route for plan in self.plans for route in plan.routes]
        tested = np.unique(np.concatenate([route.test for route in routes]))
        frames = self.masks.frames.iloc[tested]
        tables = [frames[["frame_id", "patient", "audit_group", *DOMAINS]]]
        for mode in self.modes:
            trainer = Trainer(encoder, self.masks, self.recipe, tune=mode == "finetuned")
            for plan in self.plans:
                found = {route.kind: self._judged(trainer, route, plan) for route in plan.routes}
                name = f"{mode}/{plan.name}"
                tables += [of.add_prefix(f"{name}/{kind}/") for kind, of in found.items()]
                yield from self._scores(name.removeprefix("frozen/"), found)
        for plan in self.plans:
            [away] = [route.test for route in plan.routes if route.kind == "transfer"]
            tested = self.masks.frames.iloc[away]
            yield from away_seen(plan.name, self.settings.pretrained, self.pack, tested)
        self.predictions = pd.concat(tables, axis=1).reset_index(drop=True)

    def _crossings(self) -> list[Crossing]:
        own = self.settings.crossings
        frames = self.pack.frames if own else self.masks.frames
        return crossings(frames, own, [HC18] if (frames["source"] == "hc18").any() else [])

    def _plan(self, crossing: Crossing) -> Plan | None:
        """What a crossing allows; what it does not is noted in `about`."""
        home, away = self._side(crossing.home), self._side(crossing.away)
        left_out = self.about["left_out"]
        for split in ("train", "test"):
            if not len(away[split]):
                left_out[crossing.name] = f"away, split {split} holds no mask"
                return None
        values = self._held(away["train"]) & self._held(away["test"])
        common = values & self._held(home["train"]) & self._held(home["test"])
        if not values:
            left_out[crossing.name] = "away, train and test hold no class in common"
            return None
        routes = [Route("transfer", away["train"], away["test"])]
        if common:
            routes.insert(0, Route("in_domain", home["train"], home["test"]))
            routes.append(Route("shift", home["train"], away["test"]))
        else:
            why = "no class in common" if len(home["train"]) else "no mask at home"
            left_out[f"{crossing.name}/shift"] = f"{why}; transfer alone"
        judged = sorted(common or values)
        self.about["judged"][crossing.name] = [self.masks.classes[value - 1] for value in judged]
        return Plan(crossing.name, routes, judged)

    def _side(self, where: Where) -> dict[str, np.ndarray]:
        """Numbers of the frames of train and of test in a domain."""
        frames = self.masks.frames
        here = matches(frames, where)
        return {
            split: np.flatnonzero(here & (frames["split"] == split).to_numpy())
            for split in ("train", "test")
        }

    def _held(self, numbers: np.ndarray) -> set[int]:
        """The classes (values of masks) that frames hold."""
        return set(np.flatnonzero(self.masks.held[numbers].any(0))) - {0}

    def _judged(self, trainer: Trainer, route: Route, plan: Plan) -> pd.DataFrame:
        """A row a test frame of the route, indexed by its number; other classes are background."""
        segmenter, _ = trainer.segmenter(route.train)
        predicted = segmenter.predict(route.test)
        kept = np.arange(256, dtype=np.uint8)
        kept[1 : 1 + len(self.masks.classes)] = 0
        kept[plan.values] = 1 + np.arange(len(plan.values))
        table = overlap.score_frames(
            kept[self.masks.truths(route.test)],
            kept[predicted],
            [self.masks.classes[value - 1] for value in plan.values],
            self.masks.pixel_mm(route.test),
            self.is_head_plane[route.test],
        )
        if route is plan.routes[-1]:
            mode = "finetuned" if trainer.tune else "frozen"
            self.figures[f"{mode}_{plan.name}_{route.kind}"] = mask_figure.draw(
                self.masks, route.test, predicted, table["dice"].to_numpy()
            )
        return table[[name for name in SCORES if name in table]].set_index(route.test)

    def _scores(self, prefix: str, found: dict[str, pd.DataFrame]) -> Iterator[tuple[str, float]]:
        """Means of each kind and score, their intervals, and the drops; home and away together."""
        values = pd.concat([of.add_prefix(f"{kind}/") for kind, of in found.items()], axis=1)
        frames = self.masks.frames.iloc[values.index]
        units = scores.units_of(frames)
        away = units[values.index.isin(found["transfer"].index)]
        strata = np.isin(units, away)  # as many units of each side as it has
        resampled = overlap.resampled_means(values.to_numpy(float), units, strata)
        drawn = dict(zip(values, resampled.T, strict=True))
        means = values.mean().to_dict()
        for name in DROPS if "shift" in found else ():
            drawn[f"drop/{name}"] = drawn[f"in_domain/{name}"] - drawn[f"shift/{name}"]
            means[f"drop/{name}"] = means[f"in_domain/{name}"] - means[f"shift/{name}"]
        for name, value in means.items():
            low, high = scores.percentiles(drawn[name])
            yield from scores.interval(f"{prefix}/{name}", float(value), (low, high))
