"""Which points of a search run on all seeds: chosen once, when it is over, from full budgets."""

from contextlib import nullcontext

import pytest

from awcl import checkpoints, complete
from awcl.errors import EvaluationError
from awcl.study import stopping
from awcl.study.confirming import confirmed, without_baseline
from awcl.study.plan import held, make_plan
from awcl.study.space import EarlyStopping
from awcl.study.stages import Stages
from awcl.study.table import render
from awcl.tracking import Tracker


@pytest.fixture
def plan(tiny_study, tiny_frames, tmp_path):
    """plan(temperatures, ...): the plan of a search over them, in its folder."""

    def make(temperatures=(), seeds=(0, 1, 2), confirm=2, baseline=None, axes=None, named=None):
        values = {
            "axes": axes or {"pretrain.temperature": list(temperatures)},
            "seeds": list(seeds),
            "confirm": confirm,
            "baseline": named or ({"pretrain.temperature": baseline} if baseline else {}),
            "early_stopping": EarlyStopping(grace=1, reduction=2),
        }
        with held(make_plan(tiny_study.model_copy(update=values), tiny_frames, tmp_path)) as plan:
            return plan

    return make


def end(trial, proxy, outcome="finished", epoch=2):
    trial.folder.append_history({"epoch": epoch, "time": 1.0, "val/proxy": proxy})
    made = trial.folder.train / checkpoints.folder_name(epoch)
    made.mkdir(parents=True)
    (made / checkpoints.ENCODER).write_bytes(b"weights")
    complete.mark(made)
    trial.folder.write_done(outcome, epoch=epoch)


def shown(trials):
    return [(trial.config.pretrain.temperature, trial.config.seed) for trial in trials]


def chosen(plan):
    return [point["pretrain.temperature"] for point in plan.folder.definition["confirmed"]]


def test_the_best_that_ran_to_the_full_budget_run_on_all_other_seeds(plan):
    first = plan([0.1, 0.2, 0.3, 0.4])
    assert shown(first.trials) == [(0.1, 0), (0.2, 0), (0.3, 0), (0.4, 0)]
    for trial, proxy in zip(first.trials[:3], (0.5, 0.7, 0.6), strict=True):
        end(trial, proxy)
    assert confirmed(first) is first, "the search is not over"
    end(first.trials[3], 0.99, "stopped", epoch=1)
    after = confirmed(first)
    assert chosen(first) == [0.2, 0.3]
    assert shown(after.pending) == [(0.2, 1), (0.2, 2), (0.3, 1), (0.3, 2)]
    assert {trial.key for trial in after.trials} == {t.key for t in first.folder.trials()}


def test_a_choice_stands(plan):
    """A restart does not choose again, whatever confirming showed, nor does a search that grew."""
    first = plan([0.1, 0.2, 0.3])
    for trial, proxy in zip(first.trials, (0.5, 0.7, 0.6), strict=True):
        end(trial, proxy)
    after = confirmed(first)
    for trial in after.pending:
        end(trial, 0.01)
    assert confirmed(after) is after
    again = plan([0.1, 0.2, 0.3])
    assert shown(again.trials) == shown(after.trials) and not again.pending
    grown = plan([0.1, 0.2, 0.3, 0.4])
    end(grown.pending[0], 0.95)
    assert confirmed(grown) is grown
    assert chosen(grown) == [0.2, 0.3]


def test_a_larger_number_adds_the_next_best(plan):
    first = plan([0.1, 0.2, 0.3], confirm=1)
    for trial, proxy in zip(first.trials, (0.5, 0.7, 0.6), strict=True):
        end(trial, proxy)
    for trial in confirmed(first).pending:
        end(trial, 0.01)
    confirmed(plan([0.1, 0.2, 0.3], confirm=2))
    assert chosen(first) == [0.2, 0.3]


def test_a_failed_trial_holds_up_no_choice_and_fewer_than_asked_are_all(plan):
    first = plan([0.1, 0.2], confirm=5)
    end(first.trials[0], 0.5, "failed")
    end(first.trials[1], 0.4)
    after = confirmed(first)
    assert chosen(first) == [0.2]
    assert confirmed(after) is after


def test_where_none_ran_to_the_full_budget_or_none_are_asked_for_nothing_is_chosen(plan):
    first = plan([0.1, 0.2])
    for trial in first.trials:
        end(trial, 0.5, "stopped", epoch=1)
    assert confirmed(first) is first


def test_without_confirming_every_point_runs_on_every_seed(plan):
    every = plan([0.1, 0.2], confirm=0)
    assert len(every.trials) == 6
    for trial in every.trials:
        end(trial, 0.5)
    assert confirmed(every) is every


def test_what_confirms_is_never_stopped_and_moves_no_rung(plan):
    first = plan([0.1, 0.2, 0.3], confirm=1)
    for trial, proxy in zip(first.trials, (0.5, 0.6, 0.7), strict=True):
        trial.folder.append_history({"epoch": 1, "time": proxy, "val/proxy": proxy})
        end(trial, proxy)
    after = confirmed(first)
    decided = stopping.restored(after).decisions
    for trial in after.pending:
        trial.folder.append_history({"epoch": 1, "time": 2.0, "val/proxy": 0.0})
    asha = stopping.restored(after)
    assert asha.decisions == decided and len(decided) == 3
    for trial in after.pending:
        assert stopping.decide(asha, after.folder, trial, 1, 0.0) is None


def test_a_baseline_is_confirmed_beside_the_best_of_the_others(plan):
    first = plan([0.1, 0.2, 0.3, 0.4], confirm=1, baseline=0.3)
    for trial, proxy in zip(first.trials, (0.5, 0.7, 0.1, 0.6), strict=True):
        end(trial, proxy)
    after = confirmed(first)
    assert chosen(first) == [0.2, 0.3]
    assert shown(after.pending) == [(0.2, 1), (0.2, 2), (0.3, 1), (0.3, 2)]
    assert confirmed(after) is after
    confirmed(plan([0.1, 0.2, 0.3, 0.4], confirm=2, baseline=0.3))
    assert chosen(first) == [0.2, 0.3, 0.4]


def test_a_baseline_is_known_by_what_it_trains_whichever_point_stands_for_it(plan):
    """SimCLR as the first point, ratio 0.5, has it: the same trial as positives self, ratio 0."""
    axes = {"pretrain.positives": ["self", "anatomy"], "anatomy.ratio": [0.5, 0]}
    first = plan(axes=axes, confirm=1, named={"anatomy.ratio": 0})
    alike, anatomy = first.trials
    end(alike, 0.9)
    end(anatomy, 0.1)
    after = confirmed(first)
    points = after.folder.definition["confirmed"]
    assert points == [
        {"pretrain.positives": "anatomy", "anatomy.ratio": 0.5},
        {"pretrain.positives": "self", "anatomy.ratio": 0.5},
    ]


def test_a_baseline_of_which_no_trial_ran_to_the_full_budget_is_told_of(plan):
    """As in a search that stopped it before the study had a baseline."""
    first = plan([0.1, 0.2], confirm=1, baseline=0.2)
    end(first.trials[0], 0.5)
    assert not without_baseline(first), "the search is not over"
    end(first.trials[1], 0.1, "stopped", epoch=1)
    assert chosen(confirmed(first)) == [0.1] and without_baseline(first)


def test_decisions_on_what_became_a_baseline_move_no_rung(plan):
    search = plan([0.1, 0.2], confirm=1)
    asha = stopping.restored(search)
    assert not stopping.decide(asha, search.folder, search.trials[1], 1, 0.9).stop
    again = plan([0.1, 0.2], confirm=1, baseline=0.2)
    made = stopping.decide(stopping.restored(again), again.folder, again.trials[0], 1, 0.5)
    assert not made.stop


def test_a_search_that_has_chosen_takes_a_baseline_later(plan):
    """What it takes is not one of those that were chosen before, whatever their number."""
    first = plan([0.1, 0.2, 0.3], confirm=1)
    for trial, proxy in zip(first.trials, (0.5, 0.7, 0.6), strict=True):
        end(trial, proxy)
    confirmed(first)
    confirmed(plan([0.1, 0.2, 0.3], confirm=1, baseline=0.1))
    assert chosen(first) == [0.2, 0.1]


def test_a_baseline_is_never_stopped_and_moves_no_rung(plan):
    search = plan([0.1, 0.2, 0.3], confirm=1, baseline=0.3)
    asha = stopping.restored(search)
    first, second, baseline = search.trials
    assert stopping.decide(asha, search.folder, baseline, 1, 0.9) is None
    for trial, value in ((first, 0.5), (second, 0.4)):
        made = stopping.decide(asha, search.folder, trial, 1, value)
        assert made.stop == (trial is second), "among two of three, the better one goes on"


def test_an_evaluation_that_fails_holds_up_no_choice(plan, monkeypatch, tmp_path):
    """It is told of at the end, when the best have been chosen and run."""
    from awcl.study import executor

    def work(plan, tracker, stages):
        for trial in plan.pending:
            end(trial, trial.config.pretrain.temperature)
        return ["planes of a trial: no memory"]

    for name in ("_tracked", "ray_session", "freed_places"):
        monkeypatch.setattr(executor, name, lambda *_: nullcontext())
    monkeypatch.setattr(executor, "_work", work)
    search = plan([0.1, 0.2], confirm=1)
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", search.folder)
    with pytest.raises(EvaluationError, match="2 evaluations failed; the first, planes of a tri"):
        executor.execute(search, tracker, Stages())
    assert chosen(search) == [0.2]
    assert len(list(search.folder.trials())) == 4


@pytest.mark.slow
def test_a_run_goes_from_the_search_to_what_confirms_it(shared_ray, plan, tmp_path):
    """Two points, stopped early on seed 0; the better one ends with every seed judged."""
    from awcl.study import executor

    search = plan([0.1, 0.5], seeds=(0, 1), confirm=1)
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", search.folder)
    with search.folder.only_driver():
        executor.execute(search, tracker, Stages())
    [best] = chosen(search)
    after = plan([0.1, 0.5], seeds=(0, 1), confirm=1)
    assert after.done and len(after.trials) == 3
    finished = [t for t in after.trials if t.folder.done == {"outcome": "finished", "epoch": 2}]
    assert {(best, 0), (best, 1)} <= set(shown(finished))
    assert {made["key"] for made in after.folder.decisions()} == {t.key for t in search.trials}
    [together] = render(after.folder).split("seeds together, full budget\n")[1:]
    assert together.splitlines()[1].split()[:2] == ["planes", str(best)]
