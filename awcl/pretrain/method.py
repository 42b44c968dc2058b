"""The contract between a pre-training method and the loop."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from awcl.config import TrialConfig
from awcl.data.batches import Batches
from awcl.data.views import FrameViews
from awcl.encoder import Encoder
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


class Method(ABC):
    """One way to pre-train. The loop calls, for each step:

    outputs = net(all views of the batch); loss, metrics = method.loss(outputs, batch);
    backward; optimizer step; method.after_step().

    `loss` is a function of the network's outputs, so that the loop alone decides how they are
    computed (in one piece, on several workers, in pieces with a gradient cache).
    """

    def __init__(self, config: TrialConfig, frames: pd.DataFrame, taxonomy: Taxonomy):
        self.config, self.frames, self.taxonomy = config, frames, taxonomy

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

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """This worker's mean loss, and more to report as scalar tensors on the device.

        outputs: (B * V, outputs), the V views of a frame one after the other.
        """

    @abstractmethod
    def groups(self) -> np.ndarray:
        """(frames,) ids; frames with equal ids count as positives in the epoch's report."""

    def to(self, device: Any) -> None:
        """Moves what is not part of the network (labels, queues) to the device."""

    def after_step(self) -> None:
        """After each optimizer step (momentum encoders, queues)."""

    def state_dict(self) -> dict[str, Tensor]:
        """What a resumed run needs besides network and optimizer."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        pass
