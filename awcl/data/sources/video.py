"""Own scans as videos: a folder of MP4 or AVI files and a table of what their frames show.

`awcl frames video=DIR --out frames.parquet`, with DIR for example

    scans.csv     sweep1.mp4     second/sweep2.avi        (also .mov, .mkv; up to 2 folders deep)

    scan,patient,from_frame,to_frame,anatomy,machine
    sweep1,11,120,168,4CH,Voluson E6
    sweep1,11,300,341,BG,Voluson E6
    sweep2,12,,,,Aloka

- `scan` is the video's name, with or without its suffix. Frames are counted from 0, in the order
  in which they are shown; from_frame and to_frame are both within the range. Ranges may overlap
  where they say the same.
- A scan without labels has one row, which names its patient. A range with an empty anatomy says
  nothing, as if it were not there.
- Optional columns, of one value a scan: split (as of own tables, see table.py), machine, operator,
  site, trimester, pixel_mm, and source (default "video"). `source` goes before frame_id, patient
  and scan: two folders whose numbers are of different people need a source each.
- Labelled frames are all kept, BG and other kinds of background too. Of the others every 8th is,
  those whose number is a multiple of it, as neighbours look alike; `--every N` changes that.
- A video's length is counted by reading the file, since what it declares may be wrong, but without
  decoding it: damage inside a frame shows only when frames are read by the audit or the pack, which
  give the good frames and a line on the others.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from awcl.data import videos
from awcl.data.images import UnreadableImage
from awcl.data.sources import SourceRows, _reading
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TABLE = "scans.csv"
FROM, TO = "from_frame", "to_frame"
NEEDED = ("scan", "patient", FROM, TO, "anatomy")
OF_SCAN = ("patient", "split", "machine", "operator", "site", "trimester", "pixel_mm", "source")


@dataclass(frozen=True)
class Range:
    """Frames first..last of a scan show an anatomy, as a row of the table says."""

    row: int
    scan: str
    first: int
    last: int
    anatomy: str


def read(root: Path, taxonomy: Taxonomy, *, every: int = 8) -> SourceRows:
    """Rows of the labelled frames and of every so-manieth other of the videos in `root`.

    Raises InputError naming the table, the row and the column that is wrong in it.
    """
    if every < 1:
        raise InputError(f"--every {every}: give 1 (all frames) or more")
    path = _reading.find_table(root, TABLE)
    table = _reading.read_csv(path, NEEDED, OF_SCAN)
    for column in ("scan", "patient"):
        _reading.refuse_empty(table, column, path)
    table["scan"] = table["scan"].map(_without_suffix)
    ranges = _ranges(table, path, taxonomy)
    scans, split_notes = _scans(table, path)
    scans, notes = _with_videos(scans, path)
    scans, length_notes = _with_lengths(scans, path)
    labels = defaultdict(list)
    for one in ranges:
        labels[one.scan].append(one)
    rows = [_frames(scan, labels[scan["name"]], every) for scan in scans.to_dict("records")]
    notes += [*length_notes, *split_notes, *_beyond(ranges, scans), *_not_read(table)]
    rows = pd.concat(rows, ignore_index=True)
    labelled = int(rows["anatomy"].notna().sum())
    kept = f"{labelled} labelled frames are kept and {len(rows) - labelled} of the others"
    total = f"{scans['held'].sum()} frames of {len(scans)} videos"
    return SourceRows(rows, [*notes, f"of {total}, {kept} (every {every})"])


def _without_suffix(scan: str) -> str:
    return Path(scan).stem if videos.is_video(scan) else scan


def _ranges(table: pd.DataFrame, path: Path, taxonomy: Taxonomy) -> list[Range]:
    """What the rows say of frames, checked; those that say nothing are left out."""
    given = table[(table[[FROM, TO, "anatomy"]] != "").any(axis=1)]
    for column in (FROM, TO):
        for row, value in given[column].items():
            if not value.isdecimal():
                reason = "not a frame number (0, 1, 2, ...)"
                raise _reading.refusal(path, row, column, value, reason)
    names = given["anatomy"].where(given["anatomy"] != "", None)
    _reading.check_anatomy(names, "anatomy", path, taxonomy)
    columns = given[["scan", FROM, TO, "anatomy"]].itertuples()
    ranges = [Range(row, scan, int(a), int(b), name) for row, scan, a, b, name in columns]
    for one in ranges:
        if one.first > one.last:
            raise _reading.refusal(path, one.row, TO, one.last, f"lies before {FROM} {one.first}")
    ranges = [one for one in ranges if one.anatomy]
    _refuse_contradictions(ranges, path)
    return ranges


def _refuse_contradictions(ranges: list[Range], path: Path) -> None:
    """Raises InputError with both rows where a frame is said to show two anatomies."""
    reach: Range | None = None  # of the ranges so far, the one that ends last
    for one in sorted(ranges, key=lambda one: (one.scan, one.first)):
        if reach is None or one.scan != reach.scan or one.first > reach.last:
            reach = one
        elif one.anatomy != reach.anatomy:
            first, second = sorted((reach, one), key=lambda one: one.row)
            said = f"row {first.row} calls frame {one.first} {first.anatomy!r}; keep one"
            raise _reading.refusal(path, second.row, "anatomy", second.anatomy, said)
        elif one.last > reach.last:
            reach = one


def _scans(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """One row a scan with what is the same for all its frames, numbered by its first row."""
    there = [column for column in OF_SCAN if column in table]
    for column in there:
        for scan, values in table.groupby("scan", sort=False)[column]:
            for row, value in values[values != values.iloc[0]].items():
                said = f"row {values.index[0]} gives scan {scan!r} {values.iloc[0]!r}; it has one"
                raise _reading.refusal(path, row, column, value, said)
    scans = table.drop_duplicates("scan")[["scan", *there]].assign(name=lambda rows: rows["scan"])
    if "pixel_mm" in scans:
        given = scans[scans["pixel_mm"] != ""]
        scans["pixel_mm"] = _reading.numbers(given, "pixel_mm", path).reindex(scans.index)
    if "source" not in scans:
        scans["source"] = "video"
    scans["source"] = scans["source"].where(scans["source"] != "", "video")
    for column in ("patient", "scan"):
        scans[column] = scans["source"] + "/" + scans[column]
    scans["split"], notes = _reading.splits(scans, "split", path)
    return scans, notes


def _with_videos(scans: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The scans whose video is there, and notes on videos and rows without the other."""
    found: dict[str, list[Path]] = {}
    for depth in range(_reading.DEPTH + 1):
        for file in sorted(path.parent.glob("*/" * depth + "*")):
            if videos.is_video(file) and not file.name.startswith(".") and file.is_file():
                found.setdefault(file.stem, []).append(file.absolute())
    for name in scans["name"]:
        if len(found.get(name, [])) > 1:
            one, other, *_ = found[name]
            raise InputError(f"{path}: scan {name!r} has two videos, {one} and {other}; keep one")
    scans["path"] = [str(found[name][0]) if name in found else None for name in scans["name"]]
    present, notes = _reading.keep_present(scans.assign(frame_id=scans["scan"]), path, "videos")
    alone = [name for name in found if name not in set(scans["name"])]
    if alone:
        said = "have no row in the table and are left out, as their patients are not known"
        notes.append(f"{len(alone)} videos {said}: {_first(alone)}")
    return present, notes


def _with_lengths(scans: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The scans whose video can be read, with `held`, its frames; and notes on the others."""
    held, short, notes = {}, [], []
    bar = tqdm(scans.itertuples(), "video: lengths", len(scans), unit="file", disable=None, delay=2)
    for scan in bar:
        try:
            held[scan.Index], declared = videos.count(scan.path)
        except UnreadableImage as error:
            notes.append(f"{scan.scan} is left out: {error}")
            continue
        if held[scan.Index] < declared:
            short.append(f"{scan.scan} ({held[scan.Index]} of {declared})")
    if not held:
        raise InputError(f"{path}: none of its videos can be read; the first, {notes[0]}")
    if short:
        said = "hold fewer frames than they declare: cut off, or damaged before their end"
        notes.append(f"{len(short)} videos {said}: {_first(short)}")
    return scans.loc[list(held)].assign(held=list(held.values())), notes


def _frames(scan: dict, ranges: Iterable[Range], every: int) -> pd.DataFrame:
    """The kept frames of one scan."""
    anatomy = np.full(scan["held"], None, object)
    for one in ranges:
        anatomy[one.first : one.last + 1] = one.anatomy
    number = np.arange(scan["held"])
    labelled = np.not_equal(anatomy, None)
    keep = labelled | (number % every == 0)
    passed_on = {name: scan[name] for name in ("path", "scan", *OF_SCAN) if name in scan}
    rows = pd.DataFrame({"index": number[keep], "anatomy": anatomy[keep]}).assign(**passed_on)
    rows["anatomy"] = rows["anatomy"].astype(object)
    return rows.assign(frame_id=[f"{scan['scan']}/{n:06d}" for n in number[keep]])


def _beyond(ranges: list[Range], scans: pd.DataFrame) -> list[str]:
    """The note on ranges that their video has no frames for."""
    held = dict(zip(scans["name"], scans["held"], strict=True))
    past = [
        f"row {one.row} ({one.scan} {one.first} to {one.last}, of {held[one.scan]} frames)"
        for one in ranges
        if one.scan in held and one.last >= held[one.scan]
    ]
    said = "go past the end of their video, which gives the frames that it has"
    return [f"{len(past)} ranges {said}: {_first(past)}"] if past else []


def _not_read(table: pd.DataFrame) -> list[str]:
    unknown = [column for column in table if column not in (*NEEDED, *OF_SCAN)]
    return [f"columns of the table that are not read: {_first(unknown)}"] if unknown else []


def _first(names: list[str]) -> str:
    more = ", ..." if len(names) > _reading.NAMED else ""
    return ", ".join(names[: _reading.NAMED]) + more
