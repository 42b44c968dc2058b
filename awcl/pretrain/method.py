"""The contract between a pre-training method and the loop."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from awcl.config import Config, TrialConfig, parse
from awcl.data.batches import Batches
from awcl.data.views import FrameViews
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy


@dataclass
class Batch:
    """A worker's part of a batch, on its device.

    views: (B, V, 1, S, S) uint8; frames: (B,) numbers of the frames among those pre-trained on.
    """

    views: Tensor
    frames: Tensor

    def to(self, device: torch.device) -> "Batch":
        views = self.views.to(device, non_blocking=True)
        return Batch(views, self.frames.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return Batch(self.views.pin_memory(), self.frames.pin_memory())


class Net(nn.Module):
    """head(f(x)): what is trained. encoder is what is kept in the end."""

    def __init__(self, encoder: Encoder, head: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) uint8 to (N, outputs)."""
        return self.head(self.encoder(x))


def on_sphere(outputs: Tensor) -> Tensor:
    """(n, D) outputs of a network at length 1, in float32 or better."""
    exact = torch.promote_types(outputs.dtype, torch.float32)
    return nn.functional.normalize(outputs.to(exact), dim=1)


class Method(ABC):
    """One way to pre-train. The loop calls, for each step:

    outputs = net(method.inputs(batch)); loss, metrics = method.loss(outputs, batch);
    backward; optimizer step; method.after_step().

    `loss` is a function of the network's outputs, so that the loop alone decides how they are
    computed (in one piece, on several workers, in chunks: awcl/pretrain/cached.py). It is called
    once a step; a network that it runs itself goes through config.pretrain.chunks chunks, too.

    config: canonical. frames: those to pre-train on, a row each. labels_used: how many of their
    anatomy labels the method reads.
    """

    class Settings(Config):
        """Hyper-parameters of this method alone; a field `queue` is the flag `--method.queue`."""

    kind: ClassVar[Literal["pairs", "labelled pairs", "supervised"]] = "pairs"
    """What a report takes it for: pairs contrasts pairs of any frames, by labels where
    pretrain.positives says so; labelled pairs those of labelled frames alone; supervised learns
    classes."""
    own_pairs: ClassVar[str] = ""
    """Whom it pairs, in words, where it reads neither pretrain.positives nor data.sampler."""
    labels_used = 0

    def __init__(self, config: TrialConfig, frames: pd.DataFrame, taxonomy: Taxonomy):
        self.config, self.frames, self.taxonomy = config, frames, taxonomy
        self.settings = self.settings_of(config)

    @classmethod
    def settings_of(cls, config: TrialConfig) -> Config:
        """`config.method` as Settings. Raises InputError for what the method does not have."""
        given, method = config.method.model_dump(), f"pretrain.method {config.pretrain.method}"
        known = cls.Settings.model_fields
        for name in given:
            if name not in known:
                has = ", ".join(f"method.{known_name}" for known_name in known) or "none of its own"
                raise InputError(f"method.{name}: no setting of {method}, which has {has}")
        return parse(cls.Settings, given, method)

    @classmethod
    def canonical(cls, config: TrialConfig) -> TrialConfig:
        """The configuration with fields that this method does not read at their defaults, so that
        two that mean the same have one key."""
        return config

    @abstractmethod
    def sampler(self) -> Batches:
        """Which frames make the batches. Where an item is made of several frames, `epoch` gives
        (steps, batch, frames of an item); the first one names the item."""

    @staticmethod
    def make_views(images: list[np.ndarray], views: FrameViews) -> np.ndarray:
        """(V, S, S) uint8 views of an item from its frames (H, W) uint8: two of the first frame."""
        return np.stack([views.view(images[0], 0), views.view(images[0], 1)])

    @abstractmethod
    def modules(self, encoder: Encoder) -> Net:
        """The network to train: this encoder, which may come with weights (model.init), under a
        head that is newly initialised from torch's global generator."""

    def inputs(self, batch: Batch) -> Tensor:
        """(n, 1, S, S): what goes through the network; all views, those of a frame together."""
        return batch.views.flatten(0, 1)

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """This worker's mean loss, and more to report as scalar tensors on the device.

        outputs: (n, outputs), of `inputs`.
        """

    @abstractmethod
    def groups(self) -> np.ndarray:
        """(frames,) ids; frames with equal ids count as positives in the epoch's report."""

    def to(self, device: Any) -> None:
        """Moves what is not part of the network (labels, queues) to the device.

        Called once the network of `modules` is there too, and has the weights that it begins with.
        """

    def after_step(self) -> None:
        """After each optimizer step (momentum encoders, queues)."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs besides network and optimizer: tensors, also in dictionaries."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; its tensors are on the processor."""
