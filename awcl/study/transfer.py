"""The files of a pack on their way: several at a time, each compared as it comes. No ray."""

import errno
import hashlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from awcl import complete
from awcl.errors import InputError
from awcl.files import AnyPath, pieces, whole_file
from awcl.study.stages import LINE_EVERY, amount, duration

STREAMS = 8  # files at a time: one connection to a store gives some 50 to 100 MB/s
TRIES = 3  # of a file whose connection breaks, or that is not what it should be
PAUSE = 5.0  # seconds before the next try
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)

Tell = Callable[[int, int], None]
"""Called now and then with the bytes that are there, and how many there will be."""


class Corrupt(OSError):
    """What came is not what was put there."""


def fetch_all(
    source: AnyPath, part: Path, files: list[complete.Listed], arrival: "Arrival"
) -> None:
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
    source: AnyPath, part: Path, file: complete.Listed, arrival: "Arrival", over: threading.Event
) -> None:
    """A file, again where its connection breaks or it comes corrupt. over: somebody else failed."""
    for tried in range(1, TRIES + 1):
        try:
            return _fetch_once(source, part, file, arrival, over)
        except FileNotFoundError as error:
            raise InputError(f"pack {source}: {file.name} is missing; {mend(source)}") from error
        except OSError as error:
            arrival.has(file.name, 0)
            if error.errno in DISK_IS_FULL or over.is_set():
                raise
            if tried == TRIES and isinstance(error, Corrupt):
                raise InputError(
                    f"pack {source}: {file.name} is corrupt (sha256 differs), fetched {TRIES} "
                    f"times; {mend(source)}"
                ) from error
            if tried == TRIES:
                raise
            print(f"pack {part.name[1:-5]}: {file.name}: {error}; fetching it again", flush=True)
            over.wait(PAUSE)


def _fetch_once(
    source: AnyPath, part: Path, file: complete.Listed, arrival: "Arrival", over: threading.Event
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


def mend(source: AnyPath) -> str:
    """What to do where a pack is damaged at its source."""
    return f"remove {source}, and the study's next run puts it there again"
