"""What the nearest frames share, against scikit-learn and loops."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from awcl.downstream import neighbourhoods
from awcl.downstream.neighbourhoods import purity, purity_by_chance, same_patient


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
