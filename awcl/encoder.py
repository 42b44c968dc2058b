"""The encoder f: a timm backbone on one channel; its weights in and out, its features."""

import difflib
import json
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from awcl import records
from awcl.data.pack import FramePack
from awcl.errors import InputError

MEAN, STD = 0.449, 0.226  # grey mean and spread of ImageNet, so that its weights transfer


class Encoder(nn.Module):
    """h = f(x). x: (B, 1, H, W) uint8, or float in 0..1; h: (B, width).

    backbone: any timm model; size: side of x in pixels, for backbones that are built for one size.
    Raises InputError for a name that timm does not know, with the nearest that it does.
    """

    def __init__(self, backbone: str, size: int):
        super().__init__()
        check_backbone(backbone)
        self.backbone, self.size = backbone, size
        options = {"img_size": size} if _fixed_size(backbone) else {}
        self.model = timm.create_model(backbone, in_chans=1, num_classes=0, **options)
        self.width = self.model.num_features
        with torch.no_grad():  # some heads are wider than the features before them
            self.model.eval()
            self.width = self.model(torch.zeros(1, 1, size, size)).shape[1]
            self.model.train()

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.uint8:
            x = x.float().div_(255)
        return self.model((x - MEAN) / STD)

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
            "mean": MEAN,
            "std": STD,
        }
        weights = {name: t.contiguous() for name, t in self.model.state_dict().items()}
        try:
            save_file(weights, path, metadata={"awcl": json.dumps(about)})
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(f"{path.name}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> "Encoder":
        """Reads what `save` wrote. Raises InputError for anything else; executes no code."""
        about, _ = _read(path)
        encoder = cls(about["backbone"], about["size"])
        encoder.restore(path)
        return encoder

    def restore(self, path: Path) -> None:
        """Puts the weights of a file into this encoder. Raises InputError where they do not fit."""
        about, weights = _read(path)
        if about["backbone"] != self.backbone:
            raise InputError(f"{path}: weights of {about['backbone']}, not of {self.backbone}")
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(f"{path}: weights do not fit {self.backbone}") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Metadata and weights of a file that `Encoder.save` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            about = _about(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error
    if about is None:
        raise InputError(f"{path}: no encoder of this program (no awcl metadata)")
    return about, weights


def _about(metadata: dict[str, str]) -> dict[str, Any] | None:
    """What `Encoder.save` wrote about an encoder, or None where it did not write it."""
    try:
        about = json.loads(metadata["awcl"])
        ours = about["format"] == "awcl-encoder-1" and isinstance(about["backbone"], str)
        return about if ours and isinstance(about["size"], int) else None
    except (KeyError, TypeError, json.JSONDecodeError):
        return None


def check_backbone(name: str) -> None:
    """Raises InputError for a name that timm does not know, with the nearest that it does."""
    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise InputError(f"model.backbone {name!r}: no such timm model{hint}")


def _fixed_size(backbone: str) -> bool:
    config = timm.get_pretrained_cfg(backbone, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)


def find_encoder(what: str, backbone: str, size: int, seed: int = 0) -> tuple[Encoder, str]:
    """The encoder that a user names, and a word for it.

    what: a checkpoint, a run's folder (its newest complete checkpoint), a weights file that this
    program wrote, or 'random' (an untrained `backbone`, drawn by `seed`).
    Raises InputError where there is none.
    """
    if what == "random":
        torch.manual_seed(seed)
        return Encoder(backbone, size), "random"
    path = Path(what)
    if path.is_file():
        return Encoder.load(path), path.name
    if not path.is_dir():
        raise InputError(f"{what}: no checkpoint, run folder or weights file; or give 'random'")
    checkpoint = path if (path / records.ENCODER).is_file() else records.newest_checkpoint(path)
    if checkpoint is None:
        raise InputError(f"{what}: no complete checkpoint in this folder")
    reason = records.why_incomplete(checkpoint)
    if reason:
        raise InputError(f"{checkpoint}: incomplete checkpoint: {reason}")
    return Encoder.load(checkpoint / records.ENCODER), checkpoint.name


@torch.inference_mode()
def features(encoder: Encoder, pack: FramePack, rows: np.ndarray, batch: int = 128) -> np.ndarray:
    """(len(rows), width) float32 features of whole frames, BatchNorm in evaluation mode.

    In float32 throughout (no bfloat16, no TF32), so that a judgement depends less on the machine.
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
    return np.concatenate(parts)
