"""Scores against scikit-learn; intervals against a slow bootstrap over the same resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from awcl.downstream import scores

SUMMARY = {"macro_f1": scores.macro_f1, "balanced_accuracy": scores.balanced_accuracy}
CLASSES = 4


@st.composite
def judged(draw):
    """Truth and prediction of 1 to 40 frames; either may lack classes."""
    n = draw(st.integers(1, 40))
    numbers = st.lists(st.integers(0, CLASSES - 1), min_size=n, max_size=n)
    return np.array(draw(numbers)), np.array(draw(numbers))


@settings(deadline=None)
@given(judged())
def test_scores_are_those_of_scikit_learn_over_the_classes_of_the_truth(case):
    truth, predicted = case
    present = np.unique(truth)
    counts = scores.confusions(truth, predicted, CLASSES)
    assert (counts == metrics.confusion_matrix(truth, predicted, labels=range(CLASSES))).all()
    options = {"labels": present, "zero_division": 0}
    for ours, theirs in (
        (scores.precision, metrics.precision_score),
        (scores.recall, metrics.recall_score),
        (scores.f1, metrics.f1_score),
    ):
        value = ours(counts)
        np.testing.assert_allclose(
            value[present], theirs(truth, predicted, average=None, **options), atol=1e-12
        )
        absent = np.setdiff1d(np.arange(CLASSES), present)
        assert np.isnan(value[absent]).all()
    macro = metrics.f1_score(truth, predicted, average="macro", **options)
    assert scores.macro_f1(counts) == pytest.approx(macro)
    recalls = metrics.recall_score(truth, predicted, average="macro", **options)
    assert scores.balanced_accuracy(counts) == pytest.approx(recalls)
    precisions = metrics.precision_score(truth, predicted, average="macro", **options)
    assert scores.macro_precision(counts) == pytest.approx(precisions)
    some = [c for c in (0, 2) if c in present]
    members = np.isin(np.arange(CLASSES), (0, 2))
    if some:
        options["labels"] = some
        of_some = metrics.f1_score(truth, predicted, average="macro", **options)
        assert scores.macro_f1_of(members)(counts) == pytest.approx(of_some)
    else:
        assert np.isnan(scores.macro_f1_of(members)(counts))


def test_a_class_predicted_but_absent_from_the_truth_costs_no_average_of_its_own():
    counts = scores.confusions(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), 3)
    assert scores.macro_f1(counts) == pytest.approx((1 + 2 / 3) / 2)
    assert scores.precision(counts)[1] == 1 and np.isnan(scores.precision(counts)[2])


def cohort(patients: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, a prediction that is right four times in five, and the patient of each frame.

    Frames of a patient are alike: a patient is of one class mostly, and right or wrong as a whole
    often.
    """
    rng = np.random.default_rng(seed)
    truth, predicted, units = [], [], []
    for patient in range(patients):
        kind = patient % 3
        wrong = rng.random() < 0.2
        for _ in range(rng.integers(1, 8)):
            true = kind if rng.random() < 0.9 else int(rng.integers(3))
            truth.append(true)
            predicted.append((true + 1) % 3 if wrong else true)
            units.append(f"p{patient:02d}")
    order = rng.permutation(len(truth))
    return np.array(truth)[order], np.array(predicted)[order], np.array(units)[order]


def resamples(units: np.ndarray) -> list[list[int]]:
    """How often each patient (sorted by name) is drawn, resample by resample.

    The slow way to the same draws: numpy's multinomial from the same seed, nothing vectorised.
    """
    names = sorted(set(units))
    drawn = []
    rng = np.random.default_rng(0)
    for _ in range(scores.RESAMPLES):
        drawn.append(rng.multinomial(len(names), [1 / len(names)] * len(names)))
    return [list(map(int, times)) for times in drawn]


def test_intervals_are_those_of_a_slow_bootstrap_of_whole_patients(monkeypatch):
    monkeypatch.setattr(scores, "RESAMPLES", 60)
    truth, predicted, units = cohort(12)
    names, found = sorted(set(units)), {"macro_f1": [], "balanced_accuracy": []}
    for times in resamples(units):
        rows = []
        for name, n in zip(names, times, strict=True):
            rows += list(np.flatnonzero(units == name)) * n
        t, p = truth[rows], predicted[rows]
        present = np.unique(t)
        options = {"labels": present, "average": "macro", "zero_division": 0}
        found["macro_f1"].append(metrics.f1_score(t, p, **options))
        found["balanced_accuracy"].append(metrics.recall_score(t, p, **options))
    ours = scores.intervals(truth, predicted, units, 3, SUMMARY)
    for name, values in found.items():
        assert ours[name] == pytest.approx(np.quantile(values, [0.025, 0.975]))


def drawn(truth, predicted, units, classes=3) -> np.ndarray:
    """What a score is given: the counts of every resample."""
    seen = []

    def spy(counts):
        seen.append(counts)
        return counts[..., 0, 0]

    scores.intervals(truth, predicted, units, classes, {"spy": spy})
    return seen[0]


def test_patients_are_drawn_whole():
    truth, units = np.array([0, 0, 0, 1, 1, 1, 1]), np.array(list("aabcccc"))
    counts = drawn(truth, truth, units, 2)
    assert counts.shape == (2000, 2, 2)
    assert set(counts[:, 1, 1]) == {0, 4, 8, 12}
    assert set(counts[:, 0, 0]) == {0, 1, 2, 3, 4, 5, 6}, "a is two frames, b one"


def test_of_each_stratum_come_as_many_patients_as_it_has():
    truth, units = np.array([0, 0, 1, 1, 1]), np.array(list("abcde"))
    counts = scores.resample(truth, truth, units, 2, strata=truth)
    assert set(counts[:, 0, 0]) == {2} and set(counts[:, 1, 1]) == {3}


def test_of_one_patient_nothing_is_known_and_no_interval_given():
    truth, predicted = np.array([0, 1, 1]), np.array([0, 1, 0])
    found = dict(scores.with_intervals(truth, predicted, np.array(["p"] * 3), 2, SUMMARY))
    assert set(found) == set(SUMMARY)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """16 patients of 13 classes each, who differ in how often they are told right."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(60):
        right = rng.beta(6, 4, 16)
        units = np.repeat(np.arange(16), 26)
        truth = np.tile(np.repeat(np.arange(13), 2), 16)
        wrong = (truth + rng.integers(1, 13, len(truth))) % 13
        predicted = np.where(rng.random(len(truth)) < right[units], truth, wrong)
        accuracy = {"balanced": scores.balanced_accuracy}
        low, high = scores.intervals(truth, predicted, units, 13, accuracy)["balanced"]
        held += low <= 0.6 <= high
    assert 0.82 <= held / 60 <= 1


def test_resamples_are_the_same_whatever_was_predicted_and_in_whatever_order():
    truth, predicted, units = cohort()
    right, wrong = (drawn(truth, p, units) for p in (truth, predicted))
    np.testing.assert_array_equal(right.sum(2), wrong.sum(2))
    order = np.random.default_rng(1).permutation(len(truth))
    shuffled = drawn(truth[order], predicted[order], units[order])
    np.testing.assert_array_equal(shuffled, wrong)


def test_the_interval_holds_the_point_and_narrows_with_more_patients():
    widths = []
    for patients in (15, 240):
        truth, predicted, units = cohort(patients)
        point = scores.macro_f1(scores.confusions(truth, predicted, 3))
        low, high = scores.intervals(truth, predicted, units, 3, SUMMARY)["macro_f1"]
        assert low < point < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 1.5


def test_patients_make_a_wider_interval_than_frames_that_are_taken_for_independent():
    truth, predicted, units = cohort()
    frames = np.arange(len(truth))
    low, high = scores.intervals(truth, predicted, units, 3, SUMMARY)["macro_f1"]
    naive_low, naive_high = scores.intervals(truth, predicted, frames, 3, SUMMARY)["macro_f1"]
    assert high - low > 1.2 * (naive_high - naive_low)


def test_one_class_gives_an_interval_and_no_nan():
    truth, predicted = np.array([1, 1, 1]), np.array([1, 1, 0])
    low, high = scores.intervals(truth, predicted, np.array(list("abc")), 3, SUMMARY)["macro_f1"]
    assert 0 <= low < 0.8 < high <= 1


def test_all_right_is_one_with_no_width():
    truth, _, units = cohort()
    found = scores.intervals(truth, truth, units, 3, SUMMARY)
    assert found == {"macro_f1": (1, 1), "balanced_accuracy": (1, 1)}


def test_scores_come_with_their_intervals_and_one_without_a_value_is_left_out():
    truth, predicted, units = cohort()
    none = scores.macro_f1_of(np.zeros(3, bool))
    found = dict(scores.with_intervals(truth, predicted, units, 3, {**SUMMARY, "none": none}))
    ranges = scores.intervals(truth, predicted, units, 3, SUMMARY)
    counts = scores.confusions(truth, predicted, 3)
    assert set(found) == {n + end for n in SUMMARY for end in ("", "/low", "/high")}
    for name, score in SUMMARY.items():
        assert found[name] == score(counts)
        assert (found[f"{name}/low"], found[f"{name}/high"]) == ranges[name]


def test_resamples_without_a_class_do_not_count_for_a_score_of_that_class():
    """Class 1 shows up in one patient, whose frames are mostly of class 0: some draws lack it."""
    truth, units = np.array([0, 0, 1, 0, 0]), np.array(list("aaabc"))
    score = {"of_1": scores.macro_f1_of(np.array([False, True]))}
    assert scores.intervals(truth, truth, units, 2, score)["of_1"] == (1, 1)


def test_draws_are_the_same_each_time_and_cannot_be_changed():
    strata = np.array([0, 0, 1, 1, 1])
    first = scores.draws(strata).copy()
    with pytest.raises(ValueError, match="read-only"):
        scores.draws(strata)[0, 0] = 7
    for other in range(6):  # more than are kept
        scores.draws(np.arange(5) % (other + 1))
    assert (scores.draws(strata) == first).all()
    assert (first[:, :2].sum(1) == 2).all() and (first[:, 2:].sum(1) == 3).all()
