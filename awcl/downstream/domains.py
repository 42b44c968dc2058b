"""Pairs of domains that an encoder is to be carried across: from home to away."""

from dataclasses import dataclass

import pandas as pd

from awcl.config import Where

HOME_MACHINES = ["A", "B"]


@dataclass(frozen=True)
class Crossing:
    """Frames at home and frames away, which differ in one thing.

    transfer: the task is trained and tested away. shift: it is trained at home and tested away.
    """

    name: str
    home: Where
    away: Where


def crossings(frames: pd.DataFrame) -> list[Crossing]:
    """Every crossing that we know of and these frames have both sides of.

    One more is one more entry here.
    """
    phantom = {"source": ["phantom"]}
    second, first = {"trimester": ["second"]}, {"trimester": ["first"]}
    known = [
        Crossing(
            "first_trimester",
            {**phantom, **second, "machine": HOME_MACHINES},
            {**phantom, **first, "machine": HOME_MACHINES},
        ),
        Crossing(
            "machine_C",
            {**phantom, **second, "machine": HOME_MACHINES},
            {**phantom, **second, "machine": ["C"]},
        ),
        Crossing("african", {"source": ["fetal_planes_db"]}, {"source": ["african_planes"]}),
        *_each_site_left_out(frames, "african_planes"),
    ]
    return [known for known in known if _rows(frames, known.home) and _rows(frames, known.away)]


def _each_site_left_out(frames: pd.DataFrame, source: str) -> list[Crossing]:
    sites = sorted(frames["site"][frames["source"] == source].dropna().unique())
    return [
        Crossing(
            f"site_{site}",
            {"source": [source], "site": [other for other in sites if other != site]},
            {"source": [source], "site": [site]},
        )
        for site in sites
        if len(sites) > 1
    ]


def _rows(frames: pd.DataFrame, where: Where) -> int:
    """How many frames there are; unlike `rows_where` it takes a value that nobody has."""
    keep = pd.Series(True, index=frames.index)
    for column, values in where.items():
        keep &= frames[column].isin(values)
    return int(keep.sum())
