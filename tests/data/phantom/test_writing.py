"""A phantom as files: in the form of a real set, the same bytes however it was made, and true."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from awcl.data import ellipse, packing
from awcl.data.images import read_grey
from awcl.data.phantom.planes import planes
from awcl.data.phantom.scan import MASK_CLASSES, Settings, scan
from awcl.data.phantom.writing import kept, write
from awcl.data.sources import video
from awcl.data.table import FrameTable
from awcl.errors import InputError
from awcl.files import read_json
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
TINY = Settings(size=32, rate=10, seconds=2, labelled=0.5, every=4)
CLINIC = Settings(size=96, rate=8, seconds=8, labelled=0.3)
SCANS = 9  # all machines, trimesters and splits


def made(out: Path, scans: int = 2, settings: Settings = TINY, **options) -> FrameTable:
    return write(out, scans, settings, TAXONOMY, **{"quiet": True, **options})


def files(folder: Path) -> dict[str, bytes]:
    """What stands there under a final name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


@pytest.fixture(scope="module")
def clinic(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clinic") / "phantom"
    made(folder, SCANS, CLINIC)
    return folder


@pytest.fixture(scope="module")
def rows(clinic) -> pd.DataFrame:
    return FrameTable.read(clinic / "frames.parquet", TAXONOMY).frames


@pytest.fixture(scope="module")
def patients(clinic) -> pd.DataFrame:
    return pd.read_csv(clinic / "patients.csv").set_index("patient")


# --- the form of a real set --------------------------------------------------------------------


def test_it_is_a_frame_table_with_every_label_domain_and_split(rows):
    assert set(rows["anatomy"].dropna()) >= set(planes())
    assert set(rows["split"]) == {"train", "val", "test"}
    assert set(rows["machine"]) == {"A", "B", "C"}
    assert set(rows["trimester"]) == {"first", "second"}
    assert rows.groupby("patient")["split"].nunique().eq(1).all()
    assert rows["patient"].nunique() == SCANS and (rows["source"] == "phantom").all()
    unlabelled = rows["anatomy"].isna()
    assert 0 < unlabelled.sum() < len(rows)
    assert rows["mask"].isna()[unlabelled].all()


def test_labelled_frames_are_kept_and_every_so_manieth_of_the_others(rows):
    for name, frames in rows.groupby("scan"):
        of = scan(int(name.split("-")[1]), CLINIC)
        expected = [k for k in range(CLINIC.frames) if of.anatomy[k] is not None or k % 8 == 0]
        assert [int(frame.split("/")[-1]) for frame in frames["frame_id"]] == expected
        assert kept(of).tolist() == expected
        assert frames["anatomy"].tolist() == [of.anatomy[k] for k in expected]


def test_images_and_masks_are_one_channel_and_what_the_scan_shows(rows):
    for row in rows.iloc[::29].itertuples():
        number, index = int(row.scan.split("-")[1]), int(row.frame_id.split("/")[-1])
        of = scan(number, CLINIC)
        assert np.array_equal(read_grey(row.path), of.frame(index))
        assert cv2.imread(row.path, cv2.IMREAD_UNCHANGED).shape == (72, 96)
        assert row.pixel_mm == of.pixel_mm(index)
        if row.mask is not None:
            assert np.array_equal(read_grey(row.mask), of.mask(index))


def test_masks_name_the_classes_that_they_hold(rows):
    masked = rows[rows["mask"].notna()]
    assert (masked["mask_kind"] == "filled").all()
    assert (masked["mask_classes"] == ";".join(MASK_CLASSES)).all()
    found = set()
    for path in masked["mask"]:
        mask = read_grey(path)
        assert 1 <= mask.max() <= len(MASK_CLASSES)
        found |= set(np.unique(mask).tolist())
    assert found == set(range(len(MASK_CLASSES) + 1))


def test_every_frame_is_packed_with_its_mask(rows, tmp_path):
    table = FrameTable(rows.iloc[::7].reset_index(drop=True))
    pack = packing.find_or_build(table, 32, tmp_path, workers=1, quiet=True)
    assert len(pack) == len(table) and pack.failed == []
    assert (pack.frames["mask_row"] >= 0).sum() == table.frames["mask"].notna().sum() > 0


# --- true to the patient -----------------------------------------------------------------------


def measured(rows: pd.DataFrame, anatomy: str, part: str) -> list[tuple[str, np.ndarray, float]]:
    """(patient, where the part is, pixel_mm) of the frames where the sector does not cut it."""
    found = []
    for row in rows[rows["anatomy"] == anatomy].itertuples():
        where = (read_grey(row.mask) == 1 + MASK_CLASSES.index(part)).astype(np.uint8)
        of = scan(int(row.scan.split("-")[1]), CLINIC)
        sector = of.visits[of.visit[int(row.frame_id.split("/")[-1])]].probe.sector
        inner = cv2.erode(sector.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
        if where.any() and not (where > inner).any():
            found.append((row.patient, where, row.pixel_mm))
    return found


@pytest.mark.parametrize(
    ("anatomy", "part", "size"),
    [("HCP", "head", "hc"), ("SOB", "head", "hc"), ("ACP", "body", "ac")],
)
def test_a_circumference_measured_in_a_mask_is_the_patients(rows, patients, anatomy, part, size):
    """Within 1.5 % each: the plane is met within a few hundredths of the head's radius."""
    found = measured(rows, anatomy, part)
    ratios = [
        ellipse.fit_filled(where).perimeter * pixel_mm / patients.loc[patient, size]
        for patient, where, pixel_mm in found
    ]
    assert len({patient for patient, *_ in found}) >= 4
    assert ratios == pytest.approx(np.ones(len(ratios)), abs=0.015)
    assert np.mean(ratios) == pytest.approx(1, abs=0.007)


def test_the_length_of_a_femur_in_its_mask_is_the_patients(rows, patients):
    """Within a pixel and 4 %: its ends are broad, so their corners are further apart."""
    found = measured(rows, "FLP", "femur")
    assert len({patient for patient, *_ in found}) >= 4
    for patient, where, pixel_mm in found:
        points = np.argwhere(where).astype(float)
        apart = points[:, None] - points[None, :]
        length = (np.hypot(apart[..., 0], apart[..., 1]).max() + 1) * pixel_mm
        true = patients.loc[patient, "fl"]
        assert length == pytest.approx(true, abs=0.04 * true + pixel_mm)


def test_patients_are_written_with_their_age_and_sizes(clinic, rows):
    with (clinic / "patients.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["patient"] for row in listed] == sorted(rows["patient"].unique())
    for number, row in enumerate(listed):
        size = scan(number, CLINIC).fetus.size
        for name in ("weeks", "hc", "bpd", "ofd", "ac", "fl", "tcd"):
            assert float(row[name]) == pytest.approx(getattr(size, name), abs=0.0051)


# --- the same bytes ----------------------------------------------------------------------------


def test_any_number_of_processes_makes_the_same_files(tmp_path):
    made(tmp_path / "one", 3)
    made(tmp_path / "two", 3, workers=2)
    one = files(tmp_path / "one")
    assert one == files(tmp_path / "two")
    kinds = {name.split("/")[0] for name in one}
    assert kinds == {"frames.parquet", "patients.csv", "PHANTOM.json", "images", "masks"}


def test_another_seed_makes_other_files(tmp_path):
    made(tmp_path / "a")
    made(tmp_path / "b", settings=Settings(**{**vars(TINY), "seed": 1}))
    one, other = files(tmp_path / "a"), files(tmp_path / "b")
    assert not set(one.values()) & {data for name, data in other.items() if "masks" not in name}


@pytest.mark.parametrize("as_videos", [False, True])
def test_more_scans_only_add(tmp_path, as_videos):
    first = made(tmp_path / "a", 2, as_videos=as_videos)
    before = files(tmp_path / "a")
    stamps = {name: (tmp_path / "a" / name).stat().st_mtime_ns for name in before}
    more = made(tmp_path / "a", 4, as_videos=as_videos)
    after = files(tmp_path / "a")
    lists = {"frames.parquet", "patients.csv", "videos/scans.csv"}
    for name in set(before) - lists:
        assert after[name] == before[name]
        assert (tmp_path / "a" / name).stat().st_mtime_ns == stamps[name], "not made again"
    pd.testing.assert_frame_equal(more.frames.iloc[: len(first)], first.frames)
    for name in lists & set(before) - {"frames.parquet"}:
        assert after[name].startswith(before[name])
    made(tmp_path / "b", 4, as_videos=as_videos)
    assert after == files(tmp_path / "b")
    with pytest.raises(InputError, match=r"--scans 3: .*a holds 4 already; give another --out"):
        made(tmp_path / "a", 3, as_videos=as_videos)
    assert after == files(tmp_path / "a")


STUCK = """
import sys, time
from pathlib import Path
from awcl.data.phantom import writing
from awcl.data.phantom.scan import Settings
from awcl.taxonomy import Taxonomy

name, calls = sys.argv[2], int(sys.argv[3])
work, done = getattr(writing, name), []
def slow(*given):
    done.append(given)
    if len(done) == calls:
        print("in the middle", flush=True)
        time.sleep(60)
    return work(*given)
setattr(writing, name, slow)
settings = Settings(size=32, rate=10, seconds=2, labelled=0.5, every=4)
writing.write(Path(sys.argv[1]), 3, settings, Taxonomy.load(), as_videos=sys.argv[4] == "videos")
"""


@pytest.mark.parametrize(
    ("where", "calls", "form"),
    [
        ("_write_png", 40, "images"),  # within the second scan
        ("put_in_place", 4, "images"),  # its masks are in place, its images are not
        ("_place", 2, "videos"),
    ],
)
def test_a_phantom_that_was_killed_goes_on_to_the_same_files(tmp_path, where, calls, form):
    code = [sys.executable, "-c", STUCK, str(tmp_path / "a"), where, str(calls), form]
    process = subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "in the middle\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    there = files(tmp_path / "a")
    assert not any(name.endswith(("frames.parquet", "patients.csv")) for name in there)
    names = {Path(name).stem if form == "videos" else Path(name).parent.name
             for name in there if name.startswith(form)}  # fmt: skip
    assert names == {"0-00000"}
    made(tmp_path / "a", 3, as_videos=form == "videos")
    made(tmp_path / "b", 3, as_videos=form == "videos")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_phantom_that_is_there_is_not_made_again(tmp_path):
    made(tmp_path / "a")
    image = next((tmp_path / "a" / "images").rglob("*.png"))
    image.write_bytes(b"as it was left")
    made(tmp_path / "a")
    assert image.read_bytes() == b"as it was left"
    shutil.rmtree(image.parent)
    made(tmp_path / "a")
    assert image.read_bytes() != b"as it was left"


# --- images or videos --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, Path]:
    """The same scans as images and as videos, at a rate that containers round."""
    folder = tmp_path_factory.mktemp("both")
    settings = Settings(**{**vars(TINY), "rate": 9.97})
    made(folder / "images", 4, settings)
    made(folder / "videos", 4, settings, as_videos=True)
    return folder / "images", folder / "videos"


def test_images_and_videos_pack_to_equal_pixels(both, tmp_path):
    tables = [FrameTable.read(folder / "frames.parquet", TAXONOMY) for folder in both]
    packs = [
        packing.build(table, 28, tmp_path / str(number), workers=1, quiet=True)
        for number, table in enumerate(tables)
    ]
    assert packs[0].failed == packs[1].failed == []
    assert packs[0].digest == packs[1].digest
    for row in range(len(packs[0])):
        assert np.array_equal(packs[0].image(row), packs[1].image(row))


def test_the_video_source_keeps_the_frames_of_the_phantoms_own_table(both):
    own = FrameTable.read(both[1] / "frames.parquet", TAXONOMY).frames
    found = video.read(both[1] / "videos", TAXONOMY, every=TINY.every)
    read = FrameTable.build(found.rows, TAXONOMY, "video").frames
    read = read.sort_values("frame_id", ignore_index=True)
    for column in ("path", "index", "anatomy", "split", "machine", "trimester"):
        assert read[column].tolist() == own[column].tolist(), column
    for column in ("frame_id", "patient", "scan"):
        assert read[column].str.removeprefix("video/").tolist() == [
            name.removeprefix("phantom/") for name in own[column]
        ]


def test_a_scan_without_any_label_is_in_the_list_of_videos_too(tmp_path, monkeypatch):
    monkeypatch.setattr("awcl.data.phantom.scan.NAMED_BACKGROUND", 0)
    settings = Settings(size=32, rate=10, seconds=1, labelled=0, every=4)
    table = made(tmp_path / "a", 2, settings, as_videos=True)
    assert table.frames["anatomy"].isna().all()
    found = video.read(tmp_path / "a" / "videos", TAXONOMY, every=4)
    assert len(found.rows) == len(table) == 2 * 3


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 48}, "size 32, not 48"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"labelled": 0.2}, "labelled 0.5, not 0.2"),
        ({"as_videos": True}, "form 'images', not 'videos'"),
    ],
)
def test_another_phantom_in_the_same_folder_is_refused(tmp_path, change, said):
    made(tmp_path / "a", 1)
    before = files(tmp_path / "a")
    as_videos = change.pop("as_videos", False)
    with pytest.raises(InputError, match=f"holds a phantom with {said}; give another --out"):
        made(tmp_path / "a", 1, Settings(**{**vars(TINY), **change}), as_videos=as_videos)
    assert files(tmp_path / "a") == before


def test_a_folder_that_holds_other_files_is_refused_and_hidden_ones_are_none(tmp_path):
    (tmp_path / ".cut off by a kill.part").write_text("")
    made(tmp_path, 1)
    assert read_json(tmp_path / "PHANTOM.json")["seed"] == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.docx").write_text("")
    with pytest.raises(InputError, match="holds other files; give an empty or new folder"):
        made(tmp_path / "other", 1)
    assert list(files(tmp_path / "other")) == ["thesis.docx"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scans": 0}, "--scans 0"),
        ({"scans": 10**9}, "--scans 1000000000: 100000"),
        ({"workers": 0}, "--wor"),
    ],
)
def test_no_scans_and_no_processes_are_refused(tmp_path, given, said):
    with pytest.raises(InputError, match=said):
        made(tmp_path / "a", **given)
    assert not (tmp_path / "a").exists()
