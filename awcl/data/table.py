"""The frame table: one row a frame, the only form in which the rest of the system knows data."""

import hashlib
import hmac
import os
import re
import secrets
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from awcl import hashing
from awcl.data.videos import SUFFIXES, is_video
from awcl.errors import InputError
from awcl.files import whole_file
from awcl.taxonomy import Taxonomy

SPLITS = ("train", "val", "test")
DOMAINS = ("source", "machine", "operator", "site", "trimester")
MASK_KINDS = ("filled", "ellipse_outline")

TEXT, INTEGER, REAL = pa.string(), pa.int64(), pa.float64()
COLUMNS = {
    "frame_id": TEXT,  # unique; the name of the frame from here on
    "path": TEXT,  # image or video file; absolute in memory, relative to the table on disk
    "index": INTEGER,  # frame number inside a video, else 0
    "source": TEXT,
    "patient": TEXT,  # unique over all sources
    "scan": TEXT,  # one examination of one patient
    "anatomy": TEXT,  # most specific known name; null = unknown
    "split": TEXT,
    "machine": TEXT,
    "operator": TEXT,
    "site": TEXT,
    "trimester": TEXT,
    "mask": TEXT,  # mask file, or null
    "mask_kind": TEXT,
    "mask_classes": TEXT,  # names joined by ';', in the order of the mask's values 1, 2, ...
    "pixel_mm": REAL,  # millimetres a pixel of the original image
    "audit_group": TEXT,  # connected group of the audit; null = not audited, then the patient
}
REQUIRED = ("frame_id", "path", "source", "patient", "split")
PATHS = ("path", "mask")
IDENTIFIERS = ("patient", "scan", "frame_id")
KEY_BYTES = 32


@dataclass(frozen=True)
class FrameTable:
    """A checked table of frames.

    frames: the columns of COLUMNS, in that order, rows numbered 0..n-1.
    """

    frames: pd.DataFrame

    @classmethod
    def build(
        cls, rows: pd.DataFrame, taxonomy: Taxonomy, where: str, *, check_splits: bool = True
    ) -> "FrameTable":
        """A table from rows that hold at least REQUIRED; `where` names them in messages.

        check_splits=False admits a patient in two splits, which only the audit may.
        Raises InputError with the row (by the index of `rows`), the column and the reason.
        """
        for column in REQUIRED:
            if column not in rows:
                raise InputError(f"{where}: column {column!r} is missing")
        unknown = sorted(set(rows.columns) - set(COLUMNS))
        if unknown:
            raise InputError(f"{where}: unknown column {unknown[0]!r}; known: {', '.join(COLUMNS)}")
        frames = _typed(rows, where)
        _check(frames, taxonomy, where)
        if check_splits:
            check_patients(frames, where)
        return cls(frames.reset_index(drop=True))

    @classmethod
    def read(
        cls, path: str | Path, taxonomy: Taxonomy, *, check_splits: bool = True
    ) -> "FrameTable":
        """Reads a Parquet file. Raises InputError where it is none or breaks the table's rules."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file; make one with `awcl frames`")
        try:
            rows = pq.read_table(path).to_pandas()
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: not a Parquet file; make one with `awcl frames`") from error
        for column in PATHS:
            if column in rows:
                no_text = [not (pd.isna(p) or isinstance(p, str)) for p in rows[column].tolist()]
                _refuse(pd.Series(no_text, dtype=bool), str(path), column, "not text")
                rows[column] = [_absolute(p, path.parent) for p in rows[column]]
        return cls.build(rows, taxonomy, str(path), check_splits=check_splits)

    def write(self, path: str | Path) -> None:
        """Writes Parquet, whole or not at all; paths under the table's folder become relative."""
        path = Path(path).absolute()
        frames = self.frames.copy()
        for column in PATHS:
            frames[column] = [_relative(p, path.parent) for p in frames[column]]
        schema = pa.schema(list(COLUMNS.items()))
        with whole_file(path) as part:
            pq.write_table(pa.Table.from_pandas(frames, schema=schema, preserve_index=False), part)

    def private(self, key_file: Path) -> "FrameTable":
        """Patient, scan and frame_id as HMAC-SHA256 (16 hex digits) with the key in `key_file`.

        The key is made (mode 0600) where there is none, so the same key gives the same names.
        """
        key = _private_key(key_file)
        frames = self.frames.copy()
        for column in (*IDENTIFIERS, "audit_group"):
            frames[column] = [_keyed_hash(key, column, value) for value in frames[column]]
        return FrameTable(frames)

    def without_paths(self) -> "FrameTable":
        """For a machine that has packs of it and no image: names of files, which may tell more than
        keyed hashes do, become those of the frames. The same packs belong to it."""
        suffixes = [Path(path).suffix for path in self.frames["path"]]
        named = self.frames["frame_id"] + suffixes
        return FrameTable(self.frames.assign(path=named, mask=None))

    def __len__(self) -> int:
        return len(self.frames)


def _typed(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """The columns of COLUMNS with their types; missing ones are null."""
    typed = {}
    for column, kind in COLUMNS.items():
        values = rows[column] if column in rows else pd.Series([None] * len(rows), rows.index)
        if kind == REAL:
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
            _refuse(values.notna() & np.isnan(numbers), where, column, "not a number")
            typed[column] = numbers
        elif kind == INTEGER:
            values = values.where(values.notna(), 0)
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
            bad = ~((numbers >= 0) & (numbers < 2**53)) | (numbers != np.floor(numbers))
            _refuse(pd.Series(bad, rows.index), where, column, "not a frame number (0, 1, 2, ...)")
            typed[column] = numbers.astype(np.int64)
        else:
            blank = values.isna() | (values.astype(str) == "")
            text = np.where(blank, None, values.astype(str).to_numpy(object))
            typed[column] = pd.Series(
                text, rows.index, dtype=object
            )  # str dtype would turn None into nan
    return pd.DataFrame(typed, rows.index)


def _check(frames: pd.DataFrame, taxonomy: Taxonomy, where: str) -> None:
    if frames.empty:
        raise InputError(f"{where}: no frames")
    for column in REQUIRED:
        _refuse(frames[column].isna(), where, column, "empty; every frame needs one")
    _refuse(frames["frame_id"].duplicated(), where, "frame_id", "given to an earlier frame too")
    _refuse(~frames["split"].isin(SPLITS), where, "split", f"choose one of {', '.join(SPLITS)}")
    _refuse(
        frames["mask"].notna() & ~frames["mask_kind"].isin(MASK_KINDS),
        where,
        "mask_kind",
        f"a frame with a mask needs one of {', '.join(MASK_KINDS)}",
    )
    _refuse(
        frames["mask"].notna() & frames["mask_classes"].isna(),
        where,
        "mask_classes",
        "a frame with a mask needs the names of its values",
    )
    spacing = frames["pixel_mm"]
    _refuse((spacing <= 0) | np.isinf(spacing), where, "pixel_mm", "must be above 0, and finite")
    no_video = [
        number > 0 and not is_video(path)
        for number, path in zip(frames["index"], frames["path"], strict=True)
    ]
    _refuse(
        pd.Series(no_video, frames.index),
        where,
        "index",
        f"only a video ({', '.join(SUFFIXES)}) has frames above 0",
    )
    for name in frames["anatomy"].dropna().unique():
        try:
            taxonomy.check(name)
        except InputError as error:
            _refuse(frames["anatomy"] == name, where, "anatomy", str(error))


def check_patients(frames: pd.DataFrame, where: str) -> None:
    """Raises InputError where a patient is in two splits."""
    splits = frames.groupby("patient")["split"].nunique()
    crossing = frames["patient"].isin(splits[splits > 1].index)
    if crossing.any():
        patient = frames["patient"][crossing].iloc[0]
        found = " and ".join(sorted(frames["split"][frames["patient"] == patient].unique()))
        reason = f"this patient is in {found}; give one split (`awcl audit --fix` does, on a table)"
        _refuse(crossing, where, "patient", reason)


def _refuse(bad: pd.Series, where: str, column: str, reason: str) -> None:
    rows = bad.index[bad.astype(bool)]
    if len(rows):
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise InputError(f"{where}: row {rows[0]}{more}, column {column!r}: {reason}")


def rows_where(frames: pd.DataFrame, where: Mapping[str, str | list[str]]) -> np.ndarray:
    """Row numbers whose columns have one of the values asked for; a leading '!' means 'not'.

    Example: {"trimester": "second", "machine": ["A", "B"], "source": "!hc18"}.
    Raises InputError for a column or a value that the frames do not have; warns of a value to
    exclude that they do not have.
    """
    for column, given in where.items():
        if column not in frames:
            raise InputError(f"where: unknown column {column!r}; known: {', '.join(frames)}")
        allowed, refused = _allowed_and_refused(given)
        there = frames[column].dropna().unique()
        found = ", ".join(sorted(map(str, there))[:10]) or "nothing"
        for value in allowed:
            if value not in there:
                raise InputError(f"where: no frame has {column} {value!r}; there is {found}")
        for value in refused:
            if value not in there:  # right for frames without that source, or a mistyped name
                warnings.warn(
                    f"where: no frame has {column} {value!r}; there is {found}", stacklevel=2
                )
    return np.flatnonzero(matches(frames, where))


def matches(frames: pd.DataFrame, where: Mapping[str, str | list[str]]) -> np.ndarray:
    """(N,) bool: the rows of `rows_where`; of values that no frame has there may be any."""
    keep = np.ones(len(frames), bool)
    for column, given in where.items():
        allowed, refused = _allowed_and_refused(given)
        keep &= ~frames[column].isin(refused).to_numpy()  # a null is none of them, so it stays
        if allowed:
            keep &= frames[column].isin(allowed).to_numpy()
    return keep


def _allowed_and_refused(given: str | list[str]) -> tuple[list[str], list[str]]:
    wanted = [given] if isinstance(given, str) else list(given)
    refused = [value[1:] for value in wanted if value.startswith("!")]
    return [value for value in wanted if not value.startswith("!")], refused


def split_by_patient(patient: str, official: str | None = None) -> str:
    """The split of a patient: by hash, so it does not change when the data grow.

    official: 'train' or 'test' where the data set has a split; 20 % of its train patients become
    val. Without one, patients go 60/20/20 to train, val and test.
    """
    if official is not None:
        return "val" if official == "train" and hashing.unit("val", patient) < 0.2 else official
    place = hashing.unit("split", patient)
    return "test" if place < 0.2 else "val" if place < 0.4 else "train"


def _absolute(path: str | None, folder: Path) -> str | None:
    return None if pd.isna(path) else os.path.abspath(folder / path)


def _relative(path: str | None, folder: Path) -> str | None:
    if pd.isna(path) or not Path(path).is_relative_to(folder):
        return path
    return str(Path(path).relative_to(folder))


def _private_key(key_file: Path) -> bytes:
    if not key_file.exists():
        with whole_file(key_file) as part:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
            with os.fdopen(os.open(part, flags, 0o600), "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
    text = key_file.read_text(encoding="utf-8", errors="replace").strip()
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * KEY_BYTES}}}", text):
        raise InputError(
            f"{key_file}: not a key ({2 * KEY_BYTES} hex digits); bring back the one that names "
            "were made with, or, where there are none yet, move this file away to make one"
        )
    return bytes.fromhex(text)


def _keyed_hash(key: bytes, column: str, value: str | None) -> str | None:
    """Patients and their audit groups share a name space, since a group bears a patient's name."""
    if pd.isna(value):
        return None
    space = "patient" if column == "audit_group" else column
    return hmac.new(key, f"{space}:{value}".encode(), hashlib.sha256).hexdigest()[:16]
