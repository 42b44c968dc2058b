"""How a stored study may change, and what is refused."""

import pytest
from drawn_space import SEARCH, TEMPERATURES, study

from awcl.config import TrialConfig, with_values
from awcl.errors import InputError
from awcl.study.growth import check_growth, with_stored_points
from awcl.study.space import EarlyStopping, Resources, Study, points


def stored(made: Study, **packs) -> dict:
    return {**made.model_dump(mode="json"), "packs": packs or {"32": "aaa"}, "id": "1"}


FIRST = {"axes": {"anatomy.ratio": [0, 1]}, "seeds": [0], "tasks": ["planes"]}
POINT = {"anatomy.ratio": 1, "pretrain.temperature": 0.7}
OTHER_POINT = {"anatomy.ratio": 0, "pretrain.temperature": 0.3}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"axes": {"anatomy.ratio": [0, 0.5, 1]}},
        {"seeds": [1, 0]},
        {"tasks": ["planes", {"task": "planes", "name": "coarse_planes", "level": "coarse"}]},
        {"resources": Resources(cpus=2, concurrent=1)},
        {"prices": {"head": 0.25}},
    ],
)
def test_axis_values_seeds_and_tasks_may_grow_and_resources_and_prices_change(values):
    check_growth(stored(study(**FIRST)), stored(study(**{**FIRST, **values})))


@pytest.mark.parametrize(
    ("before", "values"),
    [
        (SEARCH, {"samples": 6}),
        (SEARCH, {"proposed": [POINT]}),
        ({**SEARCH, "proposed": [POINT]}, {"proposed": [OTHER_POINT, POINT]}),
        (SEARCH, {"seeds": [0, 1], "confirm": 2}),
        ({**SEARCH, "seeds": [0, 1], "confirm": 2}, {"confirm": 3}),
        ({**SEARCH, "seeds": [0, 1], "confirm": 2}, {"confirm": 1, "seeds": [0, 2, 1]}),
        ({**SEARCH, "seeds": [0, 1], "confirm": 2}, {"confirm": 0}),
        ({**SEARCH, "seeds": [0, 1], "confirm": 2}, {"baseline": {"anatomy.ratio": 0}}),
    ],
)
def test_a_search_may_gain_trials(before, values):
    check_growth(stored(study(**before)), stored(study(**{**before, **values})))


@pytest.mark.parametrize(
    ("before", "values", "said"),
    [
        (SEARCH, {"samples": 4}, "samples was 5, now 4"),
        (SEARCH, {"sampler": "random"}, "sampler was 'sobol', now 'random'"),
        (
            SEARCH,
            {"axes": {**SEARCH["axes"], "anatomy.ratio": [0, 0.3, 0.5, 1]}},
            "axes.anatomy.ratio was [0, 0.5, 1], now [0, 0.3, 0.5, 1]",
        ),
        (
            SEARCH,
            {"axes": {**SEARCH["axes"], "pretrain.temperature": {**TEMPERATURES, "high": 2}}},
            "axes.pretrain.temperature.high was 1.0, now 2.0",
        ),
        ({**SEARCH, "proposed": [POINT]}, {"proposed": [OTHER_POINT]}, "proposed was [{'anatomy"),
        ({**SEARCH, "seeds": [0, 1]}, {"confirm": 2}, "confirm was 0, now 2"),
        (
            {**SEARCH, "seeds": [0, 1], "confirm": 2},
            {"seeds": [1, 0]},
            "seeds was [0, 1], now [1, 0]",
        ),
        (
            FIRST,
            {"axes": {**FIRST["axes"], "pretrain.lr": [0.001]}},
            "axes.pretrain.lr was not there, now [0.001]",
        ),
    ],
)
def test_a_search_that_would_lose_a_trial_is_refused_with_the_difference(before, values, said):
    with pytest.raises(InputError) as caught:
        check_growth(stored(study(**before)), stored(study(**{**before, **values})))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_definition_of_before_there_were_samplers_is_accepted_and_its_trials_are_the_same():
    old = stored(study(**FIRST))
    for name in ("sampler", "samples", "confirm", "baseline", "proposed", "confirmed"):
        del old[name]
    check_growth(old, stored(study(**FIRST)))
    assert with_stored_points(study(**FIRST), old) == study(**FIRST)


def test_points_that_are_stored_belong_to_the_study_that_a_recipe_gives():
    there = stored(study(**SEARCH, proposed=[POINT]))
    assert points(with_stored_points(study(**SEARCH), there))[5:] == [POINT]
    recipe = study(**SEARCH, proposed=[OTHER_POINT, POINT])
    assert with_stored_points(recipe, there).proposed == [POINT, OTHER_POINT]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (
            {"anatomy.ratio": [0, 0.5, 1], "pretrain.lr": TEMPERATURES},
            r"axes\.pretrain\.lr was not there, now \{.*temperature was \{.*now not there\. Run it",
        ),
        (
            {"anatomy.ratio": [0, 0.5, 1], "pretrain.temperature": {**TEMPERATURES, "high": 0.06}},
            r"axes\.pretrain\.temperature\.high was 1\.0, now 0\.06\. Run it",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["proposed", "confirmed"])
def test_points_that_are_stored_and_are_none_of_other_axes_are_told_by_the_axes(axes, said, kind):
    seeds = {"seeds": [0, 1], "confirm": 1}
    there = stored(study(**SEARCH, **seeds, **{kind: [POINT]}))
    with pytest.raises(InputError, match=f"another definition: {said}"):
        with_stored_points(study(**{**SEARCH, **seeds, "axes": axes}), there)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"base": with_values(TrialConfig(), {"pretrain.epochs": 5}, "test")},
            "base.pretrain.epochs was 20, now 5",
        ),
        ({"axes": {"anatomy.ratio": [0]}}, "axes.anatomy.ratio was [0, 1], now [0]"),
        (
            {"axes": {"anatomy.ratio": [0, 1], "pretrain.lr": [0.1]}},
            "axes.pretrain.lr was not there, now [0.1]",
        ),
        ({"seeds": [1]}, "seeds was [0], now [1]"),
        ({"tasks": []}, "tasks was [{'task': 'planes'"),
        ({"proxy_level": "coarse"}, "proxy_level was 'fine', now 'coarse'"),
        ({"early_stopping": EarlyStopping()}, "early_stopping was None, now {'grace': 1"),
    ],
)
def test_everything_else_is_refused_with_the_difference(values, said):
    with pytest.raises(InputError) as caught:
        check_growth(stored(study(**FIRST)), stored(study(**{**FIRST, **values})))
    message = str(caught.value)
    assert message.startswith("study 's' is stored with another definition: ")
    assert said in message and "--as NEWNAME" in message and "\n" not in message


def test_other_frames_at_the_same_size_are_refused_and_another_size_is_growth():
    before = stored(study(**FIRST))
    check_growth(before, stored(study(**FIRST), **{"32": "aaa", "64": "bbb"}))
    with pytest.raises(InputError, match=r"packs\.32 was 'aaa', now 'ccc'"):
        check_growth(before, stored(study(**FIRST), **{"32": "ccc"}))


CLINIC = {"scans": 5, "size": 48}


def test_a_phantom_may_come_and_change_where_the_frames_stay_the_same():
    old = stored(study(**FIRST))
    del old["phantom"]  # as a version that knew of none has stored it
    check_growth(old, stored(study(**FIRST, phantom=CLINIC)))
    check_growth(stored(study(**FIRST, phantom=CLINIC)), stored(study(**FIRST)))
    other = {**CLINIC, "scans": 9}
    check_growth(stored(study(**FIRST, phantom=CLINIC)), stored(study(**FIRST, phantom=other)))


def test_another_phantom_with_other_frames_is_refused_with_the_difference():
    before = stored(study(**FIRST, phantom=CLINIC))
    after = stored(study(**FIRST, phantom={**CLINIC, "scans": 9}), **{"32": "bbb"})
    with pytest.raises(
        InputError, match=r"packs\.32 was 'aaa', now 'bbb'; phantom\.scans was 5, n"
    ):
        check_growth(before, after)


def test_a_definition_read_back_from_json_is_no_difference():
    made = study(**FIRST, early_stopping=EarlyStopping(grace=2, reduction=3))
    check_growth(stored(made), stored(Study.model_validate_json(made.model_dump_json())))
