"""Under which conditions a study's numbers were got, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from awcl.downstream.evaluation import SEEN
from awcl.report.arms import Arm
from awcl.report.comparing import Estimate, Estimates
from awcl.report.headlines import WORDS
from awcl.report.reading import Stored


def conditions(stored: Stored, arms: Sequence[Arm], estimates: Estimates) -> Iterator[str]:
    """A line a task: which frames, how many patients, at which level, whether its domain was seen
    in pre-training. arms: every one that has a trial."""
    of_task: dict[str, dict[str, Estimate]] = {}
    for score, each in estimates.items():
        if each:
            of_task.setdefault(score.task, {})[score.name] = each[0]
    for settings in stored.tasks:
        name = settings.get("name") or settings["task"]
        if name in stored.tasks_not_run:
            yield f"{name}: not run; {stored.tasks_not_run[name]}."
            continue
        parts = [where(settings.get("where", {}))]
        parts += list(_sizes(of_task.get(name, {})))
        results = _results(arms, name)
        first = next(iter(results.values()), {})
        parts += list(_about(first.get("about", {})))
        crosses = settings["task"].startswith("cross_")
        parts += list(_seen({arm: of["metrics"] for arm, of in results.items()}, crosses))
        yield f"{name}: {'; '.join(parts)}."


def _sizes(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """How many test frames and patients; of scores that have others, which those are.

    estimates: by the name of the score.
    """
    if not estimates:
        return
    scores: dict[tuple[int, int], list[set[str]]] = {}
    for name, of in estimates.items():
        scores.setdefault((of.units, of.frames), []).append(set(name.split("/")))
    everywhere = set.intersection(*(part for of in scores.values() for part in of))
    for (units, frames), parts in sorted(scores.items()):
        own = sorted(set.intersection(*parts) - everywhere)
        told = f" ({', '.join(WORDS.get(one, one.replace('_', ' ')) for one in own)})"
        yield f"{frames:,} test frames of {units} patients" + told * (len(scores) > 1 and bool(own))


def _results(arms: Sequence[Arm], task: str) -> dict[str, dict[str, Any]]:
    """EVAL.json by arm, of the first seed that has one: of trained arms, where there are any. An
    untrained encoder has seen no frame, whatever the study is about."""
    found = [
        (arm, judged[0].result)
        for arm in arms
        if (judged := [t.judgements[task] for t in arm.trials.values() if task in t.judgements])
    ]
    trained = [(arm, result) for arm, result in found if arm.config.pretrain.epochs]
    return {arm.name: result for arm, result in trained or found}


def _about(about: Mapping[str, Any]) -> Iterator[str]:
    """What a task says of itself, which is the same for all arms."""
    if "level" in about:
        yield f"level {about['level']}"
    classes = about.get("classes")
    if classes:
        number = len(classes)
        yield f"{number} class{'es' * (number != 1)}: {', '.join(map(str, classes))}"


def _seen(metrics: Mapping[str, Mapping[str, float]], crosses: bool) -> Iterator[str]:
    """Whether pre-training saw the target domain: of each crossing where crossings say it.

    metrics: by arm. An evaluation across domains that was stored before its crossings said it has
    one flag, which holds for home as well.
    """
    every = list(dict.fromkeys(name for of in metrics.values() for name in of))
    flags = [name for name in every if name.endswith(f"/{SEEN}")]
    flags = flags or [name for name in every if name == SEEN]
    alike: dict[str, list[str]] = {}
    for flag in flags:
        told = _by_whom({arm: of.get(flag) for arm, of in metrics.items()})
        alike.setdefault(told, []).append(flag.removesuffix(SEEN).rstrip("/"))
    for told, domains in alike.items():
        if any(domains):
            yield f"target domain{'s' * (len(domains) > 1)} {', '.join(domains)} {told}"
        else:
            yield f"{'home or target domain' if crosses else 'target domain'} {told}"


def _by_whom(flags: Mapping[str, float | None]) -> str:
    """flags: by arm; None where it is not known."""
    arms: dict[str, list[str]] = {}
    for arm, flag in flags.items():
        state = "not known of" if flag is None else "seen by" if flag else "not seen by"
        arms.setdefault(state, []).append(arm)
    if len(arms) > 1:
        parts = (f"{state} {', '.join(of)}" for state, of in arms.items())
        return f"in pre-training: {' and '.join(parts)}"
    return {
        "seen by": "seen in pre-training",
        "not seen by": "not seen in pre-training",
    }[next(iter(arms))]


def where(given: Mapping[str, str | list[str]]) -> str:
    """A filter of frames in words: 'frames where machine is A or B, trimester is not first'."""
    told = [f"{column} is {_values(values)}" for column, values in given.items()]
    return f"frames where {', '.join(told)}" if told else "all frames"


def _values(values: str | Sequence[str]) -> str:
    """'A or B', 'not C', 'neither A nor B' (awcl.data.table.rows_where)."""
    values = [values] if isinstance(values, str) else values
    refused = [value[1:] for value in values if value.startswith("!")]
    parts = [" or ".join(value for value in values if not value.startswith("!"))]
    if len(refused) > 1:
        parts.append(f"neither {' nor '.join(refused)}")
    else:
        parts += [f"not {value}" for value in refused]
    return " and ".join(filter(None, parts))
