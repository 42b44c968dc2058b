"""Contrastive learning over groups: SimCLR, patient contrast and AWCL in one.

pretrain.positives says who is positive to whom:
  self           SimCLR (Chen et al. 2020): two views of a frame
  patient, scan  contrast with metadata (MedAug, Vu et al. 2021; CLOCS, Kiyasseh et al. 2021)
  anatomy        AWCL (Fu et al. 2022) at anatomy.granularity coarse or fine
  hierarchical   fine and coarse together, anatomy.fine_weight of it fine (beyond the paper)

Differs, on purpose, from the authors' code of
  AWCL    the switch between L_c and L_A is per anchor and not per batch; an unlabelled frame is
          positive to itself only and not to all other unlabelled ones; background is no anatomy; no
          base temperature scales the loss; batches are drawn without replacement from all frames.
          Their temperature is 0.5, their learning rate constant
  SimCLR  a projector of two layers and not three; no LARS, whose use is batches of thousands
  MedAug  all frames of the patient in the batch are positives and not one drawn for each anchor;
          the other frames of the batch are negatives and not a queue (for that: moco). Their
          temperature is 0.2
  CLOCS   frames have neither leads nor an order in time: any two of a patient, or scan, are a pair,
          and its pairs across views are those of this loss
Schedule, augmentation and temperature are those of all methods here, unless the study says.
"""

import torch
from torch import Tensor, nn

from awcl.config import with_defaults
from awcl.data.batches import Batches
from awcl.data.labels import label_classes
from awcl.encoder import Encoder
from awcl.errors import NoFramesError
from awcl.pretrain import method
from awcl.pretrain.groups import Grouping, groupings
from awcl.pretrain.loss import group_loss


class Method(method.Method):
    def __init__(self, config, frames, taxonomy):
        super().__init__(config, frames, taxonomy)
        if config.pretrain.positives in ("anatomy", "hierarchical"):
            level = self._level(config)
            read = label_classes(frames, config.anatomy, taxonomy, config.seed, level=level)
            self.labels_used = int(read.notna().sum())
        positives = config.pretrain.positives
        if positives in ("patient", "scan") and not frames[positives].dropna().duplicated().any():
            raise NoFramesError(
                f"no two of the frames are of one {positives} (column {positives} of their table)"
            )
        self.group_by(groupings(positives, frames, config.anatomy, taxonomy, config.seed))

    def group_by(self, found: list[Grouping]) -> None:
        """Whose views are positives. Sets `ids` (groupings, frames) int64, `weights` a grouping."""
        self.groupings = found
        self.weights = tuple(grouping.weight for grouping in found)
        self.ids = torch.stack([torch.from_numpy(grouping.ids) for grouping in found])

    @staticmethod
    def _level(config) -> str:
        """The coarsest level that labels are read at."""
        hierarchical = config.pretrain.positives == "hierarchical"
        return "coarse" if hierarchical else config.anatomy.granularity

    @classmethod
    def canonical(cls, config):
        """Ratio 0 is `self`; and what reads no anatomy has ratio 0, whatever the granularity."""
        anatomy, pretrain, data = config.anatomy, config.pretrain, config.data
        if pretrain.positives in ("anatomy", "hierarchical") and anatomy.ratio == 0:
            pretrain = pretrain.model_copy(update={"positives": "self"})
        if pretrain.positives in ("self", "patient", "scan"):
            anatomy = with_defaults(anatomy, "ratio_unit", "granularity", "held_out")
            anatomy = anatomy.model_copy(update={"ratio": 0.0})
        if pretrain.positives == "self":
            data = with_defaults(data, "sampler")  # a frame alone in its group has no partner
        if pretrain.positives == "hierarchical":
            anatomy = with_defaults(anatomy, "granularity")
        return config.model_copy(update={"anatomy": anatomy, "pretrain": pretrain, "data": data})

    def groups(self):
        return self.groupings[-1].ids  # the coarsest: its positives include all others

    def sampler(self) -> Batches:
        groups = self.groups() if self.config.data.sampler == "partners" else None
        batch, seed = self.config.pretrain.batch, self.config.seed
        return Batches(len(self.frames), batch, seed, groups=groups)

    def modules(self, encoder: Encoder) -> method.Net:
        projector = nn.Sequential(
            nn.Linear(encoder.width, encoder.width),
            nn.ReLU(inplace=True),
            nn.Linear(encoder.width, self.config.model.projection),
        )
        return method.Net(encoder, projector)

    def to(self, device) -> None:
        self.ids = self.ids.to(device)

    def loss(self, outputs: Tensor, batch: method.Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z = method.on_sphere(outputs)
        views = batch.views.shape[1]
        groups = self.ids[:, batch.frames].repeat_interleave(views, dim=1)
        return group_loss(z, groups, self.config.pretrain.temperature, self.weights), {}
