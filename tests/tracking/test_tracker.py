"""MLflow as a projection of a study's folder: nothing lost, nothing twice, never in the way."""

import json
import os
import signal
import sqlite3
import time
import warnings
from pathlib import Path

import pytest
from mlflow import MlflowClient
from recorded import add, evaluated, held, points, row, runs, start, stored_points, train

from awcl import checkpoints, complete, tracking
from awcl.config import TrialConfig, flat
from awcl.errors import InputError
from awcl.files import write_json
from awcl.records import StudyFolder
from awcl.tracking import Tracker
from awcl.tracking import runs as runs_module


def without_warnings(do, *args) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        do(*args)


def test_a_study_is_a_parent_and_one_child_a_trial(uri, study):
    trial = add(study, "k1", 3, "finished", epoch=3)
    add(study, "key2", 1)
    without_warnings(Tracker(uri, study).sync)
    found = runs(uri)
    assert set(found) == {"study", "k1", "key2"}
    parent, child = found["study"], found["k1"]
    assert parent.info.run_name == "demo" and "mlflow.parentRunId" not in parent.data.tags
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.info.run_name == "ratio=0.5 seed=2"
    config = flat(TrialConfig.model_validate(trial.about["config"]))
    wanted = {k: str(v) for k, v in config.items()} | {"pack": "p1", "taxonomy": "t1"}
    assert child.data.params == {k: v for k, v in wanted.items()}


def test_metrics_stand_at_their_epoch_with_their_time(uri, study):
    add(study, "k1", 3)
    without_warnings(Tracker(uri, study).sync)
    wanted = [
        ("k1", name, epoch, int(row(epoch)["time"] * 1000), pytest.approx(row(epoch)[name]))
        for name in ("epoch", "loss", "time", "val/proxy")
        for epoch in (1, 2, 3)
    ]
    assert points(uri) == wanted


def test_the_report_is_on_the_parent_run_and_is_sent_again_only_where_it_changed(
    uri, study, monkeypatch
):
    add(study, "k1", 3, "finished", epoch=3)
    client, sent = MlflowClient(uri), []
    log = MlflowClient.log_artifact
    monkeypatch.setattr(
        MlflowClient, "log_artifact", lambda *given: (sent.append(given[2]), log(*given))
    )
    without_warnings(Tracker(uri, study).sync)
    assert not sent
    study.report.write_bytes(b"<p>first</p>")
    tracker = Tracker(uri, study)
    for _ in range(2):
        without_warnings(tracker.report)
        without_warnings(Tracker(uri, study).sync)
    assert len(sent) == 1
    study.report.write_bytes(b"<p>second</p>")
    without_warnings(tracker.report)
    assert len(sent) == 2
    parent = runs(uri)["study"].info.run_id
    [item] = [item for item in client.list_artifacts(parent) if item.path == "report.html"]
    there = client.download_artifacts(parent, item.path)
    assert Path(there).read_bytes() == b"<p>second</p>"


def test_an_untrained_trial_has_its_one_row_at_epoch_0_once(uri, study):
    trial = add(study, "k1")
    start(trial)
    trial.append_history({"epoch": 0, "time": 1000.0, "val/proxy": 0.5})
    trial.write_done("finished", epoch=0)
    tracker = Tracker(uri, study)
    without_warnings(tracker.sync)
    without_warnings(Tracker(uri, study).sync)
    assert [(name, step) for _, name, step, *_ in points(uri)] == [
        ("epoch", 0), ("time", 0), ("val/proxy", 0),
    ]  # fmt: skip
    assert stored_points(uri) == 3 and runs(uri)["k1"].info.status == "FINISHED"


def test_evaluations_are_on_the_trials_own_run_with_their_files(uri, study):
    evaluated(add(study, "k1", 3, "finished", epoch=3))
    without_warnings(Tracker(uri, study).sync)
    run = runs(uri)["k1"]
    assert run.data.metrics["eval/planes/macro_f1"] == 0.5
    assert run.data.metrics["eval/planes/class/4CH _ LVOT/f1"] == 0.75
    client = MlflowClient(uri)
    [folder] = client.list_artifacts(run.info.run_id)
    names = [a.path.rpartition("/")[2] for a in client.list_artifacts(run.info.run_id, folder.path)]
    assert sorted(names) == ["EVAL.json", "confusion.png", "predictions.parquet"]


def test_projecting_again_adds_nothing(uri, study):
    evaluated(add(study, "k1", 3, "finished", epoch=3))
    add(study, "key2", 2)
    Tracker(uri, study).sync()
    before = points(uri)
    same = Tracker(uri, study)
    for tracker in (same, same, Tracker(uri, study)):
        without_warnings(tracker.sync)
        without_warnings(tracker.trial, study.trial("key2"))
    assert points(uri) == before


def test_what_mlflow_holds_is_not_sent_again(uri, study, monkeypatch):
    evaluated(add(study, "k1", 3, "finished", epoch=3))
    Tracker(uri, study).sync()
    sent = []
    for name in ("log_batch", "log_artifacts", "create_run", "delete_tag", "set_terminated"):
        monkeypatch.setattr(MlflowClient, name, lambda *a, name=name, **k: sent.append(name))
    without_warnings(Tracker(uri, study).sync)
    assert sent == []


def test_what_came_meanwhile_is_added_in_the_trials_own_run(uri, study):
    """An epoch told live, a driver that died, a resumed trial, an evaluation: one run."""
    trial = add(study, "k1")
    live = Tracker(uri, study)
    for epoch in (1, 2):
        train(trial, epoch)
        without_warnings(live.trial, trial)
    first = runs(uri)["k1"].info.run_id
    without_warnings(live.sync)
    assert runs(uri)["k1"].info.status == "KILLED"

    resumed = Tracker(uri, study)
    train(trial, 4)
    without_warnings(resumed.trial, trial)
    run = runs(uri)["k1"]
    assert run.info.run_id == first and run.info.status == "RUNNING"
    evaluated(trial)
    trial.write_done("finished", epoch=4)
    without_warnings(resumed.trial, trial)
    assert runs(uri)["k1"].info.status == "FINISHED"
    assert [(p[2], p[4]) for p in points(uri) if p[1] == "val/proxy"] == [
        (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4),
    ]  # fmt: skip


def test_epochs_that_only_a_checkpoint_knows_are_added_too(uri, study):
    """The driver died after epoch 1, the workers went on to 3."""
    trial = add(study, "k1", 1)
    Tracker(uri, study).sync()
    folder = trial.train / "launch" / "epoch_0003"
    write_json(folder / checkpoints.HISTORY, {"epochs": [row(1), row(2), row(3)]})
    complete.mark(folder)
    study.catch_up()
    without_warnings(Tracker(uri, study).sync)
    assert [p[2] for p in points(uri) if p[1] == "loss"] == [1, 2, 3]


def test_an_empty_database_is_filled_with_the_same(uri, study, another_uri):
    """Live calls, an interruption, a failure and a resume on one side, one rebuild on the other."""
    one, two, three = add(study, "k1"), add(study, "key2"), add(study, "key_3")
    live = Tracker(uri, study)
    live.sync()
    live.start()
    start(three)
    three.write_done("failed", epoch=0, reason="out of memory")
    live.trial(three)
    three.reopen()
    for epoch in (1, 2, 3):
        for trial in (one, two):
            train(trial, epoch)
            live.trial(trial)
        if epoch == 2:
            live.sync()
            live = Tracker(uri, study)
            for trial in (one, two, three):
                start(trial, code="0.1.0+def")
    one.write_done("finished", epoch=3)
    two.write_done("stopped", epoch=3, reason="below the cutoff")
    evaluated(two)
    for trial in (one, two, three):
        live.trial(trial)
    evaluated(one)
    live.trial(one)
    evaluated(two, "of an earlier checkpoint", 0.25, epoch=2)
    live.sync()

    rebuilt = another_uri("rebuilt.db")
    Tracker(rebuilt, study).sync()
    assert held(rebuilt) == held(uri)
    assert set(held(uri)) == {"study", "k1", "key2", "key_3"}
    assert stored_points(uri) == stored_points(rebuilt) == len(points(uri)) == 33
    assert held(uri)["k1"]["tags"]["awcl.code"] == "0.1.0+abc, 0.1.0+def"
    assert "awcl.reason" not in held(uri)["key_3"]["tags"]


def test_each_end_has_its_status_and_its_reason(uri, study):
    add(study, "k1", 3, "finished", epoch=3)
    add(study, "k2", 1, "stopped", epoch=1, reason="below the cutoff")
    add(study, "k3", 1, "failed", epoch=1, reason="out of memory " * 1000)
    add(study, "k4", 2)
    add(study, "k5")
    tracker = Tracker(uri, study)
    without_warnings(tracker.trial, study.trial("k4"))
    assert runs(uri)["k4"].info.status == "RUNNING"
    without_warnings(tracker.sync)
    found = runs(uri)
    ends = {key: (r.info.status, r.data.tags.get("awcl.outcome")) for key, r in found.items()}
    assert ends == {
        "study": ("KILLED", None),
        "k1": ("FINISHED", "finished"),
        "k2": ("KILLED", "stopped"),
        "k3": ("FAILED", "failed"),
        "k4": ("KILLED", "interrupted"),
    }
    assert found["k2"].data.tags["awcl.reason"] == "below the cutoff"
    assert found["k3"].data.tags["awcl.reason"].startswith("out of memory")
    for key in ("k4", "k5"):
        study.trial(key).write_done("finished", epoch=2)
    without_warnings(tracker.start)
    assert runs(uri)["study"].info.status == "RUNNING"
    without_warnings(tracker.sync)
    assert runs(uri)["study"].info.status == "FINISHED"


def test_a_study_of_the_same_name_with_another_identity_has_runs_of_its_own(uri, study, tmp_path):
    add(study, "k1", 1)
    Tracker(uri, study).sync()
    other = StudyFolder(tmp_path / "elsewhere" / "demo")
    other.accept({"name": "demo", "id": "id-2", "axes": {}, "packs": {}})
    add(other, "k1", 2)
    without_warnings(Tracker(uri, other).sync)
    client = MlflowClient(uri)
    [experiment] = [e for e in client.search_experiments() if e.name == "awcl-demo"]
    found = client.search_runs([experiment.experiment_id])
    assert sorted((r.data.tags["awcl.id"], r.data.tags["awcl.key"]) for r in found) == [
        ("id-1", "k1"), ("id-1", "study"), ("id-2", "k1"), ("id-2", "study"),
    ]  # fmt: skip


def test_the_database_lets_a_reader_and_the_writer_work_at_once(uri, study):
    Tracker(uri, study).sync()
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.fixture
def unreachable(tmp_path) -> dict[str, str]:
    (tmp_path / "broken.db").write_bytes(b"this is no database " * 500)
    (tmp_path / "file").write_text("")
    return {
        "broken": f"sqlite:///{tmp_path / 'broken.db'}",
        "no folder": f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}",
        "no server": "http://127.0.0.1:9",
        "no scheme": "ftq://nowhere",
    }


@pytest.mark.parametrize("kind", ["broken", "no folder", "no server", "no scheme"])
def test_what_cannot_be_reached_is_a_warning_and_no_error(study, unreachable, kind, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    trial = add(study, "k1", 1)
    tracker = Tracker(unreachable[kind], study)
    with pytest.warns(UserWarning, match="the study goes on, `awcl study sync`") as told:
        tracker.sync()
    assert all("\n" not in str(w.message) and len(str(w.message)) < 300 for w in told)
    without_warnings(tracker.start)
    without_warnings(tracker.trial, trial)
    assert tracker.failed
    assert trial.history() == [row(1)]


def test_a_server_that_is_away_is_not_asked_every_epoch_and_catches_up_at_the_end(
    uri, study, monkeypatch
):
    trial, database = add(study, "k1", 1), Path(uri.removeprefix("sqlite:///"))
    whole = database.read_bytes()
    database.write_bytes(b"no database")
    tracker = Tracker(uri, study)
    with pytest.warns(UserWarning):
        tracker.trial(trial)
    database.write_bytes(whole)
    train(trial, 2)
    without_warnings(tracker.trial, trial)
    assert runs(uri) == {}, "within the pause it is not tried"
    without_warnings(tracker.sync)
    assert [p[2] for p in points(uri) if p[1] == "loss"] == [1, 2]

    later = time.monotonic() + tracking.PAUSE
    monkeypatch.setattr(tracking.time, "monotonic", lambda: later)
    train(trial, 3)
    without_warnings(tracker.trial, trial)
    assert [p[2] for p in points(uri) if p[1] == "loss"] == [1, 2, 3]


def test_a_damaged_trial_file_is_no_failure_of_mlflow(uri, study):
    add(study, "k1", 1)
    (study.path / "trials" / "k1" / "TRIAL.json").write_text(json.dumps({"key": "k1"})[:-1])
    with pytest.raises(InputError, match=r"TRIAL\.json: not a JSON file .*; remove it, "):
        without_warnings(Tracker(uri, study).sync)


def test_a_trial_is_shown_as_running_from_its_start_with_what_it_runs_on(uri, study):
    trial = add(study, "k1")
    tracker = Tracker(uri, study)
    without_warnings(tracker.trial, trial)
    assert set(runs(uri)) == {"study"}, "what was never started has no run"
    start(trial)
    without_warnings(tracker.trial, trial)
    run = runs(uri)["k1"]
    assert (run.info.status, run.info.start_time) == ("RUNNING", 1000_000)
    tags = {name: run.data.tags.get(f"awcl.{name}") for name in ("key", "data", "code", "outcome")}
    assert tags == {"key": "k1", "data": "p1", "code": "0.1.0+abc", "outcome": None}
    assert runs(uri)["study"].data.tags["awcl.data"] == "p1"


def test_a_failed_trial_that_is_tried_again_keeps_no_trace_of_its_failure(uri, study):
    trial = add(study, "k1", 1, "failed", epoch=1, reason="out of memory")
    tracker = Tracker(uri, study)
    without_warnings(tracker.sync)
    assert runs(uri)["k1"].data.tags["awcl.reason"] == "out of memory"
    trial.reopen()
    without_warnings(tracker.trial, trial)
    assert not {"awcl.reason", "awcl.outcome"} & set(runs(uri)["k1"].data.tags)
    train(trial, 2)
    trial.write_done("finished", epoch=2)
    without_warnings(Tracker(uri, study).trial, trial)
    run = runs(uri)["k1"]
    assert (run.info.status, run.data.tags["awcl.outcome"]) == ("FINISHED", "finished")
    assert "awcl.reason" not in run.data.tags


def test_a_run_that_was_created_twice_is_one_again(uri, study, monkeypatch):
    """A server that is slow to answer has done what the client then asks for once more."""
    create = MlflowClient.create_run

    def twice(self, *args, **kwargs):
        create(self, *args, **kwargs)
        return create(self, *args, **kwargs)

    trial = add(study, "k1", 2)
    tracker = Tracker(uri, study)
    with monkeypatch.context() as slow:
        slow.setattr(MlflowClient, "create_run", twice)
        without_warnings(tracker.trial, trial)
    without_warnings(tracker.sync)
    assert [p[2] for p in points(uri) if p[1] == "loss"] == [1, 2]
    assert {key: run.info.status for key, run in runs(uri).items()} == {
        "study": "KILLED",
        "k1": "KILLED",
    }


def test_a_write_that_fails_half_way_leaves_no_gap(uri, study, monkeypatch):
    """Epochs go out in batches; the second one is lost, and so is the program's memory of it."""
    monkeypatch.setattr(runs_module, "BATCH", 7)
    send, calls = MlflowClient.log_batch, []

    def failing(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise OSError("connection reset")
        return send(self, *args, **kwargs)

    trial = add(study, "k1", 5)
    tracker = Tracker(uri, study)
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_batch", failing)
        with pytest.warns(UserWarning, match="connection reset"):
            tracker.trial(trial)
    assert 0 < stored_points(uri) < 20
    without_warnings(tracker.sync)
    assert [p[2] for p in points(uri) if p[1] == "val/proxy"] == [1, 2, 3, 4, 5]
    assert stored_points(uri) == 20


def test_what_fell_into_the_pause_is_written_when_mlflow_is_back(uri, study, monkeypatch):
    """Also a trial that ended then and of which nothing more is told."""
    first, second = add(study, "k1", 1), add(study, "k2", 1)
    tracker = Tracker(uri, study)
    without_warnings(tracker.trial, first)
    with monkeypatch.context() as away:
        away.setattr(MlflowClient, "log_batch", None)
        train(first, 2)
        with pytest.warns(UserWarning):
            tracker.trial(first)
    first.write_done("finished", epoch=2)
    without_warnings(tracker.trial, first)
    assert runs(uri)["k1"].info.status == "RUNNING"
    later = time.monotonic() + tracking.PAUSE
    monkeypatch.setattr(tracking.time, "monotonic", lambda: later)
    without_warnings(tracker.trial, second)
    assert runs(uri)["k1"].info.status == "FINISHED"
    assert [p[2] for p in points(uri) if p[:2] == ("k1", "loss")] == [1, 2]


def test_an_interruption_waits_for_the_end_of_what_is_written(uri, study, monkeypatch):
    trial, send = add(study, "k1", 2), MlflowClient.log_batch

    def impatient(self, *args, **kwargs):
        monkeypatch.setattr(MlflowClient, "log_batch", send)
        os.kill(os.getpid(), signal.SIGINT)
        return send(self, *args, **kwargs)

    tracker = Tracker(uri, study)
    without_warnings(tracker.trial, trial)
    add(study, "k2", 2)
    monkeypatch.setattr(MlflowClient, "log_batch", impatient)
    with pytest.raises(KeyboardInterrupt):
        tracker.sync()
    assert {run.info.status for run in runs(uri).values()} == {"KILLED"}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_while_mlflow_fails_is_not_lost(uri, study, monkeypatch):
    def fails(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError("database is locked")

    add(study, "k1", 2)
    monkeypatch.setattr(MlflowClient, "create_run", fails)
    with pytest.raises(KeyboardInterrupt):
        Tracker(uri, study).sync()


def test_an_experiment_that_was_deleted_in_the_ui_is_restored_with_its_runs(uri, study, capsys):
    trial = add(study, "k1", 2)
    without_warnings(Tracker(uri, study).sync)
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("awcl-demo").experiment_id)
    train(trial, 3)
    without_warnings(Tracker(uri, study).sync)
    assert capsys.readouterr().out == (
        "mlflow: the experiment awcl-demo was deleted there, and is restored\n"
    )
    assert [p[2] for p in points(uri) if p[1] == "loss"] == [1, 2, 3]
    assert stored_points(uri) == 12


def test_many_epochs_go_out_in_few_calls(uri, study, monkeypatch):
    """A call takes MLflow milliseconds, whether it brings one point or a thousand."""
    for number in range(4):
        add(study, f"key{number}", 50, "finished", epoch=50)
    sent = []
    for name in ("search_runs", "get_run", "log_batch", "log_metric"):
        call = getattr(MlflowClient, name)
        counted = lambda *a, name=name, call=call, **k: (sent.append(name), call(*a, **k))[1]  # noqa: E731
        monkeypatch.setattr(MlflowClient, name, counted)
    without_warnings(Tracker(uri, study).sync)
    assert stored_points(uri) == 4 * 50 * 4
    assert sorted(sent) == ["log_batch"] * 5 + ["search_runs"]


def look(time: float, run: float = 1000.0, machines=None, asked=None, waiting=5) -> dict:
    there = {"machines": {"head": 1} if machines is None else machines, "asked": asked or {}}
    return {"time": time, "run": run, **there, "running": 2, "waiting": waiting}


def machines(uri: str) -> dict[str, list[tuple]]:
    """Metric of the study's own run -> its points, as (step, timestamp, value)."""
    found: dict[str, list[tuple]] = {}
    for key, name, *point in points(uri):
        if key == "study":
            found.setdefault(name, []).append(tuple(point))
    return found


def test_machines_and_cost_are_system_metrics_of_the_study_by_seconds_of_it(uri, study):
    study.accept({**study.definition, "prices": {"head": 0.5, "gpu-workers": 2.0}})
    add(study, "k1", 3)
    study.append_machines(look(1000.0, asked={"gpu-workers": 2}, waiting=9))
    study.append_machines(look(4600.0, machines={"head": 1, "gpu-workers": 2}))
    tracker = Tracker(uri, study)
    without_warnings(tracker.machines)
    study.append_machines(look(8200.0))
    without_warnings(tracker.machines)
    found = machines(uri)
    assert found["system/machine_hours"] == [
        (0, 1_000_000, 0.0), (3600, 4_600_000, 1.0), (7200, 8_200_000, 4.0),
    ]  # fmt: skip
    assert [value for *_, value in found["system/cost"]] == [0.0, 0.5, 0.5 + 0.5 + 2 * 2.0]
    assert [value for *_, value in found["system/machines"]] == [1, 3, 1]
    assert [value for *_, value in found["system/machines_asked_for"]] == [2, 0, 0]
    assert [value for *_, value in found["system/trials_waiting"]] == [9, 5, 5]
    assert [value for *_, value in found["system/trials_running"]] == [2, 2, 2]
    assert runs(uri)["study"].info.status == "RUNNING"
    before = points(uri)
    for again in (tracker, Tracker(uri, study)):
        without_warnings(again.sync)
    assert [point for point in points(uri) if point[0] == "study"] == before
    assert len(points(uri)) == stored_points(uri)


def test_without_prices_there_is_no_cost(uri, study):
    study.append_machines(look(1000.0))
    without_warnings(Tracker(uri, study).sync)
    found = machines(uri)
    assert "system/cost" not in found and found["system/machines"] == [(0, 1_000_000, 1.0)]


def test_a_failed_trial_has_the_place_of_its_log_as_a_tag(uri, study):
    worker = {"host": "10.0.0.7", "log": "/tmp/ray/x.log", "actor": "a1"}
    add(study, "k1", 2, "failed", epoch=2, reason="it broke", worker=worker)
    add(study, "key2", 2, "failed", epoch=2, reason="it broke", worker=None)
    without_warnings(Tracker(uri, study).sync)
    assert runs(uri)["k1"].data.tags["awcl.log"] == "10.0.0.7:/tmp/ray/x.log"
    assert "awcl.log" not in runs(uri)["key2"].data.tags
