"""Public and own data sets, read into one frame table. One file a source; its name is its name.

A source is a module here with `read(root: Path, taxonomy: Taxonomy) -> SourceRows`. It says in its
docstring where the data come from, under which licence, and what it does about their quirks.
Adding a file is all that adding a source takes. What a user may choose about it is a keyword of its
`read` with a default, such as `every` of video; `awcl frames` has a flag for it.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from awcl.data.table import FrameTable
from awcl.errors import InputError, nearest
from awcl.taxonomy import Taxonomy


@dataclass(frozen=True)
class SourceRows:
    """What a source found.

    rows: one row a frame, with the columns of awcl.data.table.COLUMNS that the source knows.
    notes: lines for the user on what was left out and what was checked.
    """

    rows: pd.DataFrame
    notes: list[str] = field(default_factory=list)


def names() -> list[str]:
    """The sources there are."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def read(name: str, root: str | Path, taxonomy: Taxonomy, **options: Any) -> SourceRows:
    """The rows of one source; raises InputError where it is unknown or its files are not right.

    options: of these it gets the ones that it has.
    """
    own = {option: value for option, value in options.items() if option in _options(name)}
    return _module(name).read(Path(root), taxonomy, **own)


def _module(name: str) -> ModuleType:
    known = names()
    if name not in known:
        raise InputError(
            f"unknown source {name!r}{nearest(name, known)} (known: {', '.join(known)}; "
            "own data: table=MAPPING.toml, video=DIR)"
        )
    return importlib.import_module(f"{__name__}.{name}")


def _options(name: str) -> list[str]:
    parameters = inspect.signature(_module(name).read).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def frames(
    roots: Mapping[str, str | Path] | Iterable[tuple[str, str | Path]],
    taxonomy: Taxonomy,
    **options: Any,
) -> tuple[FrameTable, list[str]]:
    """One table of all sources, and their notes, each with the name of its source before it.

    roots: source name -> folder, or pairs of them where a source (`table`) is given more than once.
    options: each goes to the sources that have it.

    Raises InputError as `read` and FrameTable.build do, for an option that no source given has, and
    where two of them name a frame alike.
    """
    roots = list(roots.items() if isinstance(roots, Mapping) else roots)
    if not roots:
        raise InputError(f"no source given; known: {', '.join(names())}")
    _refuse_unused(options, [name for name, _ in roots])
    tables, notes = [], []
    for name, root in roots:
        found = read(name, root, taxonomy, **options)
        # Checked one by one first, so that a message names the source that is wrong.
        tables.append(FrameTable.build(found.rows, taxonomy, f"{name}={root}").frames)
        notes += [f"{name}: {note}" for note in found.notes]
    notes += _shared([f"{name}={root}" for name, root in roots], tables)
    where = " + ".join(name for name, _ in roots)
    return FrameTable.build(pd.concat(tables, ignore_index=True), taxonomy, where), notes


def _refuse_unused(options: Iterable[str], given: list[str]) -> None:
    """Raises InputError for an option that is of none of the sources given."""
    for option in options:
        if not any(option in _options(name) for name in given):
            having = [name for name in names() if option in _options(name)]
            of = f"it is an option of {', '.join(having)}" if having else "no source has it"
            raise InputError(f"--{option}: {of}, and the sources are {', '.join(given)}")


def _shared(given: list[str], tables: list[pd.DataFrame]) -> list[str]:
    """A note on patients that are in several of the sources given.

    Raises InputError where frames are.
    """
    notes: list[str] = []
    for (one, first), (other, second) in combinations(zip(given, tables, strict=True), 2):
        frames = second["frame_id"][second["frame_id"].isin(first["frame_id"])]
        if len(frames):
            raise InputError(
                f"{other}: {len(frames)} frames have the names of frames of {one}, for example "
                f"{frames.iloc[0]!r}; give one of the two another `source`, or leave it out"
            )
        patients = set(first["patient"]) & set(second["patient"])
        if patients:
            notes.append(
                f"{len(patients)} patients are in {one} and in {other}, for example "
                f"{min(patients)!r}; where they are not the same people, give each a `source`"
            )
    return notes
