"""SupCon: supervised contrastive learning on labelled frames alone (Khosla et al. 2020).

Positives of a view are all other views of its class in the batch, over all workers; the loss is
L_out (eq. 2 of the paper). Classes are the labels that AWCL has at the same anatomy.ratio and
granularity. What AWCL has beyond this method is the frames without a usable label: here only
labelled ones are drawn, more often where there are few of them, for as many steps.

Differs from the authors' code, on purpose: no base temperature scales the loss, and projector,
schedule and augmentation are those of all methods here. Their temperature is 0.07.
"""

from awcl.config import Config, with_defaults
from awcl.data.batches import Batches
from awcl.pretrain.groups import Grouping, group_ids
from awcl.pretrain.labelled import class_names, labelled_batches, refuse_ratio_0
from awcl.pretrain.methods import groups


class Method(groups.Method):
    kind = "labelled pairs"
    own_pairs = "anatomy, of labelled frames only"

    class Settings(Config):
        background: bool = False
        """Whether labels that name no anatomy make a class, too; one for all of them."""

    def __init__(self, config, frames, taxonomy):
        super().__init__(config, frames, taxonomy)
        self.names = class_names(config, frames, taxonomy, self.settings.background)
        self.labels_used = int(self.names.notna().sum())
        self.group_by([Grouping(group_ids(self.names))])

    @classmethod
    def canonical(cls, config):
        """Positives are those of the same class, and every frame that is drawn has many."""
        refuse_ratio_0(config)
        changed = {
            "pretrain": with_defaults(config.pretrain, "positives"),
            "data": with_defaults(config.data, "sampler"),
        }
        return config.model_copy(update=changed)

    def sampler(self) -> Batches:
        return labelled_batches(self.config, self.names)
