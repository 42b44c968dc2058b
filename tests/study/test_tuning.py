"""Which trial is next, and where what has ended is evaluated. No Ray."""

from types import SimpleNamespace

import pytest
from ray.tune.search import Searcher

from awcl.study.tuning import Slots


class Evaluations:
    """Of so many tasks a trial; `done` ends those of the trial that was begun first."""

    def __init__(self, tasks: int):
        self.tasks, self.waiting, self.begun = tasks, [], []

    def collect(self) -> None: ...

    def begin(self, beside: bool) -> None:
        self.begun.append((self.waiting.pop(0), beside))

    def done(self) -> None:
        self.begun.pop(0)

    @property
    def places(self) -> int:
        return sum(not beside for _, beside in self.begun)

    @property
    def beside(self) -> int:
        return self.tasks * sum(beside for _, beside in self.begun)


@pytest.fixture
def queue():
    """queue(beside): four trials on two places, two tasks each."""

    def make(beside: int) -> Slots:
        trials = [SimpleNamespace(key=key) for key in "abcd"]
        return Slots(trials, 2, Evaluations(2), lambda trial: {"key": trial.key}, beside)

    return make


def given(queue: Slots) -> str:
    """All trials that are given now."""
    keys = ""
    while isinstance(told := queue.suggest(""), dict):
        keys += told["job"]["key"]
    return keys


def end(queue: Slots, key: str) -> None:
    queue.on_trial_complete(key)
    queue.evaluations.waiting.append(key)


def test_a_trial_that_has_ended_is_evaluated_in_its_own_place(queue):
    slots = queue(0)
    assert given(slots) == "ab"
    end(slots, "a")
    assert given(slots) == "" and slots.evaluations.begun == [("a", False)]
    slots.evaluations.done()
    assert given(slots) == "c"


def test_where_trials_have_no_use_for_a_machine_it_is_evaluated_beside_them(queue):
    slots = queue(3)
    assert given(slots) == "ab"
    end(slots, "a")
    assert given(slots) == "c" and slots.evaluations.begun == [("a", True)]
    end(slots, "b")
    assert given(slots) == "d" and slots.evaluations.begun == [("a", True), ("b", True)]
    end(slots, "c")  # four tasks are begun where three fit: this one has its own place
    assert given(slots) == "" and slots.evaluations.begun[-1] == ("c", False)
    end(slots, "d")
    assert slots.suggest("") == Searcher.FINISHED and slots.evaluations.places == 2
