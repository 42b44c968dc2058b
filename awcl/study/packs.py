"""Packs of a study on a cluster: put into its storage once, read from each machine's own disk.

Frames are read by memory map, so from an object store they are always copied first, and from a
folder that machines share where the study names a disk (`resources.node_disk`). No ray.
"""

import os
import socket
from pathlib import Path

from tqdm import tqdm

from awcl import complete
from awcl.data.pack import FramePack
from awcl.data.packing import user_cache
from awcl.errors import InputError
from awcl.files import AnyPath, as_path, sizes
from awcl.objects import ObjectPath
from awcl.study.stages import amount
from awcl.study.staging import staged
from awcl.study.transfer import Tell


def local_storage(storage: AnyPath) -> Path:
    """Where what belongs to a storage but is read here lies: there, or in the user's cache."""
    return user_cache() if isinstance(storage, ObjectPath) else storage


def share(pack: FramePack, storage: AnyPath, node_disk: bool = False) -> None:
    """Makes the pack one that other machines can fetch; does nothing where it is one.

    In an object store it is put there. COMPLETE.json, with the digest of every file, is the last to
    be written. node_disk: machines fetch it also from a folder.
    """
    if not isinstance(storage, ObjectPath) and not node_disk:
        return
    final = shared(pack, storage)
    if (final / complete.COMPLETE).is_file():
        return
    if not (pack.folder / complete.COMPLETE).is_file():
        complete.mark(pack.folder)
    if isinstance(final, ObjectPath):
        _put(pack.folder, final)


def _put(folder: Path, final: ObjectPath) -> None:
    """Goes on where a put was broken off: a shard is there whole or not at all, and its pixels are
    those that the pack is named by."""
    there, ours = sizes(final), sizes(folder)
    names = [name for name in sorted(ours) if name != complete.COMPLETE]
    names = [name for name in names if not _is_shard(name) or there.get(name) != ours[name]]
    total = sum(ours[name] for name in names)
    print(f"pack {folder.name}: putting {amount(total)} into {final}", flush=True)
    with tqdm(total=total, desc="putting", unit="B", unit_scale=True, disable=None) as bar:
        for name in names:
            (final / name).put(folder / name)
            bar.update(ours[name])
    (final / complete.COMPLETE).put(folder / complete.COMPLETE)


def _is_shard(name: str) -> bool:
    return name.endswith(".npy")


def shared(pack: FramePack, storage: AnyPath) -> AnyPath:
    """Where other machines find it."""
    return storage / "packs" / pack.digest if isinstance(storage, ObjectPath) else pack.folder


def fetched(folder: Path, source: str, node_disk: str | None, tell: Tell) -> Path:
    """A pack's folder on this machine, to which it is copied where it has to be.

    folder: where it was packed. source: what `shared` gave. Raises InputError where it is not what
    it should be, is out of reach, or has no room.
    """
    if node_disk:
        return staged(as_path(source), _disk(node_disk), tell)
    if (folder / "PACK.json").is_file():
        return folder
    if "://" not in source:
        raise InputError(
            f"pack {folder}: is not on {socket.gethostname()}; give --storage a URL, or a folder "
            "that all machines share"
        )
    return staged(as_path(source), user_cache(), tell)


def _disk(node_disk: str) -> Path:
    """The folder as this machine knows it. Raises InputError where it names none."""
    path = Path(os.path.expandvars(node_disk)).expanduser()
    if not path.is_absolute() or "$" in str(path):
        raise InputError(
            f"resources.node_disk {node_disk!r} is {str(path)!r} on {socket.gethostname()}; give "
            "an absolute path, with variables that every machine has"
        )
    return path
