"""What the study's frames are, and what of leaks can be told from their stored table.

The stored table has each frame's names and the sha256 of its stored pixels, and no images. So
patients, examinations, connected groups of the audit and identical pictures are looked for again
here; near-identical pictures need images (`awcl audit`).
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from awcl.data.table import DOMAINS, SPLITS, rows_where
from awcl.report.conditions import where
from awcl.report.tables import Cell, Table
from awcl.taxonomy import LEVELS, Taxonomy


@dataclass(frozen=True)
class Leak:
    """One kind of leak and how many there are."""

    what: str
    count: int


def leaks(frames: pd.DataFrame) -> list[Leak]:
    """Patients, examinations, groups and identical pictures that are in more than one split."""
    kinds = {
        "patients": "patient",
        "examinations": "scan",
        "connected groups of the audit": "audit_group",
        "identical pictures": "sha256",
    }
    return [
        Leak(what, int((frames.groupby(column)["split"].nunique() > 1).sum()))
        for what, column in kinds.items()
        if column in frames and frames[column].notna().any()
    ]


def sentences(frames: pd.DataFrame | None) -> Iterator[str]:
    """What is known of leaks."""
    if frames is None:
        yield "The table of frames is not stored, so nothing can be told of the data."
        return
    found = leaks(frames)
    clean = [leak.what for leak in found if not leak.count]
    for leak in found:
        if leak.count:
            yield f"LEAK: {leak.count} {leak.what} are in more than one split."
    if clean:
        yield f"In more than one split: no {', no '.join(clean)}."
    if "audit_group" in frames and frames["audit_group"].notna().all():
        yield "The frames were audited before the study: connected groups are named in their table."
    else:
        yield (
            "The frames carry no mark of an audit; `awcl audit FRAMES.parquet` also compares "
            "near-identical pictures, which cannot be done from what a study stores."
        )


def pretrained(
    frames: pd.DataFrame, wheres: Iterable[Mapping[str, str | list[str]]]
) -> Iterator[str]:
    """Of how many frames pre-training drew, for each filter (`data.pretrain_where`) that had it
    leave some out."""
    train = int((frames["split"] == "train").sum())
    for given in wheres:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the study warned of it
            seen = frames.iloc[rows_where(frames, {**given, "split": "train"})]
        if len(seen) < train:
            yield (
                f"Pre-training drew from {len(seen):,} of the {train:,} train frames, of "
                f"{seen['patient'].nunique()} patients: {where(given)}."
            )


def usable_labels(frames: pd.DataFrame, taxonomy: str) -> dict[str, pd.Series]:
    """Level -> whether each frame's label names an anatomy there: background is none anywhere, and
    'brain' is none at fine. Raises InputError where the taxonomy is not at hand, or another."""
    names = Taxonomy.load(taxonomy)
    return {
        level: frames["anatomy"].map(lambda name, at=level: names.at(name, at)).notna()
        for level in reversed(LEVELS)
    }


def counts(frames: pd.DataFrame, usable: Mapping[str, pd.Series]) -> Table:
    """Frames, usable labels (`usable_labels`, or none) and patients: by split, over all and for
    each value of each domain."""
    what = ["frames", *[f"labels_{level}" for level in usable], "patients"]
    shown = [name.replace("_", " at ") for name in what]
    head = ["frames of", *[f"{split}: {name}" for split in SPLITS for name in shown]]
    rows, plain = [], [["domain", "value", "split", *what]]
    for domain, value, part in _parts(frames):
        cells = [Cell("all" if domain == "all" else f"{domain} {value}")]
        for split in SPLITS:
            here = part[part["split"] == split]
            labels = [int(of[here.index].sum()) for of in usable.values()]
            numbers = [len(here), *labels, here["patient"].nunique()]
            cells += [Cell(f"{number:,}", number=number) for number in numbers]
            plain.append([domain, value, split, *numbers])
        rows.append(cells)
    return Table("data", "Frames by split and domain", head, rows, plain, NOTE if usable else "")


NOTE = (
    "Labels are those that methods can use: background and other names of no anatomy are none, and "
    "a name that has finer ones below it is one at coarse only."
)


def _parts(frames: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "", frames
    for domain in DOMAINS:
        if domain in frames:
            for value in sorted(frames[domain].dropna().unique()):
                yield domain, str(value), frames[frames[domain] == value]
