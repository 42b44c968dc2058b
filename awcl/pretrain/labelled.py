"""For methods that learn from labelled frames alone: which these are, and of which class."""

import numpy as np
import pandas as pd

from awcl.config import TrialConfig
from awcl.data.batches import Batches
from awcl.data.labels import label_classes
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy


def class_names(
    config: TrialConfig, frames: pd.DataFrame, taxonomy: Taxonomy, background: bool = False
) -> pd.Series:
    """The class of each frame, null where no label of it may be used.

    By the labels that AWCL has at the same ratio and granularity; background: and one class of
    those that name no anatomy. Raises InputError for fewer than two classes.
    """
    names = label_classes(frames, config.anatomy, taxonomy, config.seed, background=background)
    if (many := names.nunique()) < 2:
        raise InputError(
            f"pretrain.method {config.pretrain.method}: {many} class{'es' * (many != 1)} with "
            f"usable labels at granularity {config.anatomy.granularity} and ratio "
            f"{config.anatomy.ratio:g}; it needs two (anatomy.ratio, anatomy.granularity)"
        )
    return names


def labelled_batches(config: TrialConfig, names: pd.Series) -> Batches:
    """Batches of frames that have a class, in as many steps as all frames would make."""
    labelled = np.flatnonzero(names.notna())
    return Batches(len(names), config.pretrain.batch, config.seed, only=labelled)


def refuse_ratio_0(config: TrialConfig) -> None:
    """Raises InputError where no label may be used."""
    if config.anatomy.ratio == 0:
        method = config.pretrain.method
        raise InputError(f"anatomy.ratio 0 leaves pretrain.method {method} no label to learn from")
