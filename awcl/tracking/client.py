"""The way to an MLflow server or database, and how a SQLite database is set up."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # clinical machines speak to no one
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own default waits 4 minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "tmpfs"}


@cache
def connect(uri: str) -> Any:
    """An MlflowClient of a tracking URI; a SQLite database has its tables then."""
    from mlflow import MlflowClient  # two seconds of import, only where it is used

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # what fails is told here, in a line
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


def reason(error: Exception) -> str:
    """In one line what MLflow, a driver or a network says."""
    lines = str(error).splitlines()
    # SQLAlchemy may put a hint for its programmers first
    told = [line for line in lines if line and not line.startswith("(raised as a result of")]
    return told[0] if told else type(error).__name__
