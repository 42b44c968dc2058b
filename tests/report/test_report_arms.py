"""Arms: which trials are one, what they are called, which may be compared."""

import shutil

import pytest

from awcl.config import flat
from awcl.pretrain import methods
from awcl.pretrain.method import Method
from awcl.report import arms as of_arms
from awcl.report import reading
from awcl.report.arms import absent, arms, comparable, nearest

ARMS = {
    "simclr": {"pretrain.positives": "self"},
    "awcl_fine": {"anatomy.granularity": "fine"},
    "awcl_coarse": {"anatomy.granularity": "coarse"},
}


def found(making):
    stored = reading.read(making.folder)
    every = arms(stored)
    return every, *comparable(stored, every)


def reasons(apart):
    return {(of.arm, of.seed): of.reason for of in apart}


def test_trials_that_differ_in_the_seed_only_are_an_arm(ratios):
    every, kept, apart = found(ratios)
    assert [list(arm.trials) for arm in every] == [[0, 1]] * 5
    assert kept == every and not apart


def test_an_arm_is_called_by_its_place_on_the_axes(ratios):
    assert [arm.name for arm in found(ratios)[0]] == [
        "ratio 0, SimCLR", "ratio 0.5, coarse", "ratio 0.5, fine", "ratio 1, coarse",
        "ratio 1, fine",
    ]  # fmt: skip


def test_a_named_arm_has_its_name_and_the_order_of_the_definition(making):
    made = making(arms=ARMS, seeds=[0])
    made.add(anatomy__granularity="coarse")
    made.add()
    made.add(pretrain__positives="self")
    assert [arm.name for arm in found(made)[0]] == ["simclr", "awcl_fine", "awcl_coarse"]


def test_a_named_arm_on_axes_is_called_by_both(making):
    made = making(arms=ARMS, axes={"pretrain.temperature": [0.1, 0.5]})
    made.add(pretrain__positives="self", pretrain__temperature=0.5)
    made.add(pretrain__temperature=0.1)
    names = [arm.name for arm in found(made)[0]]
    assert names == ["simclr, temperature 0.5", "awcl_fine, temperature 0.1"]


def test_an_arm_that_starts_from_an_encoder_has_its_name(making):
    """Its trials hold what `model.init` was found to be, and not what the arm says."""
    made = making(
        arms={"cold": {}, "warm": {"model.init": "results/other/trials/k"}},
        weights={"results/other/trials/k resnet18 224": "weights:0123456789ab"},
    )
    made.add(model__init="weights:0123456789ab")
    made.add()
    every, _, apart = found(made)
    assert [arm.name for arm in every] == ["cold", "warm"] and not apart


def test_arms_that_are_one_trial_are_one_row_with_both_names(making):
    moco = {"pretrain.method": "moco", "pretrain.positives": "self"}
    made = making(arms={"fine": {}, "moco": moco, "SimCLR": moco}, axes={"pretrain.lr": [0.1, 0.2]})
    made.add(pretrain__method="moco", pretrain__positives="self", pretrain__lr=0.1)
    made.add(pretrain__lr=0.1)
    every = found(made)[0]
    assert [arm.name for arm in every] == ["fine, lr 0.1", "moco = SimCLR, lr 0.1"]
    assert [arm.is_simclr for arm in every] == [False, True], "one of its names says so"


def test_an_axis_of_one_value_is_in_no_name(making):
    made = making(axes={"anatomy.ratio": [0.5, 1], "pretrain.batch": [32]})
    made.add(anatomy__ratio=0.5, pretrain__batch=32)
    made.add(anatomy__ratio=1, pretrain__batch=32)
    assert [arm.name for arm in found(made)[0]] == ["ratio 0.5", "ratio 1"]


def test_arms_that_no_axis_tells_apart_have_their_keys(making):
    made = making()
    made.add(pretrain__lr=0.1)
    made.add(pretrain__lr=0.2)
    names = [arm.name for arm in found(made)[0]]
    assert names == ["the study's base, 000000000001", "the study's base, 000000000002"]


def test_an_arm_of_which_no_trial_is_left_is_listed(making):
    made = making(arms=ARMS)
    made.add()
    shutil.rmtree(made.add(pretrain__positives="self").path)
    assert reasons(found(made)[2]) == {("simclr", None): "not run: no trial of it is stored"}


def test_what_is_not_run_is_listed_with_the_reason_and_its_place_on_the_axes(making):
    reason = "weights not at hand"
    made = making(
        arms={"imagenet": {"model.init": "imagenet"}, "cold": {}},
        axes={"anatomy.ratio": [0, 1], "anatomy.granularity": ["coarse", "fine"]},
        not_run=[
            {"arm": "imagenet", "anatomy.ratio": "0.0", "anatomy.granularity": "-",
             "reason": reason},
            {"arm": "imagenet", "anatomy.ratio": "1.0", "anatomy.granularity": "fine",
             "reason": reason},
        ],
    )  # fmt: skip
    made.add(anatomy__ratio=1)
    _, kept, apart = found(made)
    assert [arm.name for arm in kept] == ["cold, ratio 1, fine"]
    assert reasons(apart) == {
        ("imagenet, ratio 0.0", None): "not run: weights not at hand",
        ("imagenet, ratio 1.0, granularity fine", None): "not run: weights not at hand",
    }


def test_an_arm_that_lacks_a_seed_is_no_part_of_a_comparison(ratios):
    ratios.add(0, 0.5, anatomy__ratio=0.25)
    ratios.add(1, None, outcome=None, epochs=2, anatomy__ratio=0.25)
    _, kept, apart = found(ratios)
    assert "ratio 0.25, fine" not in [arm.name for arm in kept] and len(kept) == 5
    assert reasons(apart) == {
        ("ratio 0.25, fine", 0): "finished, but seed 1 has not",
        ("ratio 0.25, fine", 1): "not finished, at epoch 2 of 3",
    }


def test_what_was_stopped_failed_or_not_run_is_listed_with_its_reason(making):
    made = making(axes={"anatomy.ratio": [0, 0.5, 1]})
    made.add(outcome="stopped", epochs=1, reason="below the cutoff", anatomy__ratio=0)
    made.add(outcome="failed", epochs=0, reason="it broke", anatomy__ratio=0.5)
    made.add(outcome="not_run", epochs=0, reason="weights not at hand", anatomy__ratio=1)
    _, kept, apart = found(made)
    assert not kept
    assert [of.reason for of in apart] == [
        "stopped at epoch 1: below the cutoff", "failed: it broke", "not run: weights not at hand",
    ]  # fmt: skip


def test_arms_of_other_epochs_stand_apart(making):
    made = making(axes={"pretrain.epochs": [3, 9]})
    made.add(pretrain__epochs=3)
    made.add(pretrain__epochs=9, epochs=9, pretrain__lr=0.1)
    made.add(pretrain__epochs=9, epochs=9)
    _, kept, apart = found(made)
    assert {arm.config.pretrain.epochs for arm in kept} == {9}
    assert [of.reason for of in apart] == ["trained for 3 epochs, others for 9"]


def test_a_search_needs_one_seed_until_some_are_confirmed(making):
    for confirmed, number in (([], 2), ([{"anatomy.ratio": 1}], 1)):
        made = making(seeds=[0, 1], confirm=1, confirmed=confirmed, axes={"anatomy.ratio": [0, 1]})
        made.add(0, anatomy__ratio=0)
        for seed in (0, 1):
            made.add(seed, anatomy__ratio=1)
        assert len(found(made)[1]) == number
        made.folder.path.rename(made.folder.path.with_name(f"was-{number}"))


def test_simclr_is_known_by_its_name_or_by_its_positives(making):
    made = making(arms=ARMS)
    made.add(pretrain__positives="self")
    made.add()
    assert [arm.is_simclr for arm in found(made)[0]] == [True, False]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("anatomy", {}),
        ("anatomy", {"pretrain__positives": "hierarchical"}),
        ("anatomy", {"pretrain__method": "moco"}),
        ("contrastive", {"anatomy__ratio": 0}),
        ("contrastive", {"pretrain__positives": "self"}),
        ("contrastive", {"pretrain__positives": "patient"}),
        ("contrastive", {"pretrain__method": "moco", "pretrain__positives": "self"}),
        ("contrastive", {"pretrain__method": "uscl"}),
        ("supervised", {"pretrain__method": "supervised"}),
        ("imagenet", {"pretrain__epochs": 0, "model__init": "imagenet:0123456789ab"}),
        ("anatomy", {"model__init": "imagenet:0123456789ab"}),
        ("", {"pretrain__epochs": 0}),
        ("", {"pretrain__method": "supcon"}),
    ],
)
def test_what_an_arm_is_in_the_papers_comparison_its_configuration_says(making, kind, values):
    made = making()
    made.add(**values)
    [arm] = found(made)[0]
    assert arm.kind == kind
    assert arm.is_simclr == (values in ({"anatomy__ratio": 0}, {"pretrain__positives": "self"}))


@pytest.mark.parametrize(
    ("says", "positives", "kind"),
    [
        ({}, "self", "contrastive"),
        ({}, "anatomy", "anatomy"),
        ({"own_pairs": "crops of a frame"}, "anatomy", "contrastive"),
        ({"kind": "labelled pairs"}, "anatomy", ""),
        ({"kind": "supervised"}, "self", "supervised"),
    ],
)
def test_a_new_method_says_what_it_is(making, monkeypatch, says, positives, kind):
    """And no report has to be told of it."""
    made = making()
    made.add(pretrain__positives=positives)
    [arm] = found(made)[0]
    asked = []
    new = type("Method", (Method,), says)
    monkeypatch.setattr(methods, "find", lambda name: asked.append(name) or new)
    assert arm.kind == kind and asked == ["groups"]


def test_an_arm_that_was_not_run_is_known_by_its_configuration_too(making):
    """A filter among its values, of which only the text is stored, does not stand in the way."""
    reason = {"reason": "weights not at hand"}
    made = making(
        axes={"model.init": ["random", "imagenet"], "pretrain.epochs": [0, 3],
              "data.pretrain_where": [{}, {"machine": ["A"]}]},
        not_run=[{"model.init": "imagenet", "pretrain.epochs": "0",
                  "data.pretrain_where": "{'machine': ['A']}", **reason}],
    )  # fmt: skip
    [arm] = absent(reading.read(made.folder))
    assert arm.kind == "imagenet" and arm.not_run == "not run: weights not at hand"
    assert not arm.trials


def test_the_nearest_simclr_is_that_of_the_same_temperature(making):
    made = making(axes={"anatomy.ratio": [0, 1], "pretrain.temperature": [0.1, 0.5]})
    for temperature in (0.1, 0.5):
        for ratio in (0, 1):
            made.add(anatomy__ratio=ratio, pretrain__temperature=temperature)
    every = found(made)[0]
    simclr = [arm for arm in every if arm.is_simclr]
    assert len(simclr) == 2
    for arm in every:
        of = nearest(arm, simclr)
        assert of.config.pretrain.temperature == arm.config.pretrain.temperature


def test_the_configuration_of_an_arm_is_taken_apart_once_however_many_there_are(
    making, monkeypatch
):
    made = making(axes={"pretrain.temperature": [0.1, 0.2, 0.3, 0.4]})
    for temperature in (0.1, 0.2, 0.3, 0.4):
        made.add(pretrain__temperature=temperature)
    every, asked = found(made)[0], []
    monkeypatch.setattr(of_arms, "flat", lambda config: asked.append(config) or flat(config))
    for arm in every:
        nearest(arm, [other for other in every if other is not arm])
    assert len(asked) == len(every) == 4


def test_the_nearest_of_other_methods_is_that_with_the_fewest_other_fields(making):
    """Methods have settings of their own; one that the other lacks differs."""
    made = making()
    made.add(pretrain__positives="self", pretrain__temperature=0.5)
    made.add(pretrain__positives="self")
    made.add(pretrain__method="moco", method__queue=64)
    made.add(pretrain__method="supervised")
    warm, cold, moco, supervised = (
        next(arm for arm in found(made)[0] if key in arm.name)
        for key in ("0001", "0002", "0003", "0004")
    )
    for arm in (moco, supervised):
        assert nearest(arm, [warm, cold]) is cold
        assert nearest(cold, [warm, arm]) is warm
    assert nearest(cold, []) is None
