"""The conditions of a study's numbers, and how to get them again."""

from collections.abc import Iterator, Mapping
from typing import Any

from awcl.report.comparing import Estimates
from awcl.report.reading import Stored


def commands(stored: Stored) -> list[str]:
    """Storage and frames are named by their kind only: a report goes to others."""
    frames = "" if stored.definition.get("phantom") else " --frames FRAMES.parquet"
    run = f"awcl study run {stored.name}{frames} --storage STORAGE"
    return [run, f"awcl study report {stored.name} --storage STORAGE"]


def facts(stored: Stored) -> Iterator[tuple[str, str]]:
    """What it ran on, name by name."""
    definition = stored.definition
    packs = definition.get("packs", {})
    yield "seeds", ", ".join(map(str, definition.get("seeds", [0])))
    yield "packs of frames", ", ".join(f"{digest} ({size} px)" for size, digest in packs.items())
    yield "code", ", ".join(_codes(stored)) or "not stored"
    base = definition.get("base", {})
    yield "backbone", str(base.get("model", {}).get("backbone", "?"))
    yield "epochs", str(base.get("pretrain", {}).get("epochs", "?"))
    yield "pre-trained on", _where(base.get("data", {}).get("pretrain_where", {}))
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


def conditions(stored: Stored, estimates: Estimates) -> Iterator[str]:
    """A line a task: which frames, how many patients, at which level, whether its domain was seen
    in pre-training."""
    of_task = {}
    for score, each in estimates.items():
        if each:
            of_task.setdefault(score.task, []).append(each[0])
    for settings in stored.tasks:
        name = settings.get("name") or settings["task"]
        parts = [_where(settings.get("where", {}))]
        sizes = sorted({(of.units, of.frames) for of in of_task.get(name, [])})
        parts += [f"{frames:,} test frames of {units} patients" for units, frames in sizes]
        for result in _some_results(stored, name):
            about = result.get("about", {})
            parts += [f"level {about.get('level')}"] * ("level" in about)
            classes = about.get("classes", [])
            parts += [f"{len(classes)} classes: {', '.join(map(str, classes))}"] * bool(classes)
            parts += list(_seen(result["metrics"]))
        yield f"{name}: {'; '.join(parts)}."


def _seen(metrics: Mapping[str, float]) -> Iterator[str]:
    for name, value in metrics.items():
        *where, last = name.split("/")
        if last == "target_domain_seen":
            what = f" of {' '.join(where)}" if where else ""
            yield f"target domain{what} {'' if value else 'not '}seen in pre-training"


def _some_results(stored: Stored, task: str) -> list[dict[str, Any]]:
    found = [t.judgements[task].result for t in stored.trials if task in t.judgements]
    return found[:1]


def _codes(stored: Stored) -> list[str]:
    starts = [start.get("code") for trial in stored.trials for start in trial.starts]
    results = [j.result.get("code") for trial in stored.trials for j in trial.judgements.values()]
    return sorted({code for code in [*starts, *results] if code})


def _axis(values: Any) -> str:
    if isinstance(values, Mapping):
        log = ", in logarithms" if values.get("log") else ""
        return f"{values['low']:g} to {values['high']:g}{log}"
    return ", ".join(map(str, values))


def _where(where: Mapping[str, list[str]]) -> str:
    told = [f"{column} is {' or '.join(values)}" for column, values in where.items()]
    return f"frames where {', '.join(told)}" if told else "all frames"
