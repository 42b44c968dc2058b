"""The way to an MLflow server or database, and how a SQLite database is set up."""

import fcntl
import logging
import os
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from awcl.errors import InputError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # clinical machines speak to no one
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own default waits 4 minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs"}
FORMS = "sqlite:///FILE, http://HOST:PORT, postgresql://USER@HOST/DATABASE, databricks://PROFILE"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LONGEST = 150  # characters of a reason


@cache
def connect(uri: str) -> Any:
    """An MlflowClient of a tracking URI; a SQLite database has its tables then."""
    from mlflow import MlflowClient  # two seconds of import, only where it is used

    for name in ("mlflow", "sqlalchemy.pool"):  # what fails is told here, in a line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    database = sqlite_file(uri)
    with _alone(database) if database else nullcontext():
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
        if database and on_local_disk(database.parent):
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # a reading UI blocks no write
    return client


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """One process at a time: of two that make the tables of a new database, one would crash."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with open(database.with_name(f".{database.name}.lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def on_local_disk(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a file system that is known to be local holds the folder.

    WAL shares memory between its processes, which no network file system does. Where the system
    does not tell what is mounted, the answer is no.
    """
    if not mounts.is_file():
        return False
    lines = [line.split() for line in mounts.read_text().splitlines()]
    kinds = {Path(point.replace("\\040", " ")): kind for _, point, kind, *_ in lines}
    folder = folder.resolve()
    nearest = next((at for at in (folder, *folder.parents) if at in kinds), None)
    return kinds.get(nearest) in LOCAL


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI; None for any other."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def readable(uri: str) -> bool:
    """Whether others on the network could read what is sent there. InputError for no such URI."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:  # brackets that hold no IPv6 address
        raise InputError(f"--tracking {shown(uri)}: no such address; give {FORMS}") from error
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def has_password(uri: str) -> bool:
    """Whether MLflow would send one: of the URI, of the environment, of ~/.mlflow/credentials."""
    from mlflow.utils.credentials import get_default_host_creds

    given = get_default_host_creds(uri)
    return bool(urlsplit(uri).password or given.password or given.token)


def shown(uri: str) -> str:
    """The URI for people and logs: without its password, in whichever form that is."""
    uri = re.sub(r"(://[^:/@]*:).*@", r"\1***@", uri)
    return re.sub(r"(?i)((?:password|passwd|pwd)(?:=|%3d))[^&;]+", r"\1***", uri)


def where_to_look(uri: str, mlflow: str = "mlflow") -> str:
    """What people do to compare trials there. mlflow: what they type for that program."""
    scheme = uri.partition(":")[0]
    if scheme in ("http", "https"):
        return f"open {shown(uri)}"
    if scheme == "databricks":
        return f"open the workspace of {uri}"
    return f"{mlflow} ui --backend-store-uri {shlex.quote(shown(uri))}"


def checked(uri: str) -> str:
    """The URI itself.

    Raises InputError for one that MLflow can never write to, and for one to which it would send a
    password that others on the network could read.
    """
    scheme, colon, where = uri.partition(":")
    scheme, file = scheme.partition("+")[0], sqlite_file(uri)  # a database's may name its driver
    if scheme in ("http", "https", "sqlite"):
        works = where.strip("/") != "" and not (file and file.is_dir())
    elif scheme == "file" or (not colon and scheme != "databricks"):
        # a folder: MLflow refuses it unless it is told not to
        works = os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")
    else:
        of_plugins = {found.name for found in entry_points(group="mlflow.tracking_store")}
        works = scheme in {"databricks", "mssql", "mysql", "postgresql", *of_plugins}
    if not works:
        raise InputError(f"--tracking {shown(uri)}: MLflow cannot write there; give {FORMS}")
    if readable(uri) and has_password(uri):
        raise InputError(f"--tracking {shown(uri)}: sends passwords readably; give https://")
    return uri


def reason(error: Exception) -> str:
    """In one short line what MLflow, a driver or a network says."""
    if "(Caused by " in str(error):  # urllib3's of the network, wrapped three times
        cause: BaseException = error
        while deeper := cause.__cause__ or cause.__context__:
            cause = deeper
        said = str(cause.args[-1] if cause.args else cause)
        said = said[:1].lower() + said[1:]
    else:
        said = str(error)
    # SQLAlchemy may put a hint for its programmers first
    lines = [line for line in said.splitlines() if not line.startswith("(raised as a result of")]
    told = next((line for line in lines if line), type(error).__name__)
    sentence = re.split(r"\. (?=[A-Z])", told)[0].removesuffix(".")
    return sentence if len(sentence) <= LONGEST else f"{sentence[: LONGEST - 4]} ..."
