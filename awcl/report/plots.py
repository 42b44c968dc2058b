"""Which figures a study has, from its arms and trials."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from awcl.records import EQUALLY
from awcl.report.arms import Arm
from awcl.report.charts import Chart, Curves, Forest, Line, Row, is_number
from awcl.report.comparing import Comparison, Estimate, Estimates
from awcl.report.headlines import CURVES, Score
from awcl.report.reading import Stored, Trial

MOST_ROWS = 40  # arms in one figure of rows, the best
MOST_LINES = 8  # few-label curves in one figure, the best
RATIO = "anatomy.ratio"
FAR = 8  # an axis whose ends are so many times apart is drawn in logarithms


def forests(estimates: Estimates, found: Mapping[Score, Sequence[Comparison]]) -> Iterator[Chart]:
    """Each score: the arms, and their differences to SimCLR."""
    for score, each in estimates.items():
        if score.kind in CURVES:
            continue
        if each:
            yield _of_scores(score, each)
        if found.get(score):
            yield _of_differences(score, found[score])


def _of_scores(score: Score, each: Sequence[Estimate]) -> Forest:
    ranked = sorted(each, key=lambda of: -of.value)
    rows = []
    for of in ranked[:MOST_ROWS]:
        low, high = of.ends
        values = [drawn.value for drawn in of.each.values()]
        text = f"{of.arm.name}: {of.value:.3f} {of.told}, {_seeds(values)}"
        tone = "best" if of is ranked[0] else ""
        rows.append(Row(of.arm.name, of.value, low, high, values, text, tone))
    about = f"{len(rows)} arms by {score.label}; the best is {rows[0].text}."
    return Forest(
        f"scores-{score.slug}",
        _cut(score.label, ranked),
        score.measure,
        rows,
        about,
    )


def _of_differences(score: Score, each: Sequence[Comparison]) -> Forest:
    ranked = sorted(each, key=lambda of: -of.value)
    rows = []
    for of in ranked[:MOST_ROWS]:
        text = (
            f"{of.arm.name} minus {of.reference.name}: {of.value:+.3f} "
            f"{of.told}, {_seeds(list(of.each.values()))}, {of.verdict}"
        )
        tone = ("better" if of.value > 0 else "worse") if of.is_clear else ""
        values = list(of.each.values())
        rows.append(Row(of.arm.name, of.value, *of.ends, values, text, tone))
    clear = sum(row.tone != "" for row in rows)
    return Forest(
        f"to-simclr-{score.slug}",
        _cut(f"{score.label}, minus SimCLR", ranked),
        "arm minus SimCLR",
        rows,
        f"Differences of {len(rows)} arms to SimCLR in {score.label}; {clear} are clear of zero.",
        zero=True,
    )


def over_axes(stored: Stored, arms: Sequence[Arm], estimates: Estimates) -> Iterator[Chart]:
    """Each axis and score: a line for each combination of the other axes' values.

    An arm that does not read another axis (ratio 0: the granularity) is on every line that agrees
    with it otherwise: so ratio 0 is the common origin of coarse and fine. One that agrees with none
    has a line of its own. Where no line has two points, nothing is drawn.
    """
    for axis in stored.axes:
        known = [arm for arm in arms if arm.values[axis] != "-"]
        values = in_order({arm.values[axis] for arm in known})
        if len(values) < 2:
            continue
        numeric = all(is_number(value) for value in values)
        place = {value: float(value if numeric else at) for at, value in enumerate(values)}
        for score, each in estimates.items():
            of_arm = {of.arm.name: of for of in each}
            lines = list(_lines(axis, [arm for arm in known if arm.name in of_arm], of_arm, place))
            if score.kind in CURVES or not any(len(set(line.x)) > 1 for line in lines):
                continue
            short = axis.rpartition(".")[2].replace("_", " ")
            yield Curves(
                f"{short}-{score.slug}".replace(" ", "_"),
                f"{score.label}, by {short}",
                short,
                score.measure,
                lines,
                f"{score.label} over {short}: means of seeds, bands of 95 % over test patients.",
                is_log=numeric and min(place.values()) > 0 and _are_far(place.values()),
                ticks={} if numeric else {at: str(value) for value, at in place.items()},
            )


def _lines(
    axis: str, arms: Sequence[Arm], of_arm: Mapping[str, Estimate], place: Mapping[Any, float]
) -> Iterator[Line]:
    each = [(arm, other) for arm in arms for other in _without(axis, arm)]
    whole = [other for _, other in each if "-" not in other.values()] or [o for _, o in each]
    groups = list({tuple(other.items()): other for other in whole}.values())
    alone = [o for _, o in each if "-" in o.values() and not any(_agrees(o, g) for g in groups)]
    groups += {tuple(other.items()): other for other in alone}.values()
    for number, (group, there) in enumerate(zip(groups, _on_each(groups, each), strict=True)):
        mine = sorted(there, key=lambda arm: place[arm.values[axis]])
        told = [of_arm[arm.name] for arm in mine]
        ends = [of.ends for of in told]
        yield Line(
            _told(group),
            [place[arm.values[axis]] for arm in mine],
            [of.value for of in told],
            [
                f"{of.arm.name}: {of.value:.3f} {of.told}, "
                f"{_seeds([drawn.value for drawn in of.each.values()])}"
                for of in told
            ],
            number,
            [low for low, _ in ends],
            [high for _, high in ends],
        )
        yield _each_seed(number, [(place[of.arm.values[axis]], of) for of in told])


def _on_each(
    groups: Sequence[Mapping[str, Any]], each: Sequence[tuple[Arm, Mapping[str, Any]]]
) -> Iterator[list[Arm]]:
    """The arms of each line, in their order. Only those that do not read every axis are held
    against every line: a search of a thousand points may have as many of both."""
    names = max((len(other) for _, other in each), default=0)
    at_home: dict[tuple, list[int]] = {}
    anywhere = []
    for at, (_, other) in enumerate(each):
        if "-" in other.values() or len(other) < names:
            anywhere.append(at)
        else:
            at_home.setdefault(tuple(other.items()), []).append(at)
    for group in groups:
        found = [at for at in anywhere if _agrees(each[at][1], group)]
        yield [each[at][0] for at in sorted([*at_home.get(tuple(group.items()), []), *found])]


def _agrees(other: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
    """Whether an arm that does not read some axes stands where the others of a line do."""
    return all(value in ("-", group.get(name)) for name, value in other.items())


def _without(axis: str, arm: Arm) -> Iterator[dict[str, Any]]:
    """Where an arm stands but for its value on one axis: its name, its values on the other axes.

    Once for each name, of one that is several arms equally.
    """
    others = {name: value for name, value in arm.values.items() if name != axis}
    for given in arm.given.split(EQUALLY):
        yield {**({"arm": given} if given else {}), **others}


def _told(place: Mapping[str, Any]) -> str:
    return ", ".join(valued(name, value) for name, value in place.items()) or "all"


def _each_seed(number: int, told: Sequence[tuple[float, Estimate]]) -> Line:
    every = [
        (x, drawn.value, f"{of.arm.name}, seed {seed}: {drawn.value:.3f}")
        for x, of in told
        for seed, drawn in of.each.items()
        if len(of.each) > 1
    ]
    x, y, texts = (list(part) for part in zip(*every, strict=True)) if every else ([], [], [])
    return Line("seeds", x, y, texts, number, look="points", in_legend=False)


def few_labels(estimates: Estimates) -> Iterator[Chart]:
    """Each task of few labels or masks: its score over the share of patients whose it has."""
    parts: dict[tuple[str, str, str], dict[str, list[tuple[float, Estimate]]]] = {}
    for score, each in estimates.items():
        if score.kind in CURVES:
            curve, share, measure = score.curve
            for of in each:
                lines = parts.setdefault((score.task, curve, measure), {})
                for name in _of_few(curve, of.arm):
                    lines.setdefault(name, []).append((100 * share, of))
    for (task, curve, measure), lines in parts.items():
        if all(len(of_line) < 2 for of_line in lines.values()):
            continue
        best = sorted(lines, key=lambda arm: -max(of.value for _, of in lines[arm]))[:MOST_LINES]
        drawn = [_few(name, number, sorted(lines[name], key=_share)) for number, name in
                 enumerate(best)]  # fmt: skip
        shares = sorted({x for line in drawn for x in line.x})
        yield Curves(
            f"{task}-{curve}",
            f"{task}: labels of few patients ({curve.replace('_', '-')})",
            "training patients with labels",
            measure,
            drawn,
            f"{measure} over the share of training patients whose labels or masks the task has, "
            f"the best {len(drawn)} arms.",
            is_log=True,
            ticks={share: f"{share:g} %" for share in shares},
        )


def _of_few(curve: str, arm: Arm) -> list[str]:
    """The lines that an arm has a point of. Where pre-training has the labels of the same patients,
    an arm has one share, its ratio, and arms that differ in nothing else are a line."""
    if curve != "few_label" or RATIO not in arm.values:
        return [arm.name]
    return [_told(place) for place in _without(RATIO, arm)]


def _share(point: tuple[float, Estimate]) -> float:
    return point[0]


def _few(name: str, number: int, told: Sequence[tuple[float, Estimate]]) -> Line:
    ends = [of.ends for _, of in told]
    texts = [f"{name}, {x:g} % of patients: {of.value:.3f} {of.told}" for x, of in told]
    low, high = [low for low, _ in ends], [high for _, high in ends]
    return Line(name, [x for x, _ in told], [of.value for _, of in told], texts, number, low, high)


STATES = {"finished": 0, "stopped": 1, "failed": 6, "": 2}
STATE_NAMES = {"": "not finished", "stopped": "stopped early"}


def early_stopping(stored: Stored, arms: Sequence[Arm]) -> Iterator[Chart]:
    """val/proxy of every trial, epoch by epoch; rungs as lines, crosses where one was stopped."""
    lines = []
    for state, number in STATES.items():
        x: list[float | None] = []
        y: list[float | None] = []
        texts: list[str] = []
        ends: list[tuple[float, float, str]] = []
        for arm, seed, trial in trials_of(arms):
            rows = [row for row in trial.history if is_number(row.get("val/proxy"))]
            if trial.outcome != state or not rows:
                continue
            told = [f"{arm.name}, seed {seed}, epoch {r['epoch']}: {r['val/proxy']:.3f}"
                    for r in rows]  # fmt: skip
            x += [*(float(row["epoch"]) for row in rows), None]
            y += [*(row["val/proxy"] for row in rows), None]
            texts += [*told, ""]
            ends.append((x[-2], y[-2], f"{told[-1]}; {trial.reason or STATE_NAMES.get(state, '')}"))
        name = STATE_NAMES.get(state, state)
        if x:
            lines.append(Line(f"{name} ({len(ends)})", x, y, texts, number))
        if x and state in ("stopped", "failed"):
            ex, ey, told = (list(part) for part in zip(*ends, strict=True))
            lines.append(Line(name, ex, ey, told, number, look="crosses", in_legend=False))
    rungs = sorted({float(made["epoch"]) for made in stored.decisions})
    if lines:
        yield Curves(
            "proxy-by-epoch",
            "Early stopping: the proxy by epoch" if rungs else "The proxy by epoch",
            "epoch",
            "val/proxy (macro-F1 on val)",
            lines,
            "The proxy of every trial by epoch: "
            + ", ".join(line.name for line in lines if line.in_legend)
            + (f"; decisions at epochs {', '.join(f'{rung:g}' for rung in rungs)}." if rungs else
               "; none was decided on early."),
            marks={rung: f"rung {rung:g}" for rung in rungs},
        )  # fmt: skip


def trials_of(arms: Sequence[Arm]) -> Iterator[tuple[Arm, int, Trial]]:
    """Every trial with its arm and seed."""
    for arm in arms:
        for seed, trial in arm.trials.items():
            yield arm, seed, trial


def _seeds(values: Sequence[float]) -> str:
    return "one seed" if len(values) == 1 else f"seeds {' '.join(f'{v:.3f}' for v in values)}"


def valued(name: str, value: Any) -> str:
    """A value on an axis in words: 'ratio 0.5', 'coarse'."""
    short = name.rpartition(".")[2]
    if isinstance(value, str):
        return value if value != "-" else f"no {short}"
    return f"{short} {'-' if value is None else f'{value:.3g}'}"


def in_order(values: set[Any]) -> list[Any]:
    """Numbers by size, then words."""
    return sorted(values, key=lambda value: (not is_number(value), value if is_number(value)
                                             else str(value)))  # fmt: skip


def _are_far(values: Any) -> bool:
    return max(values) >= FAR * min(values)


def _cut(title: str, rows: Sequence[Any]) -> str:
    return f"{title} (the best {MOST_ROWS} of {len(rows)})" if len(rows) > MOST_ROWS else title
