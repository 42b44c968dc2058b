"""A classification problem over the frames of a pack: who trains the probe, who judges it."""

import numpy as np

from awcl.data.pack import FramePack
from awcl.downstream.probes import nearest, ridge
from awcl.downstream.scores import units_of
from awcl.errors import InputError, NoFramesError
from awcl.taxonomy import LEVELS, Taxonomy


class Problem:
    """Frames with a class at one level: those to train on, and those to be judged on.

    rows: those of split train teach, those of split `judged_on` judge; judged_rows: what judges is
    among these and not among `rows`, where it is of another domain.
    classes: names of all classes of train; truth: (M,) their numbers for the frames judged; units:
    (M,) what is resampled for intervals, the audit's group, else the patient.

    Raises InputError where there is nothing to train on or to judge, one class alone, or a class to
    judge that train does not hold.
    """

    def __init__(
        self,
        pack: FramePack,
        rows: np.ndarray,
        taxonomy: Taxonomy,
        level: str,
        judged_on: str,
        judged_rows: np.ndarray | None = None,
    ):
        judged_rows = rows if judged_rows is None else judged_rows
        self.pack = pack
        self.rows, names = labelled(pack, rows, taxonomy, level, "train")
        self.judged_rows, truth = labelled(pack, judged_rows, taxonomy, level, judged_on)
        for split, found in (("train", names), (judged_on, truth)):
            if not len(found):
                raise NoFramesError(
                    f"split {split!r} is empty: of the frames asked for it holds none with an "
                    f"anatomy at level {level}; see `where`, columns 'split' and 'anatomy'"
                )
        self.classes = np.unique(names)
        if len(self.classes) < 2:
            raise NoFramesError(
                f"train holds one class at level {level}, {str(self.classes[0])!r}; there is "
                "nothing to tell apart: judge more frames, or at another level"
            )
        lacking = sorted(set(truth) - set(self.classes))
        if lacking:
            raise InputError(
                f"split {judged_on!r} holds {str(lacking[0])!r} at level {level}, train does not; "
                "leave it out by `where`, or judge at another level"
            )
        self.labels = np.searchsorted(self.classes, names)
        self.truth = np.searchsorted(self.classes, truth)
        self.patients = pack.frames["patient"].iloc[self.rows].to_numpy(str)
        self.judged = pack.frames.iloc[self.judged_rows].reset_index(drop=True)
        self.units = units_of(self.judged)

    @property
    def present(self) -> list[str]:
        """The classes that the truth holds, over which scores are averaged."""
        return [str(name) for name in self.classes[np.unique(self.truth)]]

    def predict(
        self, train: np.ndarray, judged: np.ndarray, places: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """(M,) class numbers by each classifier, from the features of `rows` and `judged_rows`.

        places: of the training frames those that teach; None: all.
        """
        some = slice(None) if places is None else places
        train, labels, patients = train[some], self.labels[some], self.patients[some]
        return {
            "ridge": ridge(train, labels, patients, judged),
            "knn": nearest(train, labels, judged),
        }


def labelled(
    pack: FramePack, rows: np.ndarray, taxonomy: Taxonomy, level: str, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Those of these rows that are in a split and have a class at a level, and their classes."""
    rows = rows[(pack.frames["split"].iloc[rows] == split).to_numpy()]
    names = pack.frames["anatomy"].iloc[rows].map(lambda name: taxonomy.at(name, level))
    known = names.notna().to_numpy()
    return rows[known], names[known].to_numpy(str)


def finest_level(pack: FramePack, rows: np.ndarray, taxonomy: Taxonomy) -> str:
    """'fine' where every frame with an anatomy is known there, else 'coarse'."""
    names = [taxonomy.at(name, "coarse") and name for name in pack.frames["anatomy"].iloc[rows]]
    known = all(taxonomy.at(name, LEVELS[1]) for name in names if name is not None)
    return "fine" if known else "coarse"
