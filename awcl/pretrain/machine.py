"""What this process runs on: its rank, its device, its arithmetic."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from awcl.errors import InputError


def place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def barrier() -> None:
    """Waits for the other processes, where there are any."""
    if place()[1] > 1:
        dist.barrier()


def of_all(values: torch.Tensor) -> torch.Tensor:
    """(workers, ...): what each worker has of a tensor. Every worker must ask."""
    world = place()[1]
    if world == 1:
        return values[None]
    parts = [torch.empty_like(values) for _ in range(world)]
    dist.all_gather(parts, values)
    return torch.stack(parts)


@contextmanager
def process_group() -> Iterator[None]:
    """The processes that torchrun started, as one group; nothing where it started none."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    # Both, for a run on the processors of a machine that has cards.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def device(wanted: str, rank: int) -> torch.device:
    """cpu, or the card of this process. Raises InputError where there is none."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError(
            "device cuda: torch finds no CUDA device on this machine; use --device cpu, in a study "
            "resources.gpus 0"
        )
    local = int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count()
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def bfloat16(precision: str, device: torch.device) -> bool:
    """auto: where the hardware multiplies in it; emulated it would be slower than float32."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()
