"""Writing files so that nothing half-written ever stands under its final name."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from awcl.errors import InputError

STALE_SECONDS = 24 * 3600


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`; renames it into place, or removes it where the block raises."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        _sync(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yields a new hidden folder in `parent`; `put_in_place` gives it its name, else it goes."""
    part = Path(parent) / f".{uuid.uuid4().hex[:12]}.part"
    part.mkdir(parents=True)
    try:
        _remove_stale(Path(parent))
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_stale(parent: Path) -> None:
    """What processes that were killed long ago left half-written."""
    for old in parent.glob(".*.part"):
        with suppress(FileNotFoundError):  # a neighbour has just put its own in place
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(old) if old.is_dir() else old.unlink()


def put_in_place(folder: Path, final: Path) -> None:
    """Renames a finished folder. Where `final` is there already, that one stays."""
    for file in folder.rglob("*"):
        if file.is_file():
            _sync(file)
    try:
        os.rename(folder, final)
    except OSError:
        if not final.is_dir():
            raise


def _sync(path: Path) -> None:
    """Bytes on disk before the rename, or a power cut could leave a whole name on empty data."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def write_json(path: Path, data: object) -> None:
    """Readable JSON, put in place whole."""
    with whole_file(path) as part:
        part.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """Raises InputError where the file is missing or is no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from error
