"""A classification problem over the frames of a pack: who trains the probe, who judges it."""

import numpy as np

from awcl.data.pack import FramePack
from awcl.downstream.probes import nearest, ridge
from awcl.errors import InputError
from awcl.taxonomy import LEVELS, Taxonomy


class Problem:
    """Frames with a class at one level: those to train a probe on, and those to judge it on.

    classes: names of all classes of train; truth: (M,) their numbers for the frames judged.
    """

    def __init__(
        self, pack: FramePack, rows: np.ndarray, taxonomy: Taxonomy, level: str, judged_on: str
    ):
        frames = pack.frames.iloc[rows]
        names = frames["anatomy"].map(lambda name: taxonomy.at(name, level))
        known = names.notna().to_numpy()
        trains = known & (frames["split"] == "train").to_numpy()
        judges = known & (frames["split"] == judged_on).to_numpy()
        for split, members in (("train", trains), (judged_on, judges)):
            if not members.any():
                raise InputError(
                    f"split {split!r} is empty: it holds no frame with an anatomy at level {level};"
                    " see the columns 'split' and 'anatomy' of the frame table"
                )
        self.classes = np.unique(names[trains].to_numpy(str))
        lacking = sorted(set(names[judges]) - set(self.classes))
        if lacking:
            raise InputError(
                f"split {judged_on!r} holds {lacking[0]!r} at level {level}, train does not; "
                "leave it out by `where`, or judge at another level"
            )
        self.pack, self.rows, self.judged_rows = pack, rows[trains], rows[judges]
        self.judged = frames[judges].reset_index(drop=True)
        self.patients = frames["patient"].to_numpy(str)[trains]
        self.labels = np.searchsorted(self.classes, names[trains].to_numpy(str))
        self.truth = np.searchsorted(self.classes, names[judges].to_numpy(str))

    @property
    def present(self) -> list[str]:
        """The classes that the truth holds, over which scores are averaged."""
        return [str(name) for name in self.classes[np.unique(self.truth)]]

    def predict(self, train: np.ndarray, judged: np.ndarray) -> dict[str, np.ndarray]:
        """(M,) class numbers by each classifier, from the features of `rows` and `judged_rows`."""
        return {
            "ridge": ridge(train, self.labels, self.patients, judged),
            "knn": nearest(train, self.labels, judged),
        }


def finest_level(pack: FramePack, rows: np.ndarray, taxonomy: Taxonomy) -> str:
    """'fine' where every frame with an anatomy is known there, else 'coarse'."""
    names = [taxonomy.at(name, "coarse") and name for name in pack.frames["anatomy"].iloc[rows]]
    known = all(taxonomy.at(name, LEVELS[1]) for name in names if name is not None)
    return "fine" if known else "coarse"
