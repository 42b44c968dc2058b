"""Which encoder a user names: a checkpoint, a run, a weights file, `random` or `imagenet`.

Files that others wrote are read without executing code. Nothing here asks the network.
"""

import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from timm.models import PretrainedCfg, adapt_input_conv
from torch import Tensor, nn

from awcl import checkpoints, complete
from awcl.encoder import Encoder, check_backbone, fit, has_fixed_size, read_safetensors
from awcl.errors import InputError, NotAtHandError

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
DAMAGED = (
    RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError,
    AssertionError, struct.error,
)  # fmt: skip
"""What torch.load raises of a file that is cut off or changed, beside UnpicklingError."""
WRAPPERS = (
    "state_dict",
    "model",
)  # under which training programs store weights beside other things


def find_encoder(
    what: str, backbone: str, size: int, seed: int = 0, imagenet: str | None = None
) -> tuple[Encoder, str]:
    """The encoder that a user names, and a word for it that can be a folder's name.

    what: a checkpoint; a run's folder (its newest complete checkpoint); a weights file (of timm's
    `backbone`, where another program wrote it); 'random' (an untrained `backbone`, drawn by
    `seed`); 'imagenet' (timm's weights of it, from its cache or from the file `imagenet`).
    Raises InputError where there is none, and where weights do not fit.
    """
    if what == "random":
        torch.manual_seed(seed)
        return Encoder(backbone, size), "random"
    if what == "imagenet":
        return foreign(Path(imagenet) if imagenet else cached(backbone), backbone, size), "imagenet"
    path = Path(what)
    if not what:
        raise InputError("an encoder without a name; give a checkpoint, run or weights file")
    if path.is_file():
        in_checkpoint = path.name == checkpoints.ENCODER
        name = _checkpoint_word(path.resolve().parent) if in_checkpoint else path.stem
        return _from_file(path, backbone, size), name
    if not path.is_dir():
        raise InputError(
            f"{what}: no checkpoint, run folder or weights file; or give 'random' or 'imagenet'"
        )
    checkpoint = path if (path / checkpoints.ENCODER).is_file() else _newest_of_run(path)
    if checkpoint is None:
        raise InputError(f"{what}: no complete checkpoint in this folder")
    reason = complete.why_not(checkpoint)
    if reason:
        raise InputError(f"{checkpoint}: incomplete checkpoint: {reason}")
    run = path.resolve()
    word = _checkpoint_word(run) if checkpoint == path else f"{run.name}-{checkpoint.name}"
    return Encoder.load(checkpoint / checkpoints.ENCODER), word


def _newest_of_run(folder: Path) -> Path | None:
    """Raises InputError where the folder holds several runs: an epoch is no choice among those."""
    there = [path for path in checkpoints.all_of(folder) if not checkpoints.is_partial(path)]
    runs = sorted({checkpoints.run_of(checkpoint) for checkpoint in there})
    if len(runs) > 1:
        raise InputError(f"{folder}: holds {len(runs)} runs, {runs[0]} among them; name one")
    return checkpoints.newest(folder)


def _checkpoint_word(checkpoint: Path) -> str:
    return f"{checkpoint.parent.name}-{checkpoint.name}"


def _from_file(path: Path, backbone: str, size: int) -> Encoder:
    if path.suffix != ".safetensors":
        return foreign(path, backbone, size)
    about, _ = read_safetensors(path)
    return Encoder.load(path) if about else foreign(path, backbone, size)


def cached(backbone: str) -> Path:
    """The file of timm's own weights in the cache of Hugging Face. Else NotAtHandError."""
    check_backbone(backbone)
    config = timm.get_pretrained_cfg(backbone)
    if config is None or not config.hf_hub_id:
        raise NotAtHandError(f"imagenet: timm has no weights of {backbone}; choose another")
    for name in HUB_FILES:
        found = try_to_load_from_cache(config.hf_hub_id, name)
        if isinstance(found, str):
            return Path(found)
    raise NotAtHandError(
        f"imagenet: weights of timm's {backbone}.{config.tag} are not in the cache; download "
        f"{HUB_FILES[0]} of https://huggingface.co/{config.hf_hub_id} and give it by "
        "--imagenet-weights FILE"
    )


def foreign(path: Path, backbone: str, size: int) -> Encoder:
    """An encoder from weights that another program stored of a timm model.

    A first convolution of three channels is summed into one. A model for images of one size is
    built for the size of timm's weights, and then set to `size` by timm, where it can. Input is
    normalised by the mean over the channels of what timm's weights of it were trained with.
    Raises InputError where names or shapes do not fit, the classifier apart, or `size` does not.
    """
    check_backbone(backbone)
    config = timm.get_pretrained_cfg(backbone, allow_unregistered=True) or PretrainedCfg()
    model = timm.create_model(backbone, in_chans=1, num_classes=0)
    weights = read_weights(path)
    for name in set(weights) - set(model.state_dict()):
        if any(name.startswith(f"{head}.") for head in _names(config.classifier)):
            del weights[name]
    for name in _names(config.first_conv):
        _one_channel(weights, f"{name}.weight", model, str(path))
    fit(model, weights, f"{path}: weights do not fit {backbone}")
    if has_fixed_size(backbone) and size != config.input_size[-1]:
        if not hasattr(model, "set_input_size"):
            own = config.input_size[-1]
            raise InputError(f"{backbone}: timm cannot change the size of its weights; use {own}")
        model.set_input_size(img_size=size)
    mean, std = (sum(values) / len(values) for values in (config.mean, config.std))
    encoder = Encoder(backbone, size, round(mean, 6), round(std, 6))
    encoder.model.load_state_dict(model.state_dict())
    return encoder


def _names(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _one_channel(weights: dict[str, Tensor], name: str, model: nn.Module, where: str) -> None:
    """Sums three channels into one, as timm does; InputError for another number."""
    wanted, given = model.state_dict().get(name), weights.get(name)
    if wanted is None or given is None or given.ndim != 4 or wanted.shape == given.shape:
        return  # whatever else is wrong with it, `fit` tells
    if given.shape[1] != 3 * wanted.shape[1]:
        raise InputError(
            f"{where}: weights for images of {given.shape[1]} channels ({name!r}); "
            "those for 1 or 3 can be used"
        )
    weights[name] = adapt_input_conv(1, given)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a safetensors file or of a file of `torch.save`; runs no code of it."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1]
    try:
        with warnings.catch_warnings(action="ignore"):  # it may not know the format's age
            stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: no weights file, or one that holds pickled code, which is not run; "
            "store the state_dict alone, best as safetensors"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except DAMAGED as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a whole weights file ({reason})") from error
    for wrapper in WRAPPERS:
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            stored = stored[wrapper]
    if not isinstance(stored, dict) or not all(
        isinstance(name, str) and isinstance(t, Tensor) for name, t in stored.items()
    ):
        raise InputError(f"{path}: holds no state_dict (names and tensors)")
    return {name.removeprefix("module."): tensor for name, tensor in stored.items()}
