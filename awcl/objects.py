"""Paths in an object store, with as much of pathlib's interface as this program uses.

A store has no folders, only objects whose names hold slashes: a folder is there while something is
in it. An object is put whole or not at all. Endpoint and credentials come from the environment, as
for other programs (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...; GOOGLE_APPLICATION_CREDENTIALS).
"""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import total_ordering
from pathlib import Path, PurePosixPath
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import from_url

from awcl.errors import InputError

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "abfss": "AZURE_STORAGE_ACCOUNT_KEY",
}
# Where a cloud's machine asks for its role, for want of credentials; and a bucket's absence.
METADATA = re.compile(r"169\.254\.169\.254|/latest/api/token|/computeMetadata/")
NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")
GIVE_UP = timedelta(seconds=20)  # retries of one call; a lease must notice in time
CALL = timedelta(seconds=30)  # one try of it
PIECE = 16 * 2**20  # bytes asked for at once: a call for more could take longer than it may

Version = dict[str, str]


class Closed(KeyboardInterrupt):
    """This process may touch the store no more; ends it as an interrupt does."""


class Bucket:
    """A bucket, and who may use it: `guard` is called before each use and raises Closed."""

    def __init__(self, url: str, store: Any):
        self.url, self.store = url, store
        self.guard: Callable[[], None] = lambda: None


@total_ordering
class ObjectPath:
    """An object, or a folder of them."""

    def __init__(self, bucket: Bucket, key: PurePosixPath):
        self.bucket, self.key = bucket, key

    @classmethod
    def of(cls, url: str) -> "ObjectPath":
        """Of s3://BUCKET/NAME, gs://... or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/...

        Raises InputError for anything else.
        """
        scheme, _, rest = str(url).partition("://")
        host, _, key = rest.partition("/")
        if scheme not in CREDENTIALS or not host:
            known = ", ".join(f"{name}://" for name in CREDENTIALS)
            raise InputError(f"{url}: no storage that is known; give a folder, or one of {known}")
        root = f"{scheme}://{host}"
        try:
            store = from_url(
                root,
                retry_config={"max_retries": 10, "retry_timeout": GIVE_UP},
                # A plain http endpoint is used only where the environment names one.
                client_options={"allow_http": True, "timeout": CALL},
            )
        except exceptions.BaseError as error:
            raise InputError(f"{url}: {_reason(error)}") from error
        return cls(Bucket(root, store), PurePosixPath(key))

    # --- names ---------------------------------------------------------------------------------

    def __str__(self) -> str:
        return f"{self.bucket.url}/{self._name}".removesuffix("/")

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: "ObjectPath") -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str | PurePosixPath) -> "ObjectPath":
        return ObjectPath(self.bucket, self.key / name)

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def parent(self) -> "ObjectPath":
        return ObjectPath(self.bucket, self.key.parent)

    def relative_to(self, folder: "ObjectPath") -> PurePosixPath:
        return self.key.relative_to(folder.key)

    @property
    def _name(self) -> str:
        return "" if self.key == PurePosixPath() else str(self.key)

    # --- reading -------------------------------------------------------------------------------

    def is_file(self) -> bool:
        try:
            with self._store() as store:
                obstore.head(store, self._name)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        return next(self._below(), None) is not None

    def sizes(self) -> dict[PurePosixPath, int]:
        """Every object below this folder, and its bytes."""
        return dict(self._below())

    def _below(self) -> Iterator[tuple[PurePosixPath, int]]:
        """Page by page. Empty objects are left out: some writers (Arrow's among them) put them in
        the place of folders."""
        with self._store() as store:
            for page in obstore.list(store, prefix=self._name or None):
                for found in page:
                    key = PurePosixPath(found["path"])
                    if found["size"] and self.key in key.parents:
                        yield key.relative_to(self.key), found["size"]

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Objects and folders in this one."""
        yield from sorted({self / below.parts[0] for below in self.sizes()})

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Objects and folders that match; ** stands for any number of folders."""
        wanted = re.compile("".join(map(_part, pattern.split("/"))))
        names = {str(name) for below in self.sizes() for name in (below, *below.parents)}
        names.discard(".")
        yield from sorted(self / name for name in names if wanted.fullmatch(f"{name}/"))

    def read_bytes(self) -> bytes:
        return self.read()[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def read(self) -> tuple[bytes, Version]:
        """The object and which version of it this is, for `replace`."""
        with self._store() as store:
            found = obstore.get(store, self._name)
            return bytes(found.bytes()), _version(found.meta)

    def pieces(self) -> Iterator[Any]:
        """Its bytes, PIECE of them at a time."""
        with self._store() as store:
            size = obstore.head(store, self._name)["size"]
        for start in range(0, size, PIECE):
            end = min(start + PIECE, size)
            with self._store() as store:
                piece = obstore.get_range(store, self._name, start=start, end=end)
            yield piece

    def fetch(self, file: Path) -> None:
        """Copies the object to a local file."""
        with open(file, "wb") as local:
            for piece in self.pieces():
                local.write(piece)

    # --- writing -------------------------------------------------------------------------------

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing to do."""

    def put(self, data: bytes | Path) -> None:
        """The object, whole or not at all, from bytes or from a local file."""
        with self._store() as store:
            obstore.put(store, self._name, data)

    def replace(self, data: bytes, seen: Version | None) -> Version | None:
        """Puts the object where it still is the version that was seen; None: where there is none.

        Returns the new version, or None where the object is another one by now. `data` must be
        unlike all that was there before: a put whose answer was lost is known by what it left.
        """
        try:
            with self._store() as store:
                return _version(obstore.put(store, self._name, data, mode=seen or "create"))
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            there, version = self.read()
            return version if there == data else None

    def append(self, data: bytes) -> None:
        """Rewrites a small object with more at its end. Raises InputError where another writes."""
        try:
            before, seen = self.read()
        except FileNotFoundError:
            before, seen = b"", None
        if self.replace(before + data, seen) is None:
            raise InputError(f"{self}: another process writes to it; only one may run a study")

    def unlink(self, missing_ok: bool = False) -> None:
        """Stores do not tell whether it was there."""
        with self._store() as store:
            obstore.delete(store, self._name)

    def remove_folder(self) -> None:
        """Every object below this folder."""
        names = [str(self.key / below) for below in self.sizes()]
        if names:
            with self._store() as store:
                obstore.delete(store, names)

    # --- errors --------------------------------------------------------------------------------

    @contextmanager
    def _store(self) -> Iterator[Any]:
        """The store to call; what it raises becomes what a file system would raise, in a line."""
        self.bucket.guard()
        try:
            yield self.bucket.store
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise
        except (FileNotFoundError, exceptions.BaseError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> Exception:
        """What is raised for an error of the store's."""
        url, text = self.bucket.url, _reason(error)
        denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
        if NO_BUCKET.search(str(error)):
            return InputError(f"{url}: there is no such bucket; make it, or mend --storage")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        if METADATA.search(text) or isinstance(error, denied):
            what = "access is denied" if isinstance(error, denied) else "no credentials"
            return InputError(f"{url}: {what}; look at {CREDENTIALS[url.partition('://')[0]]}")
        return OSError(errno.EIO, text, str(self))


def _version(about: Any) -> Version:
    """What a store knows a version by: some by one of the two, some need both."""
    return {name: about[name] for name in ("e_tag", "version") if about[name]}


def _part(part: str) -> str:
    """The regular expression of one part of a pattern, with the slash after it."""
    return "(?:[^/]+/)*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") + "/"


def _reason(error: Exception) -> str:
    """The store's own words in one line, without its trace."""
    return " ".join(str(error).partition("Debug source")[0].split())[:300]
