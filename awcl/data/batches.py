"""Which frames make a batch: a function of (seed, epoch) only, over all workers."""

from functools import lru_cache

import numpy as np
import pandas as pd

from awcl import hashing
from awcl.errors import InputError

TRIES = 8


class Batches:
    """The batches of each epoch.

    frames: how many frames there are; batch: frames a batch over all workers.
    groups: (frames,) group ids for the sampler `partners`, or None for `uniform`.
    only: frame numbers to draw from (labelled ones, say), or None for all. Fewer frames are gone
    through more often, so that an epoch has the same steps, whatever it draws from.

    uniform: permutations of the frames, one after the other, cut into batches.
    partners: each drawn frame brings one other frame of its group that is not yet in the batch,
    where there is one.

    Raises InputError where a batch is larger than the frames there are.
    """

    def __init__(
        self,
        frames: int,
        batch: int,
        seed: int,
        groups: np.ndarray | None = None,
        only: np.ndarray | None = None,
    ):
        if batch > frames:
            raise InputError(
                f"pretrain.batch {batch} is larger than the {frames} frames to pre-train on; "
                "lower it or add frames"
            )
        self.batch, self.seed = batch, seed
        self.steps = frames // batch
        self.pool = np.arange(frames) if only is None else np.asarray(only)
        self.groups = groups
        self.members = None if groups is None else _members(groups)

    @lru_cache(maxsize=1)  # noqa: B019 - one epoch is asked for by the loader and by the report
    def epoch(self, epoch: int) -> np.ndarray:
        """(steps, batch) frame numbers."""
        rng = np.random.default_rng([hashing.uint64("batches", self.seed), epoch])
        if self.members is not None:
            return self._with_partners(rng.permutation(self.pool), rng)
        needed = self.steps * self.batch
        rounds = -(-needed // len(self.pool))
        order = np.concatenate([rng.permutation(self.pool) for _ in range(rounds)])
        return order[:needed].reshape(self.steps, self.batch)

    def _with_partners(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        batches = np.empty((self.steps, self.batch), np.int64)
        drawn = 0
        for row in batches:
            taken: list[int] = []
            present: set[int] = set()
            while len(taken) < self.batch:
                anchor = int(order[drawn % len(order)])
                drawn += 1
                if anchor in present:
                    continue
                taken.append(anchor)
                present.add(anchor)
                partner = self._partner(anchor, present, rng)
                if partner is not None and len(taken) < self.batch:
                    taken.append(partner)
                    present.add(partner)
            row[:] = taken
        return batches

    def _partner(self, anchor: int, present: set[int], rng: np.random.Generator) -> int | None:
        """Another frame of the group, all that are not in the batch being as likely."""
        members = self.members[self.groups[anchor]]
        for _ in range(TRIES):  # a large group is hit soon, and never has to be gone through
            partner = members[rng.integers(len(members))]
            if partner not in present:
                return partner
        free = [frame for frame in members if frame not in present]
        return free[rng.integers(len(free))] if free else None


def _members(groups: np.ndarray) -> dict[int, list[int]]:
    order = np.argsort(groups, kind="stable")
    ids, starts = np.unique(groups[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {int(group): part.tolist() for group, part in zip(ids, parts, strict=True)}


def occurrences(batches: np.ndarray) -> np.ndarray:
    """For each entry (steps, batch), how often its frame was drawn before in this epoch."""
    drawn = pd.Series(batches.ravel())
    return drawn.groupby(drawn).cumcount().to_numpy().reshape(batches.shape)


def in_rounds(frames: int, steps: int, batch: int, seed: int) -> np.ndarray:
    """(steps, batch) numbers of frames: permutations of them, one after the other, so that each is
    drawn once before any is drawn again."""
    rng = np.random.default_rng(seed)
    rounds = -(-steps * batch // frames)
    order = np.concatenate([rng.permutation(frames) for _ in range(rounds)])
    return order[: steps * batch].reshape(steps, batch)
