"""Judging an encoder: ridge probe and kNN on frozen features, beside scikit-learn.

As many features as the training and test images of FETAL_PLANES_DB give a resnet18: 7,129 x 512 of
896 patients and 5,271, in its six classes of unequal size, made so that a probe has errors left to
make: a mean for each class, a shift for each patient, noise. scikit-learn's logistic regression
(lbfgs, standardised features, balanced classes) is fitted once, at C = 1, and once with C chosen
over the same folds of patients, as the ridge probe chooses its strength.
"""

from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from awcl.downstream.probes import nearest, patient_folds, ridge
from benchmarks.harness import Row, Run, lasting, spread, threads

TRAIN = (2601, 1620, 1058, 981, 516, 353)  # images by class; the shares of the test set are alike
TEST, WIDTH, PATIENTS = 5271, 512, 896
STRENGTHS = np.logspace(-4, 2, 7)


def measure(run: Run) -> Iterator[Row]:
    train, labels, patients, test, truth = made(run.size(1, 16))
    found: dict[str, np.ndarray] = {}

    def keep(name: str, predict: Callable[[], np.ndarray]) -> Callable[[], None]:
        return lambda: found.update({name: predict()})

    with threads(torch.get_num_threads()):
        raced = run.race(
            {
                "ridge": keep("ridge", lambda: ridge(train, labels, patients, test)),
                "knn": keep("knn", lambda: nearest(train, labels, test)),
                "C = 1": keep("C = 1", lambda: logistic(train, labels, test, 1.0)),
                "C by folds": keep(
                    "C by folds", lambda: chosen(train, labels, patients, test)
                ),
            },
            3,
            warm=False,  # a turn takes 20 s
        )  # fmt: skip
    score = {name: f1_score(truth, p, average="macro") for name, p in found.items()}
    both = [sum(pair) for pair in zip(raced.seconds["ridge"], raced.seconds["knn"], strict=True)]
    theirs = raced.seconds["C = 1"]
    yield Row(
        "ridge probe and kNN, 7,129 x 512 / 5,271",
        f"{lasting(raced.median('ridge'))} + {lasting(raced.median('knn'))}",
        f"{lasting(raced.median('C = 1'))}, logistic regression, C = 1",
        spread([their / our for their, our in zip(theirs, both, strict=True)]),
        "about 1 s (to 1.2)", median(both) <= 1.2, why="its strength is chosen over folds, LOG.md",
    )  # fmt: skip
    for name in ("C = 1", "C by folds"):
        apart = score["ridge"] - score[name]
        yield Row(
            "ridge probe, 7,129 x 512 / 5,271",
            f"{lasting(raced.median('ridge'))}, macro-F1 {score['ridge']:.3f}",
            f"{lasting(raced.median(name))}, {score[name]:.3f}, logistic regression, {name}",
            raced.ratio(name, "ridge"), "macro-F1 equal to 0.01", bool(abs(apart) <= 0.01),
            why=f"{apart:+.3f}" + ", whose C is not chosen" * (name == "C = 1"),
        )  # fmt: skip


def made(coarser: int) -> tuple[np.ndarray, ...]:
    """train (N, D), labels, patients, test (M, D), truth. coarser: a size so many times smaller."""
    rng = np.random.default_rng(0)
    counts = np.array(TRAIN) // coarser
    width, patients = WIDTH // coarser, PATIENTS // coarser
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    truth = rng.choice(len(counts), TEST // coarser, p=counts / counts.sum())
    means = rng.normal(0, 1, (len(counts), width)) * 0.1 * (WIDTH / width) ** 0.5
    shifts = rng.normal(0, 0.5, (2 * patients, width))  # the test's patients are others

    def features(classes: np.ndarray, of: np.ndarray) -> np.ndarray:
        noise = rng.normal(0, 0.7, (len(classes), width))
        return np.maximum(means[classes] + shifts[of] + noise, 0).astype(np.float32)

    owner = rng.integers(patients, size=len(labels))
    other = patients + rng.integers(patients, size=len(truth))
    return features(labels, owner), labels, owner.astype(str), features(truth, other), truth


def logistic(train: np.ndarray, labels: np.ndarray, test: np.ndarray, c: float) -> np.ndarray:
    """(M,) classes."""
    classifier = LogisticRegression(C=c, max_iter=1000, class_weight="balanced")
    return make_pipeline(StandardScaler(), classifier).fit(train, labels).predict(test)


def chosen(
    train: np.ndarray, labels: np.ndarray, patients: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """(M,) classes with the C that is best by macro-F1 over folds of patients inside train."""
    predicted = np.zeros((len(STRENGTHS), len(train)), np.int64)
    for inside, held_out in patient_folds(patients):
        for place, c in enumerate(STRENGTHS):
            found = logistic(train[inside], labels[inside], train[held_out], c)
            predicted[place, held_out] = found
    found = [f1_score(labels, p, average="macro") for p in predicted]
    return logistic(train, labels, test, STRENGTHS[int(np.argmax(found))])
