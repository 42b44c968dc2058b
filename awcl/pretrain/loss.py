"""The group loss: SupCon's L_out where anchors have labels, NT-Xent where they have none.

For N views over all workers, z on the unit sphere, group g(i), S_g the sum of z over group g, n_g
its size, temperature t:

    loss_i = logsumexp_{a != i}(z_i . z_a / t)  -  z_i . (S_g(i) - z_i) / (t (n_g(i) - 1))

The second term is the mean similarity to the positives, so this equals L_out of Khosla et al. 2020
(eq. 2) with P(i) = the other members of g(i), and L_c of Fu et al. 2022 where g(i) holds only the
two views of i. n_g >= 2 always (the own second view), so nothing is divided by zero and every
anchor counts. In nats, without SupCon's base temperature; chance is log(N - 1).
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed._functional_collectives import all_gather_single_autograd

CHUNK_BYTES = 2**26


def group_loss(
    z: Tensor, groups: Tensor, temperature: float, weights: tuple[float, ...] = (1.0,)
) -> Tensor:
    """Mean loss of this worker's views, against the views of all workers.

    z: (n, D) on the unit sphere, this worker's views, as many on every worker.
    groups: (K, n) integer group ids under K groupings, the views of a frame in one group;
    weights: K numbers that sum to 1.
    Returns a scalar. DDP's average over workers then gives every weight the gradient of the loss
    over all N = n x workers views on one worker.

    No (N, N) mask exists, and the logsumexp goes in chunks of rows: memory is O(CHUNK_BYTES + N D).
    Raises ValueError for a temperature that is not above 0, or shapes that do not fit.
    """
    if not temperature > 0:
        raise ValueError(f"temperature {temperature}: must be above 0")
    if groups.shape != (len(weights), len(z)):
        raise ValueError(f"groups {tuple(groups.shape)}: need {(len(weights), len(z))}")
    z = z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
    with torch.autocast(z.device.type, enabled=False):
        every_z, first = gather(z)
        every_group, _ = gather(groups.T.contiguous())
        loss = LogSumExpOthers.apply(z, every_z, first, 1 / temperature)
        for weight, of_mine, of_all in zip(
            weights, groups, every_group.T.contiguous(), strict=True
        ):
            loss = loss - (weight / temperature) * positive_similarity(z, of_mine, every_z, of_all)
        return loss.mean()


def positive_similarity(z: Tensor, groups: Tensor, every_z: Tensor, every_group: Tensor) -> Tensor:
    """(n,) mean of z_i . z_p over the positives p of each view i, by group sums.

    z (n, D), groups (n,): this worker's; every_z (N, D), every_group (N,): all workers'.
    """
    # Static shapes throughout: ids are replaced by their place among the sorted ids, found by
    # binary search, so the device never has to tell the host how many groups there are.
    ordered, _ = every_group.sort()
    slot_of_all = torch.searchsorted(ordered, every_group)
    slot = torch.searchsorted(ordered, groups)
    sums = torch.zeros_like(every_z).index_add(0, slot_of_all, every_z)
    sizes = torch.zeros_like(every_z[:, 0]).index_add(
        0, slot_of_all, torch.ones_like(every_z[:, 0])
    )
    others = sizes[slot] - 1
    return (z * (sums[slot] - z)).sum(1) / others


class LogSumExpOthers(torch.autograd.Function):
    """(n,) logsumexp over a != i of scale * z_i . z_a, without the (n, N) matrix in memory.

    The backward pass recomputes each chunk of rows from its logsumexp, as attention kernels do.
    Row i of z is row first + i of every_z.
    """

    @staticmethod
    def forward(ctx, z: Tensor, every_z: Tensor, first: int, scale: float) -> Tensor:
        out = z.new_empty(len(z))
        for rows in _chunks(len(z), every_z):
            out[rows] = _similarities(z, every_z, rows, first, scale).logsumexp(1)
        ctx.save_for_backward(z, every_z, out)
        ctx.first, ctx.scale = first, scale
        return out

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, every_z, lse = ctx.saved_tensors
        grad_z, grad_every = torch.empty_like(z), torch.zeros_like(every_z)
        for rows in _chunks(len(z), every_z):
            share = _similarities(z, every_z, rows, ctx.first, ctx.scale)
            share.sub_(lse[rows, None]).exp_()  # softmax over the other views
            share.mul_((grad[rows] * ctx.scale)[:, None])
            torch.mm(share, every_z, out=grad_z[rows])
            grad_every.addmm_(share.T, z[rows])
        return grad_z, grad_every, None, None


def _similarities(z: Tensor, every_z: Tensor, rows: slice, first: int, scale: float) -> Tensor:
    """(rows, N) scaled similarities, with -inf where a view meets itself."""
    similarities = (z[rows] @ every_z.T).mul_(scale)
    similarities.diagonal(first + rows.start).fill_(-torch.inf)
    return similarities


def _chunks(n: int, every_z: Tensor) -> list[slice]:
    rows = max(1, CHUNK_BYTES // (len(every_z) * every_z.element_size()))
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]


def gather(x: Tensor) -> tuple[Tensor, int]:
    """Rows of all workers, in rank order, with gradient; and the place of this worker's first row.

    The gradient's backward is a reduce-scatter: each worker gets the sum over workers of the
    gradients of its own rows.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x, 0
    if x.is_floating_point():
        every = all_gather_single_autograd(x, gather_dim=0, group=dist.group.WORLD)
    else:
        every = x.new_empty((len(x) * dist.get_world_size(), *x.shape[1:]))
        dist.all_gather_into_tensor(every, x)
    return every, len(x) * dist.get_rank()
