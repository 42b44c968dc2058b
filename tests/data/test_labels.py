"""Which labels may be used at an anatomy ratio, of frames or of patients."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
NAMES = ("4CH", "LVOT", "HCP", "brain", "BG", "other", None)
UNITS = pytest.mark.parametrize("unit", ["frame", "patient"])


def frames_of(anatomy, patient=None) -> pd.DataFrame:
    n = len(anatomy)
    return pd.DataFrame(
        {
            "frame_id": [f"s/{i}" for i in range(n)],
            "patient": patient or [f"s/p{i}" for i in range(n)],
            "anatomy": pd.Series(anatomy, dtype=object),
        }
    )


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
