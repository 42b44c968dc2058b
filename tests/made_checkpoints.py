"""Checkpoints for tests, and ways to damage them."""

import json
from pathlib import Path

from awcl import checkpoints, complete
from awcl.files import put_in_place, scratch_folder


def checkpoint(run, epoch: int, epochs=None, step: int = 0):
    """A complete checkpoint with a history of `epochs` (default: all up to `epoch`)."""
    folder = run / checkpoints.folder_name(epoch, step)
    with scratch_folder(run) as part:
        (part / checkpoints.ENCODER).write_bytes(b"weights of epoch %d" % epoch)
        (part / checkpoints.STATE).write_bytes(b"state")
        rows = [{"epoch": n, "from": "checkpoint"} for n in epochs or range(1, epoch + 1)]
        (part / checkpoints.HISTORY).write_text(json.dumps({"epochs": rows}))
        complete.mark(part)
        put_in_place(part, folder)
    return folder


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def cut(data: bytes) -> bytes:
    return data[:-1]


def halve(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damage(file, how) -> None:
    """Another writer's doing: not put in place whole."""
    data = how(file.read_bytes())
    file.write_bytes(data) if isinstance(file, Path) else file.put(data)
