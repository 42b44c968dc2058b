"""Which domains there are to cross between: asked for, known of, or each left out in turn."""

from copy import copy

import pandas as pd
import pytest

from awcl.downstream import tasks
from awcl.downstream.domains import MOST, Crossing, crossings
from awcl.errors import InputError
from awcl.study.space import Study

COLUMNS = ("source", "site", "machine", "trimester")


def frames(**columns):
    rows = max(len(values) for values in columns.values())
    return pd.DataFrame({name: columns.get(name, [None] * rows) for name in COLUMNS})


def test_frames_that_nobody_knows_of_have_each_domain_left_out_in_turn():
    own = frames(source=["clinic"] * 4, machine=["E10", "S/8", "E10", None], site=["x"] * 4)
    assert crossings(own) == [
        Crossing(name="machine_E10", home={"machine": "S/8"}, away={"machine": "E10"}),
        Crossing(name="machine_S-8", home={"machine": "E10"}, away={"machine": "S/8"}),
    ]


def test_values_that_would_share_a_name_have_each_its_own():
    sites = ["北京", "上海", "Voluson E8", "Voluson-E8", "Graz"]
    found = crossings(frames(source=["clinic"] * 5, site=sites))
    assert len({crossing.name for crossing in found}) == 5
    assert sorted(crossing.away["site"] for crossing in found) == sorted([site] for site in sites)
    assert "site_Graz" in {crossing.name for crossing in found}


def test_a_column_of_many_values_is_no_list_of_domains():
    many = [f"site{number}" for number in range(MOST + 1)]
    assert crossings(frames(source=["clinic"] * len(many), site=many)) == []
    assert len(crossings(frames(source=["clinic"] * len(many), site=[*many[1:], many[1]]))) == MOST


def test_known_data_sets_have_the_crossings_that_we_know_of_and_no_other():
    both = frames(
        source=["fetal_planes_db", "african_planes", "african_planes"],
        site=["Spain", "Egypt", "Malawi"],
        machine=["E6", "S10", "E6"],
    )
    assert [crossing.name for crossing in crossings(both)] == [
        "african",
        "site_Egypt",
        "site_Malawi",
    ]
    assert [crossing.name for crossing in crossings(both[1:])] == ["site_Egypt", "site_Malawi"]


def test_those_that_are_asked_for_are_the_only_ones():
    asked = Crossing(name="new", home={"machine": "!E10"}, away={"machine": ["E10"]})
    own = frames(source=["phantom"] * 2, machine=["E10", "S8"])
    assert crossings(own, [asked]) == [asked]
    with pytest.raises(InputError, match="where: no frame has machine 'E11'; there is E10, S8"):
        crossings(own, [Crossing(name="new", home={"machine": "E11"}, away={"machine": "E10"})])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"name": "a b", "home": {}, "away": {}}], "crossings.0.name"),
        ([{"name": "a", "home": {}}], "crossings.0.away"),
        ([{"name": "a", "home": {}, "away": {}}] * 2, "two crossings have one name"),
    ],
)
@pytest.mark.parametrize("task", ["cross_planes", "cross_segmentation"])
def test_a_crossing_that_cannot_be_is_refused_by_its_field(task, given, said):
    with pytest.raises(InputError, match=said):
        tasks.settings({"task": task, "crossings": given})


def test_settings_without_own_crossings_are_those_of_before_there_were_any():
    for task in ("cross_planes", "cross_segmentation"):
        assert "crossings" not in tasks.settings(task).model_dump(mode="json")
    asked = {
        "task": "cross_planes",
        "crossings": [{"name": "a", "home": {}, "away": {"site": "x"}}],
    }
    stored = Study(name="s", tasks=[asked]).model_dump(mode="json")["tasks"][0]
    assert tasks.settings(stored) == tasks.settings(asked)


def test_machines_that_no_library_knows_are_crossed_by_both_tasks(repack, masked_pack, taxonomy):
    """`tiny_table` is of a source of its own, with machines A and B."""
    made = tasks.build(tasks.settings("cross_planes"), repack(), taxonomy)
    assert set(made.problems) <= {"machine_A", "machine_B"} and made.problems
    clinic = copy(masked_pack)
    clinic.frames = masked_pack.frames.assign(source="clinic")
    crossed = tasks.build(tasks.settings("cross_segmentation"), clinic, taxonomy)
    assert {plan.name for plan in crossed.plans} >= {"machine_C", "trimester_first"}
    own = [{"name": "away", "home": {"machine": "!C"}, "away": {"machine": "C"}}]
    asked = tasks.settings({"task": "cross_segmentation", "crossings": own})
    assert [plan.name for plan in tasks.build(asked, clinic, taxonomy).plans] == ["away"]
