"""Classifiers on frozen features: ridge and nearest neighbours."""

import numpy as np
from sklearn.model_selection import GroupKFold

from awcl.downstream.scores import confusions, macro_f1

STRENGTHS = np.logspace(-4, 2, 7)  # times the number of training frames
FOLDS = 5
NEIGHBOURS = 10
SHARPNESS = 0.07  # temperature of the neighbours' votes, as in Wu et al. 2018


def ridge(
    train: np.ndarray, labels: np.ndarray, patients: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """(M,) predicted classes of test (M, D) by ridge regression onto one-hot labels.

    train: (N, D) features; labels: (N,) 0..C-1; patients: (N,) names. Classes weigh the same.
    The strength is chosen by macro-F1 over folds of whole patients inside train.
    """
    classes = int(labels.max()) + 1
    strength = _best_strength(train, labels, patients, classes)
    return _ridge_scores(train, labels, test, classes, np.array([strength]))[0].argmax(1)


def _best_strength(
    train: np.ndarray, labels: np.ndarray, patients: np.ndarray, classes: int
) -> float:
    folds = min(FOLDS, len(np.unique(patients)))
    if folds < 2:
        return 1.0  # one patient: nothing to choose by
    predicted = np.zeros((len(STRENGTHS), len(train)), np.int64)
    splitter = GroupKFold(folds, shuffle=True, random_state=0)
    for inside, held_out in splitter.split(train, groups=patients):
        scores = _ridge_scores(train[inside], labels[inside], train[held_out], classes, STRENGTHS)
        predicted[:, held_out] = scores.argmax(2)
    found = [macro_f1(confusions(labels, p, classes)) for p in predicted]
    return float(STRENGTHS[int(np.argmax(found))])


def _ridge_scores(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, strengths: np.ndarray
) -> np.ndarray:
    """(strengths, M, C) scores, all strengths from one eigendecomposition.

    N frames, D features, Y one-hot, w weights that sum to N with equal shares for classes; X and Y
    are centred by their weighted means and scaled by sqrt(w). With s the strength times N,
      D <= N:  W = (X'X + s I)^-1 X'Y = V (L + s)^-1 V' X'Y      where X'X = V L V'
      D >  N:  W = X' (XX' + s I)^-1 Y = X' U (L + s)^-1 U' Y    where XX' = U L U'
    eigh and not SVD: it works on the smaller of D x D and N x N, and is several times faster.
    """
    train, test = train.astype(np.float64), test.astype(np.float64)
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    w = len(labels) / (present * counts[labels])
    one_hot = np.eye(classes)[labels]
    mean, target_mean = np.average(train, 0, w), np.average(one_hot, 0, w)
    spread = np.sqrt(np.average((train - mean) ** 2, 0, w))
    spread[spread <= 1e-12 * np.abs(mean)] = 1  # a dead feature stays 0, up to the mean's rounding
    x = (train - mean) / spread * np.sqrt(w)[:, None]
    y = (one_hot - target_mean) * np.sqrt(w)[:, None]
    primal = x.shape[1] <= x.shape[0]
    values, vectors = np.linalg.eigh(x.T @ x if primal else x @ x.T)
    right = vectors.T @ (x.T @ y if primal else y)
    left = (test - mean) / spread @ (vectors if primal else x.T @ vectors)
    shrunk = right / (values[:, None] + strengths[:, None, None] * len(labels))
    return left @ shrunk + target_mean


def nearest(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(M,) classes by the votes of the nearest training frames, by cosine similarity."""
    similarity = _unit(test) @ _unit(train).T
    k = min(NEIGHBOURS, len(train))
    near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    votes = np.exp(np.take_along_axis(similarity, near, 1) / SHARPNESS)
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    return np.einsum("mk,mkc->mc", votes, one_hot[near]).argmax(1)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
