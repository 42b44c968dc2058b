"""USCL: a pair of mixtures of three frames of one video (Chen et al., MICCAI 2021).

    view 1 = lam f1 + (1 - lam) f2,   view 2 = lam f3 + (1 - lam) f2,   lam ~ Beta(0.5, 0.5)

f1, f2, f3 are different frames of a scan, each augmented once, then mixed; f2 is the anchor and
names the item. The loss is NT-Xent over the mixtures.

A video is here what the frame table calls a scan. Batches go round the scans in an order that is
drawn anew for each epoch, so each scan comes as often as any other, give or take one, in a batch
and in an epoch: where there are as many scans as the batch is large, once a batch, as in the paper.
Where there are fewer, pairs of one scan meet in a batch; they are positives of each other, since
the paper's negatives are other videos.

Differs from the authors' code: their cross-entropy on the labels that there are is left out, so
that no label is read; a scan of one or two frames mixes them with repetition, where theirs takes
them unmixed; mixtures are rounded to uint8; projector, schedule and augmentation are those of all
methods here. Their temperature is 0.5.
"""

from functools import lru_cache

import numpy as np

from awcl import hashing
from awcl.config import with_defaults
from awcl.data.batches import Batches
from awcl.data.views import FrameViews
from awcl.pretrain.methods import groups

ALPHA = 0.5  # of the Beta distribution: mostly one of the two frames, sometimes both


class Method(groups.Method):
    own_pairs = "mixed frames of a scan"

    @classmethod
    def canonical(cls, config):
        """Positives are those of the same scan, whatever else is asked for; no label is read."""
        pretrain = config.pretrain.model_copy(update={"positives": "scan"})
        data = with_defaults(config.data, "sampler")
        return super().canonical(config.model_copy(update={"pretrain": pretrain, "data": data}))

    def sampler(self) -> Batches:
        batch, seed = self.config.pretrain.batch, self.config.seed
        return Triples(len(self.frames), batch, seed, groups=self.groups())

    @staticmethod
    def make_views(images: list[np.ndarray], views: FrameViews) -> np.ndarray:
        """(2, S, S) uint8: two mixtures of the views of the anchor f2 and of f1 and f3."""
        anchor, first, third = (
            views.view(image, number).astype(np.float32) for number, image in enumerate(images)
        )
        lam = views.rng(0).beta(ALPHA, ALPHA)
        mixed = [lam * other + (1 - lam) * anchor for other in (first, third)]
        return np.rint(mixed).astype(np.uint8)


class Triples(Batches):
    """Batches of items of three frames of one group (f2, f1, f3), as even over groups as can be."""

    @lru_cache(maxsize=1)  # noqa: B019 - as of Batches
    def epoch(self, epoch: int) -> np.ndarray:
        """(steps, batch, 3) frame numbers."""
        rng = np.random.default_rng([hashing.uint64("triples", self.seed), epoch])
        order = rng.permutation(list(self.members))
        # Any stretch of a round has each group as often as any other, give or take one.
        drawn = np.resize(order, self.steps * self.batch)
        items = [three_of(self.members[group], rng) for group in drawn]
        return np.array(items).reshape(self.steps, self.batch, 3)


def three_of(members: list[int], rng: np.random.Generator) -> list[int]:
    """Three members in random order; different ones where there are three."""
    return [members[place] for place in rng.choice(len(members), 3, replace=len(members) < 3)]
