"""How long machines wait for a pack, and what that costs: computed, nothing of it is measured.

What the program decides (side of a frame, frames a shard, bytes a request, connections) is taken
from it; the rest are assumptions, all of them here.
"""

from typing import Any

from benchmarks.scaling.markdown import table

FRAMES, SIZE = 2_000_000, 224
HEADER = 128  # bytes of a .npy file before its array
NODES = 8

PRICED = "2026-11-21"
NODE_HOUR = 0.50  # $ for a machine with a card, on spot; yours differs
GETS_A_DOLLAR = 1000 / 0.0004  # S3's standard class; within its region the bytes are free

CONNECTION = 75e6  # bytes a second that one connection to an object store gives
GP3 = 125e6  # of AWS's gp3, as it comes and as site.toml has it
LINK = 437e6  # the most between a g5.2xlarge and its gp3, by bursts: 3.5 Gbit/s
TEN_GIGABIT = 1.1e9  # what is left of 10 Gbit/s for data
FROM_HOME = {"100 Mbit/s": 100e6 / 8, "1 Gbit/s": 1e9 / 8}  # lines, as fast as they are named


def side() -> int:
    from awcl.data import pack

    return pack.side(SIZE)


def pack_bytes() -> int:
    """Of the frames; beside them masks and the frame table are little."""
    return FRAMES * side() ** 2


def shards() -> list[int]:
    """Bytes of each."""
    from awcl.data import pack

    whole, last = divmod(FRAMES, pack.images_per_shard(side()))
    frames = [pack.images_per_shard(side())] * whole + [last] * bool(last)
    return [HEADER + count * side() ** 2 for count in frames]


def gets() -> int:
    """Requests for pieces of shards that all nodes send."""
    from awcl.objects import PIECE

    return NODES * sum(-(-size // PIECE) for size in shards())


def rates() -> dict[str, float]:
    """What is slowest -> bytes a second that a node gets, all nodes fetching at once."""
    from awcl.study.transfer import STREAMS

    return {
        "disk, gp3 as it comes": GP3,
        "disk, gp3 as fast as a g5.2xlarge reaches it": LINK,
        f"{STREAMS} connections to the store (the disk is a local NVMe)": STREAMS * CONNECTION,
        f"a lab's store on 10 Gbit/s, which {NODES} nodes share": TEN_GIGABIT / NODES,
    }


def minutes(rate: float) -> float:
    return pack_bytes() / rate / 60


def from_home() -> str:
    """What comes before: the pack's way to the head."""
    told = [f"{minutes(rate) / 60:.1f} hours over {line}" for line, rate in FROM_HOME.items()]
    return f"Before that the pack goes from home to the head, once: {', '.join(told)}."


def waiting(rate: float) -> float:
    """$ for all nodes while they fetch."""
    return NODES * NODE_HOUR * minutes(rate) / 60


def table_of() -> str:
    from awcl.objects import PIECE
    from benchmarks.harness import size

    rows: list[list[Any]] = [
        [name, f"{rate / 1e6:.4g} MB/s", f"{minutes(rate):.1f}", f"${waiting(rate):.2f}"]
        for name, rate in rates().items()
    ]
    head = ["what is slowest", "a node", "minutes", f"{NODES} nodes meanwhile"]
    return (
        f"{FRAMES:,} frames of {side()} x {side()} bytes, for views of {SIZE} px: "
        f"{pack_bytes() / 1e9:.0f} GB in {len(shards())} shards. {NODES} nodes fetch "
        f"{NODES * pack_bytes() / 1e12:.2f} TB, by {gets():,} requests of at most {size(PIECE)}, "
        f"which cost ${gets() / GETS_A_DOLLAR:.2f}.\n\n{table(head, rows)}\n\n"
        f"{from_home()}\n\n"
        f"(Assumed, {PRICED}: ${NODE_HOUR:.2f} an hour and node, ${1000 / GETS_A_DOLLAR:.4f} a "
        f"thousand requests, {CONNECTION / 1e6:.0f} MB/s a connection, and the bandwidths of the "
        "table.)"
    )
