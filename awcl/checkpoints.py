"""Checkpoints of a run: where they lie, which one counts, which may go."""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from awcl import complete
from awcl.errors import InputError
from awcl.files import AnyPath, fetch, local_copy, read_json, remove_folder
from awcl.objects import ObjectPath

ENCODER, STATE, HISTORY = "encoder.safetensors", "state.pt", "history.json"

LAUNCH = "launch-"  # how folders of a trial's launches begin, in which its checkpoints are
CHECKPOINT = re.compile(r"epoch_\d{4,}(_step_\d{5,})?")


def folder_name(epoch: int, step: int = 0) -> str:
    """The folder of the checkpoint after this many epochs, and as many steps of the next one."""
    return f"epoch_{epoch:04d}_step_{step:05d}" if step else f"epoch_{epoch:04d}"


def epoch_of(checkpoint: AnyPath) -> int:
    """How many whole epochs it was made after."""
    return _place(checkpoint)[0]


def _place(checkpoint: AnyPath) -> tuple[int, int]:
    """Where in a run it was made: whole epochs, steps of the next one."""
    epoch, _, step = checkpoint.name.removeprefix("epoch_").partition("_step_")
    return int(epoch), int(step or 0)


def is_partial(checkpoint: AnyPath) -> bool:
    """Whether it was made within an epoch, for the same run to go on from."""
    return _place(checkpoint)[1] > 0


def all_of(run: AnyPath, deep: bool = True) -> list[AnyPath]:
    """Every checkpoint under a run's folder, complete or not, oldest first; no other folders.

    deep: also those in folders of it, as a trial's launches are. Where a user names the folder,
    what lies there may be other runs.
    """
    found = run.glob("**/epoch_*" if deep else "epoch_*")
    named = (path for path in found if CHECKPOINT.fullmatch(path.name))
    return sorted((path for path in named if path.is_dir()), key=_place)


def run_of(checkpoint: AnyPath) -> AnyPath:
    """The folder of a checkpoint's run: of a trial its own, whose launches are one run."""
    parent = checkpoint.parent
    return parent.parent.parent if parent.name.startswith(LAUNCH) else parent


def newest(
    run: AnyPath,
    after: int = -1,
    up_to: float = math.inf,
    partial: bool = False,
    deep: bool = True,
    copy: Path | None = None,
) -> AnyPath | None:
    """The newest complete checkpoint under a run's folder; warns of broken ones that it passes.

    Only epochs above `after` and up to `up_to` count; others are not read, which takes a while.
    partial: those made within an epoch count too. A run goes on from them; nothing else reads them.
    deep: as in `all_of`.
    copy: a folder of this machine to which one from an object store is copied, and there compared.
    """
    for checkpoint in reversed(all_of(run, deep)):
        epoch, step = _place(checkpoint)
        if not after < epoch <= up_to or (step and not partial):
            continue
        found, reason = checkpoint, complete.why_not(checkpoint)
        if reason is None and copy and isinstance(checkpoint, ObjectPath):
            found = fetch(checkpoint, copy / checkpoint.name)
            reason = complete.why_not(found)
        if reason is None:
            return found
        warnings.warn(f"checkpoint {checkpoint} is set aside: {reason}", stacklevel=2)
    return None


def prune(run: AnyPath, keep: int, up_to: float = math.inf, deep: bool = True) -> None:
    """Removes what was made up to an epoch, but for the newest checkpoints of whole epochs."""
    there = all_of(run, deep)
    whole = [path for path in there if not is_partial(path) and epoch_of(path) <= up_to]
    partial = [path for path in there if is_partial(path) and epoch_of(path) < up_to]
    for old in [*whole[:-keep], *partial]:
        remove_folder(old)


@contextmanager
def opened(checkpoint: AnyPath) -> Iterator[Path]:
    """A complete checkpoint as a folder of this machine. Raises InputError where a copy of it from
    an object store is not what it should be."""
    with local_copy(checkpoint) as local:
        reason = complete.why_not(local) if isinstance(checkpoint, ObjectPath) else None
        if reason:
            raise InputError(f"checkpoint {checkpoint}: {reason}; remove it, and run again")
        yield local


def digest(checkpoint: AnyPath) -> str:
    """12 hex digits of what the encoder's weights are."""
    return read_json(checkpoint / complete.COMPLETE)["files"][ENCODER]["sha256"][:12]
