"""The frame table: what it refuses, what it keeps over a round trip, splits, private names."""

import stat

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awcl.data.table import COLUMNS, FrameTable, rows_where, split_by_patient
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()


def rows(**columns) -> pd.DataFrame:
    """Three frames of two patients; `columns` replaces or adds, None takes a column away."""
    base = {
        "frame_id": ["s/a1", "s/a2", "s/b1"],
        "path": ["images/a1.png", "images/a2.png", "images/b1.png"],
        "source": ["s"] * 3,
        "patient": ["s/anna", "s/anna", "s/berta"],
        "scan": ["s/exam1", None, "s/exam2"],
        "anatomy": ["4CH", None, "brain"],
        "split": ["train", "train", "test"],
    }
    return pd.DataFrame({k: v for k, v in {**base, **columns}.items() if v is not None})


def table(**columns) -> FrameTable:
    return FrameTable.build(rows(**columns), TAXONOMY, "frames.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"patient": None}, "column 'patient' is missing"),
        ({"label": ["a", "b", "c"]}, "unknown column 'label'; known: frame_id"),
        ({"patient": ["s/a", "", "s/b"]}, "row 1, column 'patient': empty"),
        ({"frame_id": ["a", "b", "a"]}, "row 2, column 'frame_id': given to an earlier frame"),
        ({"split": ["train", "training", "test"]}, "row 1, column 'split': choose one of train"),
        (
            {"anatomy": ["4CH", "LVTO", "LVTO"]},
            r"row 1 \(and 1 more rows\), column 'anatomy': unknown .* did you mean 'LVOT'",
        ),
        ({"split": ["train", "test", "test"]}, "'patient': this patient is in test and train"),
        ({"mask": [None, "m.png", None]}, "row 1, column 'mask_kind': a frame with a mask needs"),
        ({"pixel_mm": [0.1, 0.2, 0]}, "row 2, column 'pixel_mm': must be above 0"),
        ({"pixel_mm": [0.1, "wide", 0.2]}, "row 1, column 'pixel_mm': not a number"),
        ({"index": [0, -1, 2]}, "row 1, column 'index': not a frame number"),
        (
            {"pixel_mm": [0.1, float("inf"), 0.2]},
            "row 1, column 'pixel_mm': must be above 0, a",
        ),
        ({"index": [0, 2**70, 2]}, "row 1, column 'index': not a frame number"),
        ({"index": [0, float("inf"), 2]}, "row 1, column 'index': not a frame number"),
        ({"index": [0, "x", 2]}, "row 1, column 'index': not a frame number"),
    ],
)
def test_what_is_wrong_is_refused_with_row_and_column(columns, said):
    with pytest.raises(InputError, match=f"frames.parquet: .*{said}"):
        table(**columns)


def test_a_row_is_told_as_the_table_that_it_came_from_counts(tmp_path):
    counted = rows(frame_id=["a", "b", "a"]).set_axis([2, 3, 7])
    with pytest.raises(InputError, match="row 7, column 'frame_id': given to an earlier frame"):
        FrameTable.build(counted, TAXONOMY, "own.csv")
    kept = FrameTable.build(counted.assign(frame_id=["a", "b", "c"]), TAXONOMY, "own.csv").frames
    assert list(kept.index) == [0, 1, 2]


def test_paths_that_are_no_text_are_refused(tmp_path):
    rows(path=[b"a", b"b", b"c"]).to_parquet(tmp_path / "frames.parquet")
    with pytest.raises(InputError, match=r"row 0 .*column 'path': not text"):
        FrameTable.read(tmp_path / "frames.parquet", TAXONOMY)


def test_no_frames_are_refused():
    with pytest.raises(InputError, match="no frames"):
        FrameTable.build(rows().iloc[:0], TAXONOMY, "frames.parquet")


def test_only_the_audit_may_read_a_patient_in_two_splits():
    crossing = rows(split=["train", "test", "test"])
    assert len(FrameTable.build(crossing, TAXONOMY, "x", check_splits=False)) == 3


def test_a_round_trip_keeps_everything(tmp_path):
    before = table(
        path=[str(tmp_path / "images" / f"{n}.png") for n in ("a1", "a2", "b1")],
        mask=[str(tmp_path / "masks" / "a1.png"), None, "/elsewhere/b1.png"],
        mask_kind=["filled", None, "ellipse_outline"],
        mask_classes=["head", None, "head"],
        pixel_mm=[0.1, None, 0.3],
    )
    before.write(tmp_path / "frames.parquet")
    after = FrameTable.read(tmp_path / "frames.parquet", TAXONOMY)
    assert list(after.frames) == list(COLUMNS)
    same = before.frames.isna() == after.frames.isna()
    assert same.all(axis=None)
    for column in COLUMNS:
        assert list(before.frames[column].dropna()) == list(after.frames[column].dropna())


def test_a_table_may_move_with_its_images(tmp_path):
    paths = [str(tmp_path / "one" / "images" / f"{n}.png") for n in ("a1", "a2", "b1")]
    table(path=paths).write(tmp_path / "one" / "frames.parquet")
    (tmp_path / "one").rename(tmp_path / "two")
    moved = FrameTable.read(tmp_path / "two" / "frames.parquet", TAXONOMY)
    assert moved.frames["path"][0] == str(tmp_path / "two" / "images" / "a1.png")


def test_a_table_without_paths_names_no_file_and_is_packed_alike(tmp_path):
    before = table(mask=["m.png", None, None], mask_kind=["filled"] * 3, mask_classes=["head"] * 3)
    before.without_paths().write(tmp_path / "sent.parquet")
    after = FrameTable.read(tmp_path / "sent.parquet", TAXONOMY)
    assert list(after.frames["path"]) == [str(tmp_path / f"s/{n}.png") for n in ("a1", "a2", "b1")]
    assert after.frames["mask"].isna().all()
    others = [name for name in COLUMNS if name not in ("path", "mask")]
    pd.testing.assert_frame_equal(before.frames[others], after.frames[others])


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    file = tmp_path / "frames.parquet"
    with pytest.raises(InputError, match=r"frames\.parquet: no such file"):
        FrameTable.read(file, TAXONOMY)
    file.write_text("frame_id,path\n")
    with pytest.raises(InputError, match=r"frames\.parquet: not a Parquet file"):
        FrameTable.read(file, TAXONOMY)


def test_private_names_hold_nothing_of_the_original(tmp_path):
    key = tmp_path / "key"
    whole = table(audit_group=["s/anna", "s/anna", None])
    private = whole.private(key).frames
    for column in ("patient", "scan", "frame_id", "audit_group"):
        names = private[column].dropna()
        assert names.str.fullmatch("[0-9a-f]{16}").all()
        assert list(private[column].isna()) == list(whole.frames[column].isna())
    assert private["patient"].nunique() == 2
    assert private["audit_group"][0] == private["patient"][0]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_same_key_gives_the_same_names_and_another_key_others(tmp_path):
    first = table().private(tmp_path / "key").frames
    again = table().private(tmp_path / "key").frames
    other = table().private(tmp_path / "other").frames
    pd.testing.assert_frame_equal(first, again)
    assert not set(first["frame_id"]) & set(other["frame_id"])


@pytest.mark.parametrize("text", ["secret", "", " \n", "ab" * 31, "ab" * 33, "é" * 64])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path, text):
    """An empty one above all: without a key anybody can make the names."""
    (tmp_path / "key").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a key"):
        table().private(tmp_path / "key")


@given(st.text(min_size=1), st.sampled_from(["train", "test", None]))
def test_a_patients_split_is_stable_and_keeps_the_official_test_half(patient, official):
    split = split_by_patient(patient, official)
    assert split == split_by_patient(patient, official)
    assert (split == "test") == (official == "test") or official is None


def test_splits_have_their_sizes():
    patients = [f"s/{n}" for n in range(2000)]
    own = pd.Series([split_by_patient(p) for p in patients]).value_counts(normalize=True)
    assert own["train"] == pytest.approx(0.6, abs=0.04)
    assert own["test"] == pytest.approx(0.2, abs=0.03)
    official = pd.Series([split_by_patient(p, "train") for p in patients])
    assert (official == "val").mean() == pytest.approx(0.2, abs=0.03)


def test_rows_are_chosen_by_value_and_by_what_they_are_not():
    frames = table(machine=["A", "B", None]).frames
    assert list(rows_where(frames, {"machine": ["A", "B"], "split": "train"})) == [0, 1]
    assert list(rows_where(frames, {"machine": "!A"})) == [1, 2]
    with pytest.raises(InputError, match="unknown column 'maker'"):
        rows_where(frames, {"maker": "A"})
