"""The tasks `segmentation` and `cross_segmentation` on shapes that are easily told apart."""

import json

import numpy as np
import pandas as pd
import pytest

from awcl.config import TrialConfig, with_values
from awcl.data.pack import FramePack
from awcl.downstream import tasks
from awcl.downstream.evaluation import evaluate, write_evaluation
from awcl.downstream.segmenting import Recipe
from awcl.errors import InputError

SHORT = Recipe(steps=40, rates=(1e-2,))
BRIEF = Recipe(steps=2, rates=(1e-2,))  # for what does not ask how good the masks are
HEADLINES = ("dice", "iou", "pixel_accuracy", "mean_pixel_accuracy", "hd95_mm", "hc_error_mm")


def train_by(patch: pytest.MonkeyPatch, recipe: Recipe) -> None:
    for task in ("segmentation", "cross_segmentation"):
        for name in ("QUICK", "FULL"):
            patch.setattr(f"awcl.downstream.tasks.{task}.{name}", recipe)


@pytest.fixture(scope="module", autouse=True)
def short_training():
    with pytest.MonkeyPatch.context() as patch:
        train_by(patch, SHORT)
        yield


@pytest.fixture
def brief_training(monkeypatch):
    train_by(monkeypatch, BRIEF)


@pytest.fixture(scope="module")
def judged(masked_pack, taxonomy, tiny_encoder):
    settings = tasks.settings({"task": "segmentation", "quick": False})
    return evaluate(tiny_encoder, settings, masked_pack, taxonomy)


@pytest.fixture(scope="module")
def crossed(masked_pack, taxonomy, tiny_encoder):
    settings = tasks.settings("cross_segmentation")
    return evaluate(tiny_encoder, settings, masked_pack, taxonomy)


@pytest.fixture
def pack(masked_pack) -> FramePack:
    """`masked_pack`, opened anew, so that its table may be changed."""
    return FramePack(masked_pack.folder)


@pytest.mark.parametrize("task", ["segmentation", "cross_segmentation"])
def test_steps_are_a_setting_that_says_nothing_where_it_is_not_given(task, masked_pack, taxonomy):
    """Else what studies have stored would be judged anew."""
    plain, given = tasks.settings(task), tasks.settings({"task": task, "steps": 7})
    assert "steps" not in plain.model_dump(mode="json")
    assert tasks.settings(given.model_dump(mode="json")) == given
    assert tasks.build(plain, masked_pack, taxonomy).recipe == SHORT
    assert tasks.build(given, masked_pack, taxonomy).recipe == Recipe(steps=7, rates=SHORT.rates)


def test_predictions_are_one_row_a_test_frame_with_its_scores(judged, masked_pack):
    _, predictions, _ = judged
    frames = masked_pack.frames
    test = frames[frames["split"] == "test"]
    assert list(predictions["frame_id"]) == list(test["frame_id"])
    assert list(predictions["patient"]) == list(test["patient"])
    wanted = {f"{mode}/{name}" for mode in ("frozen", "finetuned") for name in HEADLINES}
    assert wanted | {"audit_group", "machine", "trimester"} <= set(predictions)


def test_every_score_is_the_mean_of_its_column_and_lies_within_its_interval(judged):
    result, predictions, _ = judged
    found = result["metrics"]
    for mode, prefix in (("frozen", ""), ("finetuned", "finetuned/")):
        assert 0.5 < found[f"{prefix}dice"] < 1, "or much of what follows could not fail"
        for name in (*HEADLINES, "class/head/dice", "class/body/hd95_mm", "class/head/accuracy"):
            mean = predictions[f"{mode}/{name}"].mean()
            assert found[f"{prefix}{name}"] == pytest.approx(mean)
            ends = [found[f"{prefix}{name}/{end}"] for end in ("low", "high")]
            assert ends[0] <= mean <= ends[1]
    json.dumps(result, allow_nan=False)


@pytest.mark.usefixtures("brief_training")
def test_intervals_resample_audit_groups_where_there_are_any(pack, taxonomy, tiny_encoder):
    pack.frames["audit_group"] = pack.frames["patient"].mask(pack.frames["split"] == "test", "one")
    result, _, _ = evaluate(tiny_encoder, tasks.settings("segmentation"), pack, taxonomy)
    found = result["metrics"]
    assert "dice" in found and "dice/low" not in found, "nothing is known of another group"


def test_heads_are_measured_in_their_planes_only(judged, masked_pack):
    _, predictions, _ = judged
    anatomy = masked_pack.frames.set_index("frame_id")["anatomy"].loc[predictions["frame_id"]]
    measured = predictions["frozen/hc_error_mm"].notna().to_numpy()
    np.testing.assert_array_equal(measured, (anatomy == "HCP").to_numpy())


def test_the_quick_part_is_the_frozen_encoder_alone(masked_pack, taxonomy, tiny_encoder, judged):
    quick = tasks.build(tasks.settings("segmentation"), masked_pack, taxonomy)
    found = dict(quick.run(tiny_encoder))
    assert not any("finetuned" in name for name in [*found, *quick.predictions, *quick.figures])
    assert {name: judged[0]["metrics"][name] for name in found} == found, "the same run twice"


def test_one_figure_a_mode_is_written_beside_the_result(judged, tmp_path):
    result, predictions, figures = judged
    write_evaluation(tmp_path / "out", result, predictions, figures)
    names = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert names == {"frozen_masks.png", "finetuned_masks.png"}
    axes = figures["frozen_masks"].axes
    titles = [axis.get_title() for axis in axes if axis.get_title()]
    dice = np.sort(predictions["frozen/dice"].dropna())
    shown = [*dice[:6], dice[len(dice) // 2], dice[-1]]
    assert [f"Dice {value:.2f}" in title for value, title in zip(shown, titles, strict=True)]
    assert titles[0].startswith("worst 1") and titles[-1].startswith("best")


@pytest.mark.usefixtures("brief_training")
def test_where_chooses_the_frames_that_take_part(masked_pack, taxonomy, tiny_encoder):
    settings = tasks.settings({"task": "segmentation", "where": {"trimester": "first"}})
    task = tasks.build(settings, masked_pack, taxonomy)
    dict(task.run(tiny_encoder))
    assert set(task.predictions["trimester"]) == {"first"}


def test_frames_without_masks_allow_no_segmentation(tiny_pack, taxonomy):
    for name in ("segmentation", "cross_segmentation"):
        with pytest.raises(InputError, match="none of the frames asked for has a mask"):
            tasks.build(tasks.settings(name), tiny_pack, taxonomy)


def test_what_a_reader_must_know_is_said(pack, taxonomy):
    pack.frames.loc[:9, "mask_classes"] = "body;head"
    pack.frames.loc[:9, "source"] = "hc18"
    about = tasks.build(tasks.settings("segmentation"), pack, taxonomy).about
    assert about["hc18"] == "whether pre-training saw it is not known"
    trained = int((pack.frames["split"][:10] == "train").sum())
    for where, said in (({"source": "!hc18"}, "none of it"), ({}, f"saw {trained} of its frames")):
        config = with_values(TrialConfig(), {"data.pretrain_where": where}, "test")
        settings = tasks.for_trial(tasks.settings("segmentation"), config)
        assert said in tasks.build(settings, pack, taxonomy).about["hc18"]
    assert about["classes"] == ["body", "head"]
    assert about["frames_by_list_of_classes"] == {"head;body": 62, "body;head": 10}


# --- across domains ----------------------------------------------------------------------------


def side(pack: FramePack, split: str, **where) -> set[str]:
    """Names of the frames of a split with given values."""
    frames = pack.frames[(pack.frames["split"] == split) & (pack.frames["mask_row"] >= 0)]
    for column, values in where.items():
        frames = frames[frames[column].isin(values)]
    return set(frames["frame_id"])


HOME = {"trimester": ["second"], "machine": ["A", "B"]}
AWAY = {
    "first_trimester": {"trimester": ["first"], "machine": ["A", "B"]},
    "machine_C": {"trimester": ["second"], "machine": ["C"]},
}


@pytest.mark.parametrize("crossing", AWAY)
def test_each_route_is_judged_on_the_frames_of_its_side(crossed, masked_pack, crossing):
    _, predictions, _ = crossed
    home, away = side(masked_pack, "test", **HOME), side(masked_pack, "test", **AWAY[crossing])
    for kind, frames in (("in_domain", home), ("transfer", away), ("shift", away)):
        values = predictions.set_index("frame_id")[f"frozen/{crossing}/{kind}/dice"]
        assert set(values.dropna().index) == frames and frames


@pytest.mark.parametrize("crossing", AWAY)
def test_a_route_is_trained_on_one_side_only(masked_pack, taxonomy, crossing):
    task = tasks.build(tasks.settings("cross_segmentation"), masked_pack, taxonomy)
    (plan,) = [plan for plan in task.plans if plan.name == crossing]
    home, away = side(masked_pack, "train", **HOME), side(masked_pack, "train", **AWAY[crossing])
    trained = {r.kind: set(task.masks.frames["frame_id"][r.train]) for r in plan.routes}
    assert trained == {"in_domain": home, "transfer": away, "shift": home}


def test_scores_are_means_and_the_drop_is_their_difference(crossed):
    result, predictions, _ = crossed
    found = result["metrics"]
    for crossing in AWAY:
        for kind in ("in_domain", "transfer", "shift"):
            for name in ("dice", "iou", "hd95_mm"):
                mean = predictions[f"frozen/{crossing}/{kind}/{name}"].mean()
                assert found[f"{crossing}/{kind}/{name}"] == pytest.approx(mean)
        drop = found[f"{crossing}/in_domain/dice"] - found[f"{crossing}/shift/dice"]
        assert found[f"{crossing}/drop/dice"] == pytest.approx(drop)
        assert found[f"{crossing}/drop/dice/low"] <= drop <= found[f"{crossing}/drop/dice/high"]
    assert set(result["about"]["judged"]) == set(AWAY)
    json.dumps(result, allow_nan=False)


def test_the_interval_of_a_drop_is_that_of_patients_drawn_at_home_and_away_apart(crossed):
    result, predictions, _ = crossed
    rng, means = np.random.default_rng(5), []
    for kind in ("in_domain", "shift"):
        column = f"frozen/machine_C/{kind}/dice"
        judged = predictions.dropna(subset=column)
        groups = [of.to_numpy() for _, of in judged.groupby("patient")[column]]
        places = range(len(groups))
        means.append(
            [
                np.mean(np.concatenate([groups[k] for k in rng.choice(places, len(groups))]))
                for _ in range(4000)
            ]
        )
    slow = np.quantile(np.subtract(*means), [0.025, 0.975])
    found = [result["metrics"][f"machine_C/drop/dice/{end}"] for end in ("low", "high")]
    assert found == pytest.approx(slow, abs=0.01)


@pytest.mark.usefixtures("brief_training")
def test_a_shift_is_judged_on_the_classes_that_both_sides_have(pack, taxonomy, tiny_encoder):
    first = pack.frames["trimester"] == "first"
    pack.frames.loc[first, "mask_classes"] = "head;femur"
    task = tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy)
    assert task.masks.classes == ["head", "body", "femur"]
    assert task.about["judged"] == {"first_trimester": ["head"], "machine_C": ["head", "body"]}
    dict(task.run(tiny_encoder))
    anatomy = pack.frames.set_index("frame_id")["anatomy"]
    dice = task.predictions.set_index("frame_id")["frozen/first_trimester/in_domain/dice"].dropna()
    assert set(anatomy[dice.index]) == {"HCP"}, "frames of a body alone hold no class in common"


@pytest.mark.usefixtures("brief_training")
def test_without_a_class_in_common_there_is_transfer_alone_and_it_is_said(
    pack, taxonomy, tiny_encoder
):
    pack.frames.loc[pack.frames["trimester"] == "first", "mask_classes"] = "spine;femur"
    task = tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy)
    assert set(task.about["judged"]["first_trimester"]) == {"spine", "femur"}
    said = {"first_trimester/shift": "no class in common; transfer alone"}
    assert task.about["left_out"] == said
    kinds = {
        name.split("/")[1]
        for name, _ in task.run(tiny_encoder)
        if name.startswith("first_trimester")
    }
    assert kinds == {"transfer"}


@pytest.mark.usefixtures("brief_training")
def test_a_patient_on_both_sides_counts_on_both(pack, taxonomy, tiny_encoder):
    """Of two patients away one is at home, too: the other is not alone there."""
    pack.frames["patient"] = pack.frames["patient"].replace("masked/p05", "masked/p03")
    found = dict(
        tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy).run(tiny_encoder)
    )
    assert "machine_C/transfer/dice/low" in found


def test_away_without_a_class_in_common_is_left_out_with_the_reason(pack, taxonomy):
    frames = pack.frames
    first = frames["trimester"] == "first"
    frames.loc[first & (frames["split"] == "train"), "mask_classes"] = "spine;femur"
    task = tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy)
    said = {"first_trimester": "away, train and test hold no class in common"}
    assert task.about["left_out"] == said
    assert [plan.name for plan in task.plans] == ["machine_C"]


@pytest.mark.usefixtures("brief_training")
def test_hc18_is_transfer_alone(pack, taxonomy, tiny_encoder):
    pack.frames["source"] = "hc18"
    task = tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy)
    assert task.about["left_out"] == {"hc18/shift": "no mask at home; transfer alone"}
    found = dict(task.run(tiny_encoder))
    assert {name.split("/")[1] for name in found} == {"transfer"}
    assert set(task.predictions["frame_id"]) == side(pack, "test")


@pytest.mark.parametrize(
    ("trained", "seen"),
    [
        ({"where": {"machine": ["A"], "trimester": ["second"]}}, (0.0, 0.0)),
        ({"where": {"machine": ["C"]}}, (0.0, 1.0)),
        ({}, (1.0, 1.0)),
        ({"elsewhere": True}, (0.0, 0.0)),
    ],
)
@pytest.mark.usefixtures("brief_training")
def test_each_crossing_says_whether_pre_training_saw_the_domain_away(
    pack, taxonomy, tiny_encoder, crossed, trained, seen
):
    pack.frames["machine"] = pack.frames["machine"].replace("B", "A")  # in train there is no B
    settings = {"task": "cross_segmentation", "pretrained": {"anatomy": {}, **trained}}
    task = tasks.build(tasks.settings(settings), pack, taxonomy)
    flags = {n: v for n, v in task.run(tiny_encoder) if n.endswith("target_domain_seen")}
    names = ("first_trimester/target_domain_seen", "machine_C/target_domain_seen")
    assert flags == dict(zip(names, seen, strict=True))
    assert not any("seen" in name for name in crossed[0]["metrics"]), "nobody said what it saw"


def test_an_away_side_without_masks_in_a_split_is_left_out_with_the_reason(pack, taxonomy):
    frames = pack.frames
    frames.loc[(frames["machine"] == "C") & (frames["split"] == "test"), "mask_row"] = -1
    task = tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy)
    assert task.about["left_out"] == {"machine_C": "away, split test holds no mask"}
    assert [plan.name for plan in task.plans] == ["first_trimester"]


def test_no_two_domains_is_one_clear_line(pack, taxonomy):
    pack.frames["trimester"] = "second"
    pack.frames["machine"] = "A"
    with pytest.raises(InputError, match="no two domains with masks to cross between") as error:
        tasks.build(tasks.settings("cross_segmentation"), pack, taxonomy)
    assert "\n" not in str(error.value)


def test_predictions_can_be_stored(judged, crossed, tmp_path):
    for _, predictions, _ in (judged, crossed):
        predictions.to_parquet(tmp_path / "p.parquet", index=False)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "p.parquet"), predictions)
