"""Packs of a study in an object store: put there once, fetched by every machine that lacks one.

Frames are read by memory map, so always from a folder of the machine that reads them. No ray.
"""

import fcntl
from pathlib import Path

from awcl import records
from awcl.data.pack import FramePack
from awcl.data.packing import user_cache
from awcl.errors import InputError
from awcl.files import AnyPath, as_path, fetch, put_in_place, scratch_folder
from awcl.objects import ObjectPath


def local_storage(storage: AnyPath) -> Path:
    """Where what belongs to a storage but is read here lies: there, or in the user's cache."""
    return user_cache() if isinstance(storage, ObjectPath) else storage


def share(pack: FramePack, storage: AnyPath) -> None:
    """Puts the pack into an object store, with COMPLETE.json, where it is not there yet."""
    if not isinstance(storage, ObjectPath):
        return
    final = shared(pack, storage)
    if not (final / records.COMPLETE).is_file():
        if not (pack.folder / records.COMPLETE).is_file():
            records.mark_complete(pack.folder)
        put_in_place(pack.folder, final)


def shared(pack: FramePack, storage: AnyPath) -> AnyPath:
    """Where other machines find it."""
    return storage / "packs" / pack.digest if isinstance(storage, ObjectPath) else pack.folder


def fetched(folder: Path, source: str) -> Path:
    """A pack's folder on this machine: where it was packed, else fetched into the user's cache.

    source: what `shared` gave. Processes of one machine fetch it once; it is put in place when
    every byte was compared. Raises InputError where it is not what it should be.
    """
    if (folder / "PACK.json").is_file() or "://" not in source:
        return folder
    packs = user_cache() / "packs"
    folder = packs / folder.name
    packs.mkdir(parents=True, exist_ok=True)
    with open(packs / f".{folder.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "PACK.json").is_file():
            with scratch_folder(packs) as part:
                reason = records.why_incomplete(fetch(as_path(source), part))
                if reason:
                    raise InputError(f"pack {source}: {reason}; remove it, and run again")
                put_in_place(part, folder)
    return folder
