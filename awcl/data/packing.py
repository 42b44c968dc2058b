"""Frame table to frame pack: decode in parallel, name by content, put in place whole.

A pack has its frames in the order of their names, a video gives them in its own order, and private
names are in no order at all. So each video is decoded first, once, and what it gives waits on disk
for its turn: packing videos takes twice the disk that their part of the pack does. An image is read
when it is its turn.
"""

import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from tqdm import tqdm

from awcl import hashing
from awcl.data import decoding
from awcl.data.pack import FORMAT, FramePack, images_per_shard, side
from awcl.data.processes import pool
from awcl.data.squares import Packed, decode, decode_video
from awcl.data.table import FrameTable
from awcl.data.videos import is_video
from awcl.errors import InputError
from awcl.files import put_in_place, read_json, scratch_folder, write_json

TRIED_AGAIN = 64  # images that could not be read, before a pack without them is taken
PARALLEL_FROM = 128  # frames; below it, starting processes costs more than it saves
BLOCK = 1024  # frames under way at once
MASK = ["mask", "mask_kind", "mask_classes"]
NAMED_BY = (
    "frame_id", "anatomy", "split", "patient", "scan", "audit_group",
    "source", "machine", "operator", "site", "trimester", "mask_classes", "pixel_mm",
)  # fmt: skip


def user_cache() -> Path:
    """Where this user's packs lie, and what else can be made again."""
    return Path.home() / ".cache" / "awcl"


def find_or_build(
    table: FrameTable,
    size: int,
    packs: Path,
    *,
    again: bool = False,
    workers: int | None = None,
    quiet: bool = False,
) -> FramePack:
    """The pack of these frames at this view size, built where it is absent.

    The pack's name needs every pixel, so what was packed before is also remembered by a cheap
    fingerprint: the table, and each file's size and time of change. Where none of the files is
    there (the images stayed on another machine), the pack last made of this table is taken.

    A disk may have failed for a moment, so some of the images that could not be read then are tried
    again. Where one can be read now, it is packed anew if `again`, and otherwise warned of: another
    pack would be another study.
    """
    side(size)  # refuses what is no size before anything is read
    packs = Path(packs).absolute()
    fingerprint, files_there = _fingerprint(table, size)
    note = packs / "seen" / f"{fingerprint}.json"
    newest = packs / "seen" / f"{_table_fingerprint(table, size)}.json"  # for where files are gone
    known = note if files_there else newest
    if known.is_file():
        seen = read_json(known)
        folder = packs / seen["digest"]
        if (folder / "PACK.json").is_file():
            pack = FramePack(folder, seen.get("failed"))
            if not (files_there and _can_be_read_now(table, pack.failed, size)):
                return pack
            if not again:
                warnings.warn(
                    f"{folder}: frames that could not be read when it was made can be now; "
                    f"`awcl pack FRAMES --size {size} --packs {packs}` packs anew, for new studies "
                    "and runs: those that are stored go on with the frames that they began with",
                    stacklevel=2,
                )
                return pack
    pack = build(table, size, packs, workers=workers, quiet=quiet)
    for name in (note, newest):
        write_json(name, {"digest": pack.digest, "failed": pack.failed})
    return pack


def _can_be_read_now(table: FrameTable, failed: list[dict], size: int) -> bool:
    """Whether any of the images can that could not, or of many any of some, spread among them.

    Frames of videos are not tried: it would take as long as packing them.
    """
    images = [frame["frame_id"] for frame in failed if "video" not in frame]
    tried = images[:: -(-len(images) // TRIED_AGAIN) or 1]
    frames = table.frames[table.frames["frame_id"].isin(tried)].reset_index(drop=True)
    if not len(frames):
        return False
    with tempfile.TemporaryDirectory() as waiting:
        found = _decoded(frames, size, 1, Path(waiting), quiet=True)
        return any(not isinstance(frame, str) for frame in found)


def build(
    table: FrameTable, size: int, packs: Path, *, workers: int | None = None, quiet: bool = False
) -> FramePack:
    """Decodes every frame in parallel and puts the pack in place whole.

    Frames that cannot be read are left out and kept in `failed`. Raises InputError where none can.
    """
    frames = table.frames.sort_values("frame_id", ignore_index=True)
    with scratch_folder(packs) as part:
        with (
            scratch_folder(packs) as waiting,
            _Writer(part, "shard", side(size)) as images,
            _Writer(part, "mask", side(size)) as masks,
        ):
            decoded = _decoded(frames, size, workers, waiting, quiet)
            kept, failed = _write_all(frames, decoded, images, masks, quiet)
        if not kept:
            name, error = failed[0]["frame_id"], failed[0]["error"]
            raise InputError(
                f"none of {len(frames)} frames could be read; the first, {name}: {error}"
            )
        packed = _packed_frames(frames, kept)
        digest = hashing.of_json([FORMAT, size, _identity(packed)])
        packed.drop(columns="mask_sha256").to_parquet(part / "frames.parquet", index=False)
        about = {
            "format": FORMAT,
            "digest": digest,
            "size": size,
            "side": side(size),
            "failed": failed,
            "files": {file.name: file.stat().st_size for file in sorted(part.iterdir())},
        }
        write_json(part / "PACK.json", about)
        put_in_place(part, packs / digest)
    return FramePack(packs / digest, failed)


def _write_all(
    frames: pd.DataFrame,
    decoded: Iterator[Packed | str],
    images: "_Writer",
    masks: "_Writer",
    quiet: bool,
) -> tuple[list[dict], list[dict]]:
    """Rows that were written, and rows that could not be read with their error."""
    kept, failed = [], []
    videos: dict[str, int] = {}
    with tqdm(total=len(frames), desc="packing", unit="frame", disable=quiet or None) as bar:
        for row, result in enumerate(decoded):
            bar.update()
            if isinstance(result, str):
                failed.append({"frame_id": frames["frame_id"][row], "error": result})
                path = frames["path"][row]
                if is_video(path):  # a number, since no path may be stored
                    failed[-1]["video"] = videos.setdefault(path, len(videos))
                continue
            images.write(result.image)
            x, y, w, h = result.box
            about = dict(row=row, box_x=x, box_y=y, box_w=w, box_h=h, scale=result.scale)
            about.update(sha256=result.sha256, mask_sha256=result.mask_sha256, mask_row=-1)
            if result.mask is not None:
                about["mask_row"] = masks.write(result.mask)
            kept.append(about)
    return kept, failed


def _decoded(
    frames: pd.DataFrame, size: int, workers: int | None, waiting: Path, quiet: bool
) -> Iterator[Packed | str]:
    """Each frame in turn, or why it cannot be read; in blocks, so that few wait in memory."""
    columns = frames[["path", *MASK]]
    jobs = [(*row, side(size)) for row in columns.itertuples(index=False)]
    workers = workers or os.cpu_count() or 1
    with _spread(workers if len(frames) >= PARALLEL_FROM else 1) as spread:
        places = _decode_videos(frames, size, spread, waiting, quiet)
        for start in range(0, len(jobs), BLOCK):
            block = range(start, min(start + BLOCK, len(jobs)))
            images = spread(decode, [jobs[row] for row in block if row not in places], chunksize=16)
            for row in block:
                yield _fetched(*places[row]) if row in places else next(images)


@contextmanager
def _spread(workers: int) -> Iterator[Callable[..., Iterator]]:
    """`map(work, jobs, chunksize=n)`, over processes where there are several."""
    if workers == 1:
        yield lambda work, jobs, chunksize: map(work, jobs)
        return
    with pool(workers) as processes:
        yield processes.map


def _decode_videos(
    frames: pd.DataFrame, size: int, spread: Callable[..., Iterator], waiting: Path, quiet: bool
) -> dict[int, tuple[Path, int]]:
    """Decodes all videos into files in `waiting`; each row's file, and its place in it."""
    files = [file for file in decoding.files(frames) if is_video(file.path)]
    masks = frames[MASK].to_numpy(object)
    jobs = [
        (file.path, file.numbers, masks[file.rows].tolist(), side(size), waiting / str(number))
        for number, file in enumerate(files)
    ]
    places: dict[int, tuple[Path, int]] = {}
    total, hide = sum(len(file.rows) for file in files), quiet or not files or None
    with tqdm(total=total, desc="decoding videos", unit="frame", disable=hide) as bar:
        for file, job, offsets in zip(
            files, jobs, spread(decode_video, jobs, chunksize=1), strict=True
        ):
            places.update((row, (job[-1], at)) for row, at in zip(file.rows, offsets, strict=True))
            bar.update(len(file.rows))
    return places


def _fetched(file: Path, place: int) -> Packed | str:
    """What `decode_video` has put there, a moment ago and under a name that only this run knows.

    Opened anew for each frame: there are more videos than a process may hold files open.
    """
    with file.open("rb") as waiting:
        waiting.seek(place)
        return pickle.load(waiting)


def _packed_frames(frames: pd.DataFrame, kept: list[dict]) -> pd.DataFrame:
    own = pd.DataFrame(kept)
    rows = frames.iloc[own.pop("row")].drop(columns=["path", "index", "mask", "mask_kind"])
    return pd.concat([rows.reset_index(drop=True), own], axis=1)


def _identity(packed: pd.DataFrame) -> list:
    """What names a pack: of each frame its id, pixels, labels, split and domains."""
    named = packed[[*NAMED_BY, "sha256", "mask_sha256"]].astype(object)
    return named.where(named.notna(), None).to_numpy().tolist()


def _table_fingerprint(table: FrameTable, size: int) -> str:
    """Of the table without its paths: a machine that has the pack need not have the files."""
    frames = table.frames.drop(columns=["path", "mask"])
    rows = pd.util.hash_pandas_object(frames.astype(str), index=False)
    return hashing.of_json([FORMAT, size, sorted(rows.astype(str))], digits=16)


def _fingerprint(table: FrameTable, size: int) -> tuple[str, bool]:
    """Cheap and only a shortcut: changes with the table, and with any file's size or time.

    Also whether any file is there at all.
    """
    stats = []
    paths = pd.concat([table.frames["path"], table.frames["mask"].dropna()])
    for path in paths.unique():  # frames of a video share one
        with suppress(OSError):  # an absent file is the decoder's to report
            stat = os.stat(path)
            stats.append((stat.st_size, stat.st_mtime_ns))
    return hashing.of_json([_table_fingerprint(table, size), stats], digits=16), bool(stats)


class _Writer:
    """Appends (L, L) uint8 images to numbered .npy files of at most SHARD_BYTES.

    Plain writes and no memory map: on a full disk a map ends the process by SIGBUS, a write
    raises OSError.
    """

    def __init__(self, folder: Path, name: str, side: int):
        self.folder, self.name, self.side = folder, name, side
        self.per_shard = images_per_shard(side)
        self.count = 0
        self.file: BinaryIO | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def write(self, image: np.ndarray) -> int:
        """Returns the image's number."""
        number, place = divmod(self.count, self.per_shard)
        if place == 0:
            self._close()
            self.file = (self.folder / f"{self.name}-{number:05d}.npy").open("wb")
            self._header(0)
        self.file.write(np.ascontiguousarray(image))
        self.count += 1
        return self.count - 1

    def _close(self) -> None:
        if self.file is not None:
            self.file.seek(0)
            self._header((self.count - 1) % self.per_shard + 1)
            self.file.close()
            self.file = None

    def _header(self, images: int) -> None:
        """numpy pads the header so that its first axis can grow in place."""
        shape = (images, self.side, self.side)
        form = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, form)
