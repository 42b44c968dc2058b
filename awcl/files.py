"""Writing files so that nothing half-written ever stands under its final name.

Folders of a study may lie in an object store; every function here takes paths of both kinds, unless
it says Path. What is written is made on this machine first and then put there.
"""

import errno
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from awcl.errors import InputError
from awcl.objects import PIECE, ObjectPath

AnyPath = Path | ObjectPath
STALE_SECONDS = 24 * 3600

Needs = Mapping[str, type | tuple[type, ...]]
"""Fields that stored JSON must have, and their types."""
NOTHING: Needs = MappingProxyType({})


def as_path(text: str | AnyPath) -> AnyPath:
    """A local path, or an object store's where `text` is a URL. Raises InputError for others."""
    if isinstance(text, ObjectPath):
        return text
    return ObjectPath.of(text) if "://" in str(text) else Path(text)


def storage_folder(storage: str | AnyPath) -> AnyPath:
    """Where studies are stored: a local folder or a URL. Raises InputError for one of no use."""
    path = as_path(storage)
    if isinstance(path, ObjectPath):
        path.is_dir()  # a bucket that is absent or closed to us is told of now
        return path
    path = path.absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise InputError(f"--storage {path}: {there} is a file, no folder; give another")
    return path


@contextmanager
def whole_file(path: AnyPath) -> Iterator[Path]:
    """Yields a path beside `path`; renames it into place, or removes it where the block raises."""
    path = as_path(path)
    if isinstance(path, ObjectPath):
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / path.name
            yield part
            path.put(part)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        _sync(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: AnyPath) -> Iterator[Path]:
    """Yields a new hidden folder in `parent`; `put_in_place` gives it its name, else it goes."""
    if isinstance(parent, ObjectPath):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
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


def put_in_place(folder: Path, final: AnyPath) -> None:
    """Renames a finished folder. Where `final` is there already, and whole, that one stays.

    A folder is whole by its files whose name is in capitals (COMPLETE.json, EVAL.json, ...).
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    marks = [file for file in files if file.stem.isupper()]

    def is_whole() -> bool:
        return all((final / file.name).is_file() for file in marks)

    if isinstance(final, ObjectPath):
        if not (marks and is_whole()):  # a store cannot put a folder at once, so these go last
            for file in [*(file for file in files if file not in marks), *marks]:
                (final / str(file.relative_to(folder))).put(file)
        return
    for file in files:
        _sync(file)
    try:
        os.rename(folder, final)
    except OSError:
        if not final.is_dir():
            raise
        if not is_whole():
            remove_folder(final)
            os.rename(folder, final)


def _sync(path: Path) -> None:
    """Bytes on disk before the rename, or a power cut could leave a whole name on empty data."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sizes(folder: AnyPath) -> dict[str, int]:
    """The files in a folder and their bytes."""
    if isinstance(folder, ObjectPath):
        return {str(name): size for name, size in folder.sizes().items()}
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}


def pieces(file: AnyPath) -> Iterator[Any]:
    """The bytes of a file, some at a time."""
    if isinstance(file, ObjectPath):
        yield from file.pieces()
        return
    with open(file, "rb") as local:
        while piece := local.read(PIECE):
            yield piece


def fetch(folder: ObjectPath, to: Path) -> Path:
    """Copies a folder of an object store to this machine; returns `to`."""
    for name in folder.sizes():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).fetch(to / name)
    return to


@contextmanager
def local_copy(folder: AnyPath) -> Iterator[Path]:
    """A folder as one of this machine: itself, or a copy for as long as the block lasts."""
    if isinstance(folder, ObjectPath):
        with tempfile.TemporaryDirectory() as copy:
            yield fetch(folder, Path(copy))
    else:
        yield folder


def remove_folder(folder: AnyPath) -> None:
    """With all that is in it; what cannot be removed stays."""
    if isinstance(folder, ObjectPath):
        with suppress(OSError):
            folder.remove_folder()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def append_line(file: AnyPath, row: dict[str, Any]) -> None:
    """Adds a line of JSON, stored before this returns. One that a crash cut off is closed first."""
    line = json.dumps(row).encode() + b"\n"
    if isinstance(file, ObjectPath):
        file.append(line)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+b") as lines:
        if lines.tell() and not _ends_line(lines):
            lines.write(b"\n")
        lines.write(line)
        lines.flush()
        os.fsync(lines.fileno())


def _ends_line(lines: BinaryIO) -> bool:
    lines.seek(-1, os.SEEK_END)
    return lines.read(1) == b"\n"


def read_lines(file: AnyPath, needs: Needs = NOTHING) -> Iterator[dict[str, Any]]:
    """What `append_line` wrote, without a line that was being written when the power went.

    needs: the fields of every line. Raises InputError, with the line, where one lacks them.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        where = f"{file}, line {number}"
        try:
            yield _sound(json.loads(line.decode()), needs, where, "correct or remove the line")
        except json.JSONDecodeError:
            continue
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: is no UTF-8 text; remove the line") from error


def write_json(path: AnyPath, data: object) -> None:
    """Readable JSON, put in place whole."""
    with whole_file(path) as part:
        part.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: AnyPath, needs: Needs = NOTHING, advice: str = "") -> dict[str, Any]:
    """Raises InputError where the file is missing, or as `read_json_if_there` does."""
    found = read_json_if_there(path, needs, advice)
    if found is None:
        raise InputError(f"{path}: {os.strerror(errno.ENOENT)}")
    return found


def read_json_if_there(
    path: AnyPath, needs: Needs = NOTHING, advice: str = ""
) -> dict[str, Any] | None:
    """A JSON object; None where the file is missing, found in one look.

    needs: fields that it must have. advice: what to do where it is damaged. Raises InputError where
    it is no JSON, no object, or lacks a field.
    """
    try:
        found = json.loads(as_path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(_advised(f"{path}: not a JSON file ({error})", advice)) from error
    return _sound(found, needs, str(path), advice)


def _sound(found: Any, needs: Needs, where: str, advice: str) -> dict[str, Any]:
    """What was read, where it is an object with these fields."""
    if not isinstance(found, dict):
        raise InputError(_advised(f"{where}: holds no JSON object, in braces", advice))
    for name, kind in needs.items():
        if not isinstance(found.get(name), kind):
            wrong = f"{name!r} is {found[name]!r:.40}" if name in found else f"lacks {name!r}"
            raise InputError(_advised(f"{where}: {wrong}", advice))
    return found


def _advised(what: str, advice: str) -> str:
    return f"{what}; {advice}" if advice else what
