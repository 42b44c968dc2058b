"""Ridge against scikit-learn's, nearest neighbours against a loop, folds of whole patients."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from awcl.downstream import probes


def problem(n=60, d=8, classes=3, seed=0, shift=1.0):
    """Features of unequal scale, unbalanced labels, 12 patients; test features and their truth."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(classes, n, p=[0.6, 0.3, 0.1][:classes] if classes == 3 else None))
    labels[:classes] = np.arange(classes)
    centres = rng.normal(0, shift, (classes, d))
    scale, offset = rng.uniform(0.1, 30, d), rng.normal(0, 50, d)

    def draw(of):
        x = (centres[of] + rng.normal(0, 1, (len(of), d))) * scale + offset
        return x.astype(np.float32)

    truth = rng.integers(classes, size=80)
    patients = np.array([f"p{i % 12}" for i in range(n)])
    return draw(labels), labels, patients, draw(truth), truth


@pytest.mark.parametrize("d", [8, 200], ids=["primal", "dual"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strength", [1e-4, 0.1, 10])
def test_ridge_is_scikit_learns_balanced_ridge_on_standardised_features(d, classes, strength):
    train, labels, _, test, _ = problem(d=d, classes=classes)
    ours = probes._ridge_scores(train, labels, test, classes, np.array([strength]))[0]

    weights = compute_sample_weight("balanced", labels)
    scaler = StandardScaler().fit(train.astype(np.float64), sample_weight=weights)
    theirs = RidgeClassifier(alpha=strength * len(labels), class_weight="balanced")
    theirs.fit(scaler.transform(train.astype(np.float64)), labels)
    expected = theirs.decision_function(scaler.transform(test.astype(np.float64)))

    if classes == 2:  # one column there, ours holds it and its mirror image
        np.testing.assert_allclose(2 * ours[:, 1] - 1, expected, atol=1e-8)
    else:
        np.testing.assert_allclose(2 * ours - 1, expected, atol=1e-8)  # targets -1, 1 there
    predicted = theirs.predict(scaler.transform(test.astype(np.float64)))
    np.testing.assert_array_equal(ours.argmax(1), predicted)


def test_primal_and_dual_agree_where_features_are_repeated():
    """Columns three times over are the same problem at three times the strength, seen as D > N."""
    train, labels, _, test, _ = problem(n=20, d=8)
    primal = probes._ridge_scores(train, labels, test, 3, np.array([0.01, 1]))
    wide = [np.tile(x, 3) for x in (train, test)]
    assert wide[0].shape[1] > len(train)
    dual = probes._ridge_scores(wide[0], labels, wide[1], 3, np.array([0.03, 3]))
    np.testing.assert_allclose(primal, dual, atol=1e-8)


def test_all_strengths_at_once_are_each_on_its_own():
    train, labels, _, test, _ = problem()
    together = probes._ridge_scores(train, labels, test, 3, probes.STRENGTHS)
    for strength, scores in zip(probes.STRENGTHS, together, strict=True):
        alone = probes._ridge_scores(train, labels, test, 3, np.array([strength]))[0]
        np.testing.assert_allclose(scores, alone, atol=1e-9)


@pytest.mark.parametrize("dead", [0.0, 7.0, 1e-3, 1234.567])
@pytest.mark.parametrize("d", [8, 200])
def test_a_feature_that_is_dead_in_train_counts_for_nothing(dead, d):
    train, labels, _, test, _ = problem(d=d)
    without = probes._ridge_scores(train[:, :-1], labels, test[:, :-1], 3, probes.STRENGTHS)
    train[:, -1], test[:, -1] = dead, dead + np.random.default_rng(0).normal(size=len(test))
    found = probes._ridge_scores(train, labels, test, 3, probes.STRENGTHS)
    np.testing.assert_allclose(found, without, atol=1e-7)


def test_labels_that_are_easy_to_tell_apart_are_told_apart():
    train, labels, patients, test, truth = problem(shift=5)
    assert (probes.ridge(train, labels, patients, test) == truth).mean() > 0.95
    assert (probes.nearest(train - train.mean(0), labels, test - train.mean(0)) == truth).mean() > (
        0.8
    )


def test_no_fold_splits_a_patient(monkeypatch):
    train, labels, patients, _, _ = problem()
    train[:, 0] = [int(name[1:]) for name in patients]  # carries the patient into what is spied on
    folds = []

    def spy(inside, labels, held_out, classes, strengths):
        folds.append((set(inside[:, 0]), set(held_out[:, 0])))
        return np.zeros((len(strengths), len(held_out), classes))

    monkeypatch.setattr(probes, "_ridge_scores", spy)
    probes._best_strength(train, labels, patients, 3)
    assert len(folds) == 5
    assert all(not inside & held_out for inside, held_out in folds)
    assert sorted(p for _, held_out in folds for p in held_out) == list(range(12))


def test_a_feature_that_names_the_patient_does_not_choose_the_strength():
    """Inside a patient the label never changes, so frames of one patient on both sides of a fold
    would make naming the patient (weak ridge) look perfect; on new patients it is worth nothing.
    """
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(24), 6)
    labels = np.repeat(rng.permutation(24) % 2, 6)
    name = 3 * np.eye(24)[patients]
    weak = rng.normal(0, 1, (len(labels), 6)) + 0.45 * labels[:, None]
    train = np.hstack([name, weak])
    ours = probes._best_strength(train, labels, patients.astype(str), 2)
    fooled = probes._best_strength(train, labels, np.arange(len(labels)).astype(str), 2)
    assert ours > fooled

    truth = rng.integers(2, size=2000)  # frames of patients that nobody has seen
    test = np.hstack([np.zeros((2000, 24)), rng.normal(0, 1, (2000, 6)) + 0.45 * truth[:, None]])
    right = [
        (probes._ridge_scores(train, labels, test, 2, np.array([s]))[0].argmax(1) == truth).mean()
        for s in (ours, fooled)
    ]
    assert right[0] > right[1]


@pytest.mark.parametrize("patients", [1, 2])
def test_one_or_two_patients_are_enough(patients):
    train, labels, _, test, _ = problem(shift=5)
    names = np.array([f"p{i % patients}" for i in range(len(train))])
    assert set(probes.ridge(train, labels, names, test)) <= {0, 1, 2}
    if patients == 1:
        assert probes._best_strength(train, labels, names, 3) == 1.0


def test_a_class_that_a_fold_lacks_does_not_break_it():
    train, labels, patients, test, _ = problem()
    labels = np.where(patients == "p0", 2, labels % 2)  # class 2 is one patient's
    assert np.isfinite(probes._ridge_scores(train, labels, test, 4, np.array([0.1]))).all()
    assert probes.ridge(train, labels, patients, test).shape == (80,)


def test_features_without_any_spread_give_a_prediction():
    flat = np.ones((10, 4), np.float32)
    labels = np.array([0, 1] * 5)
    assert probes.ridge(flat, labels, np.arange(10).astype(str), flat[:3]).shape == (3,)
    assert probes.nearest(np.zeros((10, 4), np.float32), labels, flat[:3]).shape == (3,)


@pytest.mark.parametrize("n", [3, 60])
def test_nearest_is_what_a_loop_gives(n):
    train, labels, _, test, _ = problem()
    train, labels = train[-n:], labels[-n:]
    expected = []
    for x in test.astype(np.float64):
        similarity = [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in train.astype(float)]
        votes = [0.0] * 3
        for i in sorted(range(n), key=lambda i: -similarity[i])[:10]:
            votes[labels[i]] += np.exp(similarity[i] / 0.07)
        expected.append(int(np.argmax(votes)))
    assert len(set(expected)) > 1 or n == 3
    found = probes.nearest(train.astype(np.float64), labels, test.astype(np.float64))
    np.testing.assert_array_equal(found, expected)


def test_nearest_is_the_same_whatever_is_held_at_a_time(monkeypatch):
    train, labels, _, test, _ = problem()
    found = probes.nearest(train, labels, test)
    monkeypatch.setattr(probes, "CHUNK", 7)
    np.testing.assert_array_equal(probes.nearest(train, labels, test), found)


def test_one_patient_has_no_folds_and_three_have_three():
    assert probes.patient_folds(np.array(["a", "a"])) == []
    assert len(probes.patient_folds(np.array(list("aabbc")))) == 3
