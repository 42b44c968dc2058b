"""Classifiers on frozen features: ridge and nearest neighbours."""

import numpy as np
import torch
from sklearn.model_selection import GroupKFold
from torch import nn

from awcl.downstream.scores import confusions, macro_f1

STRENGTHS = np.logspace(-4, 2, 7)  # times the number of training frames
FOLDS = 5
NEIGHBOURS = 10
CHUNK = 512  # test frames whose similarities to all training frames are held at a time
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


def patient_folds(patients: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to FOLDS pairs of places (inside, held out), whole patients; none where there is one."""
    folds = min(FOLDS, len(np.unique(patients)))
    if folds < 2:
        return []
    splitter = GroupKFold(folds, shuffle=True, random_state=0)
    return list(splitter.split(patients, groups=patients))


def _best_strength(
    train: np.ndarray, labels: np.ndarray, patients: np.ndarray, classes: int
) -> float:
    predicted = np.zeros((len(STRENGTHS), len(train)), np.int64)
    folds = patient_folds(patients)
    if not folds:
        return 1.0  # one patient: nothing to choose by
    for inside, held_out in folds:
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
    x, test = train.astype(np.float64), test.astype(np.float64)
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    w = len(labels) / (present * counts[labels])
    one_hot = np.eye(classes)[labels]
    mean, target_mean = w @ x / w.sum(), w @ one_hot / w.sum()
    x -= mean  # in place: a pass over N x D takes as long as a third of the eigendecomposition
    x *= np.sqrt(w)[:, None]
    spread = np.sqrt(np.einsum("nd,nd->d", x, x) / w.sum())
    spread[spread <= 1e-12 * np.abs(mean)] = 1  # a dead feature stays 0, up to the mean's rounding
    x /= spread
    y = (one_hot - target_mean) * np.sqrt(w)[:, None]
    primal = x.shape[1] <= x.shape[0]
    values, vectors = np.linalg.eigh(x.T @ x if primal else x @ x.T)
    right = vectors.T @ (x.T @ y if primal else y)
    left = (test - mean) / spread @ (vectors if primal else x.T @ vectors)
    shrunk = right / (values[:, None] + strengths[:, None, None] * len(labels))
    return left @ shrunk + target_mean


def nearest(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(M,) classes by the votes of the nearest training frames, by cosine similarity.

    CHUNK test frames at a time, so that no M x N matrix is held; torch, whose topk is twice as fast
    as numpy's argpartition.
    """
    known, asked = (nn.functional.normalize(torch.from_numpy(x), dim=1) for x in (train, test))
    of = torch.from_numpy(labels)
    found = []
    for part in asked.split(CHUNK):
        similarity, near = (part @ known.T).topk(min(NEIGHBOURS, len(known)), dim=1)
        votes = similarity.new_zeros(len(part), int(labels.max()) + 1)
        votes.scatter_add_(1, of[near], torch.exp(similarity / SHARPNESS))
        found.append(votes.argmax(1))
    return torch.cat(found).numpy()
