"""What the nearest frames share, against scikit-learn and loops."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from awcl.downstream import neighbourhoods
from awcl.downstream.neighbourhoods import (
    purity,
    purity_by_chance,
    same_patient,
    structure_within,
)


@pytest.fixture(params=[7, 1024])
def cohort(request, monkeypatch) -> dict[str, np.ndarray]:
    """60 frames of 12 patients, whose features tell a little of label and patient."""
    monkeypatch.setattr(neighbourhoods, "CHUNK", request.param)
    rng = np.random.default_rng(0)
    units, labels = rng.integers(12, size=60), rng.integers(3, size=60)
    h = rng.normal(size=(60, 8)) + np.eye(8)[labels] + np.eye(8)[units % 8]
    scans = np.char.add("s", (units * 2 + rng.integers(2, size=60)).astype(str))
    return {"h": h, "labels": labels, "units": np.char.add("p", units.astype(str)), "scans": scans}


def unit(h: np.ndarray) -> np.ndarray:
    return h / np.linalg.norm(h, axis=1, keepdims=True)


def test_purity_is_over_the_nearest_frames_of_other_patients(cohort):
    h, labels, units = cohort["h"], cohort["labels"], cohort["units"]
    found = purity(h, labels, units, k=5)
    for row in range(len(h)):
        others = np.flatnonzero(units != units[row])
        near = (
            NearestNeighbors(n_neighbors=5)
            .fit(unit(h[others]))
            .kneighbors(unit(h[[row]]), return_distance=False)
        )
        assert found[row] == pytest.approx((labels[others[near[0]]] == labels[row]).mean())


def test_purity_of_features_that_hold_the_label_alone_is_one_and_of_none_is_chance(cohort):
    labels, units = cohort["labels"], cohort["units"]
    assert purity(np.eye(3)[labels], labels, units, k=3).min() == 1
    rng = np.random.default_rng(1)
    chance = purity_by_chance(labels, units).mean()
    drawn = [purity(rng.normal(size=(60, 8)), labels, units, k=10).mean() for _ in range(30)]
    assert np.mean(drawn) == pytest.approx(chance, abs=0.03)


def test_chance_is_the_share_of_alike_frames_among_other_patients(cohort):
    labels, units = cohort["labels"], cohort["units"]
    for row, value in enumerate(purity_by_chance(labels, units)):
        others = labels[units != units[row]]
        assert value == pytest.approx((others == labels[row]).mean())


def test_where_there_are_fewer_frames_than_neighbours_all_of_them_count():
    h, labels = np.eye(3), np.array([0, 0, 1])
    found = purity(h, labels, np.array(["p", "q", "q"]), k=10)
    np.testing.assert_allclose(found, [0.5, 1, 0])
    assert np.isnan(purity(h, labels, np.array(["p"] * 3), k=2)).all()


def slow_structure(h, fine, coarse, units, k) -> np.ndarray:
    """Frame by frame, by a sort of the distances to all that count."""
    shares, chances = np.full((2, len(h)), np.nan)
    for row in range(len(h)):
        sought = [
            other for other in range(len(h))
            if coarse[other] == coarse[row] and units[other] != units[row]
        ]  # fmt: skip
        fellows = [other for other in sought if fine[other] == fine[row]]
        if fellows:
            sought.sort(key=lambda other, row=row: -(unit(h[[other]]) @ unit(h[[row]]).T).item())
            near = sought[: min(k, len(fellows))]
            shares[row] = np.mean([other in fellows for other in near])
            chances[row] = len(fellows) / len(sought)
    found = np.full(len(h), np.nan)
    for kind in set(coarse):
        rows = (coarse == kind) & ~np.isnan(shares)
        if rows.any() and chances[rows].mean() < 1:
            found[rows] = (shares - chances)[rows] / (1 - chances[rows].mean())
    return found


@pytest.mark.parametrize("k", [1, 5, 100])
def test_structure_within_is_that_of_the_definition(cohort, k):
    h, fine, units = cohort["h"], cohort["labels"].copy(), cohort["units"]
    fine[:3] = [3, 3, 4]  # a class of a few, and one of a single frame, which has no fellow
    coarse = np.array([0, 0, 1, 0, 2])[fine]  # 1 and 2 hold one fine class each
    found = structure_within(h, fine, coarse, units, k)
    np.testing.assert_allclose(found, slow_structure(h, fine, coarse, units, k))
    assert (np.isnan(found) == (coarse != 0)).all()


def test_structure_within_is_one_where_fine_classes_lie_apart_and_none_by_chance(cohort):
    fine, units = cohort["labels"], cohort["units"]
    coarse = np.minimum(fine, 1)  # 0 alone; 1 and 2 as one
    judged = coarse == 1
    apart = structure_within(np.eye(3)[fine], fine, coarse, units, k=100)[judged]
    assert apart.mean() == pytest.approx(1), "also with more neighbours than there are fellows"
    one_point = np.eye(2)[coarse]  # nothing but the coarse class is left
    rng = np.random.default_rng(1)
    drawn = [
        structure_within(h, fine, coarse, units, k=5)[judged].mean()
        for h in (one_point + 1e-3 * rng.normal(size=one_point.shape) for _ in range(100))
    ]
    assert np.mean(drawn) == pytest.approx(0, abs=0.03)


def test_the_nearest_frame_is_sought_in_other_scans_of_a_patient_who_has_some(cohort):
    h, patients, scans = cohort["h"], cohort["units"], cohort["scans"]
    right, chance = same_patient(h, patients, scans)
    for row in range(len(h)):
        own = (patients == patients[row]) & (np.arange(len(h)) != row)
        elsewhere = own & (scans != scans[row])
        sought = np.flatnonzero(
            (patients != patients[row]) | (elsewhere if elsewhere.any() else own)
        )
        there = own[sought].sum()
        if not there:
            assert np.isnan(right[row]) and np.isnan(chance[row])
            continue
        nearest = sought[np.argmax(unit(h[sought]) @ unit(h[[row]])[0])]
        assert right[row] == (patients[nearest] == patients[row])
        assert chance[row] == pytest.approx(there / len(sought))


def test_features_that_hold_the_patient_alone_betray_every_patient_with_two_frames():
    patients = np.array(["a", "a", "b", "b", "c"])
    h = np.eye(3)[[0, 0, 1, 1, 2]]
    right, chance = same_patient(h, patients, patients)
    np.testing.assert_array_equal(right, [1, 1, 1, 1, np.nan])
    np.testing.assert_allclose(chance[:4], 1 / 4)
