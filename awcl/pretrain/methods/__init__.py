"""Pre-training methods: one file each, found by name; the loop is the same for all.

A file `NAME.py` here defines a class `Method` that derives from `awcl.pretrain.method.Method`, and
`--pretrain.method NAME` finds it. Hyper-parameters of its own are the fields of its `Settings`,
and so flags `--method.FIELD`, axes "method.FIELD" of a study, and part of a trial's key where they
differ from their defaults.
"""

import importlib
import math
import pkgutil

import pandas as pd

from awcl.config import (
    LR_BATCH,
    AnatomyConfig,
    DataConfig,
    MethodConfig,
    ModelConfig,
    PretrainConfig,
    TrialConfig,
    with_defaults,
)
from awcl.errors import InputError
from awcl.pretrain.method import Method
from awcl.taxonomy import Taxonomy


def names() -> list[str]:
    """Every method there is."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def find(name: str) -> type[Method]:
    """The method of this name. Raises InputError, with those there are, for no such one."""
    if name not in names():
        raise InputError(f"pretrain.method {name!r}: choose one of {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}").Method


def build(config: TrialConfig, frames: pd.DataFrame, taxonomy: Taxonomy) -> Method:
    """The configured method over the frames to pre-train on.

    Raises InputError for no such method, and for what it cannot work with.
    """
    epochs, warmup = config.pretrain.epochs, config.pretrain.warmup
    if warmup >= max(2, epochs):  # an epoch alone may be all warm-up
        raise InputError(f"pretrain.warmup {warmup} leaves none of {epochs} epochs after it")
    return find(config.pretrain.method)(canonical(config), frames, taxonomy)


def canonical(config: TrialConfig) -> TrialConfig:
    """The same trial with every field that it does not read at its default, and the method's own
    settings in full; equal trials are equal.

    Raises InputError for no such method, or for values that it cannot work with.
    """
    if config.pretrain.epochs == 0:
        return _untrained(config)
    method = find(config.pretrain.method)
    settings = method.settings_of(config).model_dump()
    config = config.model_copy(update={"method": MethodConfig(**settings)})
    if config.anatomy.ratio == 1:  # all frames and all patients are the same labels
        anatomy = with_defaults(config.anatomy, "ratio_unit")
        config = config.model_copy(update={"anatomy": anatomy})
    return _without_fine_weight(method.canonical(_as_carried_out(config)))


def defaults(name: str) -> TrialConfig:
    """The default trial, with the default settings of this method."""
    return TrialConfig(method=MethodConfig(**find(name).Settings().model_dump()))


def _without_fine_weight(config: TrialConfig) -> TrialConfig:
    """Only hierarchical positives have two levels to weigh."""
    if config.pretrain.positives == "hierarchical":
        return config
    anatomy = with_defaults(config.anatomy, "fine_weight")
    return config.model_copy(update={"anatomy": anatomy})


def _as_carried_out(config: TrialConfig) -> TrialConfig:
    """Fields of `pretrain` as they take effect, so that what is the same training has one key.

    `chunk`: the frames of the largest chunk, 0 where there is one; chunks of 40 of 64 frames are
    two of 32, as with 32. `sync_batchnorm`: not with one worker. `lr_rule`: none where the batch is
    the one that `lr` is given for.
    """
    pretrain, share = config.pretrain, config.pretrain.batch // config.pretrain.workers
    effect = {
        "chunk": math.ceil(share / pretrain.chunks) if pretrain.chunks > 1 else 0,
        "sync_batchnorm": pretrain.sync_batchnorm and pretrain.workers > 1,
        "lr_rule": "none" if pretrain.batch == LR_BATCH else pretrain.lr_rule,
    }
    return config.model_copy(update={"pretrain": pretrain.model_copy(update=effect)})


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
