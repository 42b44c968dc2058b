"""The loss on several processes: is its gradient that of one, and what does it send?

Real processes with gloo. Bytes are those that a worker has to receive, counted from the shapes
that the collectives are called with: of a gather or reduce-scatter (W - 1) / W of the whole, of an
all-reduce twice that. The minimum: every z once forward, and the sum of its gradient once backward.
That is what NCCL sends. Gloo reduces and scatters by an all-reduce inside, so what the machine's
loopback device counts is a row of its own.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from awcl.pretrain.loss import group_loss
from benchmarks.harness import Row, Run, size

TEMPERATURE, WIDTH, WORKERS = 0.1, 128, (2, 4)
STEPS = 10  # of which the loopback device counts the bytes
PRECISE = {torch.float64: 1e-12, torch.float32: 1e-5}
SHARES = {"all_gather": 1, "allgather": 1, "reduce_scatter": 1, "all_reduce": 2, "allreduce": 2}


def measure(run: Run) -> Iterator[Row]:
    views = run.size(512, 64)
    alone = {str(dtype): gradient(views, 0, 1, dtype) for dtype in PRECISE}
    for world in WORKERS[: run.size(2, 1)]:
        folder = run.folder / str(world)
        found = spawned(world, views, folder)
        for dtype, aim in PRECISE.items():
            name = str(dtype)
            # DDP averages over workers what each adds to the weights.
            together = torch.cat([of[name] for of in found]) / world
            off = float((together - alone[name]).abs().max() / alone[name].abs().max())
            yield Row(
                f"gradient of z on {world} processes, {name.partition('.')[2]}", f"{off:.1e} off",
                "one process, relative to its largest entry", None, f"<= {aim:.0e}", off <= aim,
            )  # fmt: skip
        counted = {kind: found[0][kind] for kind in ("ours", "full")}
        calls = ", ".join(name for name, _ in counted["ours"])
        sent, full = (sum(amount for _, amount in counted[kind]) for kind in ("ours", "full"))
        least = 2 * (world - 1) / world * views * WIDTH * 4
        ratio = sent / least
        yield Row(
            f"traffic of the loss a step, {world} processes: bytes",
            f"{size(sent)} a worker ({calls}), by the shapes of its tensors",
            f"{size(least)}, the minimum", (ratio,) * 3, "<= 1.02 of the minimum", ratio <= 1.02,
            details={"calls": counted["ours"], "full": counted["full"]},
        )  # fmt: skip
        saved = full / sent
        yield Row(
            f"traffic of the loss a step, {world} processes", size(sent),
            f"{size(full)}, full gather with all-reduce", (saved,) * 3,
        )  # fmt: skip
        sent, full = (found[0][f"{kind}, loopback"] / world for kind in ("ours", "full"))
        yield Row(
            f"the same, counted by the loopback device: gloo, {world} processes", size(sent),
            f"{size(full)}, full gather with all-reduce", (full / sent,) * 3, "stated",
        )  # fmt: skip


class Traffic(TorchDispatchMode):
    """Counts what collectives bring to this worker: calls, as (name, bytes)."""

    def __init__(self, world: int):
        super().__init__()
        self.world, self.calls = world, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        name = function._schema.name.partition("::")[2].strip("_").split(".")[0]
        for kind, times in SHARES.items():
            if name.startswith(kind):
                whole = max(_bytes(args), _bytes(out))
                self.calls.append((kind, int(times * whole * (self.world - 1) / self.world)))
                break
        return out


def _bytes(things: object) -> int:
    """Of the largest tensor in nested tuples and lists."""
    if isinstance(things, Tensor):
        return things.numel() * things.element_size()
    if isinstance(things, list | tuple):
        return max(map(_bytes, things), default=0)
    return 0


def views_of(views: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(views, WIDTH, generator=generator, dtype=torch.float64)
    groups = torch.randint(views // 8, (views // 2,), generator=generator).repeat_interleave(2)
    return normalize(z, dim=1).to(dtype), groups[None]


def gradient(
    views: int, rank: int, world: int, dtype: torch.dtype, loss: Callable = group_loss
) -> Tensor:
    """(views / world, WIDTH) gradient of this worker's z."""
    z, groups = views_of(views, dtype)
    share = slice(rank * views // world, (rank + 1) * views // world)
    mine = z[share].requires_grad_()
    loss(mine, groups[:, share], TEMPERATURE).backward()
    return mine.grad


def full_gather(z: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """NT-Xent and SupCon as others distribute them: backward all-reduces the whole stack."""
    every = FullGather.apply(z)
    ids = torch.empty(len(every), dtype=groups.dtype)
    dist.all_gather_into_tensor(ids, groups[0].contiguous())
    return group_loss_of(every, ids, temperature)


def group_loss_of(z: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Anything with a gradient at every z serves here: only what is sent is counted."""
    return (z @ z.T / temperature).logsumexp(1).mean() + 0 * ids.sum()


class FullGather(torch.autograd.Function):
    """lightly's, solo-learn's and VISSL's gather."""

    @staticmethod
    def forward(ctx, z: Tensor) -> Tensor:
        every = z.new_empty((len(z) * dist.get_world_size(), *z.shape[1:]))
        dist.all_gather_into_tensor(every, z.detach())
        return every

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        share = len(grad) // dist.get_world_size()
        return grad[dist.get_rank() * share :][:share]


def spawned(world: int, views: int, folder: Path) -> list[dict]:
    """What each of so many processes found."""
    folder.mkdir()
    torch.multiprocessing.spawn(_work, (world, views, str(folder)), nprocs=world)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def _work(rank: int, world: int, views: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    found = {str(dtype): gradient(views, rank, world, dtype) for dtype in PRECISE}
    for name, loss in (("ours", group_loss), ("full", full_gather)):
        step = partial(gradient, views, rank, world, torch.float32, loss)
        with Traffic(world) as traffic:
            step()
        found[name], found[f"{name}, loopback"] = traffic.calls, _loopback(step)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def _loopback(step: Callable[[], object]) -> float:
    """Bytes a step of all workers together, whatever else the machine sends to itself included."""

    def received() -> int:
        dist.barrier()
        devices = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in devices if line.strip().startswith("lo:"))

    before = received()
    for _ in range(STEPS):
        step()
    return (received() - before) / STEPS
