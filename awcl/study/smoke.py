"""A study made small enough to be tried in minutes: does all of it work on these frames? No ray.

NAME-smoke is a study of its own, so that what it finds is never taken for the study's results.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from awcl import hashing
from awcl.config import flat, parse, with_values
from awcl.data.table import DOMAINS, FrameTable
from awcl.downstream.tasks import settings
from awcl.study.sampling import Range
from awcl.study.space import Study

POINTS = 4
FRAMES = {"train": 200, "val": 100, "test": 100}
STEPS = 40  # of a decoder
LIMITS = {
    "pretrain.epochs": 2,
    "pretrain.warmup": 1,
    "pretrain.batch": 16,  # of as many frames as `pretrain_where` leaves of 200
    "method.queue": 16,
    "phantom.scans": 60,
    "phantom.seconds": 2,
    "early_stopping.grace": 1,
}
"""The most that a field may be; what is less stays."""


def name_of(study: Study) -> str:
    """What its smoke study is called."""
    return f"{study.name}-smoke"


def smaller(study: Study, before: Study | None = None) -> Study:
    """One seed, at most four points, two epochs, quick tasks; all else is the study's own.

    Four arms or values, spread from the first to the last, where only one thing varies; else two of
    the first two things that do. Points that are drawn: the first four. before: the smoke study
    that was made when the study had fewer arms or values: what it has stays, so that it may grow,
    and points may become more.
    """
    data = study.model_dump(mode="json")
    data |= {"name": name_of(study), "seeds": study.seeds[:1], "confirm": 0, "baseline": {}}
    data |= {"proposed": [], "confirmed": []}
    limits = _limits(study)
    base = _limited(flat(study.base), limits)
    data["base"] = with_values(study.base, base, "--smoke").model_dump()
    data["tasks"] = [_quick(task) for task in data["tasks"]]
    data["arms"] = {name: _limited(values, limits) for name, values in data["arms"].items()}
    data["axes"] = {name: _limit_axis(axis, limits.get(name)) for name, axis in study.axes.items()}
    for part in ("phantom", "early_stopping"):
        if data[part]:
            data[part] = _limited(data[part], limits, f"{part}.")
    if study.sampler == "grid":
        _thin_out(data, before)
    else:
        kept = _spread(list(data["arms"]), POINTS, list(before.arms) if before else [])
        data["arms"] = {name: data["arms"][name] for name in kept}
        few = max(1, min(study.samples, POINTS // max(1, len(data["arms"]))))
        data["samples"] = max(few, before.samples) if before else few
    return parse(Study, data, "--smoke")


def _limits(study: Study) -> dict[str, int]:
    """LIMITS, with a batch that all numbers of workers in the study share evenly."""
    values = [flat(study.base), *study.arms.values()]
    workers = [of["pretrain.workers"] for of in values if "pretrain.workers" in of]
    axis = study.axes.get("pretrain.workers", [])
    shared = math.lcm(*workers, *(axis if isinstance(axis, list) else []))
    batch = max(1, LIMITS["pretrain.batch"] // shared) * shared
    return {**LIMITS, "pretrain.batch": batch}


def _thin_out(data: dict[str, Any], before: Study | None) -> None:
    """Leaves at most POINTS combinations of arms and axes."""
    many = [axis for axis in (data["arms"], *data["axes"].values()) if len(axis) > 1]
    each, left = POINTS if len(many) == 1 else 2, POINTS
    for name in ("arms", *data["axes"]):
        values = data["arms"] if name == "arms" else data["axes"][name]
        there = (before.arms if name == "arms" else before.axes.get(name, [])) if before else []
        kept = _spread(list(values), min(each, left), list(there))
        left //= max(1, len(kept))
        if name == "arms":
            data["arms"] = {arm: values[arm] for arm in kept}
        else:
            data["axes"][name] = kept


def _quick(task: dict[str, Any]) -> dict[str, Any]:
    steps = {"steps": STEPS} if "steps" in type(settings(task)).model_fields else {}
    return {**task, "quick": True, **steps}


def _limited(values: dict[str, Any], limits: dict[str, int], part: str = "") -> dict[str, Any]:
    """The values with the limits kept. part: what their names lack in front."""
    return {
        name: min(value, limits[part + name]) if part + name in limits else value
        for name, value in values.items()
    }


def _limit_axis(axis: list[Any] | Range, most: int | None) -> list[Any] | dict[str, Any]:
    if most is None:
        return axis.model_dump() if isinstance(axis, Range) else axis
    if isinstance(axis, Range):
        return [min(axis.low, most)]
    return list(dict.fromkeys(min(value, most) for value in axis))


def _spread(values: list[Any], count: int, there: list[Any]) -> list[Any]:
    """So many of them: those that are there already, and of the rest from the first to the last."""
    if len(values) <= count:
        return values
    kept = [value for value in values if value in there]
    rest = [value for value in values if value not in kept]
    places = np.linspace(0, len(rest) - 1, max(0 if kept else 1, count - len(kept)))
    chosen = [rest[round(at)] for at in places]
    return [value for value in values if value in kept or value in chosen]


def fewer(table: FrameTable) -> FrameTable:
    """At most FRAMES of each split, the same ones every time: as many as can be of each kind.

    A kind is an anatomy (or none) in one domain. Frames of val and test whose kind no frame of
    train is of are left out, so that no class is asked for that cannot be learnt.
    """
    frames = table.frames
    kinds = frames[["anatomy", *DOMAINS]].astype(object).fillna("").agg("\x1f".join, axis=1)
    chosen: dict[str, list[int]] = {}
    for split, most in FRAMES.items():
        here = kinds[frames["split"] == split]
        if split != "train":
            here = here[here.isin(kinds[chosen["train"]])]
        chosen[split] = _even(frames["frame_id"][here.index], here)[:most]
    rows = sorted(row for of in chosen.values() for row in of)
    return FrameTable(frames.loc[rows].reset_index(drop=True))


def _even(names: pd.Series, kinds: pd.Series) -> list[int]:
    """Labels of the rows: by hash one of each kind, then a second of each, and so on."""
    ranks = pd.Series(hashing.uint64s(names, "smoke"), index=names.index)
    turn = ranks.groupby(kinds).rank(method="first")
    return pd.DataFrame({"turn": turn, "rank": ranks}).sort_values(["turn", "rank"]).index.tolist()
