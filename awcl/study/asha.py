"""Asynchronous successive halving, as a pure record of decisions. No ray in here.

Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2, in the
stop-only form of Ray's AsyncHyperBandScheduler: a trial that reaches a rung goes on if its value is
among the best 1/reduction of all values recorded there so far. The first at a rung always goes on.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Decision:
    """One decision. compared: how many were decided at this epoch before it; their values are those
    of their own decisions, so none is stored twice."""

    key: str
    epoch: int
    value: float
    cutoff: float | None
    compared: int
    stop: bool

    @classmethod
    def stored(cls, line: dict[str, Any]) -> "Decision":
        """Of a line of decisions.jsonl; those of older studies list the values instead (`seen`)."""
        known = dict(line)
        values = known.pop("seen", ())
        return cls(**{"compared": len(values), **known})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def reason(self) -> str:
        return (
            f"proxy {self.value:.3f} at epoch {self.epoch} is below the cutoff "
            f"{self.cutoff:.3f} of {self.compared} earlier trials"
        )


@dataclass
class Asha:
    """Decides at epochs grace x reduction^k. Higher values are better.

    decisions: (key, epoch) -> what was decided; a decision once made stands, also after a restart.
    exempt: keys of trials that are never decided on.
    """

    grace: int
    reduction: int
    exempt: frozenset[str] = frozenset()
    decisions: dict[tuple[str, int], Decision] = field(default_factory=dict)

    def rungs(self, epochs: int) -> list[int]:
        """Where a trial of so many epochs is decided on; never at its end."""
        rungs, epoch = [], self.grace
        while epoch < epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return rungs

    def restore(self, decision: Decision) -> None:
        """A decision of an earlier run."""
        self.decisions[decision.key, decision.epoch] = decision

    def decide(self, key: str, epoch: int, value: float, epochs: int) -> Decision | None:
        """The decision on a trial of so many epochs at one of them; None where that is no rung."""
        if key in self.exempt or epoch not in self.rungs(epochs):
            return None
        if (key, epoch) not in self.decisions:
            at_rung = [made.value for made in self.decisions.values() if made.epoch == epoch]
            known = [value for value in at_rung if not np.isnan(value)]
            cutoff = float(np.percentile(known, (1 - 1 / self.reduction) * 100)) if known else None
            stop = cutoff is not None and not value >= cutoff  # nan goes on nowhere
            self.restore(Decision(key, epoch, value, cutoff, len(at_rung), stop))
        return self.decisions[key, epoch]
