"""What was found, in plain sentences that are computed from the numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from awcl.report import budgets
from awcl.report.arms import Apart, Arm
from awcl.report.comparing import (
    FEW_PATIENTS,
    Comparison,
    Differences,
    Estimate,
    Estimates,
    patients_needed,
    ranking,
)
from awcl.report.headlines import Score
from awcl.report.reading import Stored

Compared = Mapping[Score, Differences]


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
            f"{_count(len(arms), 'arm')} can be compared: each finished with "
            f"{_all_of(len(stored.seeds), 'seed')}. {budgets.epochs_told(arms)} What cannot be "
            "compared is listed apart, with the reason."
        )


def findings(estimates: Estimates, found: Compared) -> list[Finding]:
    """One for each score of the main table that an arm was judged on."""
    return [
        Finding(score.label, list(_finding(each, found[score])))
        for score, each in estimates.items()
        if score.is_compared and each
    ]


def verdicts(found: Compared) -> str:
    """All comparisons with SimCLR counted; '' where there is none."""
    every = [of for score, each in found.items() if score.is_compared
             for of in each.to_simclr]  # fmt: skip
    if not every:
        return ""
    better = sum(of.is_clear and of.value > 0 for of in every)
    worse = sum(of.is_clear and of.value < 0 for of in every)
    return (
        f"Of {_count(len(every), 'comparison')} with SimCLR {better} {_is(better)} clearly better, "
        f"{worse} clearly worse, {len(every) - better - worse} not clear of zero."
    )


def cautions(
    stored: Stored, arms: Sequence[Arm], estimates: Estimates, found: Compared
) -> Iterator[str]:
    """What these numbers cannot tell. arms: those that are compared."""
    yield from budgets.labels_caution(arms)
    yield from budgets.starts_caution(arms)
    if any(len(of.each) == 1 for each in estimates.values() for of in each):
        yield "One seed: nothing is known of what another seed would give."
    yield from _arithmetic(arms)
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
    yield from _out_of_reach(estimates, found)
    if any(len(each) > 1 for each in estimates.values()):
        yield (
            "Which arm is best is seen on the same test patients that judge it, so the lead of the "
            "best is a little too large on average."
        )
    if stored.definition.get("confirmed"):
        yield (
            f"The confirmed were chosen by their proxy on seed {stored.definition['seeds'][0]}, "
            "which is among the seeds that are compared: its luck is in their means."
        )
    if {"source"} <= set(stored.frames.columns if stored.frames is not None else ()):
        sources = set(stored.frames["source"])
        if sources == {"phantom"}:
            yield "The frames are a phantom's, drawn and not scanned: this is no clinical result."


def _arithmetic(arms: Sequence[Arm]) -> Iterator[str]:
    """Where trials that are compared were not all computed alike: precision is the machine's choice
    unless the study makes it."""
    last = [trial.history[-1] for arm in arms for trial in arm.trials.values() if trial.history]
    kinds = {row["bfloat16"] for row in last if "bfloat16" in row}
    if len(kinds) > 1:
        yield (
            "Some trials were trained in bfloat16 and some in float32, as their machines had it; "
            "set pretrain.precision to have all alike."
        )


def _out_of_reach(estimates: Estimates, found: Compared) -> Iterator[str]:
    """Where so many pairs are compared on so few patients that no difference could be clear."""
    short: dict[str, list[str]] = {}
    for score, each in estimates.items():
        pairs = found[score].pairs
        needed = patients_needed(pairs)
        if not pairs or (needed and each[0].units >= needed):
            continue
        takes = f"it takes {needed}" if needed else f"resamples are too few for {pairs} pairs"
        with_these = f"with {_count(each[0].units, 'test patient')} ({takes})"
        short.setdefault(with_these, []).append(score.label)
    for with_these, labels in short.items():
        yield f"No difference can be clear, however large, {with_these}: {'; '.join(labels)}."


def _finding(each: Sequence[Estimate], found: Differences) -> Iterator[str]:
    ranked = ranking(each)
    best = ranked[0]
    place = f"first of {len(ranked)} arms" if len(ranked) > 1 else "the only arm"
    yield (
        f"{best.arm.name} is {place}: {best.value:.3f} {best.told}, {_seeds(best)}, on "
        f"{best.frames:,} frames of {_count(best.units, 'test patient')}."
    )
    to_simclr, to_second = _of_arm(found.to_simclr, best.arm), _of_arm(found.to_rival, best.arm)
    if to_simclr:
        yield f"Minus SimCLR ({to_simclr.reference.name}): {difference(to_simclr, each)}"
    if to_second and not (to_simclr and to_simclr.reference is to_second.reference):
        yield f"Minus the second ({to_second.reference.name}): {difference(to_second, each)}"


def difference(of: Comparison, each: Sequence[Estimate]) -> str:
    """'+0.034 (+5.1%) [+0.012, +0.056], seeds +0.040 +0.028; clearly better (p 0.01 by Holm).'

    each: the estimates of that score.
    """
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
