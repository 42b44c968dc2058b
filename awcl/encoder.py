"""The encoder f: a timm backbone on one channel; its weights in and out, its features."""

import difflib
import json
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized
from torch import Tensor, nn

from awcl.data.pack import FramePack
from awcl.errors import InputError, NotFiniteError

MEAN, STD = 0.449, 0.226  # grey mean and spread of ImageNet, so that its weights transfer
ABOUT = {"backbone": str, "size": int, "mean": float, "std": float}  # what loading needs to know


class Encoder(nn.Module):
    """h = f(x). x: (B, 1, H, W) uint8, or float in 0..1; h: (B, width).

    backbone: any timm model; size: side of x in pixels, for backbones that are built for one size.
    mean, std: what grey values in 0..1 are normalised by; others than ours only with weights that
    were trained with others. Raises InputError for a name that timm does not know, with the nearest
    that it does.
    """

    def __init__(self, backbone: str, size: int, mean: float = MEAN, std: float = STD):
        super().__init__()
        check_backbone(backbone)
        self.backbone, self.size, self.mean, self.std = backbone, size, mean, std
        options = {"img_size": size} if has_fixed_size(backbone) else {}
        self.model = timm.create_model(backbone, in_chans=1, num_classes=0, **options)
        self.width = self._width()

    def _width(self) -> int:
        """Of the features; some heads are wider than the features before them."""
        self.model.eval()
        try:
            with torch.no_grad():
                return self.model(torch.zeros(1, 1, self.size, self.size)).shape[1]
        except (RuntimeError, AssertionError) as error:  # as backbones refuse sizes
            reason = str(error).partition("\n")[0] or "it says no more"
            raise InputError(
                f"model.backbone {self.backbone} does not take images of {self.size} px, data.size "
                f"({reason}); choose another size or backbone"
            ) from error
        finally:
            self.model.train()

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.normalised(x))

    def normalised(self, x: Tensor) -> Tensor:
        """What the backbone is given for x."""
        if x.dtype == torch.uint8:
            x = x.float().div_(255)
        return (x - self.mean) / self.std

    def save(self, path: Path) -> None:
        """safetensors with timm's own key names; what is needed to load it is in the metadata.

        Equal weights give equal bytes: safetensors writes metadata in any order, so it is one entry
        of JSON here.
        """
        about = {
            "format": "awcl-encoder-1",
            "backbone": self.backbone,
            "size": self.size,
            "in_chans": 1,
            "mean": self.mean,
            "std": self.std,
        }
        weights = {name: t.contiguous() for name, t in self.model.state_dict().items()}
        path.write_bytes(serialized(weights, metadata={"awcl": json.dumps(about)}))

    @classmethod
    def load(cls, path: Path) -> "Encoder":
        """Reads what `save` wrote. Raises InputError for anything else; executes no code."""
        about, weights = _read(path)
        encoder = cls(about["backbone"], about["size"], about["mean"], about["std"])
        fit(encoder.model, weights, f"{path}: weights do not fit {encoder.backbone}")
        return encoder

    def restore(self, path: Path) -> None:
        """Puts the weights of a file into this encoder. Raises InputError where they do not fit."""
        about, weights = _read(path)
        if about["backbone"] != self.backbone:
            raise InputError(f"{path}: weights of {about['backbone']}, not of {self.backbone}")
        fit(self.model, weights, f"{path}: weights do not fit {self.backbone}")


def fit(model: nn.Module, weights: dict[str, Tensor], wrong: str) -> None:
    """Puts weights into a model. Raises InputError: `wrong`, and the first name that misfits."""
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            raise InputError(f"{wrong}: {name!r} is missing")
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
            raise InputError(f"{wrong}: {name!r} is {shapes}")
    for name in weights:
        if name not in wanted:
            raise InputError(f"{wrong}: {name!r} is unexpected")
    model.load_state_dict(weights)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and weights of a file that `Encoder.save` wrote."""
    about, weights = read_safetensors(path)
    if about is None:
        raise InputError(f"{path}: no encoder of this program (no awcl metadata)")
    return about, weights


def read_safetensors(path: Path) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """What `Encoder.save` wrote about the encoder, None where another program wrote the file, and
    the weights. Raises InputError where it is no safetensors file, or cut off."""
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _about(file.metadata() or {}), weights
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error


def _about(metadata: dict[str, str]) -> dict[str, Any] | None:
    """What `Encoder.save` wrote about an encoder, or None where it did not write it."""
    try:
        about = {"mean": MEAN, "std": STD, **json.loads(metadata["awcl"])}
        ours = about["format"] == "awcl-encoder-1"
        whole = all(isinstance(about[name], kind) for name, kind in ABOUT.items())
        return about if ours and whole else None
    except (KeyError, TypeError, json.JSONDecodeError):
        return None


def check_backbone(name: str) -> None:
    """Raises InputError for a name that timm does not know, with the nearest that it does."""
    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise InputError(f"model.backbone {name!r}: no such timm model{hint}")


def has_fixed_size(backbone: str) -> bool:
    """Whether timm builds it for images of one size."""
    config = timm.get_pretrained_cfg(backbone, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)


@torch.inference_mode()
def features(encoder: Encoder, pack: FramePack, rows: np.ndarray, batch: int = 128) -> np.ndarray:
    """(len(rows), width) float32 features of whole frames, BatchNorm in evaluation mode.

    In float32 throughout (no bfloat16, no TF32), so that a judgement depends less on the machine.
    Raises NotFiniteError where they are not finite.
    """
    device = next(encoder.parameters()).device
    was_training, tf32 = encoder.training, torch.backends.cudnn.allow_tf32
    encoder.eval()
    torch.backends.cudnn.allow_tf32 = False
    parts = []
    for start in range(0, len(rows), batch):
        views = np.stack([pack.evaluation_view(row) for row in rows[start : start + batch]])
        x = torch.from_numpy(views)[:, None].to(device, memory_format=torch.channels_last)
        parts.append(encoder(x).float().cpu().numpy())
    encoder.train(was_training)
    torch.backends.cudnn.allow_tf32 = tf32
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
        raise NotFiniteError("the encoder's features are not finite; its training has diverged")
    return found
