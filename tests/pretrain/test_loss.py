"""The group loss against a slow loop, SupCon and NT-Xent; its memory and its gradient."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from awcl.pretrain import loss as loss_module
from awcl.pretrain.loss import LogSumExpOthers, group_loss, positive_similarity


def sphere(frames: int, dim: int = 8, seed: int = 0) -> Tensor:
    """z of two views a frame, on the unit sphere."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(2 * frames, dim, generator=generator, dtype=torch.float64), dim=1)


def of_views(groups: list[int]) -> Tensor:
    """(1, 2 x frames) group ids of the views, the two of a frame one after the other."""
    return torch.tensor([groups]).repeat_interleave(2, dim=1)


def slow_anchor(z: Tensor, groups: Tensor, t: float, i: int) -> float:
    """loss_i, term by term. groups: (views,)."""
    similarity = [float(z[i] @ z[a]) / t for a in range(len(z))]
    others = [similarity[a] for a in range(len(z)) if a != i]
    positives = [similarity[a] for a in range(len(z)) if a != i and groups[a] == groups[i]]
    top = max(others)
    lse = top + math.log(sum(math.exp(s - top) for s in others))
    return lse - sum(positives) / len(positives)


def slow(z: Tensor, groups: Tensor, t: float, weights: tuple[float, ...] = (1.0,)) -> float:
    total = 0.0
    for weight, of_one in zip(weights, groups, strict=True):
        anchors = [slow_anchor(z, of_one, t, i) for i in range(len(z))]
        total += weight * sum(anchors) / len(anchors)
    return total


def supcon(z: Tensor, labels: Tensor, t: float, base: float) -> Tensor:
    """L_out of Khosla et al. with masks, in the form of the authors' code."""
    own = torch.eye(len(z), dtype=torch.bool)
    mask = (labels[:, None] == labels[None, :]) & ~own
    logits = z @ z.T / t
    logits = logits - logits.max(dim=1, keepdim=True).values
    log_prob = logits - (logits.exp() * ~own).sum(1, keepdim=True).log()
    return -(t / base) * ((mask * log_prob).sum(1) / mask.sum(1)).mean()


def nt_xent(z: Tensor, t: float) -> Tensor:
    """Chen et al.: which of the other views is mine?"""
    logits = (z @ z.T / t).masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf)
    return cross_entropy(logits, torch.arange(len(z)) ^ 1)


GROUPINGS = {
    "each its own": lambda n: list(range(n)),
    "all one": lambda n: [0] * n,
    "pairs": lambda n: [i // 2 for i in range(n)],
    "three, mixed up": lambda n: [i % 3 for i in range(n)],
    "some labelled": lambda n: [7 if i % 2 else 100 + i for i in range(n)],
    "large ids": lambda n: [2**40 + i // 3 for i in range(n)],
}


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.5, 5])
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_it_is_the_slow_loop(frames, temperature, grouping):
    z, groups = sphere(frames), of_views(GROUPINGS[grouping](frames))
    found = group_loss(z, groups, temperature)
    assert float(found) == pytest.approx(slow(z, groups, temperature), rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=10),
    st.floats(0.02, 3),
    st.integers(0, 1000),
    st.randoms(use_true_random=False),
)
def test_it_is_the_slow_loop_for_any_groups_in_any_order(groups, temperature, seed, random):
    order = list(range(2 * len(groups)))
    random.shuffle(order)
    z, of_all = sphere(len(groups), seed=seed)[order], of_views(groups)[:, order]
    found = group_loss(z, of_all, temperature)
    assert float(found) == pytest.approx(slow(z, of_all, temperature), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1])
def test_with_every_frame_labelled_it_is_supcon_without_base_temperature(temperature):
    groups, z = of_views([0, 1, 0, 2, 1, 0, 2, 2]), sphere(8)
    found = group_loss(z, groups, temperature)
    torch.testing.assert_close(found, supcon(z, groups[0], temperature, base=temperature))
    with_base = supcon(z, groups[0], temperature, base=0.07)
    torch.testing.assert_close(found * temperature / 0.07, with_base)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1])
def test_with_no_frame_labelled_it_is_nt_xent(temperature):
    z = sphere(9)
    found = group_loss(z, of_views(list(range(9))), temperature)
    torch.testing.assert_close(found, nt_xent(z, temperature))


@pytest.mark.parametrize("frames", [2, 5, 32])
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_equal_embeddings_give_chance_for_any_groups(frames, grouping):
    z = sphere(1)[:1].repeat(2 * frames, 1)
    found = group_loss(z, of_views(GROUPINGS[grouping](frames)), 0.1)
    assert float(found) == pytest.approx(math.log(2 * frames - 1), rel=1e-12)


def test_in_a_mixed_batch_each_anchor_has_its_own_loss():
    """Labelled anchors have L_A over the whole batch, the others L_c, in one and the same batch."""
    t, z, labels = 0.2, sphere(6), [0, 0, 1, 1, None, None]
    groups = of_views([label if label is not None else 10 + i for i, label in enumerate(labels)])
    lse = LogSumExpOthers.apply(z, z, 0, 1 / t)
    per_anchor = lse - positive_similarity(z, groups[0], z, groups[0]) / t
    for i, found in enumerate(per_anchor):
        label = labels[i // 2]
        alone = torch.arange(len(z)) // 2 if label is None else groups[0]
        assert float(found) == pytest.approx(slow_anchor(z, alone, t, i), rel=1e-12)
    torch.testing.assert_close(group_loss(z, groups, t), per_anchor.mean())


def test_an_unlabelled_frame_changes_the_loss_of_the_others_only_as_a_negative():
    """Where it is far from all others, SupCon of the labelled ones is what remains."""
    z = torch.nn.functional.pad(sphere(4, dim=6), (0, 2))
    lonely = torch.zeros(2, 8, dtype=torch.float64)
    lonely[:, 7] = 1
    batch, t = torch.cat([z, lonely]), 0.1
    groups = of_views([0, 0, 1, 1, 50])
    expected = [slow_anchor(z, groups[0, :8], t, i) for i in range(8)]
    for i in range(8):
        with_lonely = math.log(math.exp(expected[i] + mean_positive(z, groups, t, i)) + 2)
        expected[i] = with_lonely - mean_positive(z, groups, t, i)
    own = math.log(math.exp(1 / t) + 8) - 1 / t
    assert float(group_loss(batch, groups, t)) == pytest.approx((sum(expected) + 2 * own) / 10)


def mean_positive(z: Tensor, groups: Tensor, t: float, i: int) -> float:
    positives = [a for a in range(len(z)) if a != i and groups[0, a] == groups[0, i]]
    return sum(float(z[i] @ z[a]) for a in positives) / len(positives) / t


def test_several_groupings_give_the_weighted_mean_of_the_single_ones():
    z, weights = sphere(9), (0.5, 0.3, 0.2)
    groups = [of_views([i // k for i in range(9)]) for k in (1, 2, 4)]
    together = group_loss(z, torch.cat(groups), 0.1, weights)
    alone = [group_loss(z, of_one, 0.1) for of_one in groups]
    expected = sum(weight * one for weight, one in zip(weights, alone, strict=True))
    torch.testing.assert_close(together, expected)
    assert float(together) == pytest.approx(slow(z, torch.cat(groups), 0.1, weights))


@pytest.mark.parametrize("rows", [1, 3, 7, 22])
def test_in_chunks_of_rows_it_is_the_same(monkeypatch, rows):
    groups = of_views([i % 3 for i in range(11)])

    def run() -> tuple[Tensor, Tensor]:
        z = sphere(11).requires_grad_()
        loss = group_loss(z, groups, 0.1)
        return loss.detach(), torch.autograd.grad(loss, z)[0]

    whole = run()
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", rows * 22 * 8)
    assert len(loss_module._chunks(22, sphere(11))) == -(-22 // rows)
    torch.testing.assert_close(run(), whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("chunk", [2**26, 3 * 12 * 8], ids=["whole", "chunked"])
def test_its_gradient_is_that_of_its_value(monkeypatch, chunk):
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", chunk)
    groups = torch.cat([of_views([0, 0, 1, 1, 2, 3]), of_views([0, 0, 0, 1, 1, 2])])
    z = sphere(6, dim=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: group_loss(z, groups, 0.3, (0.6, 0.4)), z)


def test_at_low_temperature_it_stays_finite_in_float32():
    z = sphere(16).float().requires_grad_()
    loss = group_loss(z, of_views([i % 3 for i in range(16)]), 1e-3)
    loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()
    assert loss > 100


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(half):
    z, groups = sphere(16).to(half), of_views([i % 3 for i in range(16)])
    expected = group_loss(z.float(), groups, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        found = group_loss(z, groups, 0.1)
        under_autocast = group_loss(z.float(), groups, 0.1)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert torch.equal(under_autocast, expected)


@pytest.mark.parametrize("temperature", [0, -0.1, math.nan])
def test_a_temperature_that_is_not_above_0_is_refused(temperature):
    with pytest.raises(ValueError, match=f"temperature {temperature}: must be above 0"):
        group_loss(sphere(4), of_views([0, 1, 2, 3]), temperature)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (torch.zeros(8, dtype=torch.long), r"groups \(8,\): need \(1, 8\)"),
        (torch.zeros(1, 4, dtype=torch.long), r"groups \(1, 4\): need \(1, 8\)"),
        (torch.zeros(2, 8, dtype=torch.long), r"groups \(2, 8\): need \(1, 8\)"),
    ],
)
def test_groups_of_a_wrong_shape_are_refused_with_both_shapes(groups, said):
    with pytest.raises(ValueError, match=said):
        group_loss(sphere(4), groups, 0.1)


LARGE = """
import re
import resource
import torch
from awcl.pretrain.loss import group_loss

z = torch.nn.functional.normalize(torch.randn(32768, 128), dim=1).requires_grad_()
groups = (torch.arange(32768) // 2 % 1000)[None]
small = z[:256].detach().requires_grad_()
group_loss(small, groups[:, :256], 0.1).backward()  # what the first call loads is not the loss's
held = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
group_loss(z, groups, 0.1).backward()
# Of this program alone: ru_maxrss would begin with what the process that started it held.
(peak,) = re.findall(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(int(peak) * 1024 - held)
"""


@pytest.mark.slow
def test_32768_views_stay_under_a_gigabyte():
    """Their similarities alone would be 4 GiB."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=500, check=True
    )
    assert 0 < int(done.stdout) < 2**30
