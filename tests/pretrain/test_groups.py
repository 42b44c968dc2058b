"""Who is positive to whom, and what batches gave their anchors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.pretrain.groups import groupings, positives_report
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
NAMES = ("4CH", "LVOT", "HCP", "brain", "BG", "other", None)
UNITS = pytest.mark.parametrize("unit", ["frame", "patient"])


def frames_of(anatomy, patient=None, scan=None) -> pd.DataFrame:
    n = len(anatomy)
    return pd.DataFrame(
        {
            "frame_id": [f"s/{i}" for i in range(n)],
            "patient": patient or [f"s/p{i}" for i in range(n)],
            "scan": scan or [None] * n,
            "anatomy": pd.Series(anatomy, dtype=object),
        }
    )


def pairs(positives: str, frames: pd.DataFrame, seed: int = 0, **anatomy) -> list[set[tuple]]:
    """For each grouping, the pairs of frames that are positives."""
    found = groupings(positives, frames, AnatomyConfig(**anatomy), TAXONOMY, seed)
    for grouping in found:
        assert grouping.ids.dtype == np.int64
        assert len(grouping.ids) == len(frames)
    return [same(grouping.ids) for grouping in found]


def same(names) -> set[tuple[int, int]]:
    """Pairs of places with equal names; None is equal to nothing."""
    n = range(len(names))
    return {(i, j) for i in n for j in n if i < j and names[i] is not None and names[i] == names[j]}


ANATOMY = ["4CH", "4CH", "LVOT", "HCP", "brain", "brain", "BG", "BG", "other", None, None]


def test_self_pairs_no_two_frames():
    assert pairs("self", frames_of(ANATOMY)) == [set()]


@pytest.mark.parametrize("policy", ["patient", "scan"])
def test_patient_and_scan_pair_what_shares_them_and_no_unknown_ones(policy):
    names = ["a", "b", "a", None, None, "b", "a"]
    frames = frames_of([None] * 7, **{policy: names})
    assert pairs(policy, frames) == [same(names)]


def test_at_fine_only_equal_anatomy_pairs():
    """Background, unlabelled frames, and 'brain', which has children, pair with themselves only."""
    assert pairs("anatomy", frames_of(ANATOMY), granularity="fine") == [{(0, 1)}]


def test_at_coarse_kinds_pair_and_brain_pairs_with_its_kind():
    expected = {(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)}
    assert pairs("anatomy", frames_of(ANATOMY), granularity="coarse") == [expected]


def test_hierarchical_is_fine_and_coarse_at_equal_weight():
    frames = frames_of(ANATOMY)
    found = groupings("hierarchical", frames, AnatomyConfig(), TAXONOMY, 0)
    assert [grouping.weight for grouping in found] == [0.5, 0.5]
    fine, coarse = pairs("hierarchical", frames)
    assert [fine] == pairs("anatomy", frames, granularity="fine")
    assert [coarse] == pairs("anatomy", frames, granularity="coarse")
    assert fine < coarse


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=25), st.sampled_from(["fine", "coarse"])
)
def test_anatomy_pairs_are_those_of_a_plain_look_up(anatomy, level):
    classes = [TAXONOMY.at(name, level) for name in anatomy]
    assert pairs("anatomy", frames_of(anatomy), granularity=level) == [same(classes)]


@UNITS
@pytest.mark.parametrize("positives", ["anatomy", "hierarchical"])
def test_ratio_0_is_self(positives, unit):
    frames = frames_of(ANATOMY)
    assert not usable_labels(frames, AnatomyConfig(ratio=0, ratio_unit=unit), TAXONOMY, 0).any()
    for found in pairs(positives, frames, ratio=0, ratio_unit=unit):
        assert found == set()


# --- the report ------------------------------------------------------------------------------


@st.composite
def epochs(draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batches, group ids and patients of some frames."""
    n, batch = draw(st.integers(2, 12)), draw(st.integers(1, 6))
    numbers = st.integers(0, n - 1)
    row = st.lists(numbers, min_size=batch, max_size=batch)
    batches = np.array(draw(st.lists(row, min_size=1, max_size=4)))
    ids = np.array(draw(st.lists(st.integers(0, 10**12), min_size=n, max_size=n))) % 5
    patients = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    return batches, ids, np.array(patients, dtype=object)


@given(epochs())
def test_the_report_counts_what_a_slow_loop_counts(epoch):
    batches, ids, patients = epoch
    anchors = beyond = positives = of_others = 0
    for row in batches:
        views = [(place, frame) for place, frame in enumerate(row) for _ in range(2)]
        for i, (place, frame) in enumerate(views):
            found = [v for j, v in enumerate(views) if j != i and ids[v[1]] == ids[frame]]
            anchors += 1
            beyond += any(other != place for other, _ in found)
            positives += len(found)
            of_others += sum(patients[other] != patients[frame] for _, other in found)
    assert positives_report(batches, ids, patients) == pytest.approx(
        {
            "positives/beyond_own": beyond / anchors,
            "positives/mean": positives / anchors,
            "positives/other_patient": of_others / positives,
        }
    )
