"""Stages of a run: said, shown, timed, stored."""

import time

import pytest

from awcl.records import StudyFolder
from awcl.study import stages
from awcl.study.stages import Stages, amount, duration


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test says so: clock.now += 5."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(stages.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_stage_lasts_until_the_next_and_may_come_again(clock, capsys):
    run = Stages()
    clock.now += 5
    run.begin("pack", "48 frames")
    clock.now += 70
    run.begin("ray")
    clock.now += 2
    run.begin("mlflow")
    clock.now += 0.5
    run.begin("pack")
    clock.now += 1
    run.begin("end")
    assert run.seconds == {"start": 5, "pack": 71, "ray": 2, "mlflow": 0.5}
    assert capsys.readouterr().out == "pack: 48 frames\n"
    assert run.summary() == "start 5 s, pack 1 min 11 s, ray 2 s, total 1 min 18 s"


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (None, "done"),
        (KeyboardInterrupt, "interrupted"),
        (SystemExit, "interrupted"),
        (OSError, "failed"),
    ],
)
def test_a_run_that_worked_is_stored_however_it_ends(clock, tmp_path, raised, outcome):
    folder, run = StudyFolder(tmp_path), Stages()

    def work() -> None:
        with run.stored(folder):
            run.begin("training")
            clock.now += 4
            run.details["first_epochs"] = {"count": 1, "mean_seconds": 3}
            if raised:
                raise raised

    if raised:
        with pytest.raises(raised):
            work()
    else:
        work()
    [stored] = folder.timings()
    assert abs(stored.pop("time") - time.time()) < 60
    assert stored == {
        "outcome": outcome,
        "seconds": {"start": 0, "training": 4},
        "first_epochs": {"count": 1, "mean_seconds": 3},
    }


def test_a_run_that_found_nothing_to_do_is_not_stored(tmp_path):
    run = Stages()
    with run.stored(StudyFolder(tmp_path)):
        run.begin("mlflow")
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_a_line_comes_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(stages, "LINE_EVERY", 1.5)
    with Stages() as run:
        run.begin("phantom", status=lambda: "3 of 9 scans there")
        time.sleep(3.5)
    assert capsys.readouterr().out == "phantom: 3 of 9 scans there\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (451, "7 min 31 s"), (11100, "3 h 5 min")],
)
def test_durations_are_said_in_two_units_at_most(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 kB"),
        (120_228, "120 kB"),
        (999_499, "999 kB"),
        (999_600, "1 MB"),
        (21.5e9, "21.5 GB"),
        (1_048.6e9, "1,049 GB"),
    ],
)
def test_bytes_for_people(count, told):
    assert amount(count) == told
