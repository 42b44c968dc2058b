"""Typed, validated configuration: what pre-training reads, and what only says how it is run.

Every field is a command-line flag by its dotted name (`--pretrain.temperature 0.1`).
"""

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from awcl.errors import InputError


class Config(BaseModel):
    """Immutable; an unknown field is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def _sorted_values(where: Any) -> Any:
    """One form for equal filters: a list of values, sorted, without doubles."""
    if not isinstance(where, dict):
        return where
    lists = {k: [v] if isinstance(v, str) else v for k, v in where.items()}
    texts = {k for k, v in lists.items() if isinstance(v, list | tuple) and _are_texts(v)}
    return {k: sorted(set(v)) if k in texts else v for k, v in sorted(lists.items())}


Where = Annotated[dict[str, list[str]], BeforeValidator(_sorted_values)]
"""Column -> values that a frame may have there; '!x' = not x (awcl.data.table.rows_where)."""


def _names(given: Any) -> Any:
    """One form for equal lists of names: sorted, without doubles; text is split at its commas."""
    given = given.split(",") if isinstance(given, str) else given
    sortable = isinstance(given, list | tuple) and _are_texts(given)
    return sorted({name for name in given if name}) if sortable else given


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


Names = Annotated[list[str], BeforeValidator(_names)]


class ModelConfig(Config):
    """The network: f, and the head g on it."""

    backbone: str = "resnet18"
    """Any timm model; it is built for one input channel."""
    init: str = Field("random", min_length=1)
    """What pre-training starts from: random, imagenet, or an encoder as `awcl evaluate` takes it.
    A trial has its digest here instead, imagenet:DIGEST or weights:DIGEST (awcl.warm)."""
    projection: int = Field(128, ge=1)
    """Width of z, the output of the projector Linear-ReLU-Linear."""


class AnatomyConfig(Config):
    """Which anatomy labels pre-training may use, and at which level."""

    ratio: float = Field(1.0, ge=0, le=1)
    """Share of the labelled frames whose label may be used, 0 to 1."""
    ratio_unit: Literal["frame", "patient"] = "frame"
    """Whether that share is of frames (the paper) or of patients."""
    granularity: Literal["coarse", "fine"] = "fine"
    """Which level of the taxonomy counts as the same anatomy."""
    fine_weight: float = Field(0.5, gt=0, lt=1)
    """Weight of the fine level where positives are hierarchical; the rest is the coarse level's."""
    taxonomy: str = "fetal"
    """'fetal', or a TOML file of the same form."""
    held_out: Names = []
    """Anatomies, fine or coarse names, whose labels pre-training never uses; their frames stay."""


LR_BATCH = 256  # frames a step that `lr` is given for, where a rule scales it


class PretrainConfig(Config):
    """How the network is trained."""

    method: str = "groups"
    """A file of awcl/pretrain/methods."""
    positives: Literal["anatomy", "self", "patient", "scan", "hierarchical"] = "anatomy"
    """Who is positive to whom: anatomy is AWCL, self is SimCLR."""
    epochs: int = Field(20, ge=0)
    """0: the encoder as it was initialised, untrained; then `method` and its like are not read."""
    batch: int = Field(64, ge=2)
    """Frames a step over all workers; two views of each."""
    workers: int = Field(1, ge=1)
    """Processes that share the batch, a card each where the study asks for cards. Part of the key:
    BatchNorm sees a worker's share of the batch, unless `sync_batchnorm`."""
    sync_batchnorm: bool = False
    """BatchNorm sees the shares of all workers together, as on one; on cards only. With `chunk` it
    sees a chunk of each worker at a time."""
    chunk: int = Field(0, ge=0)
    """Frames whose graph a worker has in memory at a time, at most; 0: all of its share. The loss
    stays that of the whole batch, at one more forward (awcl/pretrain/cached.py). BatchNorm sees a
    chunk at a time."""
    temperature: float = Field(0.1, gt=0)
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    """Learning rate after the warm-up, of a step over `batch` frames, on however many workers."""
    lr_rule: Literal["none", "linear", "sqrt"] = "none"
    """linear, sqrt: `lr` is that of 256 frames, and the rate is lr * batch / 256 (Goyal et al.
    2017), or lr * sqrt(batch / 256), which is usual for Adam; none: `lr` is the rate."""
    weight_decay: float = Field(1e-4, ge=0)
    warmup: int = Field(1, ge=0)
    """Epochs of linear warm-up before the cosine."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast where the processor or card has it, else float32. On a card, auto's
    float32 lets convolutions round to TF32, as torch does; one that was asked for does not."""

    @property
    def chunks(self) -> int:
        """How many chunks a worker's share of a batch goes through in, as even as can be."""
        return math.ceil(self.batch // self.workers / self.chunk) if self.chunk else 1

    @property
    def rate(self) -> float:
        """The learning rate after the warm-up."""
        times = self.batch / LR_BATCH
        return self.lr * {"none": 1, "linear": times, "sqrt": math.sqrt(times)}[self.lr_rule]


class DataConfig(Config):
    """What it is trained on."""

    size: int = Field(224, ge=16)
    """Side of a view in pixels."""
    recipe: str = "ultrasound"
    """Augmentations of a view: ultrasound or paper (awcl/data/views.py)."""
    sampler: Literal["uniform", "partners"] = "uniform"
    """partners: each drawn frame brings one other frame of its group."""
    pretrain_where: Where = {}
    """Train frames that may be pre-trained on, e.g. {"trimester": "second", "source": "!hc18"}."""


class MethodConfig(Config):
    """Settings of one method alone. Which there are, and what they may be, its file says."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _scalars(cls, data: Any) -> Any:
        for name, value in data.items() if isinstance(data, dict) else ():
            if not isinstance(value, bool | int | float | str):
                raise ValueError(f"{name} {value!r}: a number, text, true or false is needed")
        return data


class TrialConfig(Config):
    """All that pre-training reads, apart from the frames. Two equal ones give the same encoder."""

    model: ModelConfig = ModelConfig()
    anatomy: AnatomyConfig = AnatomyConfig()
    pretrain: PretrainConfig = PretrainConfig()
    data: DataConfig = DataConfig()
    method: MethodConfig = MethodConfig()
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _fits(self) -> "TrialConfig":
        batch, workers = self.pretrain.batch, self.pretrain.workers
        if batch % workers:
            raise ValueError(f"pretrain.batch {batch} cannot be shared by {workers} workers evenly")
        return self

    @field_validator("seed", mode="before")
    @classmethod
    def _whole(cls, seed: Any) -> Any:
        if isinstance(seed, bool):
            raise ValueError("a seed is a whole number")
        return seed


class RunConfig(Config):
    """How a run is carried out; it changes no result and is no part of a trial's key."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    loader_workers: int = Field(0, ge=0)
    """Processes that make views, a worker; 0 makes them in the training process."""
    views: Literal["cpu", "device"] = "cpu"
    """Where the pixels of views are made: cpu, by those processes; device, in batches by the device
    that trains. The same views: to the bit, but one pixel in a million of a blurred one."""
    threads: int = Field(0, ge=0)
    """Processor threads a worker; 0 takes what there is. Another number on resume warns."""
    keep: int = Field(2, ge=1)
    """Checkpoints kept."""


C = TypeVar("C", bound=Config)


def with_defaults(config: C, *names: str) -> C:
    """A copy with the named fields at their defaults."""
    fields = type(config).model_fields
    return config.model_copy(update={name: fields[name].get_default() for name in names})


def parse(kind: type[C], data: dict[str, Any], where: str) -> C:
    """A checked configuration. Raises InputError with the field, its value and the reason."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_error(error)}") from error


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong, in one line: field, value, reason."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    value = "" if isinstance(first["input"], dict | BaseModel) else f" {first['input']!r}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"{field}{value}: {reason}" if field else reason


def with_values(config: C, values: dict[str, Any], where: str) -> C:
    """A checked copy of a configuration with some dotted fields changed."""
    data = config.model_dump()
    for name, value in values.items():
        *parents, last = name.split(".")
        inner: Any = data
        part: Any = config
        for parent in parents:
            inner = inner.get(parent) if isinstance(inner, dict) else None
            part = getattr(part, parent, None)
        if not isinstance(inner, dict) or not (last in inner or isinstance(part, MethodConfig)):
            known = ", ".join(flat(config))
            raise InputError(f"{where}: unknown field {name!r}; known: {known}")
        inner[last] = value
    return parse(type(config), data, where)


def flat(config: Config, prefix: str = "") -> dict[str, Any]:
    """Dotted field name -> value, in the order of the definition."""
    out: dict[str, Any] = {}
    for name in (*type(config).model_fields, *(config.model_extra or {})):
        value = getattr(config, name)
        if isinstance(value, Config):
            out.update(flat(value, f"{prefix}{name}."))
        else:
            out[f"{prefix}{name}"] = value
    return out


def shown(config: TrialConfig) -> dict[str, Any]:
    """`flat` for people: '-' for what an untrained trial, one without labels, or cross-entropy does
    not read."""
    values = flat(config)
    if config.pretrain.epochs == 0:
        read = ("model.", "pretrain.epochs", "data.size", "data.pretrain_where", "seed")
        return {name: v if name.startswith(read) else "-" for name, v in values.items()}
    if config.anatomy.ratio == 0:
        values["anatomy.granularity"] = "-"
    if config.pretrain.positives in ("patient", "scan"):
        values["anatomy.ratio"] = "-"
    if config.pretrain.method == "supervised":
        values |= dict.fromkeys(("pretrain.temperature", "pretrain.positives", "data.sampler"), "-")
    return values
