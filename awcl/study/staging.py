"""A pack on a machine's own disk: fetched once, every byte compared, shared by all who read it.

    DISK/staged/<digest>/         the pack
    DISK/staged/.<digest>.part/   what has come of it so far: whole files, never fetched again
    DISK/staged/.<digest>.lock    held by the process that fetches it
    DISK/staged/.<digest>.use     held by every process that reads it, as long as it lives

Both locks are the kernel's (flock), so they end with their processes, however these end. Where room
is needed, packs that nobody holds go, the one not read for longest first. No ray.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from awcl import records
from awcl.errors import InputError
from awcl.files import AnyPath, pieces, put_in_place, read_json, remove_folder, sizes, whole_file
from awcl.records import Listed
from awcl.study.stages import LINE_EVERY, amount, duration

STREAMS = 8  # files at a time: one connection to a store gives some 50 to 100 MB/s
TRIES = 3  # of a file whose connection breaks, or that is not what it should be
PAUSE = 5.0  # seconds before the next try

Tell = Callable[[int, int], None]
"""Called now and then with the bytes that are there, and how many there will be."""

_in_use: dict[Path, BinaryIO] = {}
"""The `.use` locks of this process."""


class Corrupt(OSError):
    """What came is not what was put there."""


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
        _fetch_all(source, part, missing, arrival)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_room(final, need) from error
    if read_json(part / "PACK.json").get("digest") != final.name:
        remove_folder(part)
        raise InputError(f"{source}: holds another pack; {_mend(source)}")
    (part / records.COMPLETE).write_bytes((source / records.COMPLETE).read_bytes())
    put_in_place(part, final)
    arrival.end()


def _is_whole(final: Path) -> bool:
    """Whether it is there. It was compared when it was put in place; now only sizes are."""
    about = final / "PACK.json"
    if not about.is_file():
        return False
    there = sizes(final)
    return all(there.get(name) == size for name, size in read_json(about)["files"].items())


def _sound(source: AnyPath) -> list[Listed]:
    """The files of the pack, by their names in one folder."""
    try:
        files = records.listed(source)
    except InputError as error:
        raise InputError(f"pack {source}: {error}; {_mend(source)}") from error
    for file in files:
        if Path(file.name).name != file.name:
            raise InputError(
                f"pack {source}: {records.COMPLETE} lists {file.name!r}, no plain name"
            )
    return files


def _has(part: Path, file: Listed) -> bool:
    """A file got its name when it was compared and on disk."""
    path = part / file.name
    return path.is_file() and path.stat().st_size == file.bytes


def _fetch_all(source: AnyPath, part: Path, files: list[Listed], arrival: "Arrival") -> None:
    """Several files at a time. The first error ends all, and is raised."""
    over = threading.Event()
    with ThreadPoolExecutor(STREAMS, "staging") as pool:
        coming = [pool.submit(_fetch, source, part, file, arrival, over) for file in files]
        try:
            for file in as_completed(coming):
                file.result()
        except BaseException:  # an interrupt too
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(
    source: AnyPath, part: Path, file: Listed, arrival: "Arrival", over: threading.Event
) -> None:
    """A file, again where its connection breaks or it comes corrupt. over: somebody else failed."""
    for tried in range(1, TRIES + 1):
        try:
            return _fetch_once(source, part, file, arrival, over)
        except FileNotFoundError as error:
            raise InputError(f"pack {source}: {file.name} is missing; {_mend(source)}") from error
        except OSError as error:
            arrival.has(file.name, 0)
            if error.errno in (errno.ENOSPC, errno.EDQUOT) or over.is_set():
                raise
            if tried == TRIES and isinstance(error, Corrupt):
                raise InputError(
                    f"pack {source}: {file.name} is corrupt (sha256 differs), fetched {TRIES} "
                    f"times; {_mend(source)}"
                ) from error
            if tried == TRIES:
                raise
            print(f"pack {part.name[1:-5]}: {file.name}: {error}; fetching it again", flush=True)
            over.wait(PAUSE)


def _fetch_once(
    source: AnyPath, part: Path, file: Listed, arrival: "Arrival", over: threading.Event
) -> None:
    """Raises Corrupt where it is not what COMPLETE.json says; nothing has its name then."""
    hashed, count = hashlib.sha256(), 0
    with whole_file(part / file.name) as path, open(path, "wb") as local:
        for piece in pieces(source / file.name):
            if over.is_set():
                raise InterruptedError(errno.EINTR, "another file failed")
            local.write(piece)
            hashed.update(piece)
            count += len(piece)
            arrival.has(file.name, count)
        if hashed.hexdigest() != file.sha256:
            raise Corrupt(f"came corrupt, {count} bytes of {file.bytes}")


class Arrival:
    """How far a pack is, told in lines. total: its bytes; need: those that were missing."""

    def __init__(self, digest: str, total: int, need: int, tell: Tell):
        self.digest, self.total, self.need, self.tell = digest, total, need, tell
        self.came: dict[str, int] = {}
        self.began = time.monotonic()
        self.told = self.began
        self._alone = threading.Lock()
        resumed = f", {amount(total - need)} are there" if total > need else ""
        self._say(f"fetching {amount(total)}{resumed}")
        tell(total - need, total)

    def has(self, name: str, count: int) -> None:
        """So many bytes of a file have come."""
        with self._alone:
            self.came[name] = count
            now = time.monotonic()
            if now - self.told < LINE_EVERY:
                return
            self.told = now
            came = sum(self.came.values())
        there = self.total - self.need + came
        self.tell(there, self.total)
        rate = came / max(now - self.began, 1e-9)
        left = f", {duration((self.need - came) / rate)} left" if came else ""
        self._say(f"{amount(there)} of {amount(self.total)}, {amount(rate)}/s{left}")

    def end(self) -> None:
        took = time.monotonic() - self.began
        self._say(f"{amount(self.need)} in {duration(took)}, {amount(self.need / took)}/s")

    def _say(self, line: str) -> None:
        print(f"pack {self.digest} to {socket.gethostname()}: {line}", flush=True)


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


def _mend(source: AnyPath) -> str:
    return f"remove {source}, and the study's next run puts it there again"
