"""Trials, epochs and time left of a study, by a clock of our own."""

import pytest

from awcl.study.asha import Asha
from awcl.study.progress import UNKNOWN, Course, Progress, expected_epochs, goes_on, together


def progress(*courses: Course, asha: Asha | None = None, at_a_time=1, evaluations=0) -> Progress:
    named = {f"t{number}": course for number, course in enumerate(courses)}
    return Progress(named, at_a_time, asha, evaluations, now=0)


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (0, 2 + 2 / 2 + 4 / 4),  # to the rungs at 2 and 4, then to the end
        (1, 1 + 2 / 2 + 4 / 4),
        (2, 2 + 4 / 2),  # decided on already, so it goes on
        (5, 3),
        (8, 0),
    ],
)
def test_of_the_trials_at_a_rung_one_in_reduction_is_expected_to_go_on(done, expected):
    assert expected_epochs(done, 8, Asha(2, 2).rungs(8), 2) == expected


def test_without_early_stopping_every_epoch_is_expected():
    assert expected_epochs(3, 8, [], 1) == 5


def test_time_left_is_known_once_a_first_and_a_further_epoch_were_seen():
    run = progress(Course(0, 4), Course(0, 4))
    assert run.seconds_left(now=0) is None
    run.started("t0", now=10)
    run.epoch("t0", 1, 0.5, now=30)
    assert run.seconds_left(now=30) is None
    run.epoch("t0", 2, 0.6, now=35)
    # two more epochs of 5 s; then 30 s to the first epoch of the other, and three more
    assert run.seconds_left(now=35) == 2 * 5 + 30 + 3 * 5


def test_a_trial_has_its_place_from_when_another_left_it():
    run = progress(Course(0, 1), Course(0, 1), Course(0, 1), at_a_time=2)
    run.started("t0", now=5)
    run.started("t1", now=6)
    run.ended("t1", 1, now=20)
    run.started("t2", now=28)
    assert [course.started for course in run.courses.values()] == [0, 0, 20]


def test_what_a_trial_has_waited_for_its_first_epoch_is_not_waited_for_again():
    run = progress(Course(2, 2, ended=True), Course(0, 1))
    run.first_epochs, run.epochs = [30], [5]
    run.started("t1", now=0)
    assert run.seconds_left(now=20) == 10
    assert run.seconds_left(now=50) == 0


def test_trials_at_a_time_share_the_time_and_the_last_one_has_it_alone():
    run = progress(Course(0, 11), Course(0, 1), at_a_time=2)
    run.first_epochs, run.epochs = [10], [1]
    assert run.seconds_left(now=0) == 20  # the long one, though both together take 30 / 2
    run = progress(*[Course(0, 1) for _ in range(4)], at_a_time=2, evaluations=6)
    run.first_epochs, run.epochs = [10], [1]
    assert run.seconds_left(now=0) == (4 * 10 + 6 * 1) / 2


def test_early_stopping_shortens_what_is_expected():
    run = progress(Course(0, 8), asha=Asha(2, 2))
    run.first_epochs, run.epochs = [10], [1]
    assert run.seconds_left(now=0) == 10 + (4 - 1) * 1


def test_what_is_never_stopped_is_expected_to_run_to_its_end():
    run = progress(Course(0, 8, stoppable=False), asha=Asha(2, 2))
    run.first_epochs, run.epochs = [10], [1]
    assert run.seconds_left(now=0) == 10 + (8 - 1) * 1


def test_times_of_a_search_and_of_what_confirms_it_are_told_together():
    first = {"first_epochs": {"count": 3, "mean_seconds": 10}}
    second = {"first_epochs": {"count": 1, "mean_seconds": 14}, "further_epochs": {"count": 2}}
    assert together(first, second) == {
        **second, "first_epochs": {"count": 4, "mean_seconds": 11},
    }  # fmt: skip


def test_the_line_says_trials_epochs_and_time():
    run = progress(Course(3, 8, ended=True), Course(0, 8), Course(0, 8))
    assert run.line(now=80) == f"epochs 3/19, trials 1/3 done, 0 running, {UNKNOWN}"
    run.started("t1", now=0)
    run.epoch("t1", 1, 0.5, now=10)
    run.epoch("t1", 2, 0.75, now=70)
    line = "epochs 5/19, trials 1/3 done, 1 running, best proxy 0.750, about 13 min left"
    assert run.line(now=80) == line
    run.ended("t1", 2, now=80)
    assert run.line(now=80).startswith("epochs 5/13, trials 2/3 done, 0 running, ")


def test_a_trial_that_goes_on_counts_its_first_epoch_from_its_start():
    run = progress(Course(5, 8))
    run.started("t0", now=0)
    run.epoch("t0", 6, 0.5, now=30)
    run.epoch("t0", 7, 0.5, now=32)
    assert (run.first_epochs, run.epochs) == ([30], [2])
    assert run.times() == {
        "first_epochs": {"count": 1, "mean_seconds": 30},
        "further_epochs": {"count": 1, "mean_seconds": 2},
    }


def test_what_an_earlier_run_left_is_said():
    assert goes_on({"a": Course(0, 8), "b": Course(0, 8)}) == ""
    ended, begun, new = Course(3, 8, ended=True), Course(5, 8), Course(0, 8)
    assert goes_on({"a": ended, "b": new}) == "goes on: 1 of 2 trials done"
    assert goes_on({"a": ended, "b": begun, "c": new}) == (
        "goes on: 1 of 3 trials done, 1 begun (epoch 5 of 8)"
    )
    assert goes_on({"a": begun, "b": begun}) == (
        "goes on: 0 of 2 trials done, 2 begun (epochs 10 of 16)"
    )


def test_an_evaluation_has_the_place_of_its_trial_until_it_is_done():
    run = progress(Course(0, 1), Course(0, 1), evaluations=4)
    run.started("t0", now=0)
    run.ended("t0", 1, now=20)
    run.evaluating(now=21)
    run.evaluated(now=25, place_free=False)
    run.evaluated(now=30, place_free=True)
    run.started("t1", now=34)
    assert run.courses["t1"].started == 30
    assert ", evaluations 2/4, " in run.line(now=80)
    assert run.evaluations == 2


def test_an_evaluation_beside_trials_takes_no_place():
    run = progress(Course(0, 1), Course(0, 1), evaluations=1)
    run.started("t0", now=0)
    run.ended("t0", 1, now=20)
    run.evaluating(now=21, takes_place=False)
    run.started("t1", now=22)
    assert run.courses["t1"].started == 20


def test_a_trial_whose_machine_has_not_come_waits():
    run = progress(Course(0, 1), Course(0, 1), Course(0, 1), at_a_time=2)
    run.started("t0", now=0)
    run.started("t1", now=0)
    assert run.queue() == {"running": 2, "waiting": 1}
    run.placed = lambda: 1
    assert run.queue() == {"running": 1, "waiting": 2}
    assert "trials 0/3 done, 1 running" in run.line(now=0)
    run.placed = lambda: None  # the cluster does not answer
    assert run.queue() == {"running": 2, "waiting": 1}


def test_when_all_is_trained_the_time_left_is_that_of_evaluations():
    run = progress(Course(1, 1, ended=True), evaluations=4)
    assert run.seconds_left(now=0) is None
    run.evaluating(now=10)
    run.evaluated(now=16, place_free=False)
    assert run.seconds_left(now=16) == 3 * 6
