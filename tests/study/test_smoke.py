"""A smoke run: what is left of a study and of its frames, the same every time."""

import pandas as pd
import pytest

from awcl.config import TrialConfig, with_values
from awcl.data.table import DOMAINS, FrameTable
from awcl.study.growth import check_growth
from awcl.study.smoke import FRAMES, fewer, smaller
from awcl.study.space import EarlyStopping, Phantom, Study, expand, points
from awcl.taxonomy import Taxonomy

TWELVE = {f"arm{number}": {"pretrain.lr": 0.001 * (1 + number)} for number in range(12)}
RANGE = {"pretrain.lr": {"low": 0.001, "high": 0.1, "log": True}}


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"arms": TWELVE}, [{"arm": f"arm{number}"} for number in (0, 4, 7, 11)]),
        (
            {"axes": {"anatomy.ratio": [0.1, 0.2, 0.3, 0.4, 0.5]}},
            [{"anatomy.ratio": ratio} for ratio in (0.1, 0.2, 0.4, 0.5)],
        ),
        (
            {"axes": {"anatomy.ratio": [0, 0.5, 1], "pretrain.temperature": [0.1, 0.2, 0.5]}},
            [
                {"anatomy.ratio": ratio, "pretrain.temperature": temperature}
                for ratio in (0, 1)
                for temperature in (0.1, 0.5)
            ],
        ),
        (
            {"arms": {"a": {}, "b": {"pretrain.positives": "self"}},
             "axes": {"data.recipe": ["ultrasound"], "pretrain.batch": [32, 64, 128]}},
            [{"arm": arm, "data.recipe": "ultrasound", "pretrain.batch": 16} for arm in "ab"],
        ),
    ],
)  # fmt: skip
def test_at_most_four_points_are_left_from_the_first_to_the_last(values, left):
    assert points(smaller(Study(name="s", **values))) == left


RANGE_OF_TEMPERATURES = {"pretrain.temperature": {"low": 0.1, "high": 1, "log": True}}


def test_what_a_smaller_study_has_stays_when_the_study_grows():
    """So that it may be tried again in the same folder."""

    def arms(count):
        return {f"a{n}": {"pretrain.lr": 0.01 * (n + 1)} for n in range(count)}

    before = None
    for count in range(1, 9):
        made = smaller(Study(name="s", arms=arms(count)), before)
        assert len(made.arms) == min(count, 4)
        if before:
            there, now = ({**of.model_dump(mode="json"), "packs": {}} for of in (before, made))
            check_growth(there, now)
        before = made
    before = None
    for count in (1, 2, 3):
        made = smaller(
            Study(name="s", arms=arms(count), axes=RANGE_OF_TEMPERATURES, sampler="sobol",
                  samples=8), before
        )  # fmt: skip
        if before:
            there, now = ({**of.model_dump(mode="json"), "packs": {}} for of in (before, made))
            check_growth(there, now)
        before = made
    axes = {"anatomy.ratio": [0, 0.5, 1], "pretrain.temperature": [0.1, 0.2, 0.5]}
    first = smaller(Study(name="s", axes=axes))
    grown = {**axes, "anatomy.ratio": [0, 0.25, 0.5, 0.75, 1, 0.9]}
    assert points(smaller(Study(name="s", axes=grown), first)) == points(first)


def test_points_that_are_drawn_are_the_first_ones():
    made = Study(name="s", axes=RANGE, sampler="sobol", samples=32, seeds=[0, 1])
    assert points(smaller(made)) == points(made)[:4]
    both = made.model_copy(update={"arms": {"a": {}, "b": {"pretrain.positives": "self"}}})
    drawn = [point["pretrain.lr"] for point in points(made)[:2]]
    found = [(point["arm"], point["pretrain.lr"]) for point in points(smaller(both))]
    assert found == [(arm, rate) for arm in "ab" for rate in drawn]


def test_it_is_a_study_of_its_own_with_one_seed_two_epochs_and_quick_tasks():
    made = Study(
        name="s",
        base=with_values(TrialConfig(), {"pretrain.epochs": 50, "data.size": 64}, "test"),
        arms={
            "random": {"pretrain.epochs": 0},
            "long": {"pretrain.epochs": 90},
            "self": {"pretrain.positives": "self"},
        },
        seeds=[3, 4],
        confirm=1,
        early_stopping=EarlyStopping(grace=6, reduction=2),
        phantom=Phantom(scans=500, seconds=9),
        tasks=[{"task": "planes", "quick": False}, "segmentation", "cross_planes"],
    )
    found = smaller(made)
    assert (found.name, found.seeds, found.confirm) == ("s-smoke", [3], 0)
    assert [config.pretrain.epochs for config in expand(found)] == [0, 2, 2]
    assert {config.data.size for config in expand(found)} == {64}
    assert found.early_stopping == EarlyStopping(grace=1, reduction=2)
    assert (found.phantom.scans, found.phantom.seconds) == (60, 2)
    assert all(task["quick"] for task in found.tasks)
    assert [task.get("steps") for task in found.tasks] == [40, 40, None]
    assert smaller(made) == found


@pytest.mark.parametrize(
    ("values", "left"),
    [({"pretrain.workers": 6, "pretrain.batch": 384}, 12), ({"pretrain.batch": 96}, 12)],
)
def test_workers_share_its_batch_evenly(values, left):
    axes = {} if "pretrain.workers" in values else {"pretrain.workers": [1, 2, 3]}
    found = smaller(Study(name="s", base=with_values(TrialConfig(), values, "test"), axes=axes))
    assert {config.pretrain.batch for config in expand(found)} == {left}


def table(patients: int) -> FrameTable:
    """Twenty frames a patient, of six anatomies and none, on two machines; one anatomy is rare."""
    rows = []
    for patient in range(patients):
        for number in range(20):
            names = ["4CH", "LVOT", "HCP", "FLP", None, None, None]
            anatomy = "KIDNEYS_CORONAL" if patient % 40 == 0 and number == 0 else names[number % 7]
            if patient == 3:
                anatomy = "SPINE_SAG"  # in test alone
            rows.append({
                "frame_id": f"p{patient}_{number}", "path": "x.png", "source": "s",
                "patient": f"p{patient}", "anatomy": anatomy, "machine": "AB"[patient % 2],
                "split": ["train", "train", "val", "test"][patient % 4],
            })  # fmt: skip
    return FrameTable.build(pd.DataFrame(rows), Taxonomy.load(), "test")


def test_frames_are_few_and_of_every_kind_that_train_has():
    whole = table(120)
    frames = fewer(whole).frames
    counts = frames["split"].value_counts().to_dict()
    assert counts == FRAMES
    assert frames.equals(fewer(whole).frames) and frames["frame_id"].is_unique
    kinds = ["anatomy", *DOMAINS]
    every = whole.frames[whole.frames["split"] == "train"][kinds].drop_duplicates()
    train = frames[frames["split"] == "train"][kinds].drop_duplicates()
    assert len(train) == len(every)
    assert set(frames["anatomy"].dropna()) == set(train["anatomy"].dropna())
    assert "SPINE_SAG" in set(whole.frames["anatomy"])
    merged = whole.frames.merge(frames[["frame_id"]], on="frame_id")
    assert merged.sort_values("frame_id", ignore_index=True).equals(
        frames.sort_values("frame_id", ignore_index=True)
    )


def test_a_table_that_is_small_already_loses_nothing_but_what_cannot_be_learnt():
    small = table(3)  # two patients of train, one of val
    assert len(fewer(small)) == len(small)
