"""A card: what it is called, when it is done, what memory it has, and frames to work on."""

import gc
import os
import re
from collections.abc import Callable, Iterator

import torch

from awcl.data.pack import FramePack
from benchmarks import material, results
from benchmarks.harness import Race, Row, Run, size

FAILED = "failed"
Parts = Iterator[tuple[str, Iterator[Row]]]
"""Of a subject: what each is called, and its rows."""
PEAKS = {
    "B200": 2250, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312,
    "L40S": 362, "L4": 121, "A10": 125, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
"""TFLOP/s of dense bfloat16 with sums in float32, by NVIDIA's data sheets; first match counts."""


def raced(
    run: Run, contenders: dict[str, Callable[[], object]], device: torch.device, turns: int
) -> Race:
    """`Run.race`, in which each contender is done when the device is."""

    def until_done(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            work()
            wait(device)

        return run

    return run.race({name: until_done(work) for name, work in contenders.items()}, turns)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free(device: torch.device) -> None:
    """Gives back what nothing holds any more, so that the next measurement begins alike."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def peak_memory(device: torch.device, work: Callable[[], object]) -> str:
    """Of the card, that the work takes beyond what is held; on a processor it is not counted.

    Once before that it is done without being looked at: libraries allocate what they keep.
    """
    work()
    if device.type != "cuda":
        return "memory not counted"
    wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    work()
    wait(device)
    return size(torch.cuda.max_memory_allocated(device) - held)


def card(device: torch.device) -> str:
    """Its name and memory."""
    if device.type != "cuda":
        return f"{results.machine()['processor']} (no card)"
    about = torch.cuda.get_device_properties(device)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB"


def peak(name: str) -> float | None:
    """FLOP/s of dense bfloat16 of a card by its name; None where it is not in the list, and of a
    slice of one (MIG), which has a share of it."""
    if "MIG" in name:
        return None
    for known, tera in PEAKS.items():
        if re.search(rf"\b{known}\b", name):
            return tera * 1e12
    return None


def peak_share(device: torch.device, flops: float) -> str:
    """', 31 % of the card's peak', or nothing where that is not known. flops: a second."""
    most = peak(card(device))
    return "" if most is None else f", {flops / most:.0%} of the card's peak"


def packed(run: Run, pixels: int, train: int) -> FramePack:
    """At least so many frames to train on: a few drawn ones, each under many names."""
    drawn = material.files(run.folder / "images", run.size(8, 2))
    count = -(-train // 12) * 20  # three fifths are of split train (material.table)
    paths = [drawn[number % len(drawn)] for number in range(count)]
    return material.pack(paths, pixels, run.folder / "packs")


def failing(what: str, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows; one that says so in place of those that an error takes."""
    try:
        yield from rows
    except Exception as error:  # noqa: BLE001 - whatever one part meets, the others are measured
        told = str(error).strip().splitlines()[:1] or [""]
        yield Row(what, why=f"{FAILED}: {type(error).__name__}: {told[0][:200]}")
