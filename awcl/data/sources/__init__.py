"""Public and own data sets, read into one frame table. One file a source; its name is its name.

A source is a module here with `read(root: Path, taxonomy: Taxonomy) -> SourceRows`. It says in its
docstring where the data come from, under which licence, and what it does about their quirks.
Adding a file is all that adding a source takes.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from awcl.data.sources._reading import nearest
from awcl.data.table import FrameTable
from awcl.errors import InputError
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


def read(name: str, root: str | Path, taxonomy: Taxonomy) -> SourceRows:
    """The rows of one source; raises InputError where it is unknown or its files are not right."""
    known = names()
    if name not in known:
        raise InputError(
            f"unknown source {name!r}{nearest(name, known)} (known: {', '.join(known)}; "
            "own data: table=MAPPING.toml)"
        )
    return importlib.import_module(f"{__name__}.{name}").read(Path(root), taxonomy)


def frames(
    roots: Mapping[str, str | Path] | Iterable[tuple[str, str | Path]], taxonomy: Taxonomy
) -> tuple[FrameTable, list[str]]:
    """One table of all sources, and their notes, each with the name of its source before it.

    roots: source name -> folder, or pairs of them where a source (`table`) is given more than once.

    Raises InputError as `read` and FrameTable.build do.
    """
    roots = list(roots.items() if isinstance(roots, Mapping) else roots)
    if not roots:
        raise InputError(f"no source given; known: {', '.join(names())}")
    tables, notes = [], []
    for name, root in roots:
        found = read(name, root, taxonomy)
        # Checked one by one first, so that a message names the source that is wrong.
        tables.append(FrameTable.build(found.rows, taxonomy, f"{name}={root}").frames)
        notes += [f"{name}: {note}" for note in found.notes]
    where = " + ".join(name for name, _ in roots)
    return FrameTable.build(pd.concat(tables, ignore_index=True), taxonomy, where), notes
