"""The space of a study: which trials it draws, and their keys."""

import itertools

import numpy as np
import pytest
from drawn_space import SEARCH, TEMPERATURES, study
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from awcl.config import TrialConfig, flat, shown, with_values
from awcl.pretrain.trial import trial_key
from awcl.study.space import Resources, Study, expand

BASE = TrialConfig()


def points_of(made: Study) -> list[tuple]:
    """(ratio, granularity, temperature, seed) of each trial, in order."""
    return [
        (c.anatomy.ratio, c.anatomy.granularity, c.pretrain.temperature, c.seed)
        for c in expand(made)
    ]


def drawn(**axis) -> dict:
    """A search over one range."""
    return {"axes": {"pretrain.lr": axis}, "sampler": "random", "samples": 3}


def test_axes_are_crossed_with_each_other_and_with_every_seed_in_order():
    made = study(
        axes={"anatomy.granularity": ["coarse", "fine"], "pretrain.temperature": [0.1, 0.5]},
        seeds=[3, 1],
    )
    assert points_of(made) == [
        (1.0, granularity, temperature, seed)
        for granularity in ("coarse", "fine")
        for temperature in (0.1, 0.5)
        for seed in (3, 1)
    ]


def test_ratio_0_is_one_trial_for_all_granularities():
    made = study(axes={"anatomy.granularity": ["coarse", "fine"], "anatomy.ratio": [0, 0.5, 1]})
    found = points_of(made)
    assert len(found) == 5
    assert [p for p in found if p[0] == 0] == [(0.0, "fine", 0.1, 0)]
    assert expand(made)[0].pretrain.positives == "self"


def test_without_axes_there_is_one_trial_a_seed():
    assert points_of(study(seeds=[0, 1])) == [(1.0, "fine", 0.1, 0), (1.0, "fine", 0.1, 1)]


@given(
    ratios=st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=4),
    granularities=st.lists(st.sampled_from(["coarse", "fine"]), min_size=1, max_size=3),
    seeds=st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True),
)
def test_every_combination_is_there_once_and_the_same_twice(ratios, granularities, seeds):
    axes = {"anatomy.ratio": ratios, "anatomy.granularity": granularities}
    made = study(axes=axes, seeds=seeds)
    again = Study.model_validate_json(made.model_dump_json())
    assert made == again and made.model_dump_json() == again.model_dump_json()
    found = expand(made)
    assert found == expand(again)
    wanted = {
        (ratio, granularity if ratio else "fine", 0.1, seed)
        for ratio, granularity, seed in itertools.product(ratios, granularities, seeds)
    }
    assert len(found) == len(wanted)
    assert set(points_of(made)) == wanted
    keys = {trial_key(config, "pack", "taxonomy") for config in found}
    assert len(keys) == len(found)


CHOOSING = {**SEARCH, "seeds": [0, 1], "confirm": 1}


def test_points_that_are_drawn_are_crossed_with_every_seed_and_the_same_twice():
    made = study(**SEARCH, seeds=[0, 1])
    again = Study.model_validate_json(made.model_dump_json())
    assert made == again and made.model_dump_json() == again.model_dump_json()
    found = expand(made)
    assert found == expand(again)
    drawn = [(c.anatomy.ratio, c.pretrain.temperature) for c in found]
    assert len(found) == 10 and drawn[0::2] == drawn[1::2] and len(set(drawn)) == 5
    assert all(0.05 <= temperature <= 1 for _, temperature in drawn)
    more = expand(study(**{**SEARCH, "samples": 9}, seeds=[0, 1]))
    assert more[:10] == found and len(more) == 18


def test_points_that_are_drawn_twice_are_one_trial():
    assert len(expand(study(axes={"anatomy.ratio": [0, 1]}, sampler="random", samples=20))) == 2


def test_proposed_points_follow_those_of_the_sampler_and_are_no_trial_of_their_own_twice():
    axes = {"anatomy.ratio": [0.5, 1], "pretrain.temperature": [0.1]}
    new = {"anatomy.ratio": 1, "pretrain.temperature": 0.1}
    assert len(expand(study(axes=axes, proposed=[new]))) == 2
    made = study(**SEARCH, proposed=[{"anatomy.ratio": 1, "pretrain.temperature": 0.7}])
    last = expand(made)[-1]
    assert len(expand(made)) == 6 and last.pretrain.temperature == 0.7


def test_settings_of_a_method_are_axes():
    base = with_values(BASE, {"pretrain.method": "moco"}, "test")
    found = expand(study(base=base, axes={"method.queue": ["64", 0]}))
    assert [shown(config)["method.queue"] for config in found] == [64, 0]
    assert key(found[1]) == key(base) != key(found[0])
    with pytest.raises(
        ValidationError, match=r"method\.queue: no setting of pretrain\.method groups"
    ):
        study(axes={"method.queue": [64]})


def test_a_search_runs_on_the_first_seed_and_what_is_confirmed_on_all():
    axes = {"pretrain.temperature": [0.1, 0.5, 0.9]}
    values = {"axes": axes, "seeds": [3, 0, 1], "confirm": 2}
    assert [p[2:] for p in points_of(study(**values))] == [(0.1, 3), (0.5, 3), (0.9, 3)]
    chosen = [{"pretrain.temperature": 0.9}, {"pretrain.temperature": 0.1}]
    assert [p[2:] for p in points_of(study(**values, confirmed=chosen))] == [
        (0.1, 3), (0.5, 3), (0.9, 3), (0.9, 0), (0.9, 1), (0.1, 0), (0.1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"axes": {"anatomy.raito": [1]}}, "study s: unknown field 'anatomy.raito'; known: model"),
        ({"axes": {"anatomy.ratio": [0, 2]}}, "study s: anatomy.ratio 2: Input should be less"),
        ({"axes": {"anatomy.ratio": []}}, "axis anatomy.ratio has no value"),
        ({"axes": {"seed": [1, 2]}}, "seed is no axis; list seeds in `seeds`"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seed -1"),
        ({"name": "../up"}, "name"),
        ({"tasks": ["plane"]}, "task 'plane': choose one of "),
        ({"axes": {"pretrain.workers": [3]}}, "batch 64 cannot be shared by 3 workers"),
        ({"axes": {"pretrain.lr": TEMPERATURES}}, "axis pretrain.lr is a range; it needs sampler"),
        ({"axes": {"pretrain.lr": 0.1}}, "axis pretrain.lr is 0.1; give a list of values, or a r"),
        ({"samples": 4}, "samples 4: a grid is all combinations"),
        ({**SEARCH, "samples": 0}, "sampler 'sobol' draws `samples` points; say how many"),
        ({**SEARCH, "axes": {}}, "sampler 'sobol' draws from axes; there are none"),
        (drawn(low=1, high=0.5), "axis pretrain.lr: low 1 is not below high 0.5"),
        (drawn(low=0, high=1, log=True), "axis pretrain.lr: a logarithmic scale begins above 0"),
        (drawn(low=0.5, high=2, integer=True), "axis pretrain.lr: 0.5 to 2 are not both integers"),
        (drawn(lo=0.5, high=2), "axis pretrain.lr: low: Field required"),
        (drawn(low=-1, high=-0.5), "pretrain.lr -0."),
        ({"confirm": 1}, "confirm 1: there is no seed but the first; list more"),
        ({"seeds": [1, 0, 1]}, "seeds [1, 0, 1]: one stands there twice"),
        ({**SEARCH, "baseline": {"anatomy.ratio": 0}}, "baseline: only a study that confirms its"),
        ({**CHOOSING, "baseline": {"anatomy.raito": 0}}, "baseline {'anatomy.raito': 0}: no point"),
        (
            {**CHOOSING, "baseline": {"pretrain.temperature": 0.1}},
            "'pretrain.temperature': 0.1}: n",
        ),
        ({"proposed": [{"anatomy.ratio": 1}]}, "point {'anatomy.ratio': 1} has not one value of"),
        ({"phantom": {"scans": 0}}, "phantom.scans"),
        ({"phantom": {"scans": 5, "size": 8}}, "phantom: size 8: between 32 and 2048 is needed"),
    ],
)
def test_what_is_wrong_is_refused_when_the_study_is_made(values, said):
    with pytest.raises(ValidationError) as caught:
        study(**values)
    assert said in str(caught.value)


# --- keys --------------------------------------------------------------------------------------


def key(config: TrialConfig, pack: str = "pack", taxonomy: str = "taxonomy") -> str:
    return trial_key(config, pack, taxonomy)


def test_a_key_never_changes():
    """Results on disk are found by it. Where this fails, users' trials would run again."""
    assert key(BASE) == "35547a4616e8"
    values = {
        "anatomy.ratio": 0.5,
        "anatomy.granularity": "coarse",
        "pretrain.temperature": 0.5,
        "data.pretrain_where": {"source": "!hc18"},
        "seed": 3,
    }
    assert key(with_values(BASE, values, "test")) == "74abad813671"


OTHER = {
    "model.backbone": "resnet50", "model.init": "weights:0123456789ab", "model.projection": 64,
    "anatomy.ratio": 0.5,
    "anatomy.granularity": "coarse", "anatomy.held_out": ["4CH"], "pretrain.method": "supervised",
    "pretrain.positives": "patient", "pretrain.epochs": 3, "pretrain.batch": 8,
    "pretrain.workers": 2, "pretrain.chunk": 8, "pretrain.temperature": 0.5,
    "pretrain.optimizer": "sgd", "pretrain.lr_rule": "linear",
    "pretrain.lr": 0.5, "pretrain.weight_decay": 0.5, "pretrain.warmup": 3,
    "pretrain.precision": "float32", "data.size": 64, "data.recipe": "paper",
    "data.sampler": "partners", "data.pretrain_where": {"machine": "A"}, "seed": 1,
}  # fmt: skip
NEVER_ALONE = {
    "anatomy.ratio_unit", "anatomy.fine_weight", "anatomy.taxonomy", "pretrain.sync_batchnorm",
}  # fmt: skip
"""Read at a ratio below 1 only, and where positives are hierarchical only (both tested below);
known by its digest; of several workers only (tested below)."""


def test_a_key_changes_with_every_field_that_is_read():
    assert set(OTHER) | NEVER_ALONE == set(flat(BASE)), "a new field: say what another value is"
    keys = [key(with_values(BASE, {name: value}, "test")) for name, value in OTHER.items()]
    half = with_values(BASE, {"anatomy.ratio": 0.5}, "test")
    keys.append(key(with_values(half, {"anatomy.ratio_unit": "patient"}, "test")))
    both = {"pretrain.positives": "hierarchical"}
    keys.append(key(with_values(BASE, both, "test")))
    keys.append(key(with_values(BASE, {**both, "anatomy.fine_weight": 0.8}, "test")))
    two = with_values(BASE, {"pretrain.workers": 2, "pretrain.sync_batchnorm": True}, "test")
    keys.append(key(two))
    keys += [key(BASE), key(BASE, pack="another"), key(BASE, taxonomy="another")]
    assert len(set(keys)) == len(keys)


def test_a_key_does_not_change_with_what_is_not_read(tmp_path):
    assert key(with_values(BASE, {"anatomy.taxonomy": "own.toml"}, "test")) == key(BASE)
    simclr = with_values(BASE, {"pretrain.positives": "self"}, "test")
    ratio_0 = with_values(BASE, {"anatomy.ratio": 0, "anatomy.granularity": "coarse"}, "test")
    assert key(simclr) == key(ratio_0) != key(BASE)
    asks = {"resources": Resources(cpus=4), "tasks": ["planes"], "proxy_level": "coarse"}
    assert [key(c) for c in expand(study(**asks))] == [key(c) for c in expand(study())]


def test_a_field_that_is_added_later_changes_no_key(monkeypatch):
    from awcl.pretrain import trial

    before, flat_now = key(with_values(BASE, {"seed": 1}, "test")), trial.flat
    monkeypatch.setattr(trial, "flat", lambda config: {**flat_now(config), "pretrain.new": 7})
    assert key(with_values(BASE, {"seed": 1}, "test")) == before


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two tasks are called 'planes'; give each a `name`"):
        study(tasks=["planes", {"task": "planes", "level": "coarse"}])


def test_two_tasks_whose_figures_would_have_one_name_are_refused():
    for name in ("planes-a", "planes_A"):
        with pytest.raises(ValueError, match="is called like another, but for case"):
            study(tasks=[{"task": "planes", "name": "planes_a"}, {"task": "planes", "name": name}])


def test_numbers_of_numpy_are_values_of_an_axis_as_pythons_are():
    axes = {"pretrain.batch": list(np.array([16, 32])), "anatomy.ratio": [np.float32(0.5)]}
    plain = {"pretrain.batch": [16, 32], "anatomy.ratio": [0.5]}
    made = Study(name="a", axes=axes, tasks=["planes"])
    assert made.model_dump_json() == Study(name="a", axes=plain, tasks=["planes"]).model_dump_json()
