"""MoCo and AWCL with a queue: the loss over the queue, what is masked, momentum, and resumption."""

import copy
import math

import numpy as np
import pytest
import torch
from small import build, config, frames, optimize, random_batch, stepped
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from awcl.config import TrialConfig
from awcl.errors import InputError
from awcl.pretrain import methods
from awcl.pretrain.method import Batch
from awcl.pretrain.methods.moco import Method, queue_loss
from awcl.pretrain.trial import trial_key

BATCHES = [[0, 3, 9], [1, 2, 4], [9, 5, 0], [6, 7, 8], [2, 3, 10], [0, 1, 9], [11, 4, 5], [0, 2, 9]]
POSITIVES = ["self", "anatomy", "hierarchical", "patient"]


def moco(**values) -> Method:
    """Of a transformer, which has no BatchNorm; its queue is no multiple of the batch."""
    small = {"model__backbone": "test_vit", "pretrain__batch": 3, "method__queue": 5}
    return build(pretrain__method="moco", method__momentum=0.8, **{**small, **values})


class Slow:
    """What the method does, with lists, loops and one image at a time."""

    def __init__(self, made: Method, net):
        self.made, self.past = made, []
        self.key_net = copy.deepcopy(net)

    @torch.no_grad()
    def loss(self, net, batch: Batch) -> float:
        self.keys = [normalize(self.key_net(view[None]), dim=1)[0] for view in batch.views[:, 1]]
        self.frames = batch.frames.tolist()
        total = 0.0
        for view, key, frame in zip(batch.views[:, 0], self.keys, self.frames, strict=True):
            q = normalize(net(view[None]), dim=1)[0]
            total += self._of_anchor(q, key, frame)
        return total / len(self.frames)

    def _of_anchor(self, q: Tensor, own: Tensor, frame: int) -> float:
        t = self.made.config.pretrain.temperature
        of_own = float(q @ own) / t
        others = [(float(q @ key) / t, of) for key, of in self.past if of != frame]
        loss = math.log(sum(math.exp(score) for score in [of_own, *(s for s, _ in others)]))
        for grouping in self.made.groupings:
            ids = grouping.ids
            same = [of_own, *(score for score, of in others if ids[of] == ids[frame])]
            loss -= grouping.weight * sum(same) / len(same)
        return loss

    def after_step(self, net) -> None:
        m = self.made.settings.momentum
        with torch.no_grad():
            for weight, new in zip(self.key_net.parameters(), net.parameters(), strict=True):
                weight.copy_(m * weight + (1 - m) * new)
        keys = [key.detach() for key in self.keys]
        self.past = [*self.past, *zip(keys, self.frames, strict=True)][-self.made.length :]


@pytest.mark.parametrize("positives", POSITIVES)
def test_each_step_has_the_loss_of_a_slow_queue(positives):
    made = moco(pretrain__positives=positives, pretrain__temperature=0.2)
    net = stepped(made)
    slow = Slow(made, net)
    for number, frames_of_batch in enumerate(BATCHES):
        batch = random_batch(frames_of_batch, number)
        expected = slow.loss(net, batch)
        found = optimize(made, net, batch)
        slow.after_step(net)
        assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert number > 5 and expected > 0.1
    order = np.argsort([(made.steps_done * 3 - 1 - place) % 5 for place in range(5)])[::-1].copy()
    torch.testing.assert_close(made.queue[order], torch.stack([key for key, _ in slow.past]))
    assert made.queue_frames[order].tolist() == [frame for _, frame in slow.past]


def test_the_first_step_has_only_the_own_key():
    made = moco(pretrain__positives="self")
    assert float(optimize(made, stepped(made), random_batch([0, 1, 2], 0))) == 0


def test_the_gradient_is_that_of_the_loss_and_none_goes_to_keys():
    generator = torch.Generator().manual_seed(0)
    q, own, queue = (
        normalize(torch.randn(n, 4, dtype=torch.float64, generator=generator), dim=1)
        for n in (3, 3, 6)
    )
    masked = torch.rand(3, 6, generator=generator) < 0.3
    positive = (torch.rand(2, 3, 6, generator=generator) < 0.5) & ~masked

    def loss(q: Tensor) -> Tensor:
        return queue_loss(q, own, queue, positive, masked, 0.3, (0.5, 0.5))

    assert torch.autograd.gradcheck(loss, q.requires_grad_())
    made = moco()
    optimize(made, stepped(made), random_batch([0, 1, 2], 0))
    assert all(weight.grad is None for weight in made.key_net.parameters())
    assert not made.queue.requires_grad


def test_own_keys_of_earlier_steps_and_places_still_empty_do_not_count():
    made = moco(pretrain__positives="anatomy")
    net = stepped(made)
    made.queue_frames[:] = torch.tensor([0, 0, -1, -1, 2])
    made.queue[:] = normalize(torch.randn(5, 16).double(), dim=1)
    batch = random_batch([0, 0, 0], 1)
    before, more = made.loss(net(made.inputs(batch)), batch)
    made.queue[:4] = normalize(torch.randn(4, 16).double(), dim=1)
    after, _ = made.loss(net(made.inputs(batch)), batch)
    assert before.item() == after.item() > 0, "only the last key counts"
    assert float(more["positives/beyond_own"]) == 0
    made.queue[4] *= -1
    assert made.loss(net(made.inputs(batch)), batch)[0].item() != before.item()


def test_the_network_of_the_keys_follows_slowly_and_begins_as_the_trained_one():
    made = moco()
    net = stepped(made)
    first = [weight.clone() for weight in made.key_net.parameters()]
    assert all(map(torch.equal, first, net.parameters()))
    for number, numbers in enumerate(BATCHES[:3]):
        optimize(made, net, random_batch(numbers, number), lr=0.5)
        first = [0.8 * old + 0.2 * new for old, new in zip(first, net.parameters(), strict=True)]
        torch.testing.assert_close(list(made.key_net.parameters()), first, rtol=1e-12, atol=1e-14)
    assert not all(map(torch.equal, made.key_net.parameters(), net.parameters()))


@pytest.mark.parametrize("positives", ["anatomy", "patient"])
def test_its_report_counts_the_own_key_and_the_queue(positives):
    made = moco(pretrain__positives=positives)
    net, ids, patients = stepped(made), made.groups(), frames()["patient"]
    past: list[int] = []
    for number, numbers in enumerate(BATCHES):
        batch = random_batch(numbers, number)
        _, more = made.loss(net(made.inputs(batch)), batch)
        made.after_step()
        found = [[k for k in past if k != i and ids[k] == ids[i]] for i in numbers]
        total = sum(1 + len(of) for of in found)
        other = sum(
            patients[k] != patients[i] for i, of in zip(numbers, found, strict=True) for k in of
        )
        assert float(more["positives/beyond_own"]) == pytest.approx(sum(map(bool, found)) / 3)
        assert float(more["positives/mean"]) == pytest.approx(total / 3)
        assert float(more["positives/other_patient"]) == pytest.approx(other / total)
        past = [*past, *numbers][-5:]


class NothingToWaitFor(TorchDispatchMode):
    """Refuses what needs a value of the device, or a shape that depends on values."""

    waits = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(index is not None and index.dtype == torch.bool for index in indices)
        assert name.strip("_") not in [wait.strip("_") for wait in self.waits] and not by_mask, name
        return func(*args, **(kwargs or {}))


def test_a_step_never_makes_the_host_wait():
    made = moco(model__backbone="test_resnet", pretrain__positives="hierarchical")
    net = stepped(made, torch.float32)
    with NothingToWaitFor():
        for number, numbers in enumerate(BATCHES[:3]):
            loss = optimize(made, net, random_batch(numbers, number, torch.float32))
        for waiting in (loss.item, lambda: loss[loss > 0], lambda: torch.unique(loss)):
            with pytest.raises(AssertionError):
                waiting()


def test_keys_are_made_in_bfloat16_where_queries_are():
    made = moco(model__backbone="test_resnet")
    net = stepped(made, torch.float32)
    seen = []
    made.key_net.register_forward_hook(lambda *of: seen.append(of[-1].dtype))
    batch = random_batch([0, 1, 2], 0, torch.float32)
    for bfloat16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs = net(made.inputs(batch))
        loss, _ = made.loss(outputs, batch)
        assert loss.dtype == made.queue.dtype == torch.float32
    assert seen == [torch.float32, torch.bfloat16]


# --- settings ----------------------------------------------------------------------------------


def test_the_queue_is_half_an_epoch_unless_it_is_set_or_the_longest_is_less(monkeypatch):
    assert moco(method__queue=0).length == 6 and moco().length == 5
    monkeypatch.setattr("awcl.pretrain.methods.moco.LONGEST", 4)
    assert moco(method__queue=0).length == 4 and moco(method__queue=6).length == 6


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"method__queue": 7},
            r"method\.queue 7 is more than half the 12 frames of an epoch.* 6 or",
        ),
        ({"method__queue": 2}, r"method\.queue 2: a batch of 3 frames does not fit"),
        ({"method__queue": 0, "pretrain__batch": 12}, "6: a batch of 12 frames does not fit"),
        ({"method__momentum": 1}, "pretrain.method moco: momentum 1: Input should be less than 1"),
    ],
)
def test_a_queue_that_makes_no_sense_is_refused(values, said):
    of = {"pretrain__method": "moco", "pretrain__batch": 3, **values}
    with pytest.raises(InputError, match=said):
        build(**of)


def key(**values) -> str:
    return trial_key(config(pretrain__method="moco", **values), "pack", "taxonomy")


def test_its_key_has_what_it_reads():
    assert key(method__queue=0, method__momentum="0.99") == key()
    alone = {"pretrain__positives": "self"}
    unread: list[TrialConfig] = [
        key(anatomy__granularity="coarse", **alone),
        key(data__sampler="partners", **alone),
        key(anatomy__ratio=0, pretrain__positives="hierarchical"),
    ]
    assert {*unread} == {key(**alone)}
    others = [key(), key(method__queue=64), key(method__momentum=0.9), key(anatomy__ratio=0.5)]
    assert len({*others, key(**alone)}) == 5


@pytest.mark.parametrize(("positives", "used"), [("self", 0), ("anatomy", 9), ("hierarchical", 10)])
def test_it_says_how_many_labels_it_uses(positives, used):
    assert moco(pretrain__positives=positives).labels_used == used
    of = methods.canonical(config(pretrain__method="moco", pretrain__positives=positives))
    assert (of.anatomy.ratio == 0) == (used == 0)
