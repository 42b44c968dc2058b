"""The video source: which frames it keeps, what it calls them, and what of a folder it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from awcl.data import sources, videos
from awcl.data.packing import build
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
HEADER = "scan,patient,from_frame,to_frame,anatomy"
ROWS = ("sweep1,11,3,5,4CH", "sweep1,11,9,9,BG", "sweep2.avi,12,,,")


def film(path: Path, frames: int = 20, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    videos.write(path, [rng.integers(0, 256, (20, 24), dtype=np.uint8) for _ in range(frames)])
    return path


def clinic(root: Path, rows: tuple[str, ...] = ROWS, header: str = HEADER) -> Path:
    """Two scans of 20 frames, one of them in a folder of its own."""
    film(root / "sweep1.avi")
    film(root / "day2" / "sweep2.avi", seed=1)
    (root / "scans.csv").write_text("\n".join([header, *rows]))
    return root


def read(root: Path, **options) -> pd.DataFrame:
    return sources.frames({"video": root}, TAXONOMY, **options)[0].frames


def numbers(frames: pd.DataFrame, scan: str) -> list[int]:
    return list(frames["index"][frames["scan"] == scan])


# --- which frames ----------------------------------------------------------------------------


def test_labelled_frames_are_kept_and_every_eighth_of_the_others(tmp_path):
    frames = read(clinic(tmp_path))
    assert numbers(frames, "video/sweep1") == [0, 3, 4, 5, 8, 9, 16]
    assert numbers(frames, "video/sweep2") == [0, 8, 16]
    labels = frames.set_index("frame_id")["anatomy"].dropna()
    assert labels.to_dict() == {
        "video/sweep1/000003": "4CH",
        "video/sweep1/000004": "4CH",
        "video/sweep1/000005": "4CH",
        "video/sweep1/000009": "BG",
    }
    assert list(frames["path"].unique()) == [
        str(tmp_path / "sweep1.avi"),
        str(tmp_path / "day2" / "sweep2.avi"),
    ]
    assert set(frames["patient"]) == {"video/11", "video/12"}
    assert set(frames["source"]) == {"video"}
    assert frames.groupby("patient")["split"].nunique().max() == 1


@pytest.mark.parametrize(
    ("every", "kept"),
    [(1, list(range(20))), (5, [0, 3, 4, 5, 9, 10, 15]), (100, [0, 3, 4, 5, 9])],
)
def test_every_says_how_many_of_the_others_and_drops_no_label(tmp_path, every, kept):
    assert numbers(read(clinic(tmp_path), every=every), "video/sweep1") == kept


def test_each_row_shows_the_frame_that_its_number_names(tmp_path):
    table, _ = sources.frames({"video": clinic(tmp_path / "v")}, TAXONOMY, every=3)
    made = build(table, 21, tmp_path / "p", workers=1, quiet=True)  # stored at 24, as wide as film
    shown = dict(videos.frames(tmp_path / "v" / "sweep1.avi", range(20)))
    for row, name in enumerate(made.frames["frame_id"]):
        if name.startswith("video/sweep1"):
            assert np.array_equal(made.content(row), shown[int(name[-6:])])


def test_a_range_without_a_name_says_nothing_and_ranges_may_agree(tmp_path):
    rows = ("sweep1,11,0,19,", "sweep1,11,2,6,femur", "sweep1,11,4,9,femur", "sweep2,12,,,")
    frames = read(clinic(tmp_path, rows))
    assert numbers(frames[frames["anatomy"] == "femur"], "video/sweep1") == list(range(2, 10))
    assert numbers(frames, "video/sweep1") == [0, *range(2, 10), 16]


# --- what is passed on -----------------------------------------------------------------------


def test_what_is_known_of_a_scan_is_passed_on(tmp_path):
    header = HEADER + ",split,machine,operator,site,trimester,pixel_mm,source,colour"
    rows = (
        "sweep1,11,3,5,4CH,test,Aloka,Op. 1,Leeds,second,0.1,north,red",
        "sweep2,12,,,,train,,,,,,,blue",
    )
    table, notes = sources.frames({"video": clinic(tmp_path, rows, header)}, TAXONOMY)
    one, two = (table.frames[table.frames["path"].str.contains(n)] for n in ("sweep1", "sweep2"))
    assert set(one["split"]) == {"test"} and set(two["split"]) <= {"train", "val"}
    assert set(one["patient"]) == {"north/11"} and set(two["patient"]) == {"video/12"}
    assert set(one["scan"]) == {"north/sweep1"} and one["frame_id"].iloc[0] == "north/sweep1/000000"
    for column, value in {
        "machine": "Aloka",
        "operator": "Op. 1",
        "site": "Leeds",
        "trimester": "second",
        "pixel_mm": 0.1,
        "source": "north",
    }.items():
        assert set(one[column]) == {value}
    assert two[["machine", "operator", "site", "trimester", "pixel_mm"]].isna().all(axis=None)
    assert "video: a fifth of the train patients became val" in notes
    assert "video: columns of the table that are not read: colour" in notes


# --- what is not as the table says -----------------------------------------------------------


def test_what_was_kept_and_left_out_is_said(tmp_path):
    rows = (*ROWS, "sweep3,13,,,", "sweep1,11,18,25,RVOT", "sweep1,11,40,41,RVOT")
    root = clinic(tmp_path, rows)
    film(tmp_path / "extra.avi", 2)
    (tmp_path / "sweep3.txt").touch()
    table, notes = sources.frames({"video": root}, TAXONOMY)
    assert notes == [
        "video: 1 videos named in the table are absent: video/sweep3",
        "video: 1 videos have no row in the table and are left out, as their patients are not "
        "known: extra",
        "video: patients were split 60/20/20",
        "video: 2 ranges go past the end of their video, which gives the frames that it has: "
        "row 6 (sweep1 18 to 25, of 20 frames), row 7 (sweep1 40 to 41, of 20 frames)",
        "video: of 40 frames of 2 videos, 6 labelled frames are kept and 6 of the others (every 8)",
    ]
    assert numbers(table.frames, "video/sweep1")[-2:] == [18, 19]


def test_a_video_cut_off_gives_its_good_frames_and_a_line(tmp_path):
    root = clinic(tmp_path)
    whole = (root / "sweep1.avi").read_bytes()
    (root / "sweep1.avi").write_bytes(whole[: len(whole) // 2])
    held, _ = videos.count(root / "sweep1.avi")
    table, notes = sources.frames({"video": root}, TAXONOMY, every=1)
    assert 5 < held < 15
    assert numbers(table.frames, "video/sweep1") == list(range(held))
    assert (
        "video: 1 videos hold fewer frames than they declare: cut off, or damaged before their "
        f"end: video/sweep1 ({held} of 20)" in notes
    )
    assert build(table, 32, tmp_path / "p", workers=1, quiet=True).failed == []


def test_a_file_that_is_no_video_is_left_out_unless_all_are(tmp_path):
    root = clinic(tmp_path)
    (root / "sweep1.avi").write_bytes(b"no video")
    table, notes = sources.frames({"video": root}, TAXONOMY)
    assert set(table.frames["scan"]) == {"video/sweep2"}
    assert "video: video/sweep1 is left out: not a video file, or one cut off before" in notes[0]
    (root / "day2" / "sweep2.avi").write_bytes(b"")
    with pytest.raises(InputError, match=r"scans\.csv: none of its videos can be read; the first,"):
        read(root)


def test_a_folder_without_its_videos_or_its_table_is_refused(tmp_path):
    root = clinic(tmp_path, ("other,11,,,",))
    with pytest.raises(InputError, match="none of its 1 videos is there, for example 'video/other"):
        read(root)
    (root / "scans.csv").unlink()
    with pytest.raises(InputError, match=r"no scans\.csv in it"):
        read(root)


def test_two_videos_of_one_scan_are_refused(tmp_path):
    root = clinic(tmp_path)
    film(root / "day2" / "sweep1.avi")
    with pytest.raises(InputError, match=r"scan 'sweep1' has two videos, .*sweep1\.avi and .*day2"):
        read(root)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("sweep1,11,5,3,4CH", "row 5, column 'to_frame', value '3': lies before from_frame 5"),
        ("sweep1,11,-1,3,4CH", "row 5, column 'from_frame', value '-1': not a frame number"),
        ("sweep1,11,1,,4CH", "row 5, column 'to_frame', value '': not a frame number"),
        ("sweep1,11,,,4CH", "row 5, column 'from_frame', value '': not a frame number"),
        ("sweep1,11,1,2,4HC", "row 5, column 'anatomy', value '4HC': unknown anatomy"),
        (
            "sweep1,11,5,7,LVOT",
            "row 5, column 'anatomy', value 'LVOT': row 2 calls frame 5 '4CH'; keep one",
        ),
        ("sweep1,13,7,8,LVOT", "row 5, column 'patient', value '13': row 2 gives scan 'sweep1' '1"),
        (",11,7,8,LVOT", "row 5, column 'scan', value '': empty"),
        ("sweep1,,7,8,LVOT", "row 5, column 'patient', value '': empty"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_number(tmp_path, row, said):
    with pytest.raises(InputError, match=rf"scans\.csv: {said}"):
        read(clinic(tmp_path, (*ROWS, row)))


def test_a_contradiction_is_found_behind_a_range_that_lies_in_another(tmp_path):
    rows = ("sweep1,11,0,15,4CH", "sweep1,11,2,3,4CH", "sweep1,11,12,14,LVOT")
    with pytest.raises(InputError, match=r"row 4, .* row 2 calls frame 12 '4CH'"):
        read(clinic(tmp_path, rows))


def test_a_scan_of_two_machines_and_a_pixel_of_no_size_are_refused(tmp_path):
    rows = ("sweep1,11,0,1,4CH,A", "sweep1,11,3,4,4CH,B")
    with pytest.raises(InputError, match="row 3, column 'machine', value 'B': row 2 gives scan"):
        read(clinic(tmp_path / "a", rows, HEADER + ",machine"))
    with pytest.raises(InputError, match="row 2, column 'pixel_mm', value '0': a number above 0"):
        read(clinic(tmp_path / "b", ("sweep1,11,0,1,4CH,0",), HEADER + ",pixel_mm"))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    rows = ("sweep1,11,0,1,4CH,A,B",)
    with pytest.raises(InputError, match=r"scans\.csv: column 'machine' is there 2 times"):
        read(clinic(tmp_path, rows, HEADER + ",machine,machine"))


# --- several folders, and the option ---------------------------------------------------------


def test_two_folders_that_name_frames_alike_are_refused_until_they_have_sources(tmp_path):
    one, two = clinic(tmp_path / "one"), clinic(tmp_path / "two")
    with pytest.raises(InputError, match=r"video=.*two: 10 frames have the names of .*one, for ex"):
        sources.frames([("video", one), ("video", two)], TAXONOMY)
    clinic(two, tuple(row + ",south" for row in ROWS), HEADER + ",source")
    table, notes = sources.frames([("video", one), ("video", two)], TAXONOMY)
    assert set(table.frames["source"]) == {"video", "south"}
    assert table.frames["patient"].nunique() == 4
    assert not any("patients are in" in note for note in notes)


def test_patients_of_two_folders_that_are_called_alike_are_noted(tmp_path):
    one = clinic(tmp_path / "one")
    film(tmp_path / "two" / "sweep9.avi")
    (tmp_path / "two" / "scans.csv").write_text(f"{HEADER}\nsweep9,11,,,")
    _, notes = sources.frames([("video", one), ("video", tmp_path / "two")], TAXONOMY)
    assert notes[-1].startswith(f"1 patients are in video={one} and in video={tmp_path / 'two'}")


def test_an_option_that_no_source_has_or_that_is_no_number_of_frames_is_refused(tmp_path):
    with pytest.raises(
        InputError, match="--every: it is an option of video, and the sources are h"
    ):
        sources.frames({"hc18": tmp_path}, TAXONOMY, every=4)
    with pytest.raises(InputError, match="--evry: no source has it, and the sources are video"):
        sources.frames({"video": tmp_path}, TAXONOMY, evry=4)
    with pytest.raises(InputError, match="--every 0: give 1"):
        read(clinic(tmp_path), every=0)
