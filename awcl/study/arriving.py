"""How far machines are with fetching packs: told by each of them, read by the study's driver.

What a worker prints stays in its log, and a study that waits for 130 GB should say so. So each
tells through the table that Ray keeps for the whole cluster.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import ray
from ray.exceptions import RayError
from ray.experimental.internal_kv import internal_kv_get_gcs_client

from awcl.study.stages import amount
from awcl.study.transfer import Tell

TABLE = b"awcl-packs"
STALE = 90  # seconds without a word: who said it was killed


@contextmanager
def telling() -> Iterator[Tell]:
    """What a process tells with, for as long as the block lasts; without Ray nobody listens."""
    if not ray.is_initialized():
        yield lambda there, total: None
        return
    table = internal_kv_get_gcs_client()
    key = f"{ray.get_runtime_context().get_node_id()} {os.getpid()}".encode()

    def tell(there: int, total: int) -> None:
        said = json.dumps({"time": time.time(), "there": there, "total": total})
        with suppress(RayError):  # a word that is lost stops no transfer
            table.internal_kv_put(key, said.encode(), True, TABLE)

    try:
        yield tell
    finally:
        with suppress(RayError):
            table.internal_kv_del(key, False, TABLE)


def listener() -> Callable[[], str]:
    """What the driver asks: all that is under way, in a line; empty where nothing is.

    It may be asked from another thread than the one that made it, and after Ray was shut down.
    """
    table = internal_kv_get_gcs_client()

    def line() -> str:
        try:
            keys = table.internal_kv_keys(b"", TABLE)
            words = [table.internal_kv_get(key, TABLE) for key in keys]
        except RayError:
            return ""
        told = [json.loads(word) for word in words if word]  # one may have ended meanwhile
        told = [word for word in told if time.time() - word["time"] < STALE]
        return _line([(word["there"], word["total"]) for word in told])

    return line


def _line(told: list[tuple[int, int]]) -> str:
    if not told:
        return ""
    there, total = (amount(sum(column)) for column in zip(*told, strict=True))
    machines = f"{len(told)} machines fetch" if len(told) > 1 else "a machine fetches"
    return f"{machines} the pack: {there} of {total}"
