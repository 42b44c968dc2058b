"""Every method on two processes: gradients and queue of one process, and shuffled keys in order."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from small import build, optimize, random_batch, stepped
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from awcl.pretrain import method
from awcl.pretrain.methods.moco import shuffled

WORKERS = 2
PRECISE = {torch.float64: 1e-12, torch.float32: 1e-5}
METHODS = {
    "simclr": {"pretrain__positives": "self"},
    "patient": {"pretrain__positives": "patient"},
    "awcl": {"pretrain__positives": "anatomy"},
    "awcl_hierarchical": {"pretrain__positives": "hierarchical"},
    "supervised": {"pretrain__method": "supervised"},
    "supcon": {"pretrain__method": "supcon"},
    "uscl": {"pretrain__method": "uscl"},
    "moco_v2": {"pretrain__method": "moco", "pretrain__positives": "self"},
    "moco_awcl": {"pretrain__method": "moco"},
    "moco_hierarchical": {"pretrain__method": "moco", "pretrain__positives": "hierarchical"},
}
BATCHES = [[0, 3, 9, 4], [1, 2, 4, 0], [9, 5, 0, 10], [2, 3, 10, 1]]


def share(batch: method.Batch, rank: int, world: int) -> method.Batch:
    n = len(batch.frames) // world
    part = slice(rank * n, (rank + 1) * n)
    return method.Batch(batch.views[part], batch.frames[part])


def run(name: str, dtype: torch.dtype, rank: int = 0, world: int = 1) -> list[dict[str, Tensor]]:
    """Of each step: loss, gradient of all weights, and the queue, if there is one."""
    values = {"model__backbone": "test_vit", "pretrain__batch": 4, **METHODS[name]}
    queue = {"method__queue": 5} if "moco" in name else {}
    made = build(pretrain__workers=world, **values, **queue)
    net = stepped(made, dtype)
    trained = DistributedDataParallel(net) if world > 1 else net
    found = []
    for number, numbers in enumerate(BATCHES):
        batch = share(random_batch(numbers, number, dtype), rank, world)
        loss = optimize(made, trained, batch, lr=1e-4)
        of_queue = {f: getattr(made, f).clone() for f in ("queue", "queue_frames") if queue}
        gradient = torch.cat([weight.grad.ravel() for weight in net.parameters()])
        found.append({"loss": loss, "gradient": gradient, **of_queue})
    return found


class Watched(nn.Module):
    """A network that tells views apart by their grey, and remembers which it was given."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.ones(())), []

    def forward(self, x: Tensor) -> Tensor:
        angle = x.float().mean((1, 2, 3)) / 20
        self.seen.append((20 * angle).round().long())
        return self.weight * torch.stack([angle.cos(), angle.sin()], dim=1)


def run_shuffled(rank: int) -> dict[str, list[Tensor]]:
    """Views 1 are as grey as their frame's number; what each worker's network of keys was given."""
    values = {"pretrain__batch": 6, "model__projection": 2, "pretrain__workers": WORKERS}
    made = build(pretrain__method="moco", **values)
    made.net = Watched()
    made.to("cpu")
    queues, numbers = [], torch.arange(6)
    for step in range(3):
        views = (numbers + 6 * (step % 2))[:, None, None, None, None].expand(6, 2, 1, 8, 8)
        batch = method.Batch(views.to(torch.uint8), numbers + 6 * (step % 2))
        optimize(made, made.net, share(batch, rank, WORKERS))
        queues += [made.queue.clone(), made.queue_frames.clone()]
    return {"seen": made.key_net.seen, "queues": queues}


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=WORKERS, timeout=timedelta(seconds=60)
    )
    found = {
        f"{name} {dtype}": run(name, dtype, rank, WORKERS) for name in METHODS for dtype in PRECISE
    }
    torch.save({**found, "shuffled": run_shuffled(rank)}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_workers(tmp_path_factory) -> list[dict]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("workers")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=WORKERS)
    files = [Path(folder, f"{rank}.pt") for rank in range(WORKERS)]
    return [torch.load(file, weights_only=True) for file in files]


@pytest.mark.parametrize("dtype", PRECISE, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_each_step_has_the_loss_gradient_and_queue_of_one_process(on_workers, name, dtype):
    alone, workers = run(name, dtype), [of[f"{name} {dtype}"] for of in on_workers]
    bound = PRECISE[dtype]
    for step, expected in enumerate(alone):
        found = [of[step] for of in workers]
        loss = sum(of["loss"] for of in found) / WORKERS
        assert float(loss) == pytest.approx(float(expected["loss"]), rel=bound, abs=1e-6)
        for of in found:
            for entry in ("gradient", "queue"):
                if entry in expected:
                    largest = expected[entry].abs().max().clamp_min(1e-9)
                    assert float((of[entry] - expected[entry]).abs().max() / largest) < bound
            if "queue" in expected:
                assert torch.equal(of["queue_frames"], expected["queue_frames"])
                assert torch.equal(of["queue"], found[0]["queue"]), "to the bit on every worker"
    assert float(alone[-1]["gradient"].abs().max()) > 1e-3


def test_workers_make_keys_of_shuffled_views_and_put_them_back_in_order(on_workers):
    for step in range(3):
        order = shuffled(0, step, 6)
        frames = torch.arange(6) + 6 * (step % 2)
        seen = [of["shuffled"]["seen"][step] for of in on_workers]
        assert torch.equal(torch.cat(seen), frames[order])
        for of in on_workers:
            queue, of_frames = of["shuffled"]["queues"][2 * step : 2 * step + 2]
            assert torch.equal(of_frames, frames)
            angle = frames / 20
            torch.testing.assert_close(queue, torch.stack([angle.cos(), angle.sin()], dim=1))


def test_an_order_is_a_permutation_drawn_anew_for_each_step_and_seed():
    orders = [shuffled(seed, step, 16) for seed in range(2) for step in range(20)]
    assert all(order.sort().values.tolist() == list(range(16)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 40
    assert torch.equal(shuffled(1, 5, 16), orders[25])
