"""A study as data: a base trial, axes, sampler, seeds, early stopping, tasks. No ray in here.

The same study twice gives the same bytes; `expand` is a pure function from it to its trials.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from awcl import warm
from awcl.config import Config, TrialConfig, Where, parse, shown, with_values
from awcl.data.phantom.scan import Settings
from awcl.downstream import tasks
from awcl.pretrain.methods import canonical
from awcl.records import EQUALLY, NOT_AT_HAND
from awcl.study import sampling
from awcl.study.sampling import Axes, Point, Range, Sampler


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
    gpus: float = Field(0, ge=0, le=1)
    """Cards a worker: none, one, or a fraction: so several trials of one worker share a card. Many
    cards in one trial are many `pretrain.workers`. Ray counts cards and watches over no memory; so
    a trial may use its fraction of the card's memory, and one that needs more fails, and not its
    neighbour. How much each takes is in MLflow, among the system metrics."""
    loader_workers: int = Field(0, ge=0)
    """Processes that make views, a worker; 0 makes them in the training process."""
    views: Literal["cpu", "device"] = "cpu"
    """Where the pixels of views are made (awcl.config.RunConfig)."""
    concurrent: int = Field(0, ge=0)
    """Trials at a time; 0: as many as fit."""
    retries: int = Field(2, ge=0)
    """Restarts of a trial, or of an evaluation, whose worker died."""
    node_disk: str | None = None
    """A folder on every machine's own disk, e.g. "/mnt/nvme" or "$TMPDIR", to which packs are
    copied before they are read. None: a pack is read where it lies, and where that is an object
    store it is copied into the user's cache."""


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


ARM = "arm"
"""What a point calls the name of its arm; no field of a trial."""
ArmName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Study(Config):
    """Which trials to run, how long, and how they are judged."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    base: TrialConfig = TrialConfig()
    axes: Axes = {}
    """Dotted field -> its values, e.g. {"anatomy.ratio": [0, 0.5, 1]}; where points are drawn also
    a range, e.g. {"pretrain.temperature": {"low": 0.05, "high": 1, "log": True}}."""
    arms: dict[ArmName, dict[str, Any]] = {}
    """Arms of a comparison by name: dotted field -> value, e.g. {"simclr": {"pretrain.positives":
    "self"}, "awcl": {"anatomy.ratio": 0.5}}. Every arm has every point of the axes."""
    sampler: Sampler = "grid"
    """grid: all combinations; random and sobol draw `samples` points."""
    samples: int = Field(0, ge=0)
    """How many points are drawn; raising it only adds some."""
    seeds: list[int] = Field([0], min_length=1)
    """Each point is run with every seed."""
    confirm: int = Field(0, ge=0)
    """The search runs on the first seed only; so many of its best points then run on all others, to
    the full budget. 0: every point runs on every seed."""
    baseline: dict[str, Any] = {}
    """Values of axes, e.g. {"anatomy.ratio": 0}: points that have them are never stopped early, and
    the best of them is confirmed, too, so that the best of the others have what to beat."""
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
    prices: dict[str, Annotated[float, Field(gt=0)]] = {}
    """What an hour of a machine costs, by its kind as the cluster's file calls it, or head and
    worker; e.g. {"head": 0.2, "gpu-workers": 1.1}, in a currency of yours. It is only told."""
    phantom: Phantom | None = None
    """What it runs on where no frames are given; None: it needs some."""
    proposed: list[Point] = []
    """Points that `awcl study propose` appended; kept in STUDY.json."""
    confirmed: list[Point] = []
    """Points that were chosen to run on all seeds, best first; kept in STUDY.json."""
    weights: dict[str, str] = {}
    """"INIT BACKBONE SIZE" -> the weights that this was found to be (awcl.warm); in STUDY.json."""

    @field_validator("tasks")
    @classmethod
    def _in_full(cls, given: list[dict[str, Any] | str]) -> list[dict[str, Any]]:
        return [tasks.settings(task).model_dump(mode="json") for task in given]

    @field_validator("axes", mode="before")
    @classmethod
    def _values(cls, axes: dict[str, Any]) -> Axes:
        found: Axes = {}
        for name, axis in axes.items():
            if isinstance(axis, list):
                axis = [value.item() if isinstance(value, np.generic) else value for value in axis]
            found[name] = parse(Range, axis, f"axis {name}") if isinstance(axis, dict) else axis
            if not isinstance(found[name], list | Range):
                raise ValueError(f"axis {name} is {axis!r}; give a list of values, or a range")
            if axis == []:
                raise ValueError(f"axis {name} has no value")
        if "seed" in axes:
            raise ValueError("seed is no axis; list seeds in `seeds`")
        return found

    @field_validator("arms")
    @classmethod
    def _no_seed(cls, arms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, values in arms.items():
            if "seed" in values:
                raise ValueError(f"arm {name} sets seed; every arm has the seeds of `seeds`")
        return arms

    @model_validator(mode="after")
    def _sound(self) -> "Study":
        for name, values in self.arms.items():
            for field in set(values) & set(self.axes):
                raise ValueError(f"arm {name} sets {field}, which is an axis too; choose one")
        names = [tasks.settings(task).name for task in self.tasks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tasks are called {name!r}; give each a `name`")
        files = {re.sub("[^a-z0-9]", "-", name.lower()): name for name in names}  # of figures
        if alike := sorted(set(names) - set(files.values())):
            raise ValueError(f"task {alike[0]!r} is called like another, but for case, '-' or '_'")
        sampling.check(self.axes, self.sampler, self.samples)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds}: one stands there twice")
        if self.confirm and len(self.seeds) < 2:
            raise ValueError(f"confirm {self.confirm}: there is no seed but the first; list more")
        for point in (*self.proposed, *self.confirmed):
            sampling.check_point(varied(self), point)
        self._check_baseline()
        _check_workers(self)
        return self

    def _check_baseline(self) -> None:
        if self.baseline and not self.confirm:
            raise ValueError("baseline: only a study that confirms its best has one; set `confirm`")
        if self.baseline and not any(_is_baseline(self, point) for point in points(self)):
            raise ValueError(f"baseline {self.baseline}: no point of the study has these values")

    @property
    def evaluations_ask(self) -> Resources:
        """What an evaluation asks for, whether the study says it or not."""
        return self.evaluation or self.resources


def varied(study: Study) -> Axes:
    """What a point has a value of: its arm, where the study has arms, and each axis."""
    arms: Axes = {ARM: list(study.arms)} if study.arms else {}
    return {**arms, **study.axes}


def points(study: Study) -> list[Point]:
    """What a study tries: the points of its sampler in every arm, then those that were proposed."""
    drawn = list(sampling.points(study.axes, study.sampler, study.samples))
    if study.arms:
        drawn = [{ARM: arm, **point} for arm in study.arms for point in drawn]
    return [*drawn, *study.proposed]


def baselines(study: Study) -> set[str]:
    """The configurations, in JSON, of the study's baseline: of its points, with every seed."""
    found = [point for point in points(study) if _is_baseline(study, point)]
    return {
        configuration(study, point, seed).model_dump_json()
        for point in found
        for seed in study.seeds
    }


def confirms(study: Study, config: TrialConfig) -> bool:
    """Whether a trial is no part of the search, and only confirms what that found."""
    return study.confirm > 0 and config.seed != study.seeds[0]


def never_stopped(study: Study) -> Callable[[TrialConfig], bool]:
    """Which trials early stopping leaves alone: baselines, and those that confirm."""
    known = baselines(study)
    return lambda config: confirms(study, config) or config.model_dump_json() in known


def _is_baseline(study: Study, point: Point) -> bool:
    wanted = study.baseline.items()
    return bool(wanted) and all(name in point and point[name] == value for name, value in wanted)


def configuration(study: Study, point: Point, seed: int) -> TrialConfig:
    """The trial of a point and a seed; the same for points that differ in what it does not read.

    Raises InputError for an arm or axis that is no field, or a value that the field refuses.
    """
    values, where = {**point, "seed": seed}, f"study {study.name}"
    if ARM in values:
        arm = values.pop(ARM)
        values, where = {**study.arms[arm], **values}, f"{where}, arm {arm}"
    config = with_values(study.base, values, where)
    found = study.weights.get(started_from(config))
    if found:
        config = with_values(config, {"model.init": found}, where)
    return canonical(config)


def started_from(config: TrialConfig) -> str:
    """What `Study.weights` calls the encoder that a trial starts from."""
    return f"{config.model.init} {config.model.backbone} {config.data.size}"


def expand(study: Study) -> list[TrialConfig]:
    """Every point crossed with every seed; equal trials merged, in order.

    Where the best are confirmed later, every point has the first seed, and those that were chosen
    then have all. Raises InputError as `configuration` does.
    """
    searched = study.seeds[:1] if study.confirm else study.seeds
    crossed = [(point, seed) for point in points(study) for seed in searched]
    crossed += [(point, seed) for point in study.confirmed for seed in study.seeds]
    found: dict[str, TrialConfig] = {}
    for point, seed in crossed:
        config = configuration(study, point, seed)
        found.setdefault(config.model_dump_json(), config)
    return list(found.values())


def _check_workers(study: Study) -> None:
    """Raises ValueError where workers have not the cards that they need, or arms differ in them."""
    gpus, several = study.resources.gpus, False
    for config in expand(study):
        several |= config.pretrain.workers > 1
        if config.pretrain.sync_batchnorm and not gpus:
            raise ValueError("pretrain.sync_batchnorm runs on cards only; ask for resources.gpus 1")
    if several and 0 < gpus < 1:
        raise ValueError(
            f"resources.gpus {gpus:g} with several pretrain.workers: each needs a card of its own "
            "(NCCL shares none); give 1, or one worker"
        )
    counts = {
        arm: values.get("pretrain.workers", study.base.pretrain.workers)
        for arm, values in study.arms.items()
        if values.get("pretrain.epochs", study.base.pretrain.epochs)  # untrained: no workers
    }
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{arm} {count}" for arm, count in counts.items())
        raise ValueError(
            f"arms differ in pretrain.workers ({told}), so BatchNorm sees another share of the "
            "batch in each; give all the same, or make pretrain.workers an axis"
        )


def runnable(study: Study) -> list[TrialConfig]:
    """`expand` without the trials whose weights are not at hand."""
    return [config for config in expand(study) if warm.is_known(config.model.init)]


def not_run(study: Study, refused: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Each point that cannot be run: its arm and axes as tables show them, the reason.

    In every table they keep their row. refused: configuration in JSON -> what frames lack for it.
    """
    names, rows = list(varied(study)), {}
    for point in points(study):
        config = configuration(study, point, study.seeds[0])
        at_hand = warm.is_known(config.model.init)
        reason = (refused or {}).get(config.model_dump_json(), "") if at_hand else NOT_AT_HAND
        if reason:
            values = {**shown(config), **({ARM: point[ARM]} if ARM in point else {})}
            cells = tuple(str(values.get(name, "-")) for name in names)
            rows[cells] = {**dict(zip(names, cells, strict=True)), "reason": reason}
    return list(rows.values())


def arms_of(study: Study) -> dict[str, str]:
    """Configuration in JSON -> the arm that it belongs to; names joined where arms are equal."""
    names: dict[str, list[str]] = defaultdict(list)
    for point in points(study) if study.arms else ():
        for seed in study.seeds:
            there = names[configuration(study, point, seed).model_dump_json()]
            if point[ARM] not in there:
                there.append(point[ARM])
    return {config: EQUALLY.join(arms) for config, arms in names.items()}
