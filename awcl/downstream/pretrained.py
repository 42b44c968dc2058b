"""Which anatomy labels an encoder's pre-training used: what some tasks have to know of it."""

import numpy as np
from pydantic import Field

from awcl import warm
from awcl.config import AnatomyConfig, Config, TrialConfig, Where, with_defaults
from awcl.data.labels import label_classes
from awcl.data.pack import FramePack
from awcl.data.table import rows_where
from awcl.taxonomy import Taxonomy


class Pretrained(Config):
    """What pre-training read of the labels. A study says it of each of its trials."""

    anatomy: AnatomyConfig
    """Ratio 0: it read none. Its granularity is the coarsest level that labels were read at."""
    where: Where = {}
    """Frames of train that were pre-trained on."""
    seed: int = Field(0, ge=0)
    background: bool = Field(False, exclude_if=lambda value: not value)
    """It also read the labels that name no anatomy. Left out of what is stored where it did not, so
    that evaluations from before this field keep their names."""
    elsewhere: bool = False
    """It read none of these frames: an encoder that is untrained, or comes from other images."""

    @classmethod
    def of(cls, config: TrialConfig) -> "Pretrained | None":
        """Of a trial, whose configuration is canonical: what reads no label has ratio 0.

        None where it started from an encoder of which is not known what that was trained on.
        """
        if not warm.saw_no_frames(config.model.init):
            return None
        anatomy = with_defaults(config.anatomy, "taxonomy")  # a path; whoever reads this has it
        if config.pretrain.positives == "hierarchical":
            anatomy = anatomy.model_copy(update={"granularity": "coarse"})
        if config.pretrain.epochs == 0:
            anatomy = anatomy.model_copy(update={"ratio": 0.0})
        return cls(
            anatomy=anatomy,
            where=config.data.pretrain_where,
            seed=config.seed,
            background=config.method.model_dump().get("background", False),
            elsewhere=config.pretrain.epochs == 0,
        )

    def rows(self, pack: FramePack) -> np.ndarray:
        """Rows of the frames that were pre-trained on, or, elsewhere, that would have been."""
        return rows_where(pack.frames, {**self.where, "split": "train"})

    def seen(self, pack: FramePack) -> np.ndarray:
        """Rows of the frames that the encoder has seen."""
        return np.zeros(0, np.int64) if self.elsewhere else self.rows(pack)

    def labelled(self, pack: FramePack, taxonomy: Taxonomy) -> np.ndarray:
        """Rows of the frames whose label it used."""
        rows = self.rows(pack)
        frames = pack.frames.iloc[rows]
        read = label_classes(frames, self.anatomy, taxonomy, self.seed, background=self.background)
        return rows[read.notna()]
