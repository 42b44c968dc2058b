"""Who is positive to whom, which labels may be used, and what batches gave their anchors."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.errors import InputError
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


# --- the anatomy ratio -----------------------------------------------------------------------


@st.composite
def labelled(draw) -> pd.DataFrame:
    """Frames of a few patients, in any order, numbered as a filtered table may be."""
    rows = draw(
        st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 5)), min_size=1, max_size=40)
    )
    anatomy, patients = zip(*rows, strict=True)
    frames = frames_of(list(anatomy), patient=[f"s/p{p}" for p in patients])
    order = draw(st.permutations(range(len(frames))))
    frames = frames.iloc[order]
    return frames if draw(st.booleans()) else frames.reset_index(drop=True)


RATIOS, SEEDS = st.floats(0, 1), st.integers(0, 10**6)


def kept(frames: pd.DataFrame, ratio: float, unit: str, seed: int) -> set[str]:
    usable = usable_labels(frames, AnatomyConfig(ratio=ratio, ratio_unit=unit), TAXONOMY, seed)
    assert usable.shape == (len(frames),)
    return set(frames["frame_id"][usable])


@UNITS
@settings(deadline=None, max_examples=40)
@given(labelled(), RATIOS, RATIOS, SEEDS)
def test_what_a_ratio_keeps_a_larger_one_keeps(unit, frames, one, other, seed):
    low, high = sorted([one, other])
    assert kept(frames, low, unit, seed) <= kept(frames, high, unit, seed)


@settings(deadline=None, max_examples=40)
@given(labelled(), RATIOS, SEEDS)
def test_of_each_fine_class_the_rounded_up_share_is_kept_and_no_class_is_lost(frames, ratio, seed):
    chosen = frames[frames["frame_id"].isin(kept(frames, ratio, "frame", seed))]
    before, after = frames["anatomy"].value_counts(), chosen["anatomy"].value_counts()
    for name, n in before.items():
        if name in TAXONOMY.no_anatomy:
            assert name not in after
        elif ratio > 0:
            assert after[name] in (math.ceil(ratio * n - 1e-6), math.ceil(ratio * n))
            assert after[name] >= 1


@pytest.mark.parametrize(("ratio", "n", "left"), [(0.07, 100, 7), (0.55, 100, 55), (0.31, 10, 4)])
def test_rounding_up_does_not_see_the_last_bit_of_a_float(ratio, n, left):
    assert len(kept(frames_of(["4CH"] * n), ratio, "frame", 0)) == left


@pytest.mark.parametrize("ratio", [1e-12, 1e-9, 0.001])
def test_a_tiny_ratio_keeps_one_of_each_class(ratio):
    assert len(kept(frames_of(["4CH", "HCP"] * 20), ratio, "frame", 0)) == 2


@UNITS
@settings(deadline=None, max_examples=40)
@given(labelled(), SEEDS)
def test_ratio_1_keeps_every_anatomy_and_no_background(unit, frames, seed):
    anatomy = frames["anatomy"].map(lambda name: TAXONOMY.at(name, "coarse"))
    assert kept(frames, 1, unit, seed) == set(frames["frame_id"][anatomy.notna()])


@UNITS
@settings(deadline=None, max_examples=40)
@given(labelled(), RATIOS, SEEDS, st.randoms(use_true_random=False))
def test_which_labels_are_kept_does_not_depend_on_the_order_of_frames(
    unit, frames, ratio, seed, random
):
    order = list(range(len(frames)))
    random.shuffle(order)
    assert kept(frames, ratio, unit, seed) == kept(frames.iloc[order], ratio, unit, seed)


@UNITS
def test_coarse_and_fine_use_the_same_labels(unit):
    frames = frames_of(["4CH", "LVOT", "HCP", "brain"] * 10)
    fine, coarse = (
        usable_labels(
            frames, AnatomyConfig(ratio=0.4, ratio_unit=unit, granularity=level), TAXONOMY, 0
        )
        for level in ("fine", "coarse")
    )
    assert 0 < fine.sum() < 40
    assert np.array_equal(fine, coarse)


@settings(deadline=None, max_examples=40)
@given(labelled(), RATIOS, SEEDS)
def test_by_patient_the_rounded_up_share_of_patients_keeps_all_their_labels(frames, ratio, seed):
    anatomy = frames["anatomy"].map(lambda name: TAXONOMY.at(name, "coarse"))
    of = frames[anatomy.notna()]
    chosen = of[of["frame_id"].isin(kept(frames, ratio, "patient", seed))]
    patients, n = chosen["patient"].unique(), of["patient"].nunique()
    assert len(chosen) == of["patient"].isin(patients).sum()
    assert len(patients) in (math.ceil(ratio * n - 1e-6), max(math.ceil(ratio * n), 0))


@UNITS
def test_another_seed_keeps_other_labels(unit):
    frames = frames_of(["4CH"] * 40)
    assert len({frozenset(kept(frames, 0.5, unit, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("ratio", [-0.1, 1.5, math.nan])
def test_a_ratio_outside_0_to_1_is_refused(ratio):
    anatomy = AnatomyConfig().model_copy(update={"ratio": ratio})
    with pytest.raises(InputError, match=rf"anatomy\.ratio {ratio}: choose 0 to 1"):
        usable_labels(frames_of(["4CH"]), anatomy, TAXONOMY, 0)


@UNITS
@settings(deadline=None, max_examples=40)
@given(labelled(), RATIOS, SEEDS)
def test_what_is_held_out_is_never_used_and_what_else_is_used_stays(unit, frames, ratio, seed):
    """'brain' is a kind: HCP, which is one of its names, is held out with it."""
    anatomy = AnatomyConfig(ratio=ratio, ratio_unit=unit, held_out=["brain", "LVOT"])
    usable = usable_labels(frames, anatomy, TAXONOMY, seed)
    used = set(frames["frame_id"][usable])
    held = set(frames["frame_id"][frames["anatomy"].isin(["brain", "HCP", "LVOT"])])
    assert used == kept(frames, ratio, unit, seed) - held


def test_a_name_to_hold_out_that_is_none_is_told_with_the_nearest():
    with pytest.raises(InputError, match=r"anatomy\.held_out '4CHX': no anatomy .*'4CH'"):
        usable_labels(frames_of(["4CH"]), AnatomyConfig(held_out=["4CHX"]), TAXONOMY, 0)


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
