"""MoCo v2 and AWCL with a queue: keys of earlier steps beside those of the batch.

A query q is view 0 of a frame through the trained network; its key is view 1 through a copy of the
network that follows it slowly (momentum). With the keys k of a queue and temperature t

    loss_i = logsumexp over {own key, queue} of q_i . k / t
             -  mean over {own key, queue keys of the group of i} of q_i . k / t

pretrain.positives says which keys are of one group:
  self           MoCo v2 (Chen et al. 2020, after He et al. 2020): only the own key is positive
  anatomy        AWCL with more distinct positives than a batch can hold (beyond Fu et al. 2022)
  patient, scan  as MedAug (Vu et al. 2021), which is built on MoCo, but with all positives at once
  hierarchical   fine and coarse, weighted by anatomy.fine_weight

A key of the anchor's own frame from an earlier step is neither positive nor negative; nor is a
place of the queue that nothing has come into yet. So the very first step has a loss of 0, and
chance is log(1 + keys in the queue).

Shuffled BatchNorm (section 3.3 of MoCo): workers exchange the images that keys are made of, by a
permutation that is drawn anew each step, and put the keys back in order; so a query and its key see
statistics of different images. On one worker both networks see the whole batch, and there is
nothing to shuffle. Every worker ends a step with the same queue.

Differs from the authors' code, on purpose: the queue begins empty and not with random keys; own
keys of earlier steps are masked; momentum is 0.99 and not 0.999, for runs of hundreds of steps and
not of a million; projector, schedule and augmentation are those of all methods here. Not symmetric:
a step puts one view of each frame through the trained network, half of what SimCLR does. Their
temperature is 0.2.
"""

import copy
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from awcl import hashing
from awcl.config import Config
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.pretrain import machine, method
from awcl.pretrain.groups import group_ids
from awcl.pretrain.methods import groups

LONGEST = 65_536  # of MoCo
EMPTY = -1  # in place of a frame


class Method(groups.Method):
    class Settings(Config):
        queue: int = Field(0, ge=0)
        """Keys in the queue; 0: as many as half the frames of an epoch, up to 65,536."""
        momentum: float = Field(0.99, ge=0, lt=1)
        """Share of its weights that the network of the keys keeps at each step."""

    def __init__(self, config, frames, taxonomy):
        super().__init__(config, frames, taxonomy)
        batches = self.sampler()
        self.length = _length(self.settings.queue, batches.steps, batches.batch)
        self.patients = torch.from_numpy(group_ids(frames["patient"]))
        self.queue = torch.zeros(self.length, config.model.projection)
        self.queue_frames = torch.full((self.length,), EMPTY)
        self.steps_done = 0

    def modules(self, encoder: Encoder) -> method.Net:
        self.net = super().modules(encoder)
        return self.net

    def to(self, device) -> None:
        super().to(device)
        self.key_net = copy.deepcopy(self.net).requires_grad_(False)
        self.patients = self.patients.to(device)
        self.queue_frames = self.queue_frames.to(device)
        dtype = torch.promote_types(next(self.net.parameters()).dtype, torch.float32)
        self.queue = self.queue.to(device, dtype)

    def inputs(self, batch: method.Batch) -> Tensor:
        return batch.views[:, 0]

    def loss(self, outputs: Tensor, batch: method.Batch) -> tuple[Tensor, dict[str, Tensor]]:
        q = method.on_sphere(outputs)
        # Autocast is over where the loss begins; what it made of the queries, it makes of the keys.
        with torch.autocast(q.device.type, torch.bfloat16, outputs.dtype == torch.bfloat16):
            keys = self._keys_of_all(batch.views[:, 1])
        self.new = keys, machine.of_all(batch.frames).flatten()
        rank, _ = machine.place()
        own = keys[rank * len(q) : (rank + 1) * len(q)]
        masked = (self.queue_frames == EMPTY) | (self.queue_frames == batch.frames[:, None])
        positive = self._positive(batch.frames, masked)
        loss = queue_loss(
            q, own, self.queue, positive, masked, self.config.pretrain.temperature, self.weights
        )
        return loss, self._report(batch.frames, positive[-1])

    def after_step(self) -> None:
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.key_net.parameters()),
                list(self.net.parameters()),
                1 - self.settings.momentum,
            )
            keys, frames = self.new
            first = self.steps_done * len(keys)
            places = torch.arange(first, first + len(keys), device=keys.device) % self.length
            self.queue[places] = keys
            self.queue_frames[places] = frames
        self.steps_done += 1

    def state_dict(self) -> dict[str, Any]:
        return {
            "key_net": self.key_net.state_dict(),
            "queue": self.queue,
            "queue_frames": self.queue_frames,
            "steps_done": torch.tensor(self.steps_done),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.key_net.load_state_dict(state["key_net"])
        self.queue.copy_(state["queue"])
        self.queue_frames.copy_(state["queue_frames"])
        self.steps_done = int(state["steps_done"])

    @torch.no_grad()
    def _keys_of_all(self, views: Tensor) -> Tensor:
        """(workers * b, D) keys of all workers' views in the order of the batch; views (b, ...)."""
        rank, world = machine.place()
        if world == 1:
            return self._keys(views)
        order = shuffled(self.config.seed, self.steps_done, world * len(views))
        if views.is_cuda:  # pinned: else the host would wait for the network that is under way
            order = order.pin_memory()
        order = order.to(views.device, non_blocking=True)
        mine = order[rank * len(views) : (rank + 1) * len(views)]
        every = machine.of_all(views.contiguous()).flatten(0, 1)
        keys = machine.of_all(self._keys(every[mine])).flatten(0, 1)
        return torch.empty_like(keys).index_copy_(0, order, keys)  # key i is of view order[i]

    def _keys(self, views: Tensor) -> Tensor:
        x = views.contiguous(memory_format=torch.channels_last)
        chunks = x.tensor_split(self.config.pretrain.chunks)
        return method.on_sphere(torch.cat([self.key_net(chunk) for chunk in chunks]))

    def _positive(self, frames: Tensor, masked: Tensor) -> Tensor:
        """(groupings, b, Q) bool: which keys of the queue are of the group of which query."""
        of_queue, of_batch = self.ids[:, self.queue_frames], self.ids[:, frames]
        return (of_queue[:, None, :] == of_batch[:, :, None]) & ~masked

    def _report(self, frames: Tensor, positive: Tensor) -> dict[str, Tensor]:
        """What `positives_report` says of a batch, of the own key and the queue, a key counted as a
        view. positive: (b, Q), of the widest grouping."""
        n = positive.sum(1)
        others = self.patients[self.queue_frames] != self.patients[frames][:, None]
        return {
            "positives/beyond_own": (n > 0).float().mean(),
            "positives/mean": 1 + n.float().mean(),
            "positives/other_patient": (positive & others).sum() / (len(n) + n.sum()),
        }


def queue_loss(
    q: Tensor,
    own: Tensor,
    queue: Tensor,
    positive: Tensor,
    masked: Tensor,
    temperature: float,
    weights: tuple[float, ...] = (1.0,),
) -> Tensor:
    """Mean loss of queries, as at the head of this file; all vectors on the unit sphere.

    q, own: (b, D), a query and its key. queue: (Q, D). masked: (b, Q), keys that do not count;
    positive: (K, b, Q), keys of its group under K groupings, none of them masked; weights: K
    numbers that sum to 1. Every shape is known beforehand, so the device never has to tell the host
    how many keys count. Keys have no gradient, so no worker needs another's queries: the average
    over workers of this mean is the mean over all.
    """
    with torch.autocast(q.device.type, enabled=False):
        of_own = (q * own).sum(1) / temperature
        of_queue = q @ queue.T / temperature
        every = torch.cat([of_own[:, None], of_queue.masked_fill(masked, -torch.inf)], dim=1)
        loss = every.logsumexp(1)
        for weight, of_group in zip(weights, positive, strict=True):
            total = of_own + (of_queue * of_group).sum(1)
            loss = loss - weight * total / (1 + of_group.sum(1))
        return loss.mean()


def shuffled(seed: int, step: int, n: int) -> Tensor:
    """A permutation of n, a function of seed and step only: the same on every worker."""
    rng = np.random.default_rng(hashing.uint64("shuffle", seed, step))
    return torch.from_numpy(rng.permutation(n))


def _length(asked: int, steps: int, batch: int) -> int:
    """Keys in the queue. Raises InputError where a batch or half an epoch does not allow it."""
    half = steps * batch // 2
    length = asked or min(half, LONGEST)
    if length > half:
        raise InputError(
            f"method.queue {length} is more than half the {steps * batch} frames of an epoch: it "
            f"would hold earlier keys of many of its own anchors; choose {half} or less"
        )
    if length < batch:
        raise InputError(
            f"method.queue {length}: a batch of {batch} frames does not fit; raise it, or lower "
            f"pretrain.batch (an epoch has {steps * batch} frames, half of them is the most)"
        )
    return length
