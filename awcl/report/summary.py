"""What was found, in plain sentences that are computed from the numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from awcl.report.arms import Apart, Arm
from awcl.report.comparing import (
    FEW_PATIENTS,
    Comparison,
    Estimate,
    Estimates,
    anatomy_against_rest,
    patients_needed,
    ranking,
)
from awcl.report.headlines import CURVES, Score
from awcl.report.reading import Stored

Compared = Mapping[Score, Sequence[Comparison]]


@dataclass(frozen=True)
class Finding:
    """What one score tells."""

    title: str
    sentences: Sequence[str]


def state(stored: Stored, arms: Sequence[Arm], apart: Sequence[Apart]) -> Iterator[str]:
    """How far the study is, and what of it can be compared."""
    number = len(stored.trials)
    ends = {"finished": 0, "stopped": 0, "failed": 0}
    for trial in stored.trials:
        if trial.outcome:
            ends[trial.outcome] = ends.get(trial.outcome, 0) + 1
    words = {"stopped": "stopped early"}
    told = [f"{n} {words.get(end, end.replace('_', ' '))}" for end, n in ends.items() if n]
    open_ones = number - sum(ends.values())
    told += [f"{open_ones} not finished"] * (open_ones > 0)
    yield f"{_count(number, 'trial')}: {', '.join(told) or 'none'}."
    if stored.is_running:
        yield "The study is running; this is how it stood when the report was written."
    if not arms:
        yield (
            "Nothing can be compared yet: no configuration has finished with "
            f"{_all_of(len(stored.seeds), 'seed')}."
        )
    elif apart:
        yield (
            f"{_count(len(arms), 'arm')} can be compared: each had the same epochs and finished "
            f"with {_all_of(len(stored.seeds), 'seed')}. What cannot is listed apart, with the "
            "reason."
        )


def findings(estimates: Estimates, to_simclr: Compared, to_rival: Compared) -> list[Finding]:
    """One for each score of the main table that an arm was judged on."""
    return [
        Finding(score.label, list(_finding(each, to_simclr.get(score, []), to_rival[score])))
        for score, each in estimates.items()
        if score.kind not in CURVES and each
    ]


def verdicts(to_simclr: Compared) -> str:
    """All comparisons with SimCLR counted; '' where there is none."""
    every = [of for score, each in to_simclr.items() if score.kind not in CURVES for of in each]
    if not every:
        return ""
    better = sum(of.is_clear and of.value > 0 for of in every)
    worse = sum(of.is_clear and of.value < 0 for of in every)
    return (
        f"Of {_count(len(every), 'comparison')} with SimCLR {better} {_is(better)} clearly better, "
        f"{worse} clearly worse, {len(every) - better - worse} not clear of zero."
    )


def cautions(stored: Stored, estimates: Estimates, to_simclr: Compared) -> Iterator[str]:
    """What these numbers cannot tell."""
    if any(len(of.each) == 1 for each in estimates.values() for of in each):
        yield "One seed: nothing is known of what another seed would give."
    few: dict[str, int] = {}
    for score, each in estimates.items():
        if each and each[0].units < FEW_PATIENTS:
            few[score.task] = min(each[0].units, few.get(score.task, each[0].units))
    if few:
        told = ", ".join(f"{task} {units}" for task, units in few.items())
        yield (
            f"Few test patients: below about {FEW_PATIENTS} an interval is too narrow "
            f"(test patients: {told})."
        )
    yield from _out_of_reach(to_simclr)
    if any(len(each) > 1 for each in estimates.values()):
        yield (
            "Which arm is best is seen on the same test patients that judge it, so the lead of the "
            "best is a little too large on average."
        )
    if {"source"} <= set(stored.frames.columns if stored.frames is not None else ()):
        sources = set(stored.frames["source"])
        if sources == {"phantom"}:
            yield "The frames are a phantom's, drawn and not scanned: this is no clinical result."


def _out_of_reach(to_simclr: Compared) -> Iterator[str]:
    """Where so many arms are compared on so few patients that no difference could be clear."""
    short: dict[str, tuple[int, int]] = {}
    for score, each in to_simclr.items():
        if each and each[0].units < patients_needed(len(each)):
            short[score.task] = each[0].units, len(each)
    for task, (units, number) in short.items():
        yield (
            f"{task}: no difference to SimCLR can be clear with {units} test patients and "
            f"{_count(number, 'comparison')}, however large; it takes {patients_needed(number)}."
        )


def _finding(
    each: Sequence[Estimate], to_simclr: Sequence[Comparison], to_rival: Sequence[Comparison]
) -> Iterator[str]:
    ranked = ranking(each)
    best = ranked[0]
    place = f"first of {len(ranked)} arms" if len(ranked) > 1 else "the only arm"
    yield (
        f"{best.arm.name} is {place}: {best.value:.3f} {best.told}, {_seeds(best)}, on "
        f"{best.frames:,} frames of {_count(best.units, 'test patient')}."
    )
    told: set[frozenset[str]] = set()
    for of, what in (
        (_of_arm(to_simclr, best.arm), "Minus SimCLR"),
        (_of_arm(to_rival, best.arm), "Minus the second"),
        (anatomy_against_rest(each), "The best that pairs by anatomy minus the best that does not"),
    ):
        if of is not None and frozenset((of.arm.name, of.reference.name)) not in told:
            told.add(frozenset((of.arm.name, of.reference.name)))
            which = (
                of.reference.name if of.arm is best.arm else f"{of.arm.name}; {of.reference.name}"
            )
            yield f"{what} ({which}): {_difference(of, each)}"


def _difference(of: Comparison, each: Sequence[Estimate]) -> str:
    reference = next(e.value for e in each if e.arm.name == of.reference.name)
    share = f" ({of.value / reference:+.1%})" if reference > 0 else ""
    seeds = " ".join(f"{value:+.3f}" for value in of.each.values())
    by_seed = f", seeds {seeds}" if len(of.each) > 1 else ""
    return (
        f"{of.value:+.3f}{share} {of.told}{by_seed}; {of.verdict}"
        f"{f' (p {of.p_holm:.2g} by Holm)' if of.is_clear else ''}."
    )


def _of_arm(found: Sequence[Comparison], arm: Arm) -> Comparison | None:
    return next((of for of in found if of.arm.name == arm.name), None)


def _seeds(of: Estimate) -> str:
    values = [drawn.value for drawn in of.each.values()]
    if len(values) == 1:
        return "one seed"
    return f"mean of {len(values)} seeds ({' '.join(f'{value:.3f}' for value in values)})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _all_of(number: int, what: str) -> str:
    return f"its {what}" if number == 1 else f"all its {number} {what}s"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
