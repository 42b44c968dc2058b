"""Folders that say themselves when they are whole: checkpoints, packs, what is copied.

COMPLETE.json is written last, and lists every other file; an upload may copy in any order.
"""

from pathlib import Path
from typing import NamedTuple

from awcl import hashing
from awcl.errors import InputError
from awcl.files import AnyPath, read_json, sizes, write_json

COMPLETE = "COMPLETE.json"


def mark(folder: Path) -> None:
    """Writes COMPLETE.json: every other file with its size and sha256. The last thing written."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": hashing.of_file(file)}
        for file in sorted(folder.iterdir())
    }
    write_json(folder / COMPLETE, {"files": files})


class Listed(NamedTuple):
    """A file that COMPLETE.json lists."""

    name: str
    bytes: int
    sha256: str


def listed(folder: AnyPath) -> list[Listed]:
    """What COMPLETE.json lists. Raises InputError where that is missing, damaged, or lists none."""
    files = read_json(folder / COMPLETE).get("files")
    try:
        found = [Listed(name, about["bytes"], about["sha256"]) for name, about in files.items()]
    except (KeyError, TypeError, AttributeError):
        found = []
    if not found:
        raise InputError(f"{COMPLETE} lists no files")
    return found


def why_not(folder: AnyPath) -> str | None:
    """None for a complete folder, else what is wrong with it.

    In an object store only sizes are compared; bytes are when it has been copied to this machine.
    """
    try:
        files = listed(folder)
    except InputError as error:
        return str(error)
    there = sizes(folder)
    for name, size, sha256 in files:
        if name not in there:
            return f"{name} is missing"
        if there[name] != size:
            return f"{name} has {there[name]} bytes of {size}"
        if isinstance(folder, Path) and hashing.of_file(folder / name) != sha256:
            return f"{name} is corrupt (sha256 differs)"
    return None
