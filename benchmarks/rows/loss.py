"""The loss forward and backward, D = 128: beside the form with masks, and pytorch-metric-learning.

Two views a frame, a tenth as many groups as frames, all of one process. The mask form is the one
that most code has (published.mask_loss); pytorch-metric-learning's SupConLoss is the peer that
computes the same positives. All in float32 on the same threads.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from awcl.pretrain.loss import group_loss
from benchmarks import published
from benchmarks.harness import Row, Run, has_peer, lasting, threads, without_peer

WIDTH, TEMPERATURE = 128, 0.1
TURNS = {1024: 9, 2048: 7, 4096: 5, 8192: 3, 16384: 3}  # of so many views
MATRICES = 12  # (N, N) ones that the peers hold at once; a guess that is on the safe side


def measure(run: Run) -> Iterator[Row]:
    import psutil  # not on a machine that only has a card: benchmarks.gpu takes `made` from here

    peer = has_peer("pytorch-metric-learning")
    with threads(torch.get_num_threads()):
        for views, turns in TURNS.items():
            if run.smoke and views > 1024:
                break
            needed = MATRICES * 4 * views**2
            if psutil.virtual_memory().available < needed:
                yield Row(name(views), why=f"not run: peers need {needed / 1e9:.0f} GB of memory")
                continue
            yield from rows(run, views, turns, peer)
    if not peer:
        yield without_peer("loss, forward and backward", "pytorch-metric-learning")


def name(views: int) -> str:
    return f"loss, forward and backward, {views:,} views"


def rows(run: Run, views: int, turns: int, peer: bool) -> Iterator[Row]:
    z, groups = made(views)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "ours": lambda z: group_loss(z, groups[None], TEMPERATURE),
        "mask form": lambda z: published.mask_loss(z, groups, TEMPERATURE),
    }
    if peer:
        from pytorch_metric_learning.losses import SupConLoss

        supcon = SupConLoss(temperature=TEMPERATURE)
        losses["pytorch-metric-learning"] = lambda z: supcon(z, groups)
    if views == min(TURNS):
        same_work(z, losses)
    steps = {name: step(z, loss) for name, loss in losses.items()}
    found = run.race(steps, turns, warm=views < max(TURNS))  # which would take half a minute
    aim = {1024: 0.0, 8192: 1.8}.get(views, 1.0)
    for other in list(losses)[1:]:
        ratio = found.ratio(other, "ours")
        yield Row(
            name(views), lasting(found.median("ours")), f"{lasting(found.median(other))}, {other}",
            ratio, f">= {aim:g}x" if aim else "", ratio[0] >= aim if aim else None,
        )  # fmt: skip


def same_work(z: Tensor, losses: dict[str, Callable[[Tensor], Tensor]]) -> None:
    """Raises ArithmeticError where they do not compute one loss."""
    values = {name: float(loss(z)) for name, loss in losses.items()}
    if max(values.values()) - min(values.values()) > 1e-4 * abs(values["ours"]):
        raise ArithmeticError(f"not one loss: {values}")


def made(views: int) -> tuple[Tensor, Tensor]:
    """z (views, WIDTH) on the unit sphere, and its groups (views,)."""
    generator = torch.Generator().manual_seed(0)
    z = normalize(torch.randn(views, WIDTH, generator=generator), dim=1)
    return z, torch.randint(views // 20, (views // 2,), generator=generator).repeat_interleave(2)


def step(z: Tensor, loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
    def run() -> None:
        loss(z.detach().requires_grad_()).backward()

    return run
