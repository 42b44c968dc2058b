"""The loss, forward and backward, at 4,096 to 262,144 views: time and memory.

Beside the form with masks where that fits, and with other sizes of chunk.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from awcl.pretrain import loss as loss_module
from awcl.pretrain.loss import group_loss
from benchmarks import published
from benchmarks.harness import Row, Run, lasting, size
from benchmarks.on_card.card import Parts, failing, free, free_memory, peak_memory, raced
from benchmarks.rows import loss as loss_rows

VIEWS = (4096, 16384, 65536, 262144)
CHUNKS = (2**26, 2**28, 2**30)


def rows(run: Run, device: torch.device, options: argparse.Namespace) -> Parts:
    for views in (256, 512) if run.smoke else VIEWS:
        yield str(views), tried(run, device, views, options.turns)


def tried(run: Run, device: torch.device, views: int, turns: int) -> Iterator[Row]:
    yield from failing(_name(views), of_views(run, device, views, turns))
    free(device)


def of_views(run: Run, device: torch.device, views: int, turns: int) -> Iterator[Row]:
    z, groups = (part.to(device) for part in loss_rows.made(views))
    contenders: dict[str, Callable[[], object]] = {
        chunk_name(chunk): in_chunks(z, groups, chunk)
        for chunk in sorted({loss_module.CHUNK_BYTES, *CHUNKS})
    }
    ours = chunk_name(loss_module.CHUNK_BYTES)
    if loss_rows.MATRICES * 4 * views**2 < free_memory(device):
        contenders["mask form"] = loss_rows.step(z, lambda z: masked(z, groups))
    used = {name: peak_memory(device, work) for name, work in contenders.items()}
    found = raced(run, contenders, device, turns)
    for name in contenders:
        if name != ours:
            yield Row(
                f"{_name(views)}, beside {name}",
                f"{lasting(found.median(ours))}, {used[ours]}",
                f"{lasting(found.median(name))}, {used[name]}",
                found.ratio(name, ours),
                details={"seconds": found.seconds},
            )


def _name(views: int) -> str:
    return f"loss, forward and backward, {views:,} views"


def chunk_name(chunk: int) -> str:
    return f"ours in chunks of {size(chunk)}"


def in_chunks(z: Tensor, groups: Tensor, chunk: int) -> Callable[[], None]:
    """The loss, forward and backward, with this much of the similarities at a time."""
    step = loss_rows.step(z, lambda z: group_loss(z, groups[None], loss_rows.TEMPERATURE))

    def run() -> None:
        before, loss_module.CHUNK_BYTES = loss_module.CHUNK_BYTES, chunk
        try:
            step()
        finally:
            loss_module.CHUNK_BYTES = before

    return run


def masked(z: Tensor, groups: Tensor) -> Tensor:
    return published.mask_loss(z, groups, loss_rows.TEMPERATURE)
