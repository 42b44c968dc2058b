"""Bytes that a worker receives a step, by the number of workers: counted, then computed.

Counted on 1, 2 and 4 processes of this machine with gloo, from the shapes that the collectives of
the loss are called with (benchmarks/rows/workers.py). What is computed for more is the same sum,
which has to give what was counted where both are there.
"""

from pathlib import Path
from typing import Any

from benchmarks.harness import Run

FRAMES, WIDTH = 64, 128  # frames a worker and step; numbers of a z
MEASURED, COMPUTED = (1, 2, 4), (1, 2, 4, 8, 16, 32, 64)
BACKBONES = ("resnet18", "resnet50")
BANDWIDTHS = {"10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9, "NVLink, 450 GB/s": 450e9}


def measure(run: Run) -> dict[str, Any]:
    counts = MEASURED[: run.size(3, 2)]
    counted = {world: received(world, run.folder / str(world)) for world in counts}
    wrong = {w: b for w, b in counted.items() if b != computed(w)}
    if wrong:
        raise RuntimeError(f"counted {wrong}, computed {[computed(w) for w in wrong]}")
    return {
        "frames_a_worker": FRAMES,
        "width": WIDTH,
        "measured": counted,
        "loss": {world: computed(world) for world in COMPUTED},
        "gradients": {name: gradients(name) for name in BACKBONES},
    }


def received(world: int, folder: Path) -> int:
    """Bytes that a worker's collectives bring it in one forward and backward of the loss."""
    from benchmarks.rows import workers

    if world == 1:
        return alone()
    found = workers.spawned(world, 2 * FRAMES * world, folder)
    return sum(amount for _, amount in found[0]["ours"])


def alone() -> int:
    """Without a group of processes nothing is sent."""
    import torch

    from benchmarks.rows import workers

    views = 2 * FRAMES
    with workers.Traffic(1) as traffic:
        workers.gradient(views, 0, 1, torch.float32)
    return sum(amount for _, amount in traffic.calls)


def computed(world: int) -> int:
    """z of every other worker forward, the gradients of its own backward, 8 bytes of group a view.

    All z are float32; the gradient is reduced and scattered, so that of the other workers' share
    each brings it as much again.
    """
    others = 2 * FRAMES * (world - 1)
    return others * WIDTH * 4 * 2 + others * 8


def gradients(backbone: str) -> int:
    """Bytes of the gradients of an encoder, which are averaged over the workers, in float32."""
    from awcl.encoder import Encoder

    return 4 * sum(p.numel() for p in Encoder(backbone, 224).parameters())


def averaged(gradients: int, world: int) -> int:
    """Bytes that a worker receives where gradients are averaged by a ring: each share twice."""
    return 2 * (world - 1) * gradients // world
