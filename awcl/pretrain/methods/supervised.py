"""Cross-entropy on the anatomy labels that AWCL may use: the honest rival.

Same labels (ratio, granularity), same views, same number of steps; only labelled frames are drawn,
more often where there are few of them.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from awcl.config import with_defaults
from awcl.data.batches import Batches
from awcl.data.labels import usable_labels
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.pretrain import method


class Method(method.Method):
    def __init__(self, config, frames, taxonomy):
        super().__init__(config, frames, taxonomy)
        level = config.anatomy.granularity
        usable = usable_labels(frames, config.anatomy, taxonomy, config.seed)
        names = frames["anatomy"].where(usable).map(lambda name: taxonomy.at(name, level))
        codes, self.classes = pd.factorize(names, sort=True)
        self.labels = torch.from_numpy(codes.astype(np.int64))
        self.labels_used = int((codes >= 0).sum())
        if len(self.classes) < 2:
            raise InputError(
                f"pretrain.method supervised: {len(self.classes)} classes with usable labels at "
                f"granularity {level}; it needs two (anatomy.ratio, anatomy.granularity)"
            )

    @classmethod
    def canonical(cls, config):
        changed = {
            "model": with_defaults(config.model, "projection"),
            "pretrain": with_defaults(config.pretrain, "positives", "temperature"),
            "data": with_defaults(config.data, "sampler"),
        }
        return config.model_copy(update=changed)

    def groups(self):
        """The classes, so that its report can be held beside that of AWCL."""
        labels = self.labels.cpu().numpy()
        return np.where(labels < 0, len(self.classes) + np.arange(len(labels)), labels)

    def sampler(self) -> Batches:
        labelled = np.flatnonzero(self.labels.cpu().numpy() >= 0)
        return Batches(
            len(self.frames), self.config.pretrain.batch, self.config.seed, only=labelled
        )

    def modules(self, encoder: Encoder) -> method.Net:
        return method.Net(encoder, nn.Linear(encoder.width, len(self.classes)))

    def to(self, device) -> None:
        self.labels = self.labels.to(device)

    def loss(self, outputs: Tensor, batch: method.Batch) -> tuple[Tensor, dict[str, Tensor]]:
        labels = self.labels[batch.frames].repeat_interleave(batch.views.shape[1])
        accuracy = (outputs.argmax(1) == labels).float().mean()
        return nn.functional.cross_entropy(outputs.float(), labels), {"train/accuracy": accuracy}
