"""What the nearest frames of a frame share with it: its anatomy, its patient."""

from collections.abc import Iterator

import numpy as np

CHUNK = 1024  # rows of the matrix of similarities that are held at a time


def purity(h: np.ndarray, labels: np.ndarray, units: np.ndarray, k: int) -> np.ndarray:
    """(N,) share of the k nearest frames of other patients that have a frame's label.

    h: (N, D) features, compared by cosine; labels: (N,); units: (N,) names of patients. Fewer than
    k where fewer are there; nan for a frame without any frame of another patient.
    """
    found = np.zeros(len(h))
    k = min(k, len(h))
    for rows, similarity in _similarities(h):
        similarity[units[rows, None] == units] = -np.inf
        near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        of_others = np.isfinite(np.take_along_axis(similarity, near, 1))
        alike = (labels[near] == labels[rows, None]) & of_others
        found[rows] = _ratio(alike.sum(1), of_others.sum(1))
    return found


def purity_by_chance(labels: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(N,) what `purity` expects of neighbours that are drawn at random among other patients."""
    elsewhere = units[:, None] != units
    alike = (labels[:, None] == labels) & elsewhere
    return _ratio(alike.sum(1), elsewhere.sum(1))


def structure_within(
    h: np.ndarray, fine: np.ndarray, coarse: np.ndarray, units: np.ndarray, k: int
) -> np.ndarray:
    """(N,) what is left of the fine classes inside each coarse class: by its mean 0 by chance, 1
    where frames of one fine class are nearer to each other than to any other of the coarse class.

    h: (N, D) features, compared by cosine; fine, coarse: (N,) classes; units: (N,) names of
    patients. A frame's neighbours are sought among other patients' frames of its coarse class
    only: k of them, or as many as are of its fine class where these are fewer, so that each frame
    can reach 1. Of their share p that is of its fine class, what neighbours at random would have,
    q, is taken away, and the rest is scaled to 1: (p - q) / (1 - Q), Q being the mean of q over
    the coarse class. nan for frames that have no fellow of their fine class in another patient,
    and for coarse classes in which all frames have no others.
    """
    found = np.full(len(h), np.nan)
    for kind in np.unique(coarse):
        rows = np.flatnonzero(coarse == kind)
        share = _share_of_fellows(h[rows], fine[rows], units[rows], k)
        known = ~np.isnan(share)
        chance = purity_by_chance(fine[rows], units[rows])
        if (chance[known] < 1).any():
            found[rows] = (share - chance) / (1 - chance[known].mean())
    return found


def _share_of_fellows(h: np.ndarray, labels: np.ndarray, units: np.ndarray, k: int) -> np.ndarray:
    """`purity` over as many neighbours as a frame has fellows of its label in other patients, at
    most k; nan for a frame that has none."""
    found = np.full(len(h), np.nan)
    for rows, similarity in _similarities(h):
        of_others = units[rows, None] != units
        similarity[~of_others] = -np.inf
        alike = (labels[rows, None] == labels) & of_others
        number = np.minimum(alike.sum(1), k)
        near = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        hits = np.take_along_axis(alike, near, 1).cumsum(1)
        hits = hits[np.arange(len(rows)), np.maximum(number, 1) - 1]
        found[rows] = _ratio(hits, number)
    return found


def same_patient(
    h: np.ndarray, patients: np.ndarray, scans: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) whether a frame's nearest neighbour is of its patient, and (N,) that by chance.

    h: (N, D) features, compared by cosine; patients, scans: (N,) names. The neighbour is sought
    among all other frames, without those of the same scan where the patient has another one: there
    what is recognised is the patient, and not the moment. nan for a patient's only frame.
    """
    right, chance = np.full((2, len(h)), np.nan)
    for rows, similarity in _similarities(h):
        of_patient = patients[rows, None] == patients
        of_scan = of_patient & (scans[rows, None] == scans)
        has_another = (of_patient & ~of_scan).any(1)
        itself = rows[:, None] == np.arange(len(h))
        similarity[itself | (of_scan & has_another[:, None])] = -np.inf
        sought = np.isfinite(similarity)
        there = of_patient & sought
        judged = there.any(1)
        found = of_patient[np.arange(len(rows)), similarity.argmax(1)]
        right[rows[judged]] = found[judged]
        chance[rows[judged]] = (there.sum(1) / sought.sum(1))[judged]
    return right, chance


def _similarities(h: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row numbers and their cosine similarities to all rows, some rows at a time."""
    unit = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12)
    for start in range(0, len(h), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(h)))
        yield rows, unit[rows] @ unit.T


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
