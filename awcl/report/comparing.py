"""Arms against each other: means over seeds, differences paired by patient and by seed.

Estimate: the mean over seeds; its 95 % interval is over 2,000 resamples of test patients (connected
groups of the audit), the same resamples for every seed and arm. It holds what patients add to the
uncertainty and not what seeds do: their values stand beside it.

Comparison: seed by seed, resample by resample, arm minus reference. The p-value is that of the
percentile bootstrap (Efron and Tibshirani 1993, chapter 16): twice the share of resamples on the
other side of zero, each tail with one added to count and number, so it is never below 2/2001. Nor
is it below 2^(1-n), the least that an exact test which exchanges two arms within patients can give,
n of whom differ. It is adjusted by Holm's method (1979) over all pairs that are compared in the
same score: with SimCLR, with the best rival, and for the paper's claim. So a pair has one p, and
one verdict, wherever it is told.

A difference is called clear where its interval holds no zero, each seed's difference has its sign,
and the adjusted p is below 0.05. With fewer than six patients none can be, and no interval is told.
Nor can any be where more than 50 pairs are compared, which some 25 arms are: there resamples are
too few to tell so small a p.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from awcl import hashing
from awcl.data.table import DOMAINS
from awcl.downstream import drawn, scores
from awcl.downstream.comparing import ROUNDING
from awcl.downstream.drawn import Drawn
from awcl.report.arms import ANATOMY, RIVALS, Arm, nearest
from awcl.report.headlines import Score, headlines
from awcl.report.reading import Judgement

ALPHA = 0.05
MIXED = "mixed"  # instead of a word for frames: seeds were judged on different ones
NO_INTERVAL = "[too few patients]"
FEW_PATIENTS = 30  # below about so many an interval over them is too narrow


@dataclass(frozen=True)
class Estimate:
    """One arm in one score. each: seed -> what it is there, with its resamples."""

    arm: Arm
    score: Score
    each: Mapping[int, Drawn]

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(np.mean([of.value for of in self.each.values()]))

    @property
    def interval(self) -> tuple[float, float]:
        return scores.percentiles(np.mean([of.resampled for of in self.each.values()], axis=0))

    @property
    def units(self) -> int:
        return next(iter(self.each.values())).units

    @property
    def frames(self) -> int:
        return next(iter(self.each.values())).frames

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """The interval as far as it may be shown."""
        return self.interval if self.units >= scores.FEWEST else (None, None)

    @property
    def told(self) -> str:
        """'[0.401, 0.478]', or why there is none."""
        low, high = self.ends
        return NO_INTERVAL if low is None else f"[{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Arm minus reference in one score. each: seed -> difference. p_holm: adjusted."""

    score: Score
    arm: Arm
    reference: Arm
    value: float
    low: float
    high: float
    each: Mapping[int, float]
    p: float
    p_holm: float
    units: int

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """The interval as far as it may be shown."""
        return (self.low, self.high) if self.units >= scores.FEWEST else (None, None)

    @property
    def told(self) -> str:
        """'[-0.012, +0.034]', or why there is none."""
        low, high = self.ends
        return NO_INTERVAL if low is None else f"[{low:+.3f}, {high:+.3f}]"

    @property
    def is_clear(self) -> bool:
        return self.verdict.startswith("clear")

    @property
    def verdict(self) -> str:
        """'clearly better' or 'clearly worse', with a word where that is of one seed; or why it is
        not clear."""
        if self.units < scores.FEWEST:
            return "not clear: too few patients"
        if self.low <= ROUNDING and self.high >= -ROUNDING:
            return "not clear: the interval holds zero"
        if len({np.sign(value) for value in self.each.values()}) > 1:
            return "not clear: seeds disagree"
        if self.p_holm >= ALPHA:
            return f"not clear: p is {self.p_holm:.2g} by Holm"
        one = " on one seed" if len(self.each) == 1 else ""
        return f"clearly {'better' if self.value > 0 else 'worse'}{one}"


Estimates = Mapping[Score, Sequence[Estimate]]


def estimates(
    arms: Sequence[Arm], wanted: Callable[[Score], bool] = lambda score: True
) -> tuple[dict[Score, list[Estimate]], list[str]]:
    """Each headline score, in the order of `Score.place`, with the arms that were judged on it in
    every seed, in theirs; and a line for each arm that was judged on other frames than most, which
    is left out there.

    wanted: of which scores. Raises InputError where predictions are damaged.
    """
    found: dict[Score, list[Estimate]] = {}
    left_out: list[str] = []
    for task in _tasks(arms):
        judged: dict[Score, list[tuple[str, Estimate]]] = {}
        for arm in arms:
            for score, frames, estimate in _of_arm(arm, task, wanted):
                judged.setdefault(score, []).append((frames, estimate))
        for score, each in judged.items():
            words = Counter(frames for frames, _ in each if frames != MIXED)
            most = words.most_common(1)[0][0] if words else None
            found[score] = [estimate for frames, estimate in each if frames == most]
            others = [estimate.arm.name for frames, estimate in each if frames != most]
            left_out += [f"{score.label}: {name} was judged on other frames" for name in others]
    return {score: found[score] for score in sorted(found, key=lambda s: s.place)}, left_out


@dataclass(frozen=True)
class Differences:
    """All pairs that are compared in one score, which Holm's adjustment is over: `pairs` of them,
    one that is told twice, or both ways round, counted once.

    to_simclr: every other arm minus the SimCLR arm that is nearest to it in configuration.
    to_rival: every arm minus the best of the others: the winner minus the second, the rest minus
    the winner. claim: the best that pairs by anatomy minus the best of each of RIVALS, where there.

    Which is best is seen in these same scores, so the lead of the best is a little too large, on
    average.
    """

    to_simclr: Sequence[Comparison]
    to_rival: Sequence[Comparison]
    claim: Sequence[Comparison]
    pairs: int


def differences(of_score: Sequence[Estimate]) -> Differences:
    """All comparisons in one score, each with its adjusted p."""
    kinds = _with_simclr(of_score), _with_rival(of_score), _of_claim(of_score)
    made = [[_comparison(by, of) for by, of in pairs] for pairs in kinds]
    p = {_pair(of): of.p for of in itertools.chain(*made)}
    p_holm = dict(zip(p, holm(list(p.values())), strict=True))
    told = [[replace(of, p_holm=p_holm[_pair(of)]) for of in each] for each in made]
    return Differences(*told, pairs=len(p))


Pairs = list[tuple[Estimate, Estimate]]  # of reference and arm


def _with_simclr(of_score: Sequence[Estimate]) -> Pairs:
    there = {estimate.arm.name: estimate for estimate in of_score}
    simclr = [estimate.arm for estimate in of_score if estimate.arm.is_simclr]
    others = [of for of in of_score if simclr and not of.arm.is_simclr]
    return [(there[nearest(of.arm, simclr).name], of) for of in others]


def _with_rival(of_score: Sequence[Estimate]) -> Pairs:
    if len(of_score) < 2:
        return []
    best, second, *_ = ranking(of_score)
    return [(second if of is best else best, of) for of in of_score]


def _of_claim(of_score: Sequence[Estimate]) -> Pairs:
    anatomy = best_of(of_score, ANATOMY)
    rivals = [best_of(of_score, kind) for kind in RIVALS]
    return [(rival, anatomy) for rival in rivals if rival and anatomy]


def best_of(of_score: Iterable[Estimate], kind: str) -> Estimate | None:
    """The best arm of a kind, if there is any."""
    return next((of for of in ranking(of_score) if of.arm.kind == kind), None)


def ranking(of_score: Iterable[Estimate]) -> list[Estimate]:
    """Best first."""
    return sorted(of_score, key=lambda estimate: -estimate.value)


def by_domain(arm: Arm, score: Score) -> dict[tuple[str, str], Estimate]:
    """(domain, value) -> the estimate over the test frames there; domains of one value are left
    out, and where no frame was judged."""
    tables = {seed: _judged(arm, seed, score) for seed in arm.trials}
    columns = {seed: _judgement(arm, seed, score.task).scores[score.name] for seed in arm.trials}
    first = next(iter(tables.values()))
    found = {}
    for domain in DOMAINS:
        values = sorted(first[domain].dropna().unique())
        for value in values if len(values) > 1 else []:
            each = {
                seed: drawn.draw(table[table[domain] == value], columns[seed])
                for seed, table in tables.items()
            }
            found[domain, str(value)] = Estimate(arm, score, each)
    return found


def p_value(resampled: np.ndarray, units: int) -> float:
    """Two-sided, of (RESAMPLES,) differences between which so many patients differ; 1 where all
    are zero."""
    resampled = resampled[~np.isnan(resampled)]  # draws that hold no frame of a score
    number = len(resampled) + 1
    tails = ((resampled <= 0).sum() + 1) / number, ((resampled >= 0).sum() + 1) / number
    return float(min(1.0, max(2 * min(tails), least_p(units))))


def least_p(units: int) -> float:
    """No p-value of differences in so many patients is below it."""
    return 2.0 ** (1 - units)


def patients_needed(pairs: int) -> int | None:
    """The fewest test patients of whom one of so many pairs can be clear; None where resamples are
    too few for that, whatever the patients."""
    if pairs * 2 / (scores.RESAMPLES + 1) >= ALPHA:
        return None
    return next(n for n in itertools.count(scores.FEWEST) if pairs * least_p(n) < ALPHA)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979): the k-th smallest of n times n - k + 1,
    never below that of a smaller one."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted.tolist()


def _pair(of: Comparison) -> frozenset[str]:
    return frozenset((of.arm.name, of.reference.name))


def _comparison(by: Estimate, of: Estimate) -> Comparison:
    """Not adjusted yet."""
    each = {seed: of.each[seed].value - by.each[seed].value for seed in of.each}
    resampled = np.mean([of.each[s].resampled - by.each[s].resampled for s in of.each], axis=0)
    low, high = scores.percentiles(resampled)
    differ = drawn.differing(of.each.values(), [by.each[seed] for seed in of.each])
    value, p = float(np.mean(list(each.values()))), p_value(resampled, differ)
    return Comparison(of.score, of.arm, by.arm, value, low, high, each, p, p, of.units)


def _tasks(arms: Sequence[Arm]) -> list[str]:
    every = [task for arm in arms for trial in arm.trials.values() for task in trial.judgements]
    return list(dict.fromkeys(every))


def _of_arm(
    arm: Arm, task: str, wanted: Callable[[Score], bool]
) -> list[tuple[Score, str, Estimate]]:
    """The headline scores of a task that every seed of an arm has, and a word for the frames that
    they are over."""
    if any(task not in trial.judgements for trial in arm.trials.values()):
        return []
    first = _judgement(arm, next(iter(arm.trials)), task)
    found = []
    every = headlines(task, first.result.get("task", task), list(first.scores))
    for score in filter(wanted, every):
        tables = {seed: _judged(arm, seed, score) for seed in arm.trials}
        frames = {_word_for(table) for table in tables.values()}
        own = {s: drawn.paired(_scores(arm, s, task).get(score.name, []), s) for s in arm.trials}
        if all(map(len, tables.values())) and all(own.values()):
            each = {seed: drawn.draw(table, own[seed]) for seed, table in tables.items()}
            word = frames.pop() if len(frames) == 1 else MIXED
            found.append((score, word, Estimate(arm, score, each)))
    return found


def _scores(arm: Arm, seed: int, task: str) -> Mapping[str, list[str]]:
    return _judgement(arm, seed, task).scores


def _judgement(arm: Arm, seed: int, task: str) -> Judgement:
    return arm.trials[seed].judgements[task]


def _judged(arm: Arm, seed: int, score: Score) -> pd.DataFrame:
    """The predictions of the frames that a score is over; none where a seed has no such score."""
    judgement = _judgement(arm, seed, score.task)
    table, columns = judgement.predictions, judgement.scores.get(score.name)
    return table[table[columns].notna().all(axis=1)] if columns else table[:0]


def _word_for(judged: pd.DataFrame) -> str:
    """Equal for tables of the same frames, patients and truths."""
    truth = judged["truth"].fillna("").astype(str) if "truth" in judged else judged["unit"]
    return hashing.of_json([judged.index.tolist(), judged["unit"].tolist(), truth.tolist()])
