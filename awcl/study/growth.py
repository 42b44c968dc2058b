"""How a stored study may change: it may gain trials and tasks, and loses none.

Everything else is another study, and refused with the difference.
"""

from typing import Any

from awcl.config import parse, with_values
from awcl.errors import InputError
from awcl.study import sampling
from awcl.study.sampling import Point
from awcl.study.space import Study, expand, runnable, varied

GROWING = (
    "arms", "axes", "samples", "seeds", "confirm", "baseline", "proposed", "confirmed", "weights",
)  # fmt: skip
READ = ("packs", "taxonomies")  # files that trials read, by their digests
FREE = ("resources", "evaluation", "prices", "id")


def stored_study(definition: dict[str, Any]) -> Study:
    """The study that STUDY.json holds; fields that came later stand at their defaults."""
    fields = {name: value for name, value in definition.items() if name in Study.model_fields}
    return parse(Study, fields, "STUDY.json")


def with_stored_points(study: Study, definition: dict[str, Any]) -> Study:
    """The study with what STUDY.json has beside the recipe's: points, and weights that were found.

    Raises InputError, with the difference, where the axes have changed so that these are none.
    """
    stored = stored_study(definition)
    there = [*stored.proposed, *stored.confirmed]
    if not all(sampling.is_point(varied(study), point) for point in there):
        old, new = (made.model_dump(mode="json") for made in (stored, study))
        differences = _differences("axes", old["axes"], new["axes"])
        lost = [f"arm {arm} is gone" for arm in stored.arms if arm not in study.arms]
        raise _other_definition(study.name, [*lost, *differences])
    kept = {
        "proposed": _joined(stored.proposed, study.proposed),
        "confirmed": _joined(stored.confirmed, study.confirmed),
        "weights": stored.weights,
    }
    return with_values(study, kept, f"study {study.name}")


def _joined(first: list[Point], second: list[Point]) -> list[Point]:
    return [*first, *(point for point in second if point not in first)]


def check_growth(accepted: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A study may gain arms, axis values, samples, seeds, points and tasks; it may lose no trial.

    Raises InputError with every other difference. Both are definitions as STUDY.json holds them. A
    phantom is only a way to frames: where these are the same, it may differ.
    """
    old, new = stored_study(accepted), stored_study(wanted)
    grown = _keeps_trials(old, new)
    before, now = ({name: of.get(name, {}) for name in READ} for of in (accepted, wanted))
    # Another view size brings another pack, the same size must not; taxonomies likewise.
    for name, there in before.items():
        now[name] = {key: now[name].get(key, digest) for key, digest in there.items()}
    accepted = {**old.model_dump(mode="json"), **before}
    wanted = {**new.model_dump(mode="json"), **now}
    free = {*FREE, "phantom"} if now["packs"] == before["packs"] else {*FREE}
    if grown:
        free |= {*GROWING}
    if all(task in wanted["tasks"] for task in accepted["tasks"]):
        free.add("tasks")
    differences = []
    for name in sorted({*accepted, *wanted} - free):
        if accepted.get(name) != wanted.get(name):
            differences += _differences(name, accepted.get(name), wanted.get(name))
    if differences:
        raise _other_definition(wanted["name"], differences)


def _other_definition(name: str, differences: list[str]) -> InputError:
    shown = "; ".join(differences[:5])
    return InputError(
        f"study {name!r} is stored with another definition: {shown}. "
        "Run it under another name (--as NEWNAME)"
    )


def _keeps_trials(old: Study, new: Study) -> bool:
    there = {config.model_dump_json() for config in expand(new)}
    kept = all(config.model_dump_json() in there for config in runnable(old))
    return kept and set(old.axes) == set(new.axes) and set(old.arms) <= set(new.arms)


ABSENT = object()


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        pairs = [(f"{name}.{key}", old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
        return [line for pair in pairs if pair[1] != pair[2] for line in _differences(*pair)]
    before, now = ("not there" if value is ABSENT else repr(value) for value in (old, new))
    return [f"{name} was {before}, now {now}"]
