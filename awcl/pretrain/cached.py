"""Gradient caching: the loss of a large batch in the memory of a small one.

A method's loss is a function of the network's outputs alone, and those are small. So a step is:

1. every chunk of the batch goes through the network without a graph, which gives all outputs;
2. the loss of the whole batch, over all workers, and its gradient by the outputs;
3. every chunk goes through once more, with a graph, and backward from its rows of that gradient.

By the chain rule the weights get the gradient of the loss of the whole batch. The graph of one
chunk is in memory at a time, and a step costs one more forward (GradCache: Gao et al. 2021,
arXiv 2101.06983). In memory for the whole batch are its views, uint8, and its outputs.

It is the gradient of "all chunks forward with their graphs, one backward" to rounding, since the
second forward is the first one over again: the generator is set for each chunk (dropout, drop
path), and buffers are put back in between, so that running statistics count each chunk once and not
twice. It is not the gradient of one forward of the whole batch where the network has BatchNorm:
that normalises each chunk by the chunk's own statistics, and its running ones move once a chunk.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from awcl import hashing
from awcl.errors import InputError

Loss = tuple[Tensor, dict[str, Tensor]]


def backward(
    trained: nn.Module,
    chunks: Sequence[Tensor],
    loss: Callable[[Tensor], Loss],
    seed: int,
    forward: Callable[[nn.Module, Tensor], Tensor] = lambda net, x: net(x),
) -> Loss:
    """Adds the gradient of the loss to that of the weights; gives what `loss` gave.

    trained: the network, in DistributedDataParallel where there are several workers. chunks: what
    goes into it, (n, ...) each. loss: of (N, outputs), the outputs of all chunks in their order.
    seed: of this step and worker. forward: how a chunk goes through a network; it is called for
    each chunk anew, since autocast must not keep weights that it cast without a graph.
    Raises InputError for a chunk of one view where the network has BatchNorm.
    """
    net = trained.module if isinstance(trained, DistributedDataParallel) else trained
    if min(map(len, chunks)) == 1 and any(isinstance(m, _BatchNorm) for m in net.modules()):
        raise InputError(
            "pretrain.chunk leaves a chunk of one view, too few for BatchNorm's statistics; "
            "raise it"
        )
    outputs = _outputs(net, chunks, seed, forward).requires_grad_()
    value, more = loss(outputs)
    value.backward()
    gradients = outputs.grad.split([len(chunk) for chunk in chunks])
    for number, (chunk, gradient) in enumerate(zip(chunks, gradients, strict=True)):
        # Workers exchange gradients once a step: with the last chunk, which has the sum of all.
        last = number == len(chunks) - 1
        with nullcontext() if last or trained is net else trained.no_sync():
            _draw_for(seed, number)
            forward(trained, chunk).backward(gradient)
    return value, more


@torch.no_grad()
def _outputs(net: nn.Module, chunks: Sequence[Tensor], seed: int, forward: Callable) -> Tensor:
    """(N, outputs) of all chunks; leaves the network as if nothing had gone through it."""
    buffers = list(net.buffers())
    before = [buffer.clone() for buffer in buffers]
    outputs = []
    for number, chunk in enumerate(chunks):
        _draw_for(seed, number)
        outputs.append(forward(net, chunk))
    for buffer, value in zip(buffers, before, strict=True):
        buffer.copy_(value)
    return torch.cat(outputs)


def _draw_for(seed: int, chunk: int) -> None:
    """Sets torch's generators for a chunk, to the same on every call."""
    torch.manual_seed(hashing.uint64("chunk", seed, chunk) % 2**63)
