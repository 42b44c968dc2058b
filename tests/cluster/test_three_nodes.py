"""A study on three machines of which one is taken away on notice and another dies."""

import time
from pathlib import Path

import pandas as pd
import pytest
from disturbing import LONG, a_study, started, undisturbed, wait_for, without_times
from machines import busy_nodes, drain, one_more, three_machines
from mlflow import MlflowClient

from awcl.study import jobs, judging
from awcl.study.plan import Plan, held
from awcl.study.table import render

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 2, 3
NOTICE = 0.6  # epochs between the word and the end of a machine


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.2")
    with three_machines(failures=6) as made:
        yield made


def trained_alone(plan: Plan) -> None:
    """Stores in a plan's folder what its training gives without Ray and without an executor."""
    for trial in plan.trials:
        for row in undisturbed(trial, trial.folder.train / "alone"):
            trial.folder.append_history(row)
        trial.folder.write_done("finished", epoch=trial.config.pretrain.epochs)


def left_alone(plan: Plan) -> None:
    """The same, and what its evaluations give."""
    with held(plan):
        trained_alone(plan)
        for evaluation in plan.missing_evaluations():
            judging.evaluate_job(jobs.evaluation_job(evaluation, plan), cpus=1, gpus=0)


def in_mlflow(storage: Path) -> dict[str, tuple[str, list[int]]]:
    """Key -> how the run of a trial stands, and the epochs that it has a proxy of."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "awcl-disturbed"]
    told = {}
    for run in client.search_runs([experiment.experiment_id]):
        points = client.get_metric_history(run.info.run_id, "val/proxy")
        told[run.data.tags["awcl.key"]] = run.info.status, [point.step for point in points]
    assert told.pop("study") == ("FINISHED", [])
    return told


def test_a_study_whose_machines_go_gives_what_it_gives_when_they_stay(
    cluster, long_epoch, tmp_path, same_threads_after
):
    """In the middle of two trials, the one's machine goes on notice, as spot machines do, and the
    other's is killed; two others join in their place."""
    plan, command = a_study(tmp_path / "wild", long_epoch, TRIALS, EPOCHS, retries=1)
    calm, _ = a_study(tmp_path / "calm", long_epoch, TRIALS, EPOCHS, retries=1)
    first, second = (trial.folder for trial in plan.trials)
    log = tmp_path / "log"
    with started(command, log, RAY_ADDRESS=cluster.address) as study:
        wait_for(lambda: first.history() and second.history(), study, log)
        drained, killed = busy_nodes(cluster)
        end = drain(cluster, drained, NOTICE * first.history()[0]["seconds"])
        wait_for(lambda: list(plan.folder.path.glob("trials/*/train/*_step_*")), study, log)
        told = [first.history(), second.history()]
        cluster.remove_node(killed, allow_graceful=False)
        one_more(cluster)
        time.sleep(max(0, end - time.time()))
        cluster.remove_node(drained)
        one_more(cluster)
        assert first.done is None and second.done is None, "both were in the middle"
        left_alone(calm)
        assert study.wait(LONG) == 0, log.read_text()

    assert render(plan.folder) == render(calm.folder)
    for trial, alone, before in zip(plan.trials, calm.trials, told, strict=True):
        wild, calm_one = trial.folder, alone.folder
        assert wild.history()[: len(before)] == before  # what was told stands
        assert without_times(wild.history()) == without_times(calm_one.history())
        assert [row["epoch"] for row in wild.history()] == list(range(1, EPOCHS + 1))
        assert len(wild.starts()) == 1  # what was restarted was so within the trial
        ((there, result),) = wild.evaluations()
        ((beside, expected),) = calm_one.evaluations()
        assert result["metrics"] == expected["metrics"]
        found, wanted = (pd.read_parquet(of / "predictions.parquet") for of in (there, beside))
        pd.testing.assert_frame_equal(found, wanted)
    epochs = list(range(1, EPOCHS + 1))
    assert in_mlflow(tmp_path / "wild") == {t.key: ("FINISHED", epochs) for t in plan.trials}


def test_an_evaluation_whose_machine_dies_is_done_on_another(
    cluster, long_epoch, tmp_path, same_threads_after
):
    plan, command = a_study(tmp_path / "wild", long_epoch, 1, 1, retries=1)
    calm, _ = a_study(tmp_path / "calm", long_epoch, 1, 1, retries=1)
    left_alone(calm)
    with held(plan):
        trained_alone(plan)
    (trial,) = plan.trials
    log = tmp_path / "log"
    with started(command, log, RAY_ADDRESS=cluster.address) as study:
        wait_for(lambda: busy_nodes(cluster), study, log)
        (killed,) = busy_nodes(cluster)
        cluster.remove_node(killed, allow_graceful=False)
        assert not list(trial.folder.evaluations()), "it was in the middle"
        assert study.wait(LONG) == 0, log.read_text()
    ((_, result),) = trial.folder.evaluations()
    ((_, expected),) = calm.trials[0].folder.evaluations()
    assert result["metrics"] == expected["metrics"]
    assert render(plan.folder) == render(calm.folder)
