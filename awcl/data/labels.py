"""Which anatomy labels may be used: a share of frames or of patients, the same lists everywhere.

Pre-training at an anatomy ratio and a probe with few labels take their lists from here, so that
"the labels of the same patients" means the same patients.
"""

import numpy as np
import pandas as pd

from awcl import hashing
from awcl.config import AnatomyConfig
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

BACKGROUND = "background"


def label_classes(
    frames: pd.DataFrame,
    anatomy: AnatomyConfig,
    taxonomy: Taxonomy,
    seed: int,
    *,
    level: str | None = None,
    background: bool = False,
) -> pd.Series:
    """The class of each frame by its label, at a level; null where it has none that may be used.

    level: default anatomy.granularity. background: names of no anatomy are one class, BACKGROUND.
    Raises InputError as `usable_labels` does.
    """
    level = level or anatomy.granularity
    usable = frames["anatomy"].where(usable_labels(frames, anatomy, taxonomy, seed))
    classes = usable.map(lambda name: taxonomy.at(name, level)).astype(object)
    if background:
        of_none = _usable_background(frames, anatomy, taxonomy, seed)
        classes = classes.mask(of_none, BACKGROUND)
    return classes


def usable_labels(
    frames: pd.DataFrame, anatomy: AnatomyConfig, taxonomy: Taxonomy, seed: int
) -> np.ndarray:
    """(frames,) bool: which labels may be used, at this anatomy ratio.

    ratio_unit 'frame': labelled frames are ranked by hash(seed, frame_id) within their fine class
    and the first ceil(ratio x n) kept: nested (what 0.3 keeps, 0.5 keeps), no class lost, the same
    for coarse and fine. 'patient': the first ceil(ratio x n) patients with labels, ranked by
    hash(seed, patient), keep all of theirs; a rare class may be lost, as it would be in a clinic
    that labelled few patients.

    Labels that are no anatomy (background) are never usable, nor are those in `held_out`; these
    leave the ranks, and so the lists of patients, as they are. Raises InputError for a ratio
    outside 0..1 and for a name in `held_out` that the taxonomy does not know.
    """
    if not 0 <= anatomy.ratio <= 1:
        raise InputError(f"anatomy.ratio {anatomy.ratio}: choose 0 to 1")
    labelled = frames["anatomy"].map(lambda name: taxonomy.at(name, "coarse")).notna().to_numpy()
    keep = _kept(frames, labelled, anatomy, seed)
    if anatomy.held_out:
        held_out = taxonomy.covered(anatomy.held_out, where="anatomy.held_out")
        keep &= ~frames["anatomy"].isin(held_out).to_numpy()
    return keep


def _usable_background(
    frames: pd.DataFrame, anatomy: AnatomyConfig, taxonomy: Taxonomy, seed: int
) -> np.ndarray:
    """(frames,) bool: labels of no anatomy, at the same ratio: of each name, or of the patients
    whose anatomies are usable, so that the option adds labels and changes none."""
    of_none = frames["anatomy"].isin(taxonomy.no_anatomy).to_numpy()
    if anatomy.ratio_unit == "frame":
        return _kept(frames, of_none, anatomy, seed)
    every = anatomy.model_copy(update={"held_out": []})
    patients = frames["patient"][usable_labels(frames, every, taxonomy, seed)]
    return of_none & frames["patient"].isin(patients).to_numpy()


def _kept(
    frames: pd.DataFrame, labelled: np.ndarray, anatomy: AnatomyConfig, seed: int
) -> np.ndarray:
    """(frames,) bool: which of the labelled frames (or of their patients) a ratio keeps."""
    by_frame = anatomy.ratio_unit == "frame"
    names = frames["frame_id"] if by_frame else frames["patient"]
    classes = frames["anatomy"] if by_frame else pd.Series("", index=frames.index)
    keep = np.zeros(len(frames), bool)
    for _, rows in frames[labelled].groupby(classes[labelled]).groups.items():
        units = names[rows].unique()
        ranked = units[np.argsort(hashing.uint64s(units, "usable", seed), kind="stable")]
        kept = ranked[: _ceil(anatomy.ratio * len(ranked))]
        keep[frames.index.get_indexer(rows[names[rows].isin(kept)])] = True
    return keep


def _ceil(x: float) -> int:
    """Rounded up, but 0.3 x 10 is 3 although it is 3.0000000000000004 as a float somewhere."""
    return max(int(x > 0), int(np.ceil(round(x, 9))))
