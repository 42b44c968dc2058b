"""What several commands do with their options."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, TypeVar

from awcl.config import Config, with_values
from awcl.errors import InputError

C = TypeVar("C", bound=Config)


def configured(kind: type[C], options: argparse.Namespace) -> C:
    """A configuration from its dotted flags, defaults where none is given."""
    given = {
        name.removeprefix("config:"): value
        for name, value in vars(options).items()
        if name.startswith("config:") and value is not None
    }
    fields = kind.model_fields
    values = {name: v for name, v in given.items() if name.partition(".")[0] in fields}
    for name, value in values.items():
        if name.endswith("_where"):
            values[name] = where(value.split(","), f"--{name}")
    return with_values(kind(), values, "the command line")


def frame_table(options: argparse.Namespace, taxonomy: Any = None) -> Any:
    from awcl.data.table import FrameTable
    from awcl.taxonomy import Taxonomy

    return FrameTable.read(options.frames, taxonomy or Taxonomy.load(options.taxonomy))


def packs_folder(options: argparse.Namespace) -> Path:
    from awcl.data.packing import user_cache

    return Path(options.packs) if options.packs else user_cache() / "packs"


def tell_failed(pack: Any) -> None:
    """A line a frame, and one for all frames that a video lacks for one reason."""
    alike: dict[tuple, list[str]] = {}
    for number, frame in enumerate(pack.failed):
        of_video = ("video", frame["video"]) if "video" in frame else ("image", number)
        alike.setdefault((*of_video, frame["error"]), []).append(frame["frame_id"])
    if alike:
        print(f"{len(pack.failed)} frames could not be read and are left out:", file=sys.stderr)
    for (*_, error), names in alike.items():
        more = f" and {len(names) - 1} more of its video" if len(names) > 1 else ""
        print(f"  {names[0]}{more}: {error}", file=sys.stderr)


def where(given: list[str], flag: str = "--where") -> dict[str, list[str]]:
    """`column=value` (or `column=!value`), several times."""
    found: dict[str, list[str]] = {}
    for item in given:
        column, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{flag} {item!r}: give COLUMN=VALUE or COLUMN=!VALUE")
        found.setdefault(column, []).append(value)
    return found


def encoder_of(options: argparse.Namespace, what: str) -> tuple[Any, str]:
    """The encoder that `what` names, and a word for it.

    Raises InputError where it is of another backbone or size than a flag asks for.
    """
    from awcl.config import TrialConfig
    from awcl.weights import find_encoder

    config = configured(TrialConfig, options)
    encoder, word = find_encoder(
        what, config.model.backbone, config.data.size, config.seed, options.imagenet_weights
    )
    for flag, asked, found in (
        ("model.backbone", config.model.backbone, encoder.backbone),
        ("data.size", config.data.size, encoder.size),
    ):
        if getattr(options, f"config:{flag}") is not None and asked != found:
            raise InputError(f"{what}: an encoder with {flag} {found}; --{flag} asks for {asked}")
    return encoder, word


def check_writable(out: Path) -> None:
    """Makes the folder. Raises InputError where it cannot be, or nothing can be put in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}; give another") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"--out {out}: may not be written to; give another")


def new_file(out: str, *suffixes: str) -> Path:
    """The path of a file to write. Raises InputError for another suffix, where it exists, and where
    it could not be made: before the work, and not after it."""
    path = Path(out)
    if path.suffix not in suffixes:
        raise InputError(f"--out {out}: give a name that ends in {' or '.join(suffixes)}")
    if path.exists():
        raise InputError(f"--out {out}: is there already, and is not overwritten; give another")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {out}: nothing may be written in {there}; give another")
    return path
