"""The numbers of a report against slow computations that are plainly right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_study import predictions
from sklearn.metrics import f1_score

from awcl.downstream import scores
from awcl.report import comparing, reading, tables
from awcl.report.arms import arms, comparable
from awcl.report.comparing import Comparison
from awcl.report.writing import find


def found(making):
    stored = reading.read(making.folder)
    kept, _ = comparable(stored, arms(stored))
    return comparing.estimates(kept)


def slow_macro_f1(table: pd.DataFrame) -> float:
    return f1_score(table["truth"], table["ridge"], average="macro", labels=table["truth"].unique())


def slow_resamples(tables: list[pd.DataFrame], number: int) -> np.ndarray:
    """(number, tables) macro-F1 in the first resamples, patient by patient."""
    first = tables[0]
    patients = sorted(first["patient"].unique())
    times = scores.draws(np.zeros(len(patients)))[:number].astype(int)
    values = np.zeros((number, len(tables)))
    for at, row in enumerate(times):
        chosen = [patient for patient, count in zip(patients, row, strict=True)
                  for _ in range(count)]  # fmt: skip
        for number_of, table in enumerate(tables):
            drawn = pd.concat([table[table["patient"] == patient] for patient in chosen])
            values[at, number_of] = slow_macro_f1(drawn)
    return values


def test_an_arm_is_the_mean_of_its_seeds_and_of_their_resamples(ratios):
    estimates, left_out = found(ratios)
    [(score, each)] = estimates.items()
    assert score.label == "planes: macro-F1, ridge probe" and not left_out
    simclr = next(of for of in each if of.arm.is_simclr)
    tables = [predictions(0.3, seed) for seed in (0, 1)]
    assert simclr.value == pytest.approx(np.mean([slow_macro_f1(table) for table in tables]))
    assert (simclr.frames, simclr.units) == (72, 12)
    slow = slow_resamples(tables, 5)
    fast = np.stack([drawn.resampled[:5] for drawn in simclr.each.values()], axis=1)
    np.testing.assert_allclose(fast, slow, atol=1e-12)
    every = np.mean([drawn.resampled for drawn in simclr.each.values()], axis=0)
    np.testing.assert_allclose(simclr.interval, np.quantile(every, [0.025, 0.975]))


def test_a_difference_is_paired_by_patient_and_by_seed(ratios):
    [each] = found(ratios)[0].values()
    of = next(c for c in comparing.differences(each).to_simclr if c.arm.name == "ratio 1, fine")
    assert of.reference.is_simclr
    pairs = [(predictions(0.95, seed), predictions(0.3, seed)) for seed in (0, 1)]
    slow = [slow_macro_f1(ours) - slow_macro_f1(theirs) for ours, theirs in pairs]
    assert list(of.each.values()) == pytest.approx(slow)
    assert of.value == pytest.approx(np.mean(slow))
    resampled = np.mean(
        [np.diff(slow_resamples([theirs, ours], 5))[:, 0] for ours, theirs in pairs], axis=0
    )
    there = {e.arm.name: e for e in each}
    fast = np.mean(
        [
            there[of.arm.name].each[s].resampled - there[of.reference.name].each[s].resampled
            for s in (0, 1)
        ],
        axis=0,
    )
    np.testing.assert_allclose(fast[:5], resampled, atol=1e-12)
    np.testing.assert_allclose((of.low, of.high), np.quantile(fast, [0.025, 0.975]))
    assert of.verdict == "clearly better" and of.is_clear


def test_every_other_arm_is_compared_with_simclr(ratios):
    [each] = found(ratios)[0].values()
    names = [of.arm.name for of in comparing.differences(each).to_simclr]
    assert names == [of.arm.name for of in each if not of.arm.is_simclr] and len(names) == 4


def test_the_rival_of_the_best_is_the_second_and_of_all_others_the_best(ratios):
    [each] = found(ratios)[0].values()
    best, second, *_ = comparing.ranking(each)
    rivals = {of.arm.name: of.reference.name for of in comparing.differences(each).to_rival}
    assert rivals.pop(best.arm.name) == second.arm.name
    assert set(rivals.values()) == {best.arm.name} and len(rivals) == 4


def test_a_pair_that_is_compared_both_ways_counts_once(ratios):
    [each] = found(ratios)[0].values()
    every = comparing.differences(each).to_rival
    best, second, *_ = comparing.ranking(each)
    one, other = (next(of for of in every if of.arm.name == e.arm.name) for e in (best, second))
    assert one.value == pytest.approx(-other.value) and one.p_holm == other.p_holm


@pytest.mark.parametrize("study", ["ratios", "paper"])
def test_a_pair_has_one_p_wherever_it_is_told_of_all_pairs_of_its_score(study, request):
    for each in found(request.getfixturevalue(study))[0].values():
        of_score = comparing.differences(each)
        every = [*of_score.to_simclr, *of_score.to_rival, *of_score.claim]
        p = {frozenset((of.arm.name, of.reference.name)): of.p for of in every}
        assert len(p) == of_score.pairs < len(every)
        slow = dict(zip(p, slow_holm(list(p.values())), strict=True))
        for of in every:
            assert of.p_holm == pytest.approx(slow[frozenset((of.arm.name, of.reference.name))])


def test_the_claim_is_the_best_by_anatomy_against_the_best_of_each_rival_that_is_there(paper):
    for each in found(paper)[0].values():
        claim = comparing.differences(each).claim
        assert {of.arm.name for of in claim} == {"fine"}
        assert [of.reference.name for of in claim] == ["queue", "labels"], "no ImageNet"
        value = {of.arm.name: of.value for of in each}
        assert claim[0].value == pytest.approx(value["fine"] - value["queue"])


def test_without_anatomy_or_without_rivals_there_is_no_claim(making):
    for name in ("anatomy", "self"):
        made = making(axes={"pretrain.temperature": [0.1, 0.5]})
        for temperature in (0.1, 0.5):
            made.add(right=0.5, pretrain__temperature=temperature, pretrain__positives=name)
        [each] = found(made)[0].values()
        assert not comparing.differences(each).claim
        made.folder.path.rename(made.folder.path.with_name(f"was-{name}"))


def slow_holm(p: list[float]) -> list[float]:
    """Step by step, as the paper says it."""
    adjusted, largest = {}, 0.0
    for step, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        largest = max(largest, min(1.0, (len(p) - step) * p[at]))
        adjusted[at] = largest
    return [adjusted[at] for at in range(len(p))]


@pytest.mark.parametrize("number", [1, 4, 10, 30])
def test_so_many_patients_are_needed_and_no_fewer(number):
    surely = np.ones(10**6)  # a difference in every resample, of which there are plenty
    units = comparing.patients_needed(number)
    assert number * comparing.p_value(surely, units) < comparing.ALPHA
    fewer = number * comparing.p_value(surely, units - 1)
    assert fewer >= comparing.ALPHA or units == scores.FEWEST


def test_of_too_many_pairs_none_can_be_clear_whatever_the_patients():
    surely = comparing.p_value(np.ones(scores.RESAMPLES), 10**6)
    most = next(n for n in range(1, 1000) if (n + 1) * surely >= comparing.ALPHA)
    assert comparing.patients_needed(most) is not None
    assert comparing.patients_needed(most + 1) is None


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_holm_is_that_of_the_paper(number):
    p = np.random.default_rng(number).random(number).tolist()
    p[: number // 3] = [0.01] * (number // 3)  # ties
    assert comparing.holm(p) == pytest.approx(slow_holm(p))


def test_p_is_twice_the_smaller_tail_and_never_nothing():
    resampled = np.concatenate([np.full(60, -1.0), np.full(1940, 1.0)])
    assert comparing.p_value(resampled, 50) == pytest.approx(2 * 61 / 2001)
    assert comparing.p_value(-resampled, 50) == pytest.approx(2 * 61 / 2001)
    assert comparing.p_value(np.ones(2000), 50) == pytest.approx(2 / 2001)
    assert comparing.p_value(np.zeros(2000), 50) == 1


def test_few_patients_never_give_a_small_p():
    assert comparing.p_value(np.ones(2000), 4) == 2**-3
    assert comparing.p_value(np.ones(2000), 0) == 1


@pytest.fixture
def clear(ratios) -> Comparison:
    [each] = found(ratios)[0].values()
    made = next(c for c in comparing.differences(each).to_simclr if c.arm.name == "ratio 1, fine")
    return replace(
        made, value=0.1, low=0.05, high=0.15, each={0: 0.1, 1: 0.1}, p_holm=0.01, units=30
    )


def test_clear_needs_interval_seeds_holm_and_patients(clear):
    assert clear.verdict == "clearly better"
    assert replace(clear, value=-0.1, low=-0.15, high=-0.05).verdict == "clearly worse"
    for change, why in (
        ({"low": -0.01}, "not clear: the interval holds zero"),
        ({"each": {0: 0.2, 1: -0.01}}, "not clear: seeds disagree"),
        ({"each": {0: 0.2, 1: 0.0}}, "not clear: seeds disagree"),
        ({"p_holm": 0.06}, "not clear: p is 0.06 by Holm"),
        ({"units": 5}, "not clear: too few patients"),
    ):
        changed = replace(clear, **change)
        assert changed.verdict == why and not changed.is_clear


def test_a_verdict_on_one_seed_says_so(clear):
    assert replace(clear, each={0: 0.1}).verdict == "clearly better on one seed"


@pytest.mark.parametrize("differ", [4, 5, 7])
def test_the_patients_that_differ_are_those_that_count(making, differ):
    """As in an exact test that exchanges two arms patient by patient: equal ones tell nothing."""
    made = making(arms={"awcl": {}, "simclr": {"pretrain.positives": "self"}})
    right = predictions(1, 0, patients=30)
    wrong = right.assign(ridge=right["ridge"].where(right["patient"] >= f"p{differ:02d}", "none"))
    made.add(table=right)
    made.add(table=wrong, pretrain__positives="self")
    ((_, of),) = find(reading.read(made.folder)).differences.items()
    [against] = of.to_simclr
    assert against.p == pytest.approx(max(2 ** (1 - differ), 2 / 2001), rel=0.7)
    assert against.p >= 2 ** (1 - differ)
    assert against.is_clear == (differ > 5)


def test_of_few_patients_no_interval_is_told(making):
    made = making()
    made.add(table=predictions(0.5, 0, patients=4))
    [[estimate]] = found(made)[0].values()
    assert estimate.units == 4
    assert estimate.told == "[too few patients]"


def test_of_few_patients_no_file_holds_an_interval_either(making):
    made = making(arms={"awcl": {}, "simclr": {"pretrain.positives": "self"}})
    for right, values in ((0.9, {}), (0.3, {"pretrain__positives": "self"})):
        made.add(table=predictions(right, 0, patients=4), **values)
    of = find(reading.read(made.folder))
    for table in (
        tables.main(of.arms, of.estimates),
        tables.differences("to_simclr", "", of.arms, of.to_simclr),
        tables.domains(of.arms, of.estimates),
    ):
        head, *rows = table.csv
        ends = [row[head.index(end)] for row in rows for end in ("low", "high")]
        assert ends and set(ends) == {None}, table.name


def test_connected_patients_are_drawn_as_one(making):
    made, table = making(), predictions(0.5, 0)
    pairs = table["patient"].map(lambda name: str(int(name[1:]) % 6))
    made.add(table=table.assign(audit_group=pairs))
    [[estimate]] = found(made)[0].values()
    assert estimate.units == 6
    slow = slow_resamples([table.assign(patient=pairs)], 5)[:, 0]
    np.testing.assert_allclose(estimate.each[0].resampled[:5], slow, atol=1e-12)


def test_an_arm_that_was_judged_on_other_frames_is_told_and_left_out(making):
    made = making(axes={"anatomy.ratio": [0, 0.5, 1]})
    made.add(right=0.5, anatomy__ratio=0)
    made.add(right=0.5, anatomy__ratio=0.5)
    made.add(table=predictions(0.5, 0).iloc[1:], anatomy__ratio=1)
    estimates, left_out = found(made)
    [each] = estimates.values()
    assert [of.arm.values["anatomy.ratio"] for of in each] == [0, 0.5]
    assert left_out == ["planes: macro-F1, ridge probe: ratio 1 was judged on other frames"]


def test_by_domain_is_the_score_on_the_frames_there(ratios):
    estimates, _ = found(ratios)
    [(score, each)] = estimates.items()
    best = comparing.ranking(each)[0]
    there = comparing.by_domain(best.arm, score)
    assert set(there) == {("machine", "A"), ("machine", "B")}
    for (_, machine), of in there.items():
        tables = [predictions(0.95, seed) for seed in (0, 1)]
        slow = np.mean([slow_macro_f1(table[table["machine"] == machine]) for table in tables])
        assert of.value == pytest.approx(slow) and of.units == 6
