"""Which frames a probe is trained and judged on, at which level, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from awcl.downstream.classification import Problem, finest_level
from awcl.errors import InputError


def rows_of(pack) -> np.ndarray:
    return np.arange(len(pack))


def but(**changes):
    """anatomy with some names replaced: but(HCP=None)."""
    return lambda frames: frames["anatomy"].map(lambda name: changes.get(name, name))


@pytest.mark.parametrize("judged_on", ["val", "test"])
def test_labelled_frames_of_train_teach_and_those_of_the_other_split_judge(
    tiny_pack, taxonomy, judged_on
):
    problem = Problem(tiny_pack, rows_of(tiny_pack), taxonomy, "fine", judged_on)
    frames = tiny_pack.frames
    labelled = frames[frames["anatomy"].notna() & (frames["anatomy"] != "BG")]
    for rows, labels, split in (
        (problem.rows, problem.labels, "train"),
        (problem.judged_rows, problem.truth, judged_on),
    ):
        assert sorted(rows) == sorted(labelled.index[labelled["split"] == split])
        assert list(problem.classes[labels]) == list(frames["anatomy"].iloc[rows])
    assert list(problem.judged["frame_id"]) == list(frames["frame_id"].iloc[problem.judged_rows])
    assert list(problem.patients) == list(frames["patient"].iloc[problem.rows])
    assert list(problem.classes) == ["4CH", "FLP", "HCP", "LVOT"]


def test_at_coarse_kinds_are_the_classes(tiny_pack, taxonomy):
    problem = Problem(tiny_pack, rows_of(tiny_pack), taxonomy, "coarse", "test")
    assert list(problem.classes) == ["brain", "femur", "heart"]


def test_only_the_rows_that_are_given_take_part(tiny_pack, taxonomy):
    rows = np.flatnonzero((tiny_pack.frames["machine"] == "A").to_numpy())
    problem = Problem(tiny_pack, rows, taxonomy, "coarse", "test")
    assert set(problem.rows) | set(problem.judged_rows) <= set(rows)


def test_present_lists_the_classes_of_the_truth_only(repack, taxonomy):
    def anatomy(frames):
        return frames["anatomy"].mask((frames["split"] == "test") & (frames["anatomy"] == "HCP"))

    pack = repack(anatomy=anatomy)
    problem = Problem(pack, rows_of(pack), taxonomy, "fine", "test")
    assert problem.present == ["4CH", "FLP", "LVOT"]
    assert "HCP" in problem.classes


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_frames_is_named(repack, taxonomy, split):
    other = {"train": "val", "val": "train"}[split]
    pack = repack(split=lambda frames: frames["split"].replace(split, other))
    with pytest.raises(InputError, match=f"split '{split}' is empty: .* at level fine"):
        Problem(pack, rows_of(pack), taxonomy, "fine", "val")


def test_a_split_with_unlabelled_frames_only_is_empty_too(repack, taxonomy):
    pack = repack(anatomy=lambda frames: frames["anatomy"].mask(frames["split"] == "test", "BG"))
    with pytest.raises(InputError, match="split 'test' is empty: of the frames asked for"):
        Problem(pack, rows_of(pack), taxonomy, "coarse", "test")


def test_a_class_that_train_lacks_is_named_with_what_to_do(repack, taxonomy):
    def anatomy(frames):
        return frames["anatomy"].mask((frames["split"] == "train") & (frames["anatomy"] == "HCP"))

    pack = repack(anatomy=anatomy)
    with pytest.raises(InputError, match=r"'test' holds 'HCP' at level fine, train does not; .*`w"):
        Problem(pack, rows_of(pack), taxonomy, "fine", "test")


@pytest.mark.parametrize(
    ("names", "level"),
    [
        (["4CH", "HCP", None, "BG"], "fine"),
        (["4CH", "brain"], "coarse"),
        (["abdomen", "cervix"], "fine"),  # kinds that are fine names too
        ([None, "BG"], "fine"),
    ],
)
def test_the_finest_level_is_the_one_known_for_every_frame_with_an_anatomy(taxonomy, names, level):
    class Pack:
        frames = pd.DataFrame({"anatomy": pd.Series(names, dtype=object)})

    assert finest_level(Pack, np.arange(len(names)), taxonomy) == level


def test_the_finest_level_looks_at_the_given_rows_only(repack, taxonomy):
    def anatomy(frames):
        return frames["anatomy"].mask(frames["frame_id"] == "tiny/p0_0", "brain")

    pack = repack(anatomy=anatomy)
    vague = np.flatnonzero((pack.frames["anatomy"] == "brain").to_numpy())
    assert finest_level(pack, rows_of(pack), taxonomy) == "coarse"
    assert finest_level(pack, np.setdiff1d(rows_of(pack), vague), taxonomy) == "fine"
