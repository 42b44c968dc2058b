"""Decisions of early stopping, against Ray's own bracket, and over restarts."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from awcl.study.asha import Asha, Decision

NAN = float("nan")
values = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])


@st.composite
def races(draw):
    """Rungs, and the order in which trials report epochs: (trial, value) until its last epoch."""
    epochs = draw(st.integers(2, 9))
    trials = draw(st.integers(1, 6))
    order = draw(st.permutations([t for t in range(trials) for _ in range(epochs)]))
    reported = [(trial, draw(values)) for trial in order]
    return draw(st.integers(1, 3)), draw(st.integers(2, 4)), epochs, reported


def raced(race, decide) -> list[tuple[int, int, bool]]:
    """(trial, epoch, stopped) of each report; a stopped trial reports no more."""
    epoch, stopped, told = {}, set(), []
    for trial, value in race[3]:
        if trial in stopped or epoch.get(trial, 0) == race[2]:
            continue
        epoch[trial] = epoch.get(trial, 0) + 1
        stop = decide(trial, epoch[trial], value)
        told.append((trial, epoch[trial], stop))
        if stop:
            stopped.add(trial)
    return told


def ours(grace, reduction, epochs):
    asha = Asha(grace, reduction)

    def decide(trial, epoch, value):
        decision = asha.decide(f"t{trial}", epoch, value, epochs)
        return decision is not None and decision.stop

    return asha, decide


@given(races())
def test_decisions_are_those_of_rays_own_bracket(race):
    grace, reduction, epochs, _ = race
    _, decide = ours(grace, reduction, epochs)
    bracket = _Bracket(grace, max(grace, epochs), reduction, 0)

    def rays(trial, epoch, value):
        if epoch >= epochs:
            return False  # its scheduler ends a trial at max_t without asking the bracket
        action = bracket.on_result(SimpleNamespace(trial_id=f"t{trial}"), epoch, value)
        return action == TrialScheduler.STOP

    assert raced(race, decide) == raced(race, rays)


@given(races())
def test_decisions_are_those_of_a_slow_ranking(race):
    """Kept where at least as good as the value below which 1 - 1/reduction of the rung lies."""
    grace, reduction, epochs, _ = race
    rungs = {grace * reduction**k for k in range(10) if grace * reduction**k < epochs}
    at = {rung: [] for rung in rungs}

    def slow(trial, epoch, value):
        if epoch not in rungs:
            return False
        seen = sorted(at[epoch])
        at[epoch].append(value)
        if not seen:
            return False
        place = (1 - 1 / reduction) * (len(seen) - 1)
        low, high = seen[int(np.floor(place))], seen[int(np.ceil(place))]
        cutoff = low + (high - low) * (place - np.floor(place))
        return value < cutoff - 1e-12

    assert raced(race, ours(grace, reduction, epochs)[1]) == raced(race, slow)


@pytest.mark.parametrize(
    ("grace", "reduction", "epochs", "rungs"),
    [(1, 2, 8, [1, 2, 4]), (4, 2, 12, [4, 8]), (1, 3, 3, [1]), (5, 2, 5, []), (1, 2, 1, [])],
)
def test_rungs_are_below_the_last_epoch(grace, reduction, epochs, rungs):
    assert Asha(grace, reduction).rungs(epochs) == rungs


def test_the_first_at_a_rung_goes_on_and_the_best_always_does():
    asha = Asha(1, 2)
    assert not asha.decide("a", 1, 0.0, 8).stop
    assert not asha.decide("b", 1, 0.5, 8).stop
    assert asha.decide("c", 1, 0.2, 8).stop
    assert not asha.decide("d", 1, 0.9, 8).stop
    assert asha.decide("d", 3, 0.0, 8) is None, "epoch 3 is no rung"


def test_a_decision_says_what_it_was_compared_with():
    asha = Asha(1, 2)
    for key, value in (("a", 0.2), ("b", 0.6)):
        asha.decide(key, 1, value, 8)
    decision = asha.decide("c", 1, 0.3, 8)
    assert decision.compared == 2 and decision.cutoff == pytest.approx(0.4)
    assert decision.reason == (
        "proxy 0.300 at epoch 1 is below the cutoff 0.400 of 2 earlier trials"
    )


@given(races(), st.integers(0, 30))
def test_decisions_stand_after_a_restart_and_those_to_come_are_the_same(race, after):
    """Halfway, everything but what is stored is lost; a trial reports its last epochs again."""
    grace, reduction, epochs, _ = race
    whole, decide = ours(grace, reduction, epochs)
    told = raced(race, decide)
    lines = [json.dumps(d.as_dict()) for d in whole.decisions.values()]

    again = Asha(grace, reduction)
    for line in lines[:after]:
        again.restore(Decision.stored(json.loads(line)))
    value = {(d.key, d.epoch): d.value for d in whole.decisions.values()}
    for trial, epoch, stopped in told:
        report = value.get((f"t{trial}", epoch), 0.0)
        decision = again.decide(f"t{trial}", epoch, report, epochs)
        assert (decision is not None and decision.stop) == stopped
    assert list(again.decisions.values()) == list(whole.decisions.values())


def test_what_an_older_study_stored_is_the_same_decision():
    old = {"key": "c", "epoch": 1, "value": 0.3, "cutoff": 0.4, "seen": [0.2, 0.6], "stop": True}
    assert Decision.stored(old) == Decision("c", 1, 0.3, 0.4, compared=2, stop=True)


def test_what_a_decision_stores_does_not_grow_with_the_trials_before_it():
    asha = Asha(1, 2)
    lines = [json.dumps(asha.decide(f"{n:04d}", 1, 0.5, 8).as_dict()) for n in range(1000)]
    assert len(lines[-1]) < len(lines[1]) + 10


def test_asked_again_with_another_value_the_first_decision_stands():
    asha = Asha(1, 2)
    asha.decide("a", 1, 0.9, 8)
    assert asha.decide("b", 1, 0.1, 8).stop
    assert asha.decide("b", 1, 1.0, 8).stop
    assert len(asha.decisions) == 2


def test_a_value_that_is_no_number_stops_its_trial_and_blinds_no_other():
    asha = Asha(1, 2)
    asha.decide("a", 1, 0.5, 8)
    assert asha.decide("b", 1, NAN, 8).stop
    assert asha.decide("c", 1, 0.1, 8).stop
    assert not asha.decide("d", 1, 0.7, 8).stop
    first = Asha(1, 2)
    first.decide("a", 1, NAN, 8)
    assert not first.decide("b", 1, 0.1, 8).stop
