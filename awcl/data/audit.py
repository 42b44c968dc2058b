"""What leaks from one split into another, and moving it out of the way.

A leak is a patient, an examination, or the same picture in two splits. Pictures are the same when
their decoded grey pixels are identical, or nearly so: perceptual hashes (64 bits) at most 4 bits
apart AND a correlation of at least 0.98 at 64 x 64. The second condition is needed because
ultrasound frames of one probe share a fan, and hashes mostly see the fan: what only looks alike is
listed as suspect and is no leak.

Frames of one patient, of one examination, or of one picture are connected; `audit_group` names
each connected group by its smallest patient id. It is the unit that fixing moves, and that
intervals of results resample. A group in two splits and a leak are the same thing, because every
connection inside such a group is of one of the four kinds.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from awcl.data import decoding
from awcl.data.processes import pool
from awcl.data.table import SPLITS, FrameTable
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

HASH_BITS = 4
CORRELATION = 0.98
SIDE = 64
MOST_MOVED = 0.2  # of a split's frames, without --force
BLOCK = 2**22  # hash distances held at a time: 32 MiB of uint64
PAIRS = 1024  # pairs correlated at a time: 32 MiB of float32
SHOWN, WIDTH = 10, 100


@dataclass(frozen=True)
class Prints:
    """What is kept of each frame's picture; rows as in the table.

    sha: of shape and grey pixels, "" = not compared. phash: (N,) uint64. thumbs: (N, 64, 64) uint8.
    unreadable: row -> reason. flat: rows of one grey value, which show nothing to compare.
    """

    sha: np.ndarray
    phash: np.ndarray
    thumbs: np.ndarray
    unreadable: dict[int, str]
    flat: list[int]


@dataclass(frozen=True)
class Audit:
    """What the audit of a table found; pairs are (P, 2) rows of the table, of two patients each."""

    table: FrameTable
    taxonomy: Taxonomy
    patients: list[str]  # in two splits
    scans: list[str]  # in two splits
    identical: np.ndarray
    near: np.ndarray
    suspects: np.ndarray  # across splits only
    group: np.ndarray  # (N,) audit_group
    unreadable: dict[str, str]  # frame_id -> reason
    flat: list[str]  # frame_id

    @cached_property
    def crossing(self) -> np.ndarray:
        """(N,) bool: frames of groups that are in more than one split."""
        splits = self.table.frames["split"].groupby(self.group).transform("nunique")
        return splits.to_numpy() > 1

    @property
    def leaks(self) -> bool:
        """Whether anything is on both sides of a split."""
        return bool(self.crossing.any())

    @property
    def moved(self) -> np.ndarray:
        """(N,) bool: frames that fixing moves to train."""
        return self.crossing & (self.table.frames["split"] != "train").to_numpy()

    def fix(self, force: bool = False) -> FrameTable:
        """The table with whole crossing groups moved to train, and audit_group filled in.

        Raises InputError, unless `force`, where that moves more than 20 % of a split's frames or
        takes the last test patient of an anatomy (coarse).
        """
        split = self.table.frames["split"].mask(self.moved, "train")
        objections = [*self._emptied(), *self._lost_classes(split)]
        if objections and not force:
            raise InputError(
                f"the fix {'; and it '.join(objections)}; --force does it all the same"
            )
        fixed = self.table.frames.assign(split=split, audit_group=self.group)
        return FrameTable.build(fixed, self.taxonomy, "the fixed table")

    def _emptied(self) -> Iterator[str]:
        for name, (count, share) in self._moved_of().items():
            if share > MOST_MOVED:
                yield (
                    f"would move {count} of the {name} frames ({share:.0%}) to train, "
                    f"more than {MOST_MOVED:.0%}"
                )

    def _lost_classes(self, split: pd.Series) -> Iterator[str]:
        frames = self.table.frames
        kinds = frames["anatomy"].map(self._class_of, na_action="ignore")
        before = set(kinds[frames["split"] == "test"].dropna())
        lost = sorted(before - set(kinds[split == "test"].dropna()))
        if lost:
            yield f"would leave no test patient of {', '.join(lost)}"

    def _class_of(self, name: str) -> str:
        """The coarse kind; 'other' is a class of its own here, for tasks that judge it."""
        return self.taxonomy.at(name, "coarse") or name

    def _moved_of(self) -> dict[str, tuple[int, float]]:
        """val and test: frames moved, and their share of the split."""
        split = self.table.frames["split"]
        counts = {name: int((self.moved & (split == name)).sum()) for name in SPLITS[1:]}
        return {name: (n, n / max(1, (split == name).sum())) for name, n in counts.items()}

    def lines(self) -> list[str]:
        """The report, in lines of at most 100 columns; frames by frame_id, never by path."""
        frames = self.table.frames
        report = [f"{len(frames)} frames, {frames['patient'].nunique()} patients"]
        report += _listing("patients in two splits", self.patients)
        report += _listing("scans in two splits", self.scans)
        for what, pairs in (("identical", self.identical), ("near-identical", self.near)):
            across = self._across(pairs)
            report += self._pair_listing(f"{what} frames in two splits", pairs[across])
            title = f"{what} frames of two patients in one split (no leak)"
            report += self._pair_listing(title, pairs[~across])
        title = "suspects in two splits (alike by hash only, no leak)"
        report += self._pair_listing(title, self.suspects)
        unreadable = [f"{name}: {reason}" for name, reason in self.unreadable.items()]
        report += _listing("unreadable frames, compared by patient and scan only", unreadable)
        report += _listing("frames of one grey value, not compared", self.flat)
        return [_fitted(line) for line in [*report, *self._sizes()]]

    def _across(self, pairs: np.ndarray) -> np.ndarray:
        split = self.table.frames["split"].to_numpy(object)
        return split[pairs[:, 0]] != split[pairs[:, 1]]

    def _pair_listing(self, title: str, pairs: np.ndarray) -> list[str]:
        named = self.table.frames["frame_id"] + " (" + self.table.frames["split"] + ")"
        lines = [f"{len(pairs)} pairs of {title}"]
        for first, second in pairs[:SHOWN]:
            line = f"  {named[first]}  {named[second]}"
            lines += [line] if len(line) <= WIDTH else [f"  {named[first]}", f"    {named[second]}"]
        return [*lines, *_rest(len(pairs))]

    def _sizes(self) -> list[str]:
        """Frames and patients per split: 'official' as the table is, 'own' as fixed."""
        before = self.table.frames
        after = before.assign(split=before["split"].mask(self.moved, "train"))
        lines = ["", " " * 20 + "".join(f"{name:>9}" for name in SPLITS)]
        for title, frames in (("official", before), ("own", after)):
            parts = [frames[frames["split"] == name] for name in SPLITS]
            for what, sizes in (
                ("frames", [len(part) for part in parts]),
                ("patients", [part["patient"].nunique() for part in parts]),
            ):
                lines.append(f"{what + ', ' + title:<20}" + "".join(f"{n:>9}" for n in sizes))
        moved = [
            f"{n} {name} frames ({share:.1%})" for name, (n, share) in self._moved_of().items()
        ]
        return [*lines, f"own: whole connected groups moved to train: {', '.join(moved)}"]


def _listing(title: str, names: list[str]) -> list[str]:
    return [f"{len(names)} {title}", *(f"  {name}" for name in names[:SHOWN]), *_rest(len(names))]


def _fitted(line: str) -> str:
    """A line too long loses its middle: names differ at their ends, and the split comes last."""
    half = WIDTH // 2 - 2
    return line if len(line) <= WIDTH else f"{line[:half]} .. {line[-half:]}"


def _rest(count: int) -> list[str]:
    return [f"  ... and {count - SHOWN} more"] if count > SHOWN else []


def audit(table: FrameTable, workers: int = 1, taxonomy: Taxonomy | None = None) -> Audit:
    """Reads every frame once, in `workers` processes, and compares all pairs of two patients.

    taxonomy: the one that the table was checked against; default the built-in one.
    Memory: 4 KiB a frame. Time: N^2 / 2 hash distances, some seconds for 50,000 frames.
    """
    frames = table.frames
    prints = _prints(frames, workers)
    patient = frames["patient"].factorize()[0]
    split = frames["split"].factorize()[0]
    identical = _identical(prints.sha, patient, split)
    near, suspects = _near(prints, patient, split)
    by_name = [frames["patient"], frames["scan"]]
    group = _groups(frames["patient"], [*map(_same, by_name), _same(prints.sha), near])
    names = frames["frame_id"]
    return Audit(
        table=table,
        taxonomy=taxonomy or Taxonomy.load(),
        patients=_in_two_splits(frames, "patient"),
        scans=_in_two_splits(frames, "scan"),
        identical=identical,
        near=near,
        suspects=suspects,
        group=group,
        unreadable={names[row]: reason for row, reason in sorted(prints.unreadable.items())},
        flat=[names[row] for row in sorted(prints.flat)],
    )


def _in_two_splits(frames: pd.DataFrame, column: str) -> list[str]:
    splits = frames.groupby(column)["split"].nunique()
    return sorted(splits.index[splits > 1])


def _prints(frames: pd.DataFrame, workers: int) -> Prints:
    prints = Prints(
        sha=np.full(len(frames), "", dtype=object),
        phash=np.zeros(len(frames), np.uint64),
        thumbs=np.zeros((len(frames), SIDE, SIDE), np.uint8),
        unreadable={},
        flat=[],
    )
    files = decoding.files(frames)
    with tqdm(total=len(frames), desc="audit", unit="frame", disable=None, delay=2) as bar:
        for file, of_file in zip(files, _map(files, workers), strict=True):
            for row, found in zip(file.rows, of_file, strict=True):
                if isinstance(found, str):
                    prints.unreadable[row] = found
                elif found is None:
                    prints.flat.append(row)
                else:
                    prints.sha[row], prints.phash[row], prints.thumbs[row] = found
            bar.update(len(file.rows))
    return prints


def _map(files: list[decoding.File], workers: int) -> Iterator:
    """`_prints_of` over the files, in order."""
    if workers <= 1:
        yield from map(_prints_of, files)
        return
    chunk = max(1, min(32, len(files) // (4 * workers)))  # a few videos are for all processes
    with pool(workers) as processes:
        yield from processes.map(_prints_of, files, chunksize=chunk)


def _prints_of(file: decoding.File) -> list[tuple[str, int, np.ndarray] | str | None]:
    return [_print_of(grey) for grey in decoding.greys(file.path, file.numbers)]


def _print_of(grey: np.ndarray | str) -> tuple[str, int, np.ndarray] | str | None:
    """(sha, phash, thumbnail) of a frame; why it is unreadable; None where it is of one grey."""
    if isinstance(grey, str):
        return grey
    if grey.min() == grey.max():
        return None
    height, width = grey.shape
    sha = hashlib.sha256(f"{height}x{width}:".encode() + grey.tobytes()).hexdigest()
    bits = imagehash.phash(Image.fromarray(grey)).hash
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return sha, phash, cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _identical(sha: np.ndarray, patient: np.ndarray, split: np.ndarray) -> np.ndarray:
    """(P, 2) rows of two patients with the same pixels; of a patient's in a split, its first."""
    pairs = [_no_pairs()]
    known = pd.DataFrame({"sha": sha, "patient": patient, "split": split})[sha != ""]
    for _, rows in known.drop_duplicates().groupby("sha"):
        same = rows.index.to_numpy()
        first, second = np.triu_indices(len(same), k=1)
        pairs.append(np.stack([same[first], same[second]], axis=1))
    found = np.concatenate(pairs)
    found = found[np.lexsort(found.T[::-1])]
    return found[patient[found[:, 0]] != patient[found[:, 1]]]


def _near(prints: Prints, patient: np.ndarray, split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P, 2) of two patients that are near-identical, and across splits those suspected."""
    near, suspects = [_no_pairs()], [_no_pairs()]
    for pairs in _alike(prints, patient):
        confirmed = _correlation(prints.thumbs, pairs) >= CORRELATION
        across = split[pairs[:, 0]] != split[pairs[:, 1]]
        near.append(pairs[confirmed])
        suspects.append(pairs[~confirmed & across])
    return np.concatenate(near), np.concatenate(suspects)


def _alike(prints: Prints, patient: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of pairs (P, 2) of two patients, not identical, whose hashes are within 4 bits."""
    rows = np.flatnonzero(prints.sha != "")
    phash, patient = prints.phash[rows], patient[rows]
    sha = pd.Series(prints.sha[rows]).factorize()[0]
    height = max(1, BLOCK // max(1, len(rows)))
    for start in range(0, len(rows), height):
        block = slice(start, start + height)
        # Columns from the block on only: each pair once, and half the work.
        distance = np.bitwise_count(phash[block, None] ^ phash[None, start:])
        first, second = np.nonzero(distance <= HASH_BITS)
        first, second = first + start, second + start
        keep = (first < second) & (patient[first] != patient[second]) & (sha[first] != sha[second])
        if keep.any():
            yield rows[np.stack([first[keep], second[keep]], axis=1)]


def _correlation(thumbs: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Pearson's r of the thumbnails (N, 64, 64) of each pair (P, 2): (P,) float32."""
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(pairs), PAIRS):
        first, second = (_standard(thumbs[rows]) for rows in pairs[start : start + PAIRS].T)
        parts.append((first * second).sum(axis=1))
    return np.concatenate(parts)


def _standard(thumbs: np.ndarray) -> np.ndarray:
    """(P, 64, 64) to (P, 4096) float32 of mean 0 and norm 1; all 0 where there is no contrast."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(norm, 1e-6)


def _same(names: Iterable[str | None]) -> np.ndarray:
    """Connections (P, 2) of each row with the first of its name; "" and null connect none."""
    names = pd.Series(list(names), dtype=object)
    rows = names.index[names.notna() & (names != "")].to_numpy()
    first = pd.Series(rows).groupby(names[rows].to_numpy()).transform("first").to_numpy()
    return np.stack([first, rows], axis=1).astype(np.int64)


def _groups(patient: pd.Series, connections: list[np.ndarray]) -> np.ndarray:
    """(N,) the smallest patient id of each row's connected group."""
    first, second = np.concatenate(connections).T
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(patient),) * 2)
    component = connected_components(graph, directed=False)[1]
    return patient.groupby(component).transform("min").to_numpy(object)


def _no_pairs() -> np.ndarray:
    return np.zeros((0, 2), np.int64)
