"""The group loss on several processes has the gradient of one process."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.parallel import DistributedDataParallel

from awcl.pretrain.loss import group_loss

FRAMES, INPUTS = 12, 10
WEIGHTS, TEMPERATURE = (0.7, 0.3), 0.1
PRECISE = {torch.float64: 1e-12, torch.float32: 1e-5}


def views() -> tuple[Tensor, Tensor]:
    """Inputs (2 x frames, INPUTS) and groups: labelled in part, and coarser ones."""
    x = torch.randn(2 * FRAMES, INPUTS, generator=torch.Generator().manual_seed(0)).double()
    fine = torch.tensor([0, 5, 0, 1, 6, 1, 2, 2, 7, 0, 8, 1])
    coarse = torch.tensor([0, 5, 0, 0, 6, 0, 2, 2, 7, 0, 8, 0])
    return x, torch.stack([fine, coarse]).repeat_interleave(2, dim=1)


def network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Linear(INPUTS, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 8)
    return nn.Sequential(*layers).to(dtype)


def gradients(rank: int, world: int, dtype: torch.dtype) -> tuple[float, Tensor, list[Tensor]]:
    """The loss of this worker's views, the gradient of their z, and those of all weights."""
    x, groups = views()
    share = slice(rank * len(x) // world, (rank + 1) * len(x) // world)
    net = network(dtype)
    trained = DistributedDataParallel(net) if world > 1 else net
    z = normalize(trained(x[share].to(dtype)), dim=1)
    z.retain_grad()
    loss = group_loss(z, groups[:, share], TEMPERATURE, WEIGHTS)
    loss.backward()
    return loss.item(), z.grad, [p.grad for p in net.parameters()]


def work(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=60),
    )
    found = {str(dtype): gradients(rank, world, dtype) for dtype in PRECISE}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def on_workers(request, tmp_path_factory) -> list[dict]:
    """What each of several processes found."""
    folder = tmp_path_factory.mktemp("workers")
    torch.multiprocessing.spawn(work, (request.param, str(folder)), nprocs=request.param)
    files = [Path(folder, f"{rank}.pt") for rank in range(request.param)]
    return [torch.load(file, weights_only=True) for file in files]


def distance(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest entry."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
def test_the_mean_over_workers_is_the_loss_of_one(on_workers, dtype):
    alone, _, _ = gradients(0, 1, dtype)
    of_each = [found[str(dtype)][0] for found in on_workers]
    assert len(set(of_each)) == len(of_each)  # each sees its own anchors
    assert sum(of_each) / len(of_each) == pytest.approx(alone, rel=PRECISE[dtype])


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
def test_z_has_the_gradient_of_one_worker(on_workers, dtype):
    _, alone, _ = gradients(0, 1, dtype)
    # DDP averages over workers what each of them would add to the weights.
    together = torch.cat([found[str(dtype)][1] for found in on_workers]) / len(on_workers)
    assert distance(together, alone) < PRECISE[dtype]


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
def test_every_weight_has_the_gradient_of_one_worker(on_workers, dtype):
    _, _, alone = gradients(0, 1, dtype)
    for found in on_workers:
        for gradient, expected in zip(found[str(dtype)][2], alone, strict=True):
            if expected.abs().max() > 1e-9:
                assert distance(gradient, expected) < PRECISE[dtype]
