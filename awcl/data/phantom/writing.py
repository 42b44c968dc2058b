"""A phantom as files, in the form of a real data set.

    OUT/frames.parquet                 the frame table, all three splits
    OUT/images/SCAN/000120.png         one-channel; or OUT/videos/SCAN.avi, lossless
    OUT/masks/SCAN/000120.png          of labelled frames: awcl.data.phantom.scan.MASK_CLASSES
    OUT/videos/scans.csv               with videos: what the `video` source reads
    OUT/patients.csv                   gestational age and biometry, the truth to measure against
    OUT/PHANTOM.json                   what it was made of

A scan is put in place whole and skipped when it is there, so making a phantom again goes on where
it stopped, and more scans of the same settings are added to those there.
"""

import csv
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from awcl.data import videos
from awcl.data.phantom.planes import planes
from awcl.data.phantom.scan import MASK_CLASSES, Scan, Settings, check_planes, scan
from awcl.data.processes import pool
from awcl.data.table import FrameTable
from awcl.errors import InputError
from awcl.files import put_in_place, read_json, scratch_folder, whole_file, write_json
from awcl.taxonomy import Taxonomy

FORMAT = 2
SOURCE = "phantom"
PARALLEL_FROM = 2  # scans
MOST = 100_000


def write(
    out: Path,
    scans: int,
    settings: Settings,
    taxonomy: Taxonomy,
    *,
    as_videos: bool = False,
    workers: int = 1,
    quiet: bool = False,
) -> FrameTable:
    """Makes what is not there yet of `scans` scans in `out`, and returns their frame table.

    Raises InputError where `out` holds something else, a phantom of other settings, or more scans.
    """
    out = Path(out).absolute()
    if scans < 1:
        raise InputError(f"--scans {scans}: at least 1 scan is needed")
    if scans > MOST:
        raise InputError(f"--scans {scans}: {MOST} at most; another --seed makes others")
    if workers < 1:
        raise InputError(f"--workers {workers}: at least 1 process is needed")
    check_planes(taxonomy)
    _claim(out, settings, as_videos)
    there = len(list(out.glob("videos/*.avi" if as_videos else "images/*")))
    if there > scans:
        raise InputError(f"--scans {scans}: {out} holds {there} already; give another --out")
    made = [scan(number, settings) for number in range(scans)]
    table = FrameTable.build(
        pd.DataFrame([row for s in made for row in _rows(s, out, as_videos)]), taxonomy, str(out)
    )
    missing = [s.number for s in made if not _done(out, s, as_videos)]
    frames = sum(len(_written(made[number], as_videos)) for number in missing)
    with tqdm(total=frames, desc="phantom", unit="frame", disable=quiet or None) as bar:
        for count in _make(missing, settings, out, as_videos, workers):
            bar.update(count)
    _write_csv(out / "patients.csv", (_patient(s) for s in made))
    if as_videos:
        _write_csv(out / "videos" / "scans.csv", (row for s in made for row in _stretches(s)))
    table.write(out / "frames.parquet")
    return table


def kept(of: Scan) -> np.ndarray:
    """Numbers of the frames that are kept: labelled ones, and every so manieth of the others."""
    labelled = np.array([name is not None for name in of.anatomy])
    return np.flatnonzero(labelled | (np.arange(len(labelled)) % of.settings.every == 0))


def _claim(out: Path, settings: Settings, as_videos: bool) -> None:
    """Writes down what `out` is made of, or checks it against what stands there."""
    about = {"format": FORMAT, "form": "videos" if as_videos else "images", **asdict(settings),
             "planes": list(planes())}  # fmt: skip
    file = out / "PHANTOM.json"
    if file.is_file():
        there = read_json(file)
        for name, value in about.items():
            if there.get(name) != value:
                raise InputError(
                    f"{out}: holds a phantom with {name} {there.get(name)!r}, not {value!r}; "
                    "give another --out"
                )
    elif out.is_dir() and any(not file.name.startswith(".") for file in out.iterdir()):
        raise InputError(f"{out}: holds other files; give an empty or new folder as --out")
    else:
        write_json(file, about)


def _make(
    numbers: list[int], settings: Settings, out: Path, as_videos: bool, workers: int
) -> Iterator[int]:
    """Makes scans, and yields the number of frames of each as it is done."""
    jobs = [(number, settings, out, as_videos) for number in numbers]
    if workers == 1 or len(jobs) < PARALLEL_FROM:
        yield from map(make_scan, jobs)
        return
    with pool(workers) as processes:
        yield from processes.map(make_scan, jobs)


def make_scan(job: tuple[int, Settings, Path, bool]) -> int:
    """Renders one scan (number, settings, folder, as video) into place; returns its frames."""
    number, settings, out, as_videos = job
    cv2.setNumThreads(1)
    of = scan(number, settings)
    wanted = _written(of, as_videos)
    with scratch_folder(out) as part:
        for index in kept(of):
            if _has_mask(of, index):
                _write_png(part / "masks" / _file(index), of.mask(index))
        if as_videos:
            (out / "videos").mkdir(exist_ok=True)
            rate = Fraction(settings.rate).limit_denominator(1001)  # as containers know it
            videos.write(part / "scan.avi", map(of.frame, wanted), rate)
        else:
            for index in wanted:
                _write_png(part / "images" / _file(index), of.frame(index))
        _place(part, out, of, as_videos)
    return len(wanted)


def _place(part: Path, out: Path, of: Scan, as_videos: bool) -> None:
    """Masks first: a scan counts as done when its pictures are there."""
    for name in ("masks", "images"):
        (out / name).mkdir(exist_ok=True)
        if (part / name).is_dir():
            put_in_place(part / name, out / name / of.name)
    if as_videos:
        (part / "scan.avi").replace(out / "videos" / f"{of.name}.avi")


def _done(out: Path, of: Scan, as_videos: bool) -> bool:
    if as_videos:
        return (out / "videos" / f"{of.name}.avi").is_file()
    return (out / "images" / of.name).is_dir()


def _written(of: Scan, as_videos: bool) -> np.ndarray:
    return np.arange(of.settings.frames) if as_videos else kept(of)


def _write_png(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", image)
    path.write_bytes(data)


def _file(index: int) -> str:
    return f"{index:06d}.png"


def _has_mask(of: Scan, index: int) -> bool:
    """Whether a frame is labelled and shows a part of the fetus that has a mask class."""
    if of.anatomy[index] is None:
        return False
    names = {
        s.mask for s in of.visits[of.visit[index]].structures if s.at(of.off[index]) is not None
    }
    return bool(names & set(MASK_CLASSES))


def _rows(of: Scan, out: Path, as_videos: bool) -> Iterator[dict]:
    """The scan's rows of the frame table."""
    for index in kept(of):
        masked = _has_mask(of, index)
        path = (
            out / "videos" / f"{of.name}.avi"
            if as_videos
            else out / "images" / of.name / _file(index)
        )
        yield {
            "frame_id": f"{SOURCE}/{of.name}/{index:06d}",
            "path": str(path),
            "index": int(index) if as_videos else 0,
            "source": SOURCE,
            "patient": f"{SOURCE}/{of.name}",
            "scan": f"{SOURCE}/{of.name}",
            "anatomy": of.anatomy[index],
            "split": of.split,
            "machine": of.machine.name,
            "trimester": of.trimester,
            "mask": str(out / "masks" / of.name / _file(index)) if masked else None,
            "mask_kind": "filled" if masked else None,
            "mask_classes": ";".join(MASK_CLASSES) if masked else None,
            "pixel_mm": of.pixel_mm(index),
        }


def _stretches(of: Scan) -> Iterator[dict]:
    """The scan's rows of scans.csv: one for each stretch of frames with one label."""
    about = {"scan": of.name, "patient": of.name, "split": of.split, "machine": of.machine.name,
             "trimester": of.trimester}  # fmt: skip
    if not any(of.anatomy):
        yield {**about, "from_frame": "", "to_frame": "", "anatomy": ""}
    start = 0
    for index in range(1, len(of.anatomy) + 1):
        if index == len(of.anatomy) or of.anatomy[index] != of.anatomy[start]:
            if of.anatomy[start] is not None:
                yield {
                    **about,
                    "from_frame": start,
                    "to_frame": index - 1,
                    "anatomy": of.anatomy[start],
                }
            start = index


def _patient(of: Scan) -> dict:
    sizes = {name: round(value, 2) for name, value in asdict(of.fetus.size).items()}
    return {"patient": f"{SOURCE}/{of.name}", "trimester": of.trimester, **sizes}


def _write_csv(path: Path, rows: Iterator[dict]) -> None:
    rows = list(rows)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
