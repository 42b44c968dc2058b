"""Cross-entropy on the anatomy labels that AWCL may use: the honest rival.

Same labels (ratio, granularity), same views, same number of steps; only labelled frames are drawn,
more often where there are few of them. Khosla et al. 2020 hold supervised contrastive learning
against it; the paper of AWCL has no such row. Differs, on purpose, from theirs: views, two a frame,
schedule and batch are those of all methods here, none of its own.
"""

import pandas as pd
import torch
from torch import Tensor, nn

from awcl.config import with_defaults
from awcl.data.batches import Batches
from awcl.encoder import Encoder
from awcl.pretrain import method
from awcl.pretrain.groups import group_ids
from awcl.pretrain.labelled import class_names, labelled_batches, refuse_ratio_0


class Method(method.Method):
    kind = "supervised"
    own_pairs = "-"

    def __init__(self, config, frames, taxonomy):
        super().__init__(config, frames, taxonomy)
        self.names = class_names(config, frames, taxonomy)
        codes, self.classes = pd.factorize(self.names, sort=True)
        self.labels = torch.from_numpy(codes).long()
        self.labels_used = int(self.names.notna().sum())

    @classmethod
    def canonical(cls, config):
        refuse_ratio_0(config)
        changed = {
            "model": with_defaults(config.model, "projection"),
            "pretrain": with_defaults(config.pretrain, "positives", "temperature"),
            "data": with_defaults(config.data, "sampler"),
        }
        return config.model_copy(update=changed)

    def groups(self):
        """The classes, so that its report can be held beside that of AWCL."""
        return group_ids(self.names)

    def sampler(self) -> Batches:
        return labelled_batches(self.config, self.names)

    def modules(self, encoder: Encoder) -> method.Net:
        return method.Net(encoder, nn.Linear(encoder.width, len(self.classes)))

    def to(self, device) -> None:
        self.labels = self.labels.to(device)

    def loss(self, outputs: Tensor, batch: method.Batch) -> tuple[Tensor, dict[str, Tensor]]:
        labels = self.labels[batch.frames].repeat_interleave(batch.views.shape[1])
        accuracy = (outputs.argmax(1) == labels).float().mean()
        return nn.functional.cross_entropy(outputs.float(), labels), {"train/accuracy": accuracy}
