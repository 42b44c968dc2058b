"""What evaluations ask Ray for. No Ray."""

from types import SimpleNamespace

import pytest

from awcl.study import evaluating
from awcl.study.space import Resources


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        (Resources(cpus=3, retries=5), {"num_cpus": 3, "num_gpus": 0, "max_retries": 5}),
        (None, {"num_cpus": 2, "num_gpus": 1, "max_retries": 4}),
    ],
)
def test_an_evaluation_asks_for_its_own_resources_or_a_trials(tiny_study, monkeypatch, own, asked):
    trials = Resources(cpus=2, gpus=1, retries=4)
    study = tiny_study.model_copy(update={"resources": trials, "evaluation": own})
    plan = SimpleNamespace(study=study, missing_evaluations=lambda: iter(()))
    given = {}
    monkeypatch.setattr(
        evaluating.ray, "remote", lambda **what: given.update(what) or (lambda f: f)
    )
    evaluating.Evaluations(plan, tracker=None, progress=None)
    assert given == asked


def test_what_is_begun_beside_trials_takes_no_place(tiny_study, monkeypatch):
    task = SimpleNamespace(remote=lambda *job: object())
    monkeypatch.setattr(evaluating.ray, "remote", lambda **what: lambda function: task)
    monkeypatch.setattr(evaluating.jobs, "evaluation_job", lambda evaluation, plan: {})
    trials = [SimpleNamespace(key="a"), SimpleNamespace(key="b")]
    plan = SimpleNamespace(
        study=tiny_study,
        missing_evaluations=lambda: iter(()),
        missing_of=lambda trial: [SimpleNamespace(trial=trial)] * 2,
    )
    told = []
    progress = SimpleNamespace(evaluating=lambda now, takes_place: told.append(takes_place))
    evaluations = evaluating.Evaluations(plan, tracker=None, progress=progress)
    for trial in trials:
        evaluations.add(trial)
    evaluations.begin(beside=True)
    assert (evaluations.places, evaluations.beside) == (0, 2)
    evaluations.begin()
    assert (evaluations.places, evaluations.beside) == (1, 2)
    assert told == [False, True]
