"""Pre-training methods: one file each, found by name; the loop is the same for all.

A file `NAME.py` here defines a class `Method` that derives from `awcl.pretrain.method.Method`, and
`--pretrain.method NAME` finds it.
"""

import importlib
import pkgutil

import pandas as pd

from awcl.config import (
    AnatomyConfig,
    DataConfig,
    ModelConfig,
    PretrainConfig,
    TrialConfig,
    with_defaults,
)
from awcl.errors import InputError
from awcl.pretrain.method import Method
from awcl.taxonomy import Taxonomy


def build(config: TrialConfig, frames: pd.DataFrame, taxonomy: Taxonomy) -> Method:
    """The configured method over the frames to pre-train on. Raises InputError for no such one."""
    return _class(config)(config, frames, taxonomy)


def canonical(config: TrialConfig) -> TrialConfig:
    """The same trial with every field that it does not read at its default; equal trials are equal.

    Raises InputError for no such method, or for values that it cannot work with.
    """
    if config.pretrain.epochs == 0:
        return _untrained(config)
    if config.anatomy.ratio == 1:  # all frames and all patients are the same labels
        anatomy = with_defaults(config.anatomy, "ratio_unit")
        config = config.model_copy(update={"anatomy": anatomy})
    return _class(config).canonical(config)


def _untrained(config: TrialConfig) -> TrialConfig:
    """Nothing of method, labels and augmentation is read; the taxonomy and `pretrain_where` are, by
    proxy and tasks. The seed stays also where it draws nothing: an arm has all seeds of its study.
    """
    model, data = config.model, config.data
    return TrialConfig(
        model=ModelConfig(backbone=model.backbone, init=model.init),
        anatomy=AnatomyConfig(taxonomy=config.anatomy.taxonomy),
        pretrain=PretrainConfig(epochs=0),
        data=DataConfig(size=data.size, pretrain_where=data.pretrain_where),
        seed=config.seed,
    )


def _class(config: TrialConfig) -> type[Method]:
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    name = config.pretrain.method
    if name not in known:
        raise InputError(f"pretrain.method {name!r}: choose one of {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}").Method
