"""The proxy that steers a study: macro-F1 on val of a ridge probe on frozen features.

Never the contrastive loss: it cannot be compared across temperatures, ratios or batch sizes. The
probe may use every label of train, whatever the anatomy ratio, so it is the same for all trials.
"""

from collections.abc import Iterator

import numpy as np

from awcl.data.pack import FramePack
from awcl.data.table import rows_where
from awcl.downstream import scores
from awcl.downstream.classification import Problem
from awcl.encoder import Encoder, features
from awcl.errors import InputError
from awcl.taxonomy import LEVELS, Taxonomy

NAMES = {"ridge": "proxy", "knn": "knn"}


class Proxy:
    """Yields val/proxy_coarse, val/proxy_fine, their kNN counterparts, and val/proxy at `level`.

    A level at which the frames allow no probe (val holds a class that train lacks, say) is left
    out. Raises InputError where that is the level that steers.
    """

    def __init__(
        self,
        pack: FramePack,
        taxonomy: Taxonomy,
        level: str = "fine",
        where: dict[str, str | list[str]] | None = None,
    ):
        self.pack, self.level = pack, level
        rows = rows_where(pack.frames, where or {})
        self.problems: dict[str, Problem] = {}
        for name in LEVELS:
            try:
                self.problems[name] = Problem(pack, rows, taxonomy, name, judged_on="val")
            except InputError as error:
                if name == level:
                    raise InputError(f"proxy_level {name}: {error}") from error
        self.rows = np.unique(
            np.concatenate([[*p.rows, *p.judged_rows] for p in self.problems.values()])
        )

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        every = features(encoder, self.pack, self.rows)
        for level, problem in self.problems.items():
            train = every[np.searchsorted(self.rows, problem.rows)]
            judged = every[np.searchsorted(self.rows, problem.judged_rows)]
            for name, classes in problem.predict(train, judged).items():
                counts = scores.confusions(problem.truth, classes, len(problem.classes))
                value = float(scores.macro_f1(counts))
                yield f"val/{NAMES[name]}_{level}", value
                if name == "ridge" and level == self.level:
                    yield "val/proxy", value
