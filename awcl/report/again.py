"""How to run a study again, and what it ran on."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from awcl.records import NOT_AT_HAND, Command
from awcl.report.conditions import where
from awcl.report.reading import Stored

SAME = {
    "backbone": "model.backbone",
    "view size": "data.size",
    "epochs": "pretrain.epochs",
    "batch": "pretrain.batch",
    "temperature": "pretrain.temperature",
    "optimiser": "pretrain.optimizer",
    "learning rate": "pretrain.lr",
    "augmentations": "data.recipe",
    "sampler": "data.sampler",
    "pre-trained on": "data.pretrain_where",
}
"""What all trials have in common, but for arms that say otherwise."""
IMAGENET = "imagenet "  # how the name of such weights begins in STUDY.json
UNKNOWN = "this study was stored before commands were kept"


def commands(stored: Stored) -> list[str]:
    """Commands for the same study, with words in capitals for what a reader has elsewhere: storage
    and frames are named by their kind only, since a report goes to others."""
    ran = stored.command or _likely(stored)
    words = ["awcl", "study", "run", _recipe(ran)]
    words += ["--as", ran.rename] if ran.rename else []
    words += ["--smoke"] if ran.smoke else []
    words += ["--frames", "FRAMES.parquet"] if ran.frames else []
    words += ["--imagenet-weights", "WEIGHTS"] if _has_imagenet(stored) else []
    return [
        shlex.join([*words, "--storage", "STORAGE"]),
        shlex.join(["awcl", "study", "report", stored.name, "--storage", "STORAGE"]),
    ]


def placeholders(stored: Stored) -> Iterator[str]:
    """What stands for the words in capitals."""
    ran = stored.command or _likely(stored)
    if stored.command is None:
        yield f"RECIPE: the study's recipe, a name or a file; {UNKNOWN}."
    elif Path(ran.recipe).is_absolute():
        yield f"FOLDER: where {Path(ran.recipe).name} is."
    if ran.frames:
        yield "FRAMES.parquet: the table of the frames; packs of other frames are refused."
    if _has_imagenet(stored):
        yield "WEIGHTS: the file of ImageNet's weights; leave it out where timm's cache has them."
    elif any(row.get("reason") == NOT_AT_HAND for row in stored.not_run):
        yield "With --imagenet-weights FILE it also runs what was not run, for lack of weights."
    yield "STORAGE: the study's storage, to go on there, or any other, to run it anew."
    if stored.definition.get("proposed"):
        yield "Points that `awcl study propose` appended are in the study's storage alone."


def _likely(stored: Stored) -> Command:
    """The command of a study that was stored before it was: right for whatever recipe it was."""
    frames = stored.frames
    is_phantom = frames is not None and set(frames["source"]) == {"phantom"}
    made_them = bool(stored.definition.get("phantom")) and is_phantom
    smoke = stored.name.endswith("-smoke")
    name = stored.name.removesuffix("-smoke")
    return Command(recipe="RECIPE", rename=name, smoke=smoke, frames=not made_them)


def _recipe(ran: Command) -> str:
    path = Path(ran.recipe)
    return f"FOLDER/{path.name}" if path.is_absolute() else ran.recipe


def _has_imagenet(stored: Stored) -> bool:
    return any(name.startswith(IMAGENET) for name in stored.definition.get("weights", {}))


def facts(stored: Stored) -> Iterator[tuple[str, str]]:
    """What it ran on, name by name."""
    definition = stored.definition
    packs = definition.get("packs", {})
    yield "seeds", ", ".join(map(str, definition.get("seeds", [0])))
    yield "packs of frames", ", ".join(f"{digest} ({size} px)" for size, digest in packs.items())
    yield "code", ", ".join(_codes(stored)) or "not stored"
    if definition.get("weights"):
        yield "started from", ", ".join(sorted(set(definition["weights"].values())))
    for name, field in SAME.items():
        if field not in definition["axes"]:
            yield name, _same(definition, field)
    for axis, values in definition["axes"].items():
        yield axis, _axis(values)
    sampler, samples = definition.get("sampler", "grid"), definition.get("samples", 0)
    yield "points", f"{sampler}{f', {samples} drawn' if samples else ''}"
    stopping = definition.get("early_stopping")
    yield "early stopping", (
        f"ASHA: first after {stopping['grace']} epochs, the best 1/{stopping['reduction']} go on"
        if stopping else "none: every trial has its full budget"
    )  # fmt: skip
    if stored.timings:
        seconds = sum(sum(run["seconds"].values()) for run in stored.timings)
        yield "time", f"{seconds / 60:.0f} min in {len(stored.timings)} run(s) of the study"


def _same(definition: Mapping[str, Any], field: str) -> str:
    """The value of the study's base, then those that arms have instead: '12; 0 (random)'."""
    part, _, last = field.partition(".")
    base = definition.get("base", {}).get(part, {}).get(last, "?")
    others: dict[str, list[str]] = {}
    for arm, values in definition.get("arms", {}).items():
        if values.get(field, base) != base:
            others.setdefault(_value(values[field]), []).append(arm)
    return "; ".join([_value(base), *(f"{v} ({', '.join(of)})" for v, of in others.items())])


def _value(value: Any) -> str:
    return where(value) if isinstance(value, Mapping) else str(value)


def _codes(stored: Stored) -> list[str]:
    starts = [start.get("code") for trial in stored.trials for start in trial.starts]
    results = [j.result.get("code") for trial in stored.trials for j in trial.judgements.values()]
    return sorted({code for code in [*starts, *results] if code})


def _axis(values: Any) -> str:
    if isinstance(values, Mapping):
        log = ", in logarithms" if values.get("log") else ""
        return f"{values['low']:g} to {values['high']:g}{log}"
    return ", ".join(map(str, values))
