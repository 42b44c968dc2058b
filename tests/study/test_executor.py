"""The executor on a real Ray: nested Tune over Train, early stopping, failures, running again."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ray.util import placement_group, placement_group_table

from awcl.config import TrialConfig, with_values
from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study import executor, freeing
from awcl.study.plan import held, make_plan
from awcl.study.space import EarlyStopping
from awcl.study.stages import Stages
from awcl.study.table import render
from awcl.tracking import Tracker

pytestmark = pytest.mark.slow


def run(study, frames, storage) -> tuple:
    plan = make_plan(study, frames, storage)
    tracker = Tracker(f"sqlite:///{storage / 'mlflow.db'}", plan.folder)
    with held(plan):
        executor.execute(plan, tracker, Stages())
    return plan, tracker


def times(folder: Path) -> dict[str, int]:
    """Time of last change of every file but the lease."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "LEASE"]
    return {str(path): path.stat().st_mtime_ns for path in files}


def gone_soon(seconds: float) -> bool:
    """Whether no placement group is left within some seconds."""
    end = time.time() + seconds
    while time.time() < end:
        if all(group["state"] == "REMOVED" for group in placement_group_table().values()):
            return True
        time.sleep(0.2)
    return False


def test_a_study_with_two_workers_and_a_failing_trial(
    shared_ray, tiny_study, tiny_frames, tmp_path
):
    """One trial finishes on two gloo workers, one fails for good; the others go on, all is told.

    A loss that is not finite is not tried again: the test would never end.
    """
    values = {"pretrain.workers": 2, "pretrain.optimizer": "sgd"}
    base = with_values(tiny_study.base, values, "test")
    study = tiny_study.model_copy(
        update={
            "base": base,
            "axes": {"pretrain.lr": [1e30, 0.01]},
            "resources": tiny_study.resources.model_copy(update={"retries": 10_000}),
        }
    )
    plan, tracker = run(study, tiny_frames, tmp_path)
    failed, finished = plan.trials
    assert failed.folder.done["outcome"] == "failed"
    assert "pretrain.lr (1e+30)" in failed.folder.done["reason"]
    worker = failed.folder.done["worker"]
    assert "pretrain.lr (1e+30)" in Path(worker["log"]).read_text()
    assert worker in failed.folder.workers and len(failed.folder.workers) == 2
    looks = plan.folder.machines()
    assert looks[0]["machines"] == {"head": 1} and looks[0]["waiting"] == 2
    assert looks[-1]["waiting"] == looks[-1]["running"] == 0
    assert finished.folder.done == {"outcome": "finished", "epoch": 2}
    assert [row["epoch"] for row in finished.folder.history()] == [1, 2]
    [(_, result)] = finished.folder.evaluations()
    assert 0 <= result["metrics"]["macro_f1/low"] <= result["metrics"]["macro_f1"] <= 1

    client = MlflowClient(tracker.uri)
    [experiment] = [e for e in client.search_experiments() if e.name == "awcl-tiny"]
    runs = {r.data.tags["awcl.key"]: r for r in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"study", failed.key, finished.key}
    child, parent = runs[finished.key], runs["study"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params["pretrain.workers"] == "2"
    assert child.data.metrics["eval/planes/macro_f1"] == result["metrics"]["macro_f1"]
    assert runs[failed.key].info.status == "FAILED"
    assert worker["log"] in runs[failed.key].data.tags["awcl.log"]
    assert parent.data.metrics["system/machine_hours"] > 0

    table = render(plan.folder)
    assert table.index(finished.key) < table.index(failed.key)
    assert gone_soon(5)


def test_a_stopped_trial_is_evaluated_and_running_again_does_nothing(
    shared_ray, another_ray, tiny_study, tiny_frames, tmp_path
):
    """A decision of an earlier run stands: its rung holds a value that no proxy can reach.

    Another Ray runs on the machine meanwhile, whose dashboard knows nothing of this trial. There is
    room for one trial or evaluation at a time: what is stopped has to make way at once.
    """
    study = tiny_study.model_copy(
        update={
            "early_stopping": EarlyStopping(grace=1, reduction=2),
            "seeds": [3, 4],
            "resources": tiny_study.resources.model_copy(update={"cpus": 3}),
        }
    )
    unreachable = dict(key="earlier", epoch=1, value=2.0, cutoff=None, seen=[], stop=False)
    StudyFolder(tmp_path / "tiny").append_decision(unreachable)
    start = time.monotonic()
    plan, tracker = run(study, tiny_frames, tmp_path)
    assert time.monotonic() - start < 300, "a trial waited for the place of one that was stopped"
    for number, (trial, cutoff) in enumerate(zip(plan.trials, ("2.000", "1.500"), strict=True), 1):
        assert trial.folder.done["outcome"] == "stopped"
        assert trial.folder.done["epoch"] == 1
        assert f"below the cutoff {cutoff} of {number} earlier" in trial.folder.done["reason"]
        assert len(trial.folder.evaluations()) == 1
    assert gone_soon(5)

    before = times(plan.folder.path)
    again, tracker = run(study, tiny_frames, tmp_path)
    assert again.pending == [] and list(again.missing_evaluations()) == []
    assert times(plan.folder.path) == before
    client = MlflowClient(tracker.uri)
    experiment = client.get_experiment_by_name("awcl-tiny").experiment_id
    runs = client.search_runs([experiment])
    assert len(runs) == 3
    [child] = [r for r in runs if r.data.tags["awcl.key"] == trial.key]
    assert child.info.status == "KILLED"
    assert len(client.get_metric_history(child.info.run_id, "val/proxy")) == 1


def test_places_that_a_dying_controller_asks_for_are_freed(shared_ray, monkeypatch):
    """Ray's table of groups does not say that their creator is dead; that of actors does."""

    class Controller:
        def ask(self):
            group = placement_group([{"CPU": 1}])
            shared_ray.get(group.ready())
            return group.id.hex()

    def state(name):
        return placement_group_table()[name]["state"]

    controller = shared_ray.remote(num_cpus=0)(Controller).remote()
    name = shared_ray.get(controller.ask.remote())
    groups = freeing._of_controllers()
    assert not any(group.creator_actor_dead for group in groups)
    monkeypatch.setattr(freeing, "_of_controllers", lambda: groups)
    freeing._remove_orphans()
    assert state(name) == "CREATED", "its creator lives"
    shared_ray.kill(controller)
    end = time.monotonic() + 20
    while state(name) != "REMOVED" and time.monotonic() < end:
        freeing._remove_orphans()
        time.sleep(0.2)
    assert state(name) == "REMOVED"


@pytest.fixture
def another_ray():
    """Somebody else's Ray on this machine."""
    code = (
        "import ray, sys; "
        "ray.init(address='local', num_cpus=1, logging_level='ERROR'); "
        "print('up', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "up"
    yield
    process.stdin.close()
    process.wait(30)


def test_a_second_driver_is_refused(tiny_study, tiny_frames, tmp_path):
    plan = make_plan(tiny_study, tiny_frames, tmp_path)
    with (
        held(plan),
        pytest.raises(InputError, match="another process is running this study"),
        held(plan),
    ):
        pass


def test_what_does_not_fit_the_cluster_is_said(shared_ray, tiny_study, tiny_frames, tmp_path):
    base = with_values(TrialConfig(), {**tiny_study.base.model_dump(), "pretrain.workers": 8}, "t")
    study = tiny_study.model_copy(update={"base": base})
    with pytest.raises(InputError, match="asks for 8 CPU"):
        run(study, tiny_frames, tmp_path)
