"""Hashes that never change: of names, of files, of plain data."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def uint64(*parts: object) -> int:
    """A 64-bit hash of the parts' text; the same on every machine and in every process."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def unit(*parts: object) -> float:
    """`uint64` scaled to [0, 1)."""
    return uint64(*parts) / 2**64


def uint64s(names: Iterable[object], *prefix: object) -> np.ndarray:
    """`uint64(*prefix, name)` for each name, as one uint64 array."""
    return np.array([uint64(*prefix, name) for name in names], dtype=np.uint64)


def of_json(data: object, digits: int = 12) -> str:
    """The first hex digits of the sha256 of canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def of_bytes(data: bytes, digits: int = 12) -> str:
    """The first hex digits of the sha256 of some bytes."""
    return hashlib.sha256(data).hexdigest()[:digits]


def of_file(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
