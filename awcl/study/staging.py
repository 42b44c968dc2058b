"""A pack on a machine's own disk: fetched once, every byte compared, shared by all who read it.

    DISK/staged/<digest>/         the pack
    DISK/staged/.<digest>.part/   what has come of it so far: whole files, never fetched again
    DISK/staged/.<digest>.lock    held by the process that fetches it
    DISK/staged/.<digest>.use     held by every process that reads it, as long as it lives

Both locks are the kernel's (flock), so they end with their processes, however these end. Where room
is needed, packs that nobody holds go, the one not read for longest first. No ray.
"""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from awcl import complete
from awcl.errors import InputError
from awcl.files import AnyPath, put_in_place, read_json, remove_folder, sizes
from awcl.study.stages import amount
from awcl.study.transfer import DISK_IS_FULL, Arrival, Tell, fetch_all, mend

_in_use: dict[Path, BinaryIO] = {}
"""The `.use` locks of this process."""


def staged(source: AnyPath, disk: Path, tell: Tell) -> Path:
    """The folder of a pack on this disk; fetched where it is absent, and held from here on.

    source: its folder in a store, or one that machines share, with COMPLETE.json; its name is the
    pack's digest. Who comes while another process fetches it waits for that one. Raises InputError
    where it is not what it should be or the disk has no room, OSError where the store is out of
    reach; what had come by then stays.
    """
    folder = disk / "staged"
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / source.name
    with _locked(_lock(final, "lock")):
        if not _is_whole(final):
            _bring(source, final, tell)
        os.utime(_lock(final, "lock"))
        if final not in _in_use:
            _in_use[final] = open(_lock(final, "use"), "ab")  # noqa: SIM115, for the process's life
            fcntl.flock(_in_use[final], fcntl.LOCK_SH)
    return final


def _bring(source: AnyPath, final: Path, tell: Tell) -> None:
    """Fetches what is missing and puts the pack in place whole. The caller holds its lock."""
    files = _sound(source)
    _set_aside(final)
    part = _part(final)
    part.mkdir(exist_ok=True)
    for left in part.glob(".*.part"):  # of a process that was killed
        left.unlink()
    missing = [file for file in files if not _has(part, file)]
    need = sum(file.bytes for file in missing)
    _make_room(final, need)
    arrival = Arrival(final.name, sum(file.bytes for file in files), need, tell)
    try:
        fetch_all(source, part, missing, arrival)
    except OSError as error:
        if error.errno not in DISK_IS_FULL:
            raise
        raise _no_room(final, need) from error
    if read_json(part / "PACK.json").get("digest") != final.name:
        remove_folder(part)
        raise InputError(f"{source}: holds another pack; {mend(source)}")
    (part / complete.COMPLETE).write_bytes((source / complete.COMPLETE).read_bytes())
    put_in_place(part, final)
    arrival.end()


def _is_whole(final: Path) -> bool:
    """Whether it is there. It was compared when it was put in place; now only sizes are."""
    about = final / "PACK.json"
    if not about.is_file():
        return False
    there = sizes(final)
    return all(there.get(name) == size for name, size in read_json(about)["files"].items())


def _sound(source: AnyPath) -> list[complete.Listed]:
    """The files of the pack, by their names in one folder."""
    try:
        files = complete.listed(source)
    except InputError as error:
        raise InputError(f"pack {source}: {error}; {mend(source)}") from error
    for file in files:
        if Path(file.name).name != file.name:
            raise InputError(
                f"pack {source}: {complete.COMPLETE} lists {file.name!r}, no plain name"
            )
    return files


def _has(part: Path, file: complete.Listed) -> bool:
    """A file got its name when it was compared and on disk."""
    path = part / file.name
    return path.is_file() and path.stat().st_size == file.bytes


# --- room --------------------------------------------------------------------------------------


def _make_room(final: Path, need: int) -> None:
    """Removes packs that nobody holds until there is room. Raises InputError where there is none.

    Who wants to read a pack takes its first lock first; so while that is held here, and nobody
    holds the second, nobody reads it or begins to.
    """
    locks = sorted(final.parent.glob(".*.lock"), key=lambda lock: lock.stat().st_mtime)
    for other in (lock.with_name(lock.name[1:-5]) for lock in locks):
        if _free(final.parent) >= need:
            return
        if other == final:
            continue
        with _locked(_lock(other, "lock"), wait=False) as alone:
            if alone:
                with _locked(_lock(other, "use"), wait=False) as unused:
                    if unused:
                        _remove(other)
    if _free(final.parent) < need:
        raise _no_room(final, need)


def _remove(final: Path) -> None:
    """Sets it aside first, so that a kill in the middle leaves no pack that lacks files."""
    _set_aside(final)
    remove_folder(_part(final))


def _set_aside(final: Path) -> None:
    """What has a pack's name becomes what has come so far."""
    if final.is_dir():
        remove_folder(_part(final))
        final.rename(_part(final))


def _no_room(final: Path, need: int) -> InputError:
    free = amount(_free(final.parent))
    return InputError(
        f"pack {final.name} needs {amount(need)} more in {final.parent} of {socket.gethostname()}, "
        f"where {free} are free; make room, or give another disk (resources.node_disk)"
    )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _part(final: Path) -> Path:
    return final.with_name(f".{final.name}.part")


def _lock(final: Path, kind: str) -> Path:
    return final.with_name(f".{final.name}.{kind}")


@contextmanager
def _locked(file: Path, wait: bool = True) -> Iterator[bool]:
    """Alone with it as long as the block lasts; False where another has it and we do not wait."""
    with open(file, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            alone = True
        except BlockingIOError:
            alone = False
        yield alone
