"""Who is positive to whom: each pairing policy is one integer per frame.

Frames with the same integer are positives of each other. A frame without a usable label is its own
group, so its only positive is its own second view (L_c in the paper), while labelled anchors get
L_A: per anchor, as the paper draws it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from awcl.config import AnatomyConfig
from awcl.data.labels import label_classes
from awcl.taxonomy import Taxonomy


@dataclass(frozen=True)
class Grouping:
    """ids: (frames,) int64, frames with equal ids are positives. weight: its share of the loss."""

    ids: np.ndarray
    weight: float = 1.0


def groupings(
    positives: str, frames: pd.DataFrame, anatomy: AnatomyConfig, taxonomy: Taxonomy, seed: int
) -> list[Grouping]:
    """The groupings of a policy: self, patient, scan, anatomy, or hierarchical (several)."""
    if positives == "self":
        return [Grouping(np.arange(len(frames)))]
    if positives in ("patient", "scan"):
        return [Grouping(group_ids(frames[positives]))]
    if positives == "hierarchical":
        levels = {"fine": anatomy.fine_weight, "coarse": 1 - anatomy.fine_weight}
    else:
        levels = {anatomy.granularity: 1.0}
    return [
        Grouping(group_ids(label_classes(frames, anatomy, taxonomy, seed, level=level)), weight)
        for level, weight in levels.items()
    ]


def positives_report(
    batches: np.ndarray, groups: np.ndarray, patients: np.ndarray
) -> dict[str, float]:
    """What the batches (steps, batch) of an epoch gave their anchors, counted in views (2 a frame).

    positives/beyond_own: share of anchors with a positive that is not their own second view;
    positives/mean: positives an anchor; positives/other_patient: share of positives that show
    another patient.
    """
    group, patient = groups[batches], group_ids(pd.Series(patients))[batches]
    in_group = _same_in_row(group)
    in_both = _same_in_row(group * (patient.max() + 1) + patient)
    positives = 2 * in_group - 1
    return {
        "positives/beyond_own": float((in_group > 1).mean()),
        "positives/mean": float(positives.mean()),
        "positives/other_patient": float((2 * (in_group - in_both)).sum() / positives.sum()),
    }


def _same_in_row(values: np.ndarray) -> np.ndarray:
    """For each entry, how many entries of its row are equal to it, itself included."""
    out = np.empty(values.shape, np.int64)
    for row, counts in zip(values, out, strict=True):
        _, inverse, n = np.unique(row, return_inverse=True, return_counts=True)
        counts[:] = n[inverse]
    return out


def group_ids(names: pd.Series) -> np.ndarray:
    """(n,) int64: equal names share a number, and each null has one of its own."""
    codes, found = pd.factorize(names)
    alone = codes < 0
    codes = codes.astype(np.int64)
    codes[alone] = len(found) + np.arange(alone.sum())
    return codes
