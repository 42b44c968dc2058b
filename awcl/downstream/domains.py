"""Pairs of domains that an encoder is to be carried across: from home to away."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, Field

from awcl import hashing
from awcl.config import Config, Where
from awcl.data.table import matches, rows_where

HOME_MACHINES = ["A", "B"]
LEFT_OUT = ("source", "site", "machine", "trimester")
MOST = 6  # values of a column that are left out in turn; of more, a task is told which


class Crossing(Config):
    """Frames at home and frames away, which differ in one thing.

    transfer: the task is trained and tested away. shift: it is trained at home and tested away.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    home: Where
    away: Where


def _told_apart(own: list[Crossing]) -> list[Crossing]:
    names = [crossing.name for crossing in own]
    if len(set(names)) < len(names):
        raise ValueError("two crossings have one name")
    return own


Crossings = Annotated[list[Crossing], AfterValidator(_told_apart)]


def crossings(
    frames: pd.DataFrame, own: Sequence[Crossing] = (), further: Sequence[Crossing] = ()
) -> list[Crossing]:
    """Those that are asked for; else all that we know of and these frames have both sides of; on
    frames that have none of these, each source, site, machine and trimester left out in turn.

    own: asked for. further: what a task knows of beside the entries here, of which one more is one
    more. Raises InputError where one that is asked for names what no frame has.
    """
    for crossing in own:
        for side in (crossing.home, crossing.away):
            rows_where(frames, side)
    return list(own) or [*_known(frames), *further] or _left_out_in_turn(frames)


def _known(frames: pd.DataFrame) -> list[Crossing]:
    phantom = {"source": ["phantom"]}
    second, first = {"trimester": ["second"]}, {"trimester": ["first"]}
    home = {**phantom, **second, "machine": HOME_MACHINES}
    fetal_planes, african = {"source": ["fetal_planes_db"]}, {"source": ["african_planes"]}
    known = [
        Crossing(name="first_trimester", home=home, away={**home, **first}),
        Crossing(name="machine_C", home=home, away={**home, "machine": ["C"]}),
        Crossing(name="african", home=fetal_planes, away=african),
        *_each_left_out(frames, "site", african),
    ]
    return [c for c in known if matches(frames, c.home).any() and matches(frames, c.away).any()]


def _left_out_in_turn(frames: pd.DataFrame) -> list[Crossing]:
    few = [column for column in LEFT_OUT if frames[column].nunique() <= MOST]
    return [crossing for column in few for crossing in _each_left_out(frames, column, {})]


def _each_left_out(frames: pd.DataFrame, column: str, among: Where) -> list[Crossing]:
    values = sorted(frames[column][matches(frames, among)].dropna().unique())
    if len(values) < 2:
        return []
    return [
        Crossing(
            name=f"{column}_{name}",
            home={**among, column: [other for other in values if other != value]},
            away={**among, column: [value]},
        )
        for value, name in zip(values, _named(values), strict=True)
    ]


def _named(values: list[str]) -> list[str]:
    """Names that scores and files may have; of values that would share one, with a hash of each."""
    plain = [re.sub(r"[^A-Za-z0-9_-]+", "-", value) for value in values]
    times = Counter(plain)
    return [
        name if times[name] == 1 else f"{name}-{hashing.of_json(value)}".lstrip("-")
        for value, name in zip(values, plain, strict=True)
    ]
