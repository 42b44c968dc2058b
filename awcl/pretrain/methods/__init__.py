"""Pre-training methods: one file each, found by name; the loop is the same for all.

A file `NAME.py` here defines a class `Method` that derives from `awcl.pretrain.method.Method`, and
`--pretrain.method NAME` finds it.
"""

import importlib
import pkgutil

import pandas as pd

from awcl.config import TrialConfig
from awcl.errors import InputError
from awcl.pretrain.method import Method
from awcl.taxonomy import Taxonomy


def build(config: TrialConfig, frames: pd.DataFrame, taxonomy: Taxonomy) -> Method:
    """The configured method over the frames to pre-train on. Raises InputError for no such one."""
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    name = config.pretrain.method
    if name not in known:
        raise InputError(f"pretrain.method {name!r}: choose one of {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}").Method(config, frames, taxonomy)
