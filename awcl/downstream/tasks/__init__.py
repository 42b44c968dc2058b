"""Downstream tasks: one file each, found by name.

A file `NAME.py` here that defines `Settings` (a TaskSettings) and `Task`
(the contract below) is a task; declaring it in a study is all that it needs.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Protocol

import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field, model_validator

from awcl.config import Config, TrialConfig, parse
from awcl.data.pack import FramePack
from awcl.downstream.pretrained import Pretrained
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

Suite = Literal["quick", "full", "none"]


class TaskSettings(Config):
    """What every task's `Settings` begins with."""

    runs_in: ClassVar[Suite] = "quick"
    """Of the commands that name no task, which runs it: every `awcl evaluate`, also with --quick;
    that without --quick alone; or none, since it takes so long that it is to be asked for."""

    task: str
    name: str = Field("", pattern=r"^[A-Za-z0-9_-]*$")
    """What its results are called; default the task's name. Two of a kind need two names."""
    quick: bool = True
    """The parts that are cheap enough for every trial of a study; False for the full suite."""
    pretrained: Pretrained | None = None
    """Which labels pre-training used; None: not known. A study fills it in (`for_trial`)."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        return {**data, "name": data.get("name") or data.get("task")}


class Task(Protocol):
    """One evaluation of an encoder. Its constructor checks the data and reads no encoder.

    predictions: after `run`, one row a test frame: frame_id, patient, audit_group, truth, and a
    column for each predictor, so that paired comparisons never evaluate again.
    about: facts of the task that are no scores, such as its classes.
    figures: after `run`, pictures by the names of their files; `Figure()` and not pyplot's, which
    would keep each of them for ever.
    """

    predictions: pd.DataFrame
    about: dict[str, Any]
    figures: dict[str, Figure]

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        """Yields (name, value); an interval of `name` is `name/low` and `name/high`."""
        ...


def names() -> list[str]:
    """Every task there is."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def settings(data: dict[str, Any] | str) -> TaskSettings:
    """Checked settings of a task from its name, or from a dictionary with `task` in it."""
    data = {"task": data} if isinstance(data, str) else data
    if data.get("task") not in names():
        raise InputError(f"task {data.get('task')!r}: choose one of {', '.join(names())}")
    return parse(_module(data["task"]).Settings, data, f"task {data['task']}")


def for_trial(settings: TaskSettings, config: TrialConfig) -> TaskSettings:
    """The settings with which labels the pre-training of this trial used, where they say nothing.

    config: canonical (`awcl.pretrain.methods.canonical`).
    """
    if settings.pretrained is not None:
        return settings
    return settings.model_copy(update={"pretrained": Pretrained.of(config)})


def build(settings: TaskSettings, pack: FramePack, taxonomy: Taxonomy) -> Task:
    """The task on these frames. Raises InputError where they do not allow it."""
    return _module(settings.task).Task(settings, pack, taxonomy)


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
