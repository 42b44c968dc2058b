"""A study as data: a base trial, axes, seeds, early stopping, tasks. No ray in here.

The same study twice gives the same bytes; `expand` is a pure function from it to its trials.
"""

import itertools
from typing import Any

from pydantic import Field, field_validator, model_validator

from awcl.config import Config, TrialConfig, Where, parse, with_values
from awcl.data.phantom.scan import Settings
from awcl.downstream import tasks
from awcl.errors import InputError
from awcl.pretrain.methods import canonical


class EarlyStopping(Config):
    """Asynchronous successive halving (ASHA, Li et al. 2020) on val/proxy, epochs as time."""

    grace: int = Field(1, ge=1)
    """Epochs before the first decision."""
    reduction: int = Field(3, ge=2)
    """At each rung the best 1/reduction go on; rungs are at grace x reduction^k epochs."""


class Resources(Config):
    """What a trial asks of the cluster; no part of its key."""

    cpus: int = Field(1, ge=1)
    """Processor cores a worker."""
    gpus: float = Field(0, ge=0)
    """Cards a worker; a fraction shares one."""
    loader_workers: int = Field(0, ge=0)
    """Processes that make views, a worker; 0 makes them in the training process."""
    concurrent: int = Field(0, ge=0)
    """Trials at a time; 0: as many as fit."""
    retries: int = Field(2, ge=0)
    """Restarts of a trial whose worker died."""


class Phantom(Config):
    """The synthetic clinic that a study makes where it is given no frames (awcl.data.phantom)."""

    scans: int = Field(ge=1)
    """One a patient."""
    size: int = Settings.size
    """Width of a picture in pixels."""
    rate: float = Settings.rate
    """Frames a second."""
    seconds: float = Settings.seconds
    """Length of a scan."""
    labelled: float = Settings.labelled
    """Share of the frames that are near a plane and carry its label."""
    every: int = Settings.every
    """Of the other frames, each so manieth is kept."""
    seed: int = Settings.seed

    @property
    def settings(self) -> Settings:
        """What its scans are made of."""
        return Settings(**self.model_dump(exclude={"scans"}))

    @model_validator(mode="after")
    def _sound(self) -> "Phantom":
        _ = self.settings
        return self


class Study(Config):
    """Which trials to run, how long, and how they are judged."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    base: TrialConfig = TrialConfig()
    axes: dict[str, list[Any]] = {}
    """Dotted field -> its values, e.g. {"anatomy.ratio": [0, 0.5, 1]}; all combinations."""
    seeds: list[int] = Field([0], min_length=1)
    early_stopping: EarlyStopping | None = None
    """None for an ablation, whose arms all run to the full budget."""
    proxy_level: str = Field("fine", pattern="^(coarse|fine)$")
    """The level of val/proxy, which steers early stopping and `best`."""
    proxy_where: Where = {}
    """Frames that the proxy is measured on."""
    tasks: list[dict[str, Any] | str] = []
    """Downstream tasks: names, or dictionaries with `task` and its settings."""
    resources: Resources = Resources()
    evaluation: Resources | None = None
    """What an evaluation asks for, as one worker; None: as a worker of a trial."""
    phantom: Phantom | None = None
    """What it runs on where no frames are given; None: it needs some."""

    @field_validator("tasks")
    @classmethod
    def _in_full(cls, given: list[dict[str, Any] | str]) -> list[dict[str, Any]]:
        return [tasks.settings(task).model_dump(mode="json") for task in given]

    @field_validator("axes")
    @classmethod
    def _values(cls, axes: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in axes.items():
            if not values:
                raise ValueError(f"axis {name} has no value")
        if "seed" in axes:
            raise ValueError("seed is no axis; list seeds in `seeds`")
        return axes

    @model_validator(mode="after")
    def _sound(self) -> "Study":
        names = [tasks.settings(task).name for task in self.tasks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tasks are called {name!r}; give each a `name`")
        expand(self)
        return self


def expand(study: Study) -> list[TrialConfig]:
    """Every combination of the axes, crossed with every seed; equal trials merged, in order.

    Raises InputError for an axis that is no field, or a value that the field refuses.
    """
    found: dict[str, TrialConfig] = {}
    for values in itertools.product(*study.axes.values()):
        for seed in study.seeds:
            point = {**dict(zip(study.axes, values, strict=True)), "seed": seed}
            config = canonical(with_values(study.base, point, f"study {study.name}"))
            found.setdefault(config.model_dump_json(), config)
    return list(found.values())


GROWING = ("axes", "seeds", "tasks")
FREE = ("resources", "evaluation", "id")


def check_growth(accepted: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A study may gain axis values, seeds and tasks. Raises InputError with every other difference.

    Both are definitions as STUDY.json holds them. The accepted one is read as a Study first, so
    that a field which came later stands there at its default. A phantom is only a way to frames:
    where these are the same, it may differ.
    """
    fields = {name: value for name, value in accepted.items() if name in Study.model_fields}
    read = parse(Study, fields, "STUDY.json").model_dump(mode="json")
    accepted = {**read, "packs": accepted["packs"]}
    # Another view size brings another pack, the same size must not.
    packs = {size: wanted["packs"].get(size, pack) for size, pack in accepted["packs"].items()}
    wanted = {**wanted, "packs": packs}
    free = {*FREE, "phantom"} if packs == accepted["packs"] else {*FREE}
    differences = []
    for name in sorted({*accepted, *wanted} - free):
        old, new = accepted.get(name), wanted.get(name)
        if name in GROWING and _grown(old, new):
            continue
        if old != new:
            differences += _differences(name, old, new)
    if differences:
        shown = "; ".join(differences[:5])
        raise InputError(
            f"study {wanted['name']!r} is stored with another definition: {shown}. "
            "Run it under another name (--as NEWNAME)"
        )


def _grown(old: Any, new: Any) -> bool:
    if isinstance(old, dict):
        return set(old) == set(new) and all(_grown(old[axis], new[axis]) for axis in old)
    return all(value in new for value in old)


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        pairs = [(f"{name}.{key}", old.get(key), new.get(key)) for key in keys]
        return [line for pair in pairs if pair[1] != pair[2] for line in _differences(*pair)]
    return [f"{name} was {old!r}, now {new!r}"]
