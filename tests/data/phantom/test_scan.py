"""Scans: what the labels mean, what the settings do, and frames that follow from the seed alone."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from awcl.data.phantom import overlay
from awcl.data.phantom.machines import MACHINES
from awcl.data.phantom.planes import planes
from awcl.data.phantom.scan import BACKGROUND, MASK_CLASSES, Scan, Settings, scan
from awcl.errors import InputError

SMALL = Settings(size=48, rate=10, seconds=12)
SCANS = [scan(number, SMALL) for number in range(9)]
EACH = pytest.mark.parametrize("of", SCANS, ids=lambda of: f"{of.machine.name}, {of.trimester}")


def changed(**values) -> Settings:
    return dataclasses.replace(SMALL, **values)


def same(one: Scan, other: Scan) -> bool:
    """In all that the pictures are made of."""
    arrays = ("visit", "off", "shift", "angle", "gain")
    return (
        (one.fetus, one.machine, one.anatomy) == (other.fetus, other.machine, other.anatomy)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )  # fmt: skip


# --- labels ------------------------------------------------------------------------------------


@EACH
def test_frames_near_a_plane_carry_its_label(of):
    for index, name in enumerate(of.anatomy):
        visit = of.visits[of.visit[index]]
        share = abs(of.off[index]) / visit.far
        if name in planes():
            assert name == visit.plane.anatomy
            assert share < 0.15
        elif name == BACKGROUND:
            assert all(s.at(of.off[index]) is None for s in visit.structures), "nothing of it"
        else:
            assert name is None


@EACH
def test_the_plane_itself_is_in_view_in_its_labelled_frames(of):
    """All but small parts that lie a little beside it."""
    for index in np.flatnonzero([name in planes() for name in of.anatomy]):
        structures = of.visits[of.visit[index]].structures
        there = [structure.at(of.off[index]) is not None for structure in structures]
        assert np.mean(there) > 0.7


@pytest.mark.parametrize("labelled", [0.0, 0.05, 0.15, 0.5, 1.0])
def test_the_share_of_labelled_frames_is_the_one_asked_for(labelled):
    for number in range(3):
        of = scan(number, changed(labelled=labelled, seconds=60))
        shown = np.array([name in planes() for name in of.anatomy])
        assert shown.mean() == pytest.approx(labelled, abs=0.03)  # a frame a visit
        assert np.isfinite(of.off).all()


def test_all_thirteen_anatomies_and_background_occur():
    """Each plane in most scans, background in some."""
    found = [set(scan(number, changed(size=32, seconds=40)).anatomy) for number in range(9)]
    seen = Counter(name for names in found for name in names if name is not None)
    assert set(seen) == {*planes(), BACKGROUND}
    assert min(seen[name] for name in planes()) >= 4
    assert seen[BACKGROUND] >= 3


def test_a_plane_is_visited_once_and_the_order_is_not_always_the_same():
    orders = [[visit.plane.anatomy for visit in of.visits] for of in SCANS]
    assert all(len(set(order)) == len(order) for order in orders)
    assert len({order[0] for order in orders}) > 3


# --- motion ------------------------------------------------------------------------------------


def correlation(of: Scan, one: int, other: int) -> float:
    sector = of.visits[0].probe.sector
    pictures = [of.frame(index)[sector].astype(float) for index in (one, other)]
    return float(np.corrcoef(*pictures)[0, 1])


def test_neighbouring_frames_are_much_more_alike_than_distant_ones():
    of = scan(0, changed(rate=25, seconds=8))
    inside = [k for k in range(0, 170, 10) if of.visit[k] == of.visit[k + 1]]
    near = [correlation(of, k, k + 1) for k in inside]
    far = [correlation(of, k, k + 25) for k in inside]
    assert np.mean(near) > 0.8 and np.mean(near) > np.mean(far) + 0.25
    assert np.mean(np.array(near) > np.array(far)) > 0.9


def test_the_probe_moves_without_jumps_within_a_visit():
    of = scan(1, changed(rate=25))
    inside = np.diff(of.visit) == 0
    radius = np.array([visit.far for visit in of.visits])[of.visit][1:]
    assert (np.hypot(*np.diff(of.shift, axis=0).T) / radius)[inside].max() < 0.03
    assert np.abs(np.diff(of.angle))[inside].max() < 2
    assert np.abs(np.diff(of.gain))[inside].max() < 0.5


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "seconds", "frames"), [(10, 12, 120), (25, 4, 100), (7.5, 2, 15)])
def test_a_scan_has_its_rate_times_its_seconds_of_frames(rate, seconds, frames):
    settings = changed(rate=rate, seconds=seconds)
    assert settings.frames == len(scan(0, settings).anatomy) == frames


def test_a_higher_rate_moves_less_from_frame_to_frame():
    steps = [
        np.abs(np.diff(scan(0, changed(rate=rate, seconds=30)).off)).mean() for rate in (5, 20)
    ]
    assert steps[0] / steps[1] == pytest.approx(4, rel=0.25)


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 5), ("size", 5000), ("rate", 0), ("rate", float("nan")), ("seconds", 0),
     ("seconds", 1e9), ("labelled", 2), ("labelled", -0.1), ("every", 0), ("seed", -1)],
)  # fmt: skip
def test_settings_that_make_no_scan_are_refused(name, value):
    with pytest.raises(InputError, match=rf"phantom: {name} {value}: between .* is needed"):
        changed(**{name: value})


def test_the_size_changes_the_resolution_and_nothing_else():
    small, large = scan(4, SMALL), scan(4, changed(size=144))
    assert same(small, large)
    for index in range(0, SMALL.frames, 13):
        assert large.pixel_mm(index) == pytest.approx(small.pixel_mm(index) / 3)
        one, other = small.mask(index), large.mask(index)[1::3, 1::3]
        assert one.shape == other.shape
        assert (one == other).mean() > 0.95
        assert small.frame(index).shape == (36, 48) and large.frame(index).shape == (108, 144)


# --- who is scanned with what ------------------------------------------------------------------


def test_machines_trimesters_and_splits_meet_in_all_ways():
    short = changed(size=32, seconds=1)
    met = Counter((of.machine.name, of.trimester, of.split)
                  for of in (scan(number, short) for number in range(45)))  # fmt: skip
    assert len(met) == len(MACHINES) * 2 * 3
    shares = Counter()
    for (_, trimester, split), count in met.items():
        shares[trimester] += count
        shares[split] += count
    assert shares == {"first": 15, "second": 30, "train": 27, "val": 9, "test": 9}


def test_five_scans_fill_all_splits():
    assert {scan(number, SMALL).split for number in range(5)} == {"train", "val", "test"}


@EACH
def test_the_fetus_is_of_the_age_of_its_trimester(of):
    assert of.fetus.young == (of.trimester == "first") == (of.fetus.size.weeks < 14)


# --- pictures ----------------------------------------------------------------------------------


def test_a_frame_follows_from_the_seed_its_scan_and_its_number_alone():
    for index in (60, 3, 3, 119):  # in any order, from any copy
        assert np.array_equal(scan(2, SMALL).frame(index), SCANS[2].frame(index))
        assert np.array_equal(scan(2, SMALL).mask(index), SCANS[2].mask(index))
    assert same(scan(2, SMALL), SCANS[2])


def test_another_seed_and_another_number_are_other_patients():
    first = SCANS[0]
    for other in (scan(0, changed(seed=1)), SCANS[3]):  # of the same machine
        assert other.fetus.size != first.fetus.size
        assert not np.array_equal(other.frame(5), first.frame(5))


def test_two_frames_never_have_the_same_noise():
    still = dataclasses.replace(
        SCANS[0], off=0 * SCANS[0].off, shift=0 * SCANS[0].shift, angle=0 * SCANS[0].angle,
        gain=0 * SCANS[0].gain,
    )  # fmt: skip
    one, other = still.frame(0), still.frame(1)
    assert not np.array_equal(one, other)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


@EACH
def test_a_picture_is_bytes_and_black_around_its_sector_but_for_marks(of, monkeypatch):
    marked = of.frame(7)
    monkeypatch.setattr(overlay, "mark", lambda *_: None)
    plain = of.frame(7)
    sector = of.visits[of.visit[7]].probe.sector
    assert marked.dtype == np.uint8 and marked.shape == sector.shape
    assert not plain[~sector].any()
    assert 0 < (marked != plain).mean() < 0.2
    assert 15 < plain[sector].mean() < 160, "neither black nor white"


@EACH
def test_a_mask_names_its_classes_within_the_sector(of):
    for index in range(0, SMALL.frames, 11):
        mask = of.mask(index)
        assert mask.dtype == np.uint8 and mask.shape == of.frame(index).shape
        assert mask.max() <= len(MASK_CLASSES)
        assert not mask[~of.visits[of.visit[index]].probe.sector].any()


def classes(anatomy: str, of: Scan) -> set[str]:
    """The mask classes in the frame of a scan that lies closest to a plane; empty without one."""
    near = [k for k, name in enumerate(of.anatomy) if name == anatomy]
    if not near:
        return set()
    mask = of.mask(min(near, key=lambda k: abs(of.off[k])))
    return {MASK_CLASSES[value - 1] for value in np.unique(mask) if value}


@pytest.mark.parametrize(
    ("anatomy", "shown"),
    [("HCP", "head"), ("SOB", "head"), ("PROFILE", "head"), ("ACP", "body"), ("FLP", "femur"),
     ("4CH", "heart"), ("KIDNEYS_CORONAL", "body")],
)  # fmt: skip
def test_what_a_plane_is_about_is_in_its_mask(anatomy, shown):
    found = [classes(anatomy, of) for of in SCANS]
    assert sum(shown in names for names in found) == sum(bool(names) for names in found) >= 5


def test_the_first_trimester_has_head_body_and_fluid_in_its_masks():
    for of in (of for of in SCANS if of.trimester == "first"):
        found = set().union(*(classes(visit.plane.anatomy, of) for visit in of.visits))
        assert {"head", "body", "fluid"} <= found
