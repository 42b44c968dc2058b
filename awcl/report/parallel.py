"""All trials of a study as lines over what varied and what came of it: parallel coordinates."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from awcl.records import epochs_done
from awcl.report.arms import Arm
from awcl.report.charts import Chart, Curves, Line, is_number
from awcl.report.headlines import CURVES, Score
from awcl.report.plots import in_order, trials_of, valued
from awcl.report.reading import Stored, Trial

COLUMNS = 3  # test scores that are shown, the first of as many tasks
SHADES = 5  # groups of trials by their proxy, where they have no arms

Columns = Mapping[str, Sequence[Any]]
"""Name -> the value of every trial; None where it has none."""
Found = Sequence[tuple[Arm, int, Trial]]


def coordinates(stored: Stored, arms: Sequence[Arm], scores: Sequence[Score]) -> Iterator[Chart]:
    """A line a trial that has a proxy, coloured by its arm; where there are none, by the proxy.

    Each column runs from its least to its greatest value. Trials of fewer epochs are on it, too.
    """
    trials = [of for of in trials_of(arms) if is_number(of[2].proxy)]
    tested = _first_of_each_task(scores)
    columns = _columns(stored, trials, tested)
    if len(trials) < 2 or len(columns) < 2 or "proxy" not in columns:
        return
    scales = {name: _scale(values) for name, values in columns.items()}
    shown = {name: score.label for name, score in tested.items() if name in columns}
    yield Curves(
        "all-trials",
        f"All {len(trials)} trials that have a proxy",
        "",
        "",
        [_line(*group, trials, columns, scales) for group in _groups(trials)],
        f"Parallel coordinates: each line is a trial, over {', '.join(columns)}.",
        ticks={float(place): name for place, name in enumerate(columns)},
        labels=[
            (float(place), height, text)
            for place, name in enumerate(columns)
            for height, text in scales[name][1]
        ],
        y_ticks=False,
        has_legend="arm" not in columns,
        notes=[f"{name} is {label}" for name, label in shown.items()],
        numbers=list(_numbers(trials, columns, shown)),
    )


def _first_of_each_task(scores: Sequence[Score]) -> dict[str, Score]:
    """'test 1' -> the first score of a task: names that are short enough to stand side by side."""
    first: dict[str, Score] = {}
    for score in scores:
        if score.kind not in CURVES:
            first.setdefault(score.task, score)
    return {f"test {n}": score for n, score in enumerate(list(first.values())[:COLUMNS], 1)}


def _columns(stored: Stored, trials: Found, tested: Mapping[str, Score]) -> Columns:
    """Those in which trials differ."""
    found: dict[str, list[Any]] = {}
    for axis in stored.axes:
        found[axis.rpartition(".")[2]] = [arm.values[axis] for arm, _, _ in trials]
    found["epochs"] = [epochs_done(trial.history) for _, _, trial in trials]
    found["arm"] = [arm.given or "-" for arm, _, _ in trials]  # beside what its trials came to
    found["proxy"] = [trial.proxy for _, _, trial in trials]
    for name, score in tested.items():
        found[name] = [_stored_value(trial, score) for _, _, trial in trials]
    return {name: values for name, values in found.items() if len({*values} - {None}) > 1}


def _groups(trials: Found) -> Iterator[tuple[str, int, Sequence[int]]]:
    """Name, colour and trials (by number) of what is drawn alike."""
    names = list(dict.fromkeys(arm.given for arm, _, _ in trials))
    if len(names) > 1:
        for number, name in enumerate(names):
            yield name or "-", number, [at for at, of in enumerate(trials) if of[0].given == name]
        return
    ranked = sorted(range(len(trials)), key=lambda at: trials[at][2].proxy)
    shades = min(SHADES, len(trials))
    for shade in range(shades):
        rows = ranked[shade * len(ranked) // shades : (shade + 1) * len(ranked) // shades]
        low, high = trials[rows[0]][2].proxy, trials[rows[-1]][2].proxy
        yield f"proxy {low:.3f} to {high:.3f}", shade - shades, rows


def _line(
    name: str,
    colour: int,
    rows: Sequence[int],
    trials: Found,
    columns: Columns,
    scales: Mapping[str, Any],
) -> Line:
    x, y, texts = [], [], []
    for at in rows:
        arm, seed, trial = trials[at]
        values = ", ".join(valued(of, columns[of][at]) for of in columns if of != "arm")
        told = f"{arm.name}, seed {seed} ({trial.outcome or 'not finished'})<br>{values}"
        for place, (column, of) in enumerate(columns.items()):
            x.append(float(place) if of[at] is not None else None)
            y.append(scales[column][0](of[at]))
        x.append(None), y.append(None)
        texts += [told] * len(columns) + [""]
    return Line(name, x, y, texts, colour)


def _numbers(trials: Found, columns: Columns, shown: Mapping[str, str]) -> Iterator[list[str]]:
    """A row a trial with what its line stands for."""
    names = [name for name in columns if name != "arm"]
    yield ["arm", "seed", *(shown.get(name, name) for name in names)]
    for at, (arm, seed, _) in enumerate(trials):
        yield [arm.name, str(seed), *(_told(columns[name][at]) for name in names)]


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if 0 < abs(value) < 0.01 else f"{value:.3f}"
    return "-" if value is None else str(value)


def _stored_value(trial: Trial, score: Score) -> float | None:
    """The score as EVAL.json has it: without the name of its first predictor."""
    judgement = trial.judgements.get(score.task)
    metrics = judgement.result["metrics"] if judgement else {}
    plain = "/".join(part for part in score.name.split("/") if part not in ("ridge", "frozen"))
    return metrics.get(plain)


def _scale(values: Sequence[Any]) -> tuple[Any, list[tuple[float, str]]]:
    """How a column's values are placed between 0 and 1, and labels at places."""
    numbers = [value for value in values if is_number(value)]
    words = in_order({str(value) for value in values if value is not None and not is_number(value)})
    if words:  # '-' among numbers is a word, too
        names = [*map(str, in_order(set(numbers))), *words]
        heights = {name: at / max(1, len(names) - 1) for at, name in enumerate(names)}
        return (lambda value: heights.get(str(value))), [(h, n) for n, h in heights.items()]
    low, high = min(numbers), max(numbers)
    span = (high - low) or 1.0
    distinct = sorted(set(numbers))
    shown = distinct if len(distinct) <= 5 else [low, high]
    labels = [((value - low) / span, f"{value:.3g}") for value in shown]
    return (lambda value: None if value is None else (value - low) / span), labels
