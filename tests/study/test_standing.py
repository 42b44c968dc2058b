"""How a study stands, on recorded files and by a clock of our own."""

import time

import pytest

from awcl.config import TrialConfig, with_values
from awcl.pretrain.methods import canonical
from awcl.records import StudyFolder
from awcl.study.standing import seconds_left, seconds_used, standings, summary
from awcl.study.table import render


@pytest.fixture
def study(tmp_path) -> StudyFolder:
    study = StudyFolder(tmp_path / "s")
    study.accept({"name": "s", "axes": {}, "tasks": []})
    return study


def add(
    study, key, times=(), start=None, outcome=None, epochs=4, launch="launch-1", places=1, seed=0
):
    trial = study.trial(key)
    values = {"pretrain.epochs": epochs, "seed": seed}
    config = canonical(with_values(TrialConfig(), values, "test"))
    trial.write_about({"key": key, "config": config.model_dump(mode="json")})
    if start is not None:
        trial.append_start({"time": start, "launch": launch, "places": places})
    for epoch, when in enumerate(times, start=len(trial.history()) + 1):
        trial.append_history({"epoch": epoch, "val/proxy": 0.1 * epoch, "time": when})
    if outcome:
        trial.write_done(outcome, epoch=len(trial.history()), reason="it was below")
    return trial


def states(study) -> dict[str, str]:
    return {standing.key: standing.state for standing in standings(study)}


def test_a_trial_runs_if_the_study_is_held_and_its_newest_run_started_it(study):
    add(study, "done", [10], start=1, outcome="finished")
    add(study, "earlier", [10], start=1)
    add(study, "now", start=100, launch="launch-2")
    add(study, "new")
    assert set(states(study).values()) == {"finished", "pending"}
    with study.only_driver():
        assert set(states(study).values()) == {"finished", "pending"}, "it has started none yet"
        used = seconds_used(study, standings(study))
        add(study, "now", start=time.time(), launch="launch-3")
        assert seconds_used(study, standings(study)) - used < 10
        expected = {"done": "finished", "earlier": "pending", "now": "running", "new": "pending"}
        assert states(study) == expected
        assert ", 1 running, 2 left" in summary(study, standings(study))


def test_a_study_that_ended_with_a_failed_trial_has_no_time_left(study):
    add(study, "a", [1000, 2000], start=1, outcome="finished")
    add(study, "b", [1000], start=1, outcome="failed")
    told = summary(study, standings(study))
    assert "1 of 2 trials done, 1 failed" in told and "left" not in told


def test_time_used_is_that_of_all_runs_and_of_a_killed_one_what_it_stored(study):
    add(study, "a", [30, 40], start=20)
    study.append_timings({"time": 10, "outcome": "interrupted", "seconds": {"training": 50}})
    assert seconds_used(study, standings(study)) == 50
    add(study, "a", [130, 140], start=100, launch="launch-2")  # killed: no timings
    add(study, "b", [160], start=110, launch="launch-2")
    assert seconds_used(study, standings(study)) == 50 + 60


def test_time_left_is_estimated_from_stored_epochs(study):
    add(study, "a", [30, 35], start=10)
    add(study, "b")
    trials = standings(study)
    # both are started again: 20 s to the first epoch, then 5 s for each further one
    assert seconds_left(study, trials) == (20 + 1 * 5) + (20 + 3 * 5)
    assert "about 1 min left" in summary(study, trials)


def test_what_is_never_stopped_is_estimated_to_its_end(tmp_path):
    """Of 8 epochs with rungs at 2 and 4 one in two goes on; not so of a baseline, nor of seed 1."""
    stopping = {"early_stopping": {"grace": 2, "reduction": 2}, "confirm": 1, "seeds": [0, 1]}
    left = []
    for more, seed in (({}, 0), ({"baseline": {"anatomy.ratio": 1}}, 0), ({}, 1)):
        study = StudyFolder(tmp_path / str(len(left)))
        study.accept({"name": "s", "axes": {}, "tasks": [], **stopping, **more})
        add(study, "a", [10, 11], start=1, outcome="finished", epochs=2)
        add(study, "b", epochs=8, seed=seed)
        left.append(seconds_left(study, standings(study)))
    assert left == [9 + (2 + 1 + 1 - 1) * 1, 9 + 7, 9 + 7]


def test_nothing_is_estimated_from_nothing(study):
    add(study, "a")
    assert summary(study, standings(study)) == (
        "study s: 0 of 1 trials done, 1 left, time left not known yet"
    )


def test_details_say_why_which_rung_which_checkpoint(study):
    trial = add(study, "a", [30], start=10, outcome="stopped")
    study.append_decision(
        {"key": "a", "epoch": 1, "value": 0.1, "cutoff": 0.5, "seen": [0.5], "stop": True}
    )
    (trial.train / "launch-1" / "epoch_0001").mkdir(parents=True)
    table = render(study, details=True)
    assert "a: it was below" in table
    assert table.splitlines()[-1].split() == ["a", "stopped", "1", "launch-1/epoch_0001", "-"]
    assert "it was below" not in render(study)
