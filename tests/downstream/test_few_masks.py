"""The task `few_masks`: whose masks the decoder has at each point, and what is counted of them."""

import copy

import numpy as np
import pytest

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.downstream import overlap, tasks
from awcl.downstream.masks import MaskedFrames
from awcl.downstream.segmenting import Recipe, Trainer
from awcl.errors import InputError

SHARES = [0.2, 0.5, 1.0]
SHORT = Recipe(steps=12, rates=(1e-2,))


@pytest.fixture(scope="module", autouse=True)
def short_training():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("awcl.downstream.tasks.few_masks.QUICK", SHORT)
        yield


def build(pack, taxonomy, **values):
    data = {"task": "few_masks", "shares": SHARES, "draws": 2, **values}
    return tasks.build(tasks.settings(data), pack, taxonomy)


@pytest.fixture(scope="module")
def judged(masked_pack, taxonomy, tiny_encoder):
    """Of an encoder that used no labels: the task after its run, and what it yielded."""
    task = build(masked_pack, taxonomy, pretrained={"anatomy": {"ratio": 0}})
    return task, dict(task.run(tiny_encoder))


def patients(pack, taxonomy, share: float, seed: int) -> set[str]:
    """Those with labels that pre-training would use at this ratio of patients."""
    train = pack.frames[pack.frames["split"] == "train"].reset_index(drop=True)
    few = AnatomyConfig(ratio=share, ratio_unit="patient")
    return set(train["patient"][usable_labels(train, few, taxonomy, seed)])


@pytest.mark.parametrize("share", SHARES)
def test_a_point_is_the_mean_of_decoders_with_the_masks_of_a_list_of_patients(
    judged, masked_pack, taxonomy, tiny_encoder, share
):
    task, found = judged
    masks = MaskedFrames(masked_pack, np.arange(len(masked_pack.frames)))
    test, reached = masks.split("test"), []
    for seed in range(2 if share < 1 else 1):
        listed = masks.frames["patient"].isin(patients(masked_pack, taxonomy, share, seed))
        train = np.flatnonzero(listed & (masks.frames["split"] == "train"))
        predicted = Trainer(tiny_encoder, masks, SHORT).segmenter(train)[0].predict(test)
        dice = np.nanmean(overlap.dice(masks.truths(test), predicted, 2), axis=1)
        column = task.predictions[f"transfer/{share:g}/{seed}/dice"]
        np.testing.assert_allclose(column, dice, atol=1e-6)
        reached.append(dice.mean())
    assert found[f"transfer/{share:g}/dice"] == pytest.approx(np.mean(reached))
    low, high = (found[f"transfer/{share:g}/dice/{end}"] for end in ("low", "high"))
    assert low < np.mean(reached) < high
    if share < 1:
        assert found[f"transfer/{share:g}/dice/sd"] == pytest.approx(np.std(reached, ddof=1))


def test_lists_are_nested_and_test_stays_whole(judged, masked_pack, taxonomy):
    task, _ = judged
    few, more, every = (patients(masked_pack, taxonomy, share, 1) for share in SHARES)
    assert few < more < every
    assert len(task.predictions) == (masked_pack.frames["split"] == "test").sum()


def test_the_budget_is_told_at_each_point(judged, masked_pack, taxonomy):
    count = 3 * len(patients(masked_pack, taxonomy, 1, 0))
    assert judged[0].about["labels"]["transfer/1"].startswith(f"labels {count} in all, {count} of")


def test_without_labels_in_pre_training_both_curves_are_there(judged):
    assert {name.split("/")[0] for name in judged[1]} == {"transfer", "few_label"}


def test_an_encoder_with_labels_of_a_share_of_patients_has_that_point(
    masked_pack, taxonomy, tiny_encoder
):
    anatomy = {"ratio": 0.5, "ratio_unit": "patient"}
    known = {"anatomy": anatomy, "seed": 1}
    task = build(masked_pack, taxonomy, shares=[1.0], pretrained=known)
    found = dict(task.run(tiny_encoder))
    assert [name for name in found if name.endswith("/dice")] == [
        "transfer/1/dice", "few_label/0.5/dice",
    ]  # fmt: skip
    listed = patients(masked_pack, taxonomy, 0.5, 1)
    masks, labels = 3 * len(listed), len(task.used)
    said = task.about["labels"]["few_label/0.5"]
    assert said.startswith(f"labels {masks + labels} in all, {masks} of the task")


def test_it_runs_only_where_it_is_asked_for(masked_pack, taxonomy):
    from awcl.downstream import suite

    able, reasons = suite.allowed({"quick": False}, masked_pack, taxonomy)
    assert "segmentation" in {settings.name for settings in able}
    assert "few_masks" not in {*reasons, *(settings.name for settings in able)}


def test_frames_without_masks_allow_it_not(tiny_pack, taxonomy):
    with pytest.raises(InputError, match="none of the frames asked for has a mask"):
        build(tiny_pack, taxonomy)


def without_labels(pack, patients):
    """The pack, in which these patients have no anatomy label."""
    known = pack.frames["anatomy"].where(~pack.frames["patient"].isin(patients))
    changed = copy.copy(pack)
    changed.frames = pack.frames.assign(anatomy=known)
    return changed


def test_masks_of_patients_without_a_label_are_told_to_be_on_no_list(
    masked_pack, taxonomy, tiny_encoder
):
    train = masked_pack.frames[masked_pack.frames["split"] == "train"]
    one, *_, last = train["patient"].unique()
    task = build(without_labels(masked_pack, [one, last]), taxonomy, shares=[1.0])
    dict(task.run(tiny_encoder))
    assert task.about["left_out"] == [
        "few_label: not known which labels pre-training used",
        "masks of 2 patients without an anatomy label: on no list",
    ]
    every = train["patient"].nunique()
    with pytest.raises(InputError, match=f"of {every} patients of train with masks none has an"):
        build(without_labels(masked_pack, train["patient"]), taxonomy)
