"""Configuration: what is refused and in which words, and which trials are one and the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from awcl.config import RunConfig, TrialConfig, flat, parse, with_defaults, with_values
from awcl.errors import InputError
from awcl.pretrain import methods
from awcl.pretrain.methods import canonical

BASE = TrialConfig()


def changed(**values) -> TrialConfig:
    """A trial with dotted fields changed, dots written as double underscores."""
    return with_values(BASE, {k.replace("__", "."): v for k, v in values.items()}, "here")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"modle": {}}, "here: modle: Extra inputs are not permitted"),
        ({"anatomy": {"raito": 0.5}}, "here: anatomy.raito 0.5: Extra inputs are not permitted"),
        ({"pretrain": {"epochs": "many"}}, "here: pretrain.epochs 'many': Input should be a valid"),
        ({"pretrain": {"epochs": 1.5}}, "here: pretrain.epochs 1.5: Input should be a valid int"),
        ({"anatomy": {"ratio": 1.5}}, "here: anatomy.ratio 1.5: Input should be less than or eq"),
        ({"anatomy": {"ratio": -0.1}}, "here: anatomy.ratio -0.1: Input should be greater than"),
        ({"anatomy": {"ratio": float("nan")}}, "here: anatomy.ratio nan: Input should be"),
        (
            {"pretrain": {"temperature": 0}},
            "pretrain.temperature 0: Input should be greater than 0",
        ),
        ({"pretrain": {"batch": 7, "workers": 2}}, "batch 7 cannot be shared by 2 workers evenly"),
        ({"method": {"queue": [1]}}, "here: method: queue [1]: a number, text, true or false is"),
        ({"anatomy": {"granularity": "finest"}}, "granularity 'finest': Input should be 'coarse'"),
        ({"data": {"size": 8}}, "here: data.size 8: Input should be greater than or equal to 16"),
        (
            {"data": {"pretrain_where": {"machine": ["A", 1]}}},
            "here: data.pretrain_where.machine.1 1: Input should be a valid string",
        ),
        ({"data": {"pretrain_where": {"machine": [["A"]]}}}, "here: data.pretrain_where.machine.0"),
        ({"seed": -1}, "here: seed -1: Input should be greater than or equal to 0"),
        ({"seed": True}, "here: seed True: a seed is a whole number"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_field_and_value(data, said):
    with pytest.raises(InputError) as caught:
        parse(TrialConfig, data, "here")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_dotted_field_is_told_with_those_there_are():
    for name in ("pretrain.temprature", "temperature", "seed.x", "pretrain.batch.x"):
        with pytest.raises(InputError, match=f"here: unknown field '{name}'; known: model.backb"):
            with_values(BASE, {name: 1}, "here")


def test_values_are_checked_when_they_are_changed_and_text_becomes_what_the_field_is():
    assert changed(pretrain__temperature="0.2").pretrain.temperature == 0.2
    assert changed(seed="3").seed == 3
    with pytest.raises(InputError, match=r"pretrain\.temperature 0: "):
        changed(pretrain__temperature=0)
    with pytest.raises(InputError, match=r"pretrain\.lr 'fast': "):
        changed(pretrain__lr="fast")
    assert TrialConfig() == BASE, "the one that it was made from is as before"


def test_a_configuration_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        BASE.seed = 1


def test_flat_and_back_is_the_same():
    config = changed(anatomy__ratio=0.3, data__pretrain_where={"source": "!x"}, seed=4)
    assert with_values(BASE, flat(config), "here") == config
    assert flat(config)["anatomy.ratio"] == 0.3
    assert set(flat(RunConfig())) == {"device", "loader_workers", "views", "threads", "keep"}


def test_settings_of_methods_are_fields_like_others():
    config = changed(pretrain__method="moco", method__queue="64", method__momentum=0.9)
    assert flat(config)["method.queue"] == "64" and "method.queue" not in flat(BASE)
    assert with_values(BASE, flat(config), "here") == config
    assert flat(canonical(config))["method.queue"] == 64
    with pytest.raises(InputError, match=r"here: unknown field 'method\.queue\.x'; known: model"):
        changed(method__queue__x=1)


def test_a_list_of_names_has_one_form_whatever_its_order_and_as_text():
    for names in (["HCP", "4CH", "4CH"], "4CH,HCP", ("4CH", "HCP")):
        assert changed(anatomy__held_out=names).anatomy.held_out == ["4CH", "HCP"]
    assert changed(anatomy__held_out="") == BASE
    with pytest.raises(InputError, match=r"anatomy\.held_out 4: "):
        changed(anatomy__held_out=4)


def test_with_defaults_resets_the_named_fields_only():
    config = changed(anatomy__ratio=0.3, anatomy__granularity="coarse").anatomy
    assert with_defaults(config, "granularity").model_dump() == {
        **config.model_dump(), "granularity": "fine",
    }  # fmt: skip


def test_ratio_0_is_self_whatever_the_granularity():
    one = changed(anatomy__ratio=0, anatomy__granularity="coarse", anatomy__ratio_unit="patient")
    held = changed(anatomy__ratio=0, anatomy__held_out="4CH")
    two = changed(anatomy__ratio=0, pretrain__positives="hierarchical")
    simclr = changed(pretrain__positives="self", anatomy__ratio=0.7)
    assert canonical(one) == canonical(two) == canonical(simclr) == canonical(held)
    assert canonical(one).pretrain.positives == "self"
    assert canonical(one).anatomy.ratio == 0


@pytest.mark.parametrize(
    ("values", "unread"),
    [
        ({"pretrain.positives": "patient"}, ["anatomy.ratio", "anatomy.granularity"]),
        ({"pretrain.positives": "patient"}, ["anatomy.held_out"]),
        ({"pretrain.positives": "scan"}, ["anatomy.ratio", "anatomy.ratio_unit"]),
        ({"pretrain.positives": "hierarchical"}, ["anatomy.granularity"]),
        ({"pretrain.positives": "anatomy"}, ["anatomy.fine_weight"]),
        ({"pretrain.positives": "self"}, ["anatomy.fine_weight"]),
        ({"pretrain.method": "supcon"}, ["anatomy.fine_weight"]),
        ({"pretrain.method": "supervised"}, ["pretrain.positives", "pretrain.temperature"]),
        ({"anatomy.ratio": 1.0}, ["anatomy.ratio_unit"]),
    ],
)
def test_fields_that_are_not_read_make_no_other_trial(values, unread):
    others = {
        "anatomy.ratio": 0.4,
        "anatomy.ratio_unit": "patient",
        "anatomy.granularity": "coarse",
        "anatomy.fine_weight": 0.8,
        "anatomy.held_out": ["4CH"],
        "pretrain.positives": "self",
        "pretrain.temperature": 0.7,
    }
    plain = canonical(with_values(BASE, values, "here"))
    for name in unread:
        config = with_values(BASE, {**values, name: others[name]}, "here")
        assert canonical(config) == plain, name


@pytest.mark.parametrize(
    "values",
    [
        {"anatomy.ratio": 0.4},
        {"anatomy.ratio": 0.4, "anatomy.ratio_unit": "patient"},
        {"anatomy.granularity": "coarse"},
        {"anatomy.held_out": "4CH"},
        {"pretrain.positives": "patient"},
        {"pretrain.positives": "hierarchical", "anatomy.ratio": 0.4},
        {"pretrain.positives": "hierarchical", "anatomy.fine_weight": 0.8},
        {"pretrain.positives": "self", "pretrain.temperature": 0.7},
        {"pretrain.method": "supervised", "anatomy.granularity": "coarse"},
        {"data.sampler": "partners"},
        {"seed": 1},
    ],
)
def test_fields_that_are_read_make_another_trial(values):
    last = list(values)[-1]
    without = {name: value for name, value in values.items() if name != last}
    one, two = (canonical(with_values(BASE, v, "here")) for v in (values, without))
    assert one != two


@given(
    ratio=st.sampled_from([0.0, 0.25, 1.0]),
    unit=st.sampled_from(["frame", "patient"]),
    granularity=st.sampled_from(["coarse", "fine"]),
    positives=st.sampled_from(["anatomy", "self", "patient", "scan", "hierarchical"]),
    temperature=st.sampled_from([0.1, 0.5]),
    method=st.sampled_from(methods.names()),
)
def test_canonical_twice_is_canonical_once_and_stays_valid(
    ratio, unit, granularity, positives, temperature, method
):
    if method in ("supervised", "supcon") and ratio == 0:
        return
    config = changed(
        anatomy__ratio=ratio,
        anatomy__ratio_unit=unit,
        anatomy__granularity=granularity,
        pretrain__positives=positives,
        pretrain__temperature=temperature,
        pretrain__method=method,
    )
    once = canonical(config)
    assert canonical(once) == once
    assert TrialConfig.model_validate(once.model_dump()) == once


def test_equal_filters_have_one_form():
    """The command line gives lists, a recipe may give a name; the order means nothing."""
    forms = ({"source": "!hc18"}, {"source": ["!hc18"]}, {"source": ["!hc18", "!hc18"]})
    found = {
        with_values(BASE, {"data.pretrain_where": where}, "here").model_dump_json()
        for where in forms
    }
    assert len(found) == 1
