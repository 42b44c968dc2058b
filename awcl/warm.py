"""What pre-training starts from (`model.init`): drawn at random, or weights kept by their digest.

An encoder that a user names (imagenet, a run, a file) is looked up once and stored under its
digest. From there on a trial knows it by that alone, as imagenet:DIGEST or weights:DIGEST: its key
says which weights it began with, wherever they came from, and other machines find them.
"""

import re
import shutil
import tempfile
from pathlib import Path

from awcl import hashing
from awcl.config import ModelConfig
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.files import AnyPath, as_path, whole_file
from awcl.objects import ObjectPath
from awcl.weights import find_encoder

RANDOM, IMAGENET, OTHER = "random", "imagenet", "weights"
KEPT = re.compile(rf"(?:{IMAGENET}|{OTHER}):([0-9a-f]{{12}})")


def is_known(init: str) -> bool:
    """Whether a trial can start from it as it stands: random, or weights by their digest."""
    return init == RANDOM or KEPT.fullmatch(init) is not None


def saw_no_frames(init: str) -> bool:
    """Whether it is known of what a trial starts from that it saw none of a study's frames."""
    return not init.startswith(f"{OTHER}:")


def keep(init: str, backbone: str, size: int, folder: AnyPath, imagenet: str | None = None) -> str:
    """Stores what a user names as FOLDER/DIGEST.safetensors, and returns the name it has from then.

    init: 'imagenet', or what `awcl.weights.find_encoder` takes; a name that this gave stays, and
    so does 'random'. imagenet: a file of those weights, where the cache lacks them. Raises
    InputError where there is no such encoder, or one of another backbone or size; NotAtHandError
    where ImageNet's weights are not on this machine.
    """
    if init == RANDOM:
        return init
    if is_known(init):
        if not file_of(init, folder).is_file():
            raise InputError(f"model.init {init}: {file_of(init, folder)} is missing; {RESTORE}")
        return init
    encoder, _ = find_encoder(init, backbone, size, imagenet=imagenet)
    _check_fit(encoder, init, backbone, size)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "encoder.safetensors"
        encoder.save(made)
        kind = IMAGENET if init == IMAGENET else OTHER
        name = f"{kind}:{hashing.of_file(made)[:12]}"
        if not file_of(name, folder).is_file():
            with whole_file(file_of(name, folder)) as part:
                shutil.copyfile(made, part)
    return name


def start(model: ModelConfig, size: int, folder: AnyPath | None) -> Encoder:
    """The encoder that a trial starts from, with the grey mean and spread of its weights.

    At random it is drawn from torch's generator. folder: where `keep` put the weights; None serves
    'random' alone. Raises InputError where they are missing, damaged, or do not fit.
    """
    if model.init == RANDOM:
        return Encoder(model.backbone, size)
    if folder is None or not is_known(model.init):
        raise InputError(f"model.init {model.init}: its weights are not kept yet (awcl.warm.keep)")
    file = file_of(model.init, folder)
    with tempfile.TemporaryDirectory() as scratch:
        local = file
        if isinstance(file, ObjectPath):
            local = Path(scratch) / file.name
            if file.is_file():
                file.fetch(local)
        if not local.is_file():
            raise InputError(f"model.init {model.init}: {file} is missing; {RESTORE}")
        if hashing.of_file(local)[:12] != file.name.partition(".")[0]:
            raise InputError(f"{file}: is damaged (sha256 differs); remove it, and run again")
        encoder = Encoder.load(local)
    _check_fit(encoder, model.init, model.backbone, size)
    return encoder


RESTORE = "restore it, or name the encoder again"


def file_of(init: str, folder: AnyPath) -> AnyPath:
    """Where `keep` puts the weights of a name that it gave."""
    return as_path(folder) / f"{init.partition(':')[2]}.safetensors"


def _check_fit(encoder: Encoder, init: str, backbone: str, size: int) -> None:
    for field, found, asked in (
        ("model.backbone", encoder.backbone, backbone),
        ("data.size", encoder.size, size),
    ):
        if found != asked:
            raise InputError(f"model.init {init}: an encoder with {field} {found}, not {asked}")
