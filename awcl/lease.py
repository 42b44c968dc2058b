"""One driver a study: an flock in a local folder, a LEASE in an object store.

A LEASE says who holds the study. It is renewed by a put that names the version it replaces, so of
two that try only one succeeds. Whether its holder lives is judged by whether it changes while we
watch, on our clock: two machines' clocks need not agree. A holder that could not renew it stops by
itself before another may take it over, on its own clock for the same reason.
"""

import fcntl
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from awcl.errors import InputError
from awcl.files import AnyPath, as_path, read_json_if_there
from awcl.objects import Closed, ObjectPath, Version

RENEW = 20.0  # seconds between renewals
EXPIRE = 90.0  # a LEASE that did not change for so long is nobody's
STOP = 70.0  # without renewal for so long, its holder stops; leaves time to notice
LOOK = 1.0  # seconds between looks at a LEASE that is another's
PATIENCE = 1.0  # seconds of trying for a folder's lock, which whoever looks holds for a moment


@contextmanager
def only_driver(folder: AnyPath) -> Iterator[None]:
    """Holds a study's folder: a second process that tries is refused with InputError.

    In an object store a process that loses its hold is interrupted, and touches the folder's
    bucket no more.
    """
    hold = _leased(folder) if isinstance(folder, ObjectPath) else _locked(folder)
    with hold:
        yield


def held_since(folder: AnyPath) -> float | None:
    """Since when (of the holder's clock) a process holds the folder; None: none does now.

    For a look at it: what a LEASE says is believed.
    """
    if isinstance(folder, ObjectPath):
        found = read_json_if_there(folder / "LEASE")
        lives = found is not None and not found["released"]
        return found["since"] if lives and time.time() < found["time"] + EXPIRE else None
    with suppress(FileNotFoundError), open(folder / "LEASE", encoding="utf-8") as file:
        if not _lock(file, fcntl.LOCK_SH):
            return float(file.read() or time.time())  # nothing: it is being taken right now
    return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--storage {folder}: {error.strerror}") from error
    with open(folder / "LEASE", "a", encoding="utf-8") as file:
        end = time.monotonic() + PATIENCE
        while not _lock(file, fcntl.LOCK_EX):
            if time.monotonic() >= end:
                raise InputError(f"{folder}: another process is running this study")
            time.sleep(0.05)
        file.truncate(0)
        file.write(str(time.time()))
        file.flush()
        yield


def _lock(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _leased(folder: ObjectPath) -> Iterator[None]:
    lease = Lease(as_path(f"{folder}/LEASE"))  # of its own, since the folder's bucket may be closed
    while not lease.take():
        time.sleep(LOOK)
    before, folder.bucket.guard = folder.bucket.guard, lease.check
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, over), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        lease.release()
        if not lease.lost:
            folder.bucket.guard = before


def _keep(lease: "Lease", over: threading.Event) -> None:
    """Renews the lease until the study is over, or interrupts it where the lease is lost."""
    while not over.wait(RENEW):
        if not lease.renew():
            os.kill(os.getpid(), signal.SIGTERM)
            return


class Lease:
    """A claim to a LEASE. clock: seconds of any clock. lost: why it is not ours any more, or ''."""

    def __init__(
        self,
        file: ObjectPath,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda line: print(line, flush=True),
    ):
        self.file, self.clock, self.tell = file, clock, tell
        self.lost = ""
        self._ours: Version | None = None
        self._began, self._renewed = time.time(), 0.0
        self._watched: Version | None = None  # another's, since when it has not changed
        self._since = 0.0

    def take(self) -> bool:
        """Whether it is ours now, else look again soon. InputError where its holder lives."""
        try:
            text, version = self.file.read()
        except FileNotFoundError:
            return self._claim(None)
        holder = _parse(self.file, text)
        if holder["released"]:
            return self._claim(version)
        who = f"{holder['host']}, process {holder['process']}"
        if self._watched is None:
            self.tell(f"{self.file}: held by {who}; whether it lives shows within {EXPIRE:g} s")
            self._watched, self._since = version, self.clock()
        elif version != self._watched:
            raise InputError(f"{self.file.parent}: another process is running this study ({who})")
        elif self.clock() - self._since >= EXPIRE:
            self.tell(f"{self.file}: not renewed for {EXPIRE:g} s, taken over from {who}")
            return self._claim(version)
        return False

    def renew(self) -> bool:
        """Whether it is still ours. A store that does not answer is tried again for a while."""
        try:
            if not self.lost and not self._claim(self._ours):
                self._lose("another process has taken the study over")
        except (OSError, InputError) as error:  # also credentials that are not to be had just now
            self._give_up(getattr(error, "strerror", None) or str(error))
        return not self.lost

    def check(self) -> None:
        """Raises Closed where it is not ours any more, or may not be."""
        self._give_up("no renewal in time")
        if self.lost:
            raise Closed(self.lost)

    def release(self) -> None:
        """The next driver takes it at once. Nothing is written where it is another's by now."""
        if not self.lost:
            with suppress(OSError, InputError):  # the store does not answer: it expires
                self.file.replace(self._text(released=True), self._ours)

    def _claim(self, seen: Version | None) -> bool:
        asked = self.clock()  # before the put: others count from when it arrived
        version = self.file.replace(self._text(), seen)
        if version is None:
            return False
        self._ours, self._renewed = version, asked
        return True

    def _give_up(self, reason: str) -> None:
        if not self.lost and self.clock() - self._renewed > STOP:
            self._lose(f"not renewed for {STOP:g} s ({reason})")

    def _lose(self, why: str) -> None:
        self.lost = f"{self.file} is lost, {why}: this process stops"
        self.tell(self.lost)

    def _text(self, released: bool = False) -> bytes:
        about = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": self._began,
            "time": time.time(),
            "renewal": uuid.uuid4().hex,  # no two are alike
            "released": released,
        }
        return json.dumps(about).encode()


def _parse(file: ObjectPath, text: bytes) -> dict:
    try:
        found = json.loads(text)
        return {name: found[name] for name in ("host", "process", "released")}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{file}: no LEASE of this program; remove it") from error
