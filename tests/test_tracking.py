"""MLflow as a projection of a study's folder: nothing lost, nothing twice, never in the way."""

import json
import shutil
import sqlite3
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from awcl import records, tracking
from awcl.config import TrialConfig, flat, with_values
from awcl.downstream.evaluation import write_evaluation
from awcl.files import write_json
from awcl.records import StudyFolder, TrialFolder
from awcl.tracking import Tracker


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database with MLflow's tables and nothing in them; making one takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "template.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def uri(empty_database, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def study(tmp_path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "results" / "demo")
    folder.accept({"name": "demo", "id": "id-1", "axes": {"anatomy.ratio": [0, 1]}})
    return folder


def add(study: StudyFolder, key: str, epochs: int = 0, outcome=None, **done) -> TrialFolder:
    trial = study.trial(key)
    config = with_values(TrialConfig(), {"anatomy.ratio": 0.5, "seed": len(key)}, "test")
    trial.write_about(
        {"key": key, "config": config.model_dump(mode="json"), "pack": "p1", "taxonomy": "t1"}
    )
    train(trial, epochs)
    if outcome:
        trial.write_done(outcome, **done)
    return trial


def train(trial: TrialFolder, to: int) -> None:
    """History up to an epoch; the time of an epoch never changes."""
    for epoch in range(len(trial.history()) + 1, to + 1):
        trial.append_history(row(epoch))


def row(epoch: int) -> dict:
    return {"epoch": epoch, "time": 1000.0 + epoch, "loss": 5.0 / epoch, "val/proxy": epoch / 10}


def evaluated(trial: TrialFolder, settings: str = "s", score: float = 0.5) -> None:
    result = {
        "task": "planes",
        "name": "planes",
        "epoch": 3,
        "time": 2000.0,
        "metrics": {"macro_f1": score, "macro_f1/low": 0.25, "class/4CH & LVOT/f1": 0.75},
    }
    folder = trial.evaluation("planes", settings, "digest")
    write_evaluation(folder, result, pd.DataFrame({"frame_id": ["a"]}))


def runs(uri: str) -> dict:
    """key -> run, of every run there is; fails where a key has two."""
    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments)
    by_key = {run.data.tags["awcl.key"]: run for run in found}
    assert len(by_key) == len(found)
    return by_key


def points(uri: str) -> list[tuple]:
    """Every stored metric point of every run, by key and not by MLflow's own ids."""
    keys = {run.info.run_id: key for key, run in runs(uri).items()}
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        rows = connection.execute("select run_uuid, key, step, timestamp, value from metrics")
        return sorted((keys[r[0]], *r[1:]) for r in rows)


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


def test_evaluations_are_on_the_trials_own_run_with_their_files(uri, study):
    evaluated(add(study, "k1", 3, "finished", epoch=3))
    without_warnings(Tracker(uri, study).sync)
    run = runs(uri)["k1"]
    assert run.data.metrics["test/planes/macro_f1"] == 0.5
    assert run.data.metrics["test/planes/class/4CH _ LVOT/f1"] == 0.75
    client = MlflowClient(uri)
    [folder] = client.list_artifacts(run.info.run_id)
    names = [a.path.rpartition("/")[2] for a in client.list_artifacts(run.info.run_id, folder.path)]
    assert sorted(names) == ["EVAL.json", "predictions.parquet"]


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
    for name in ("log_batch", "log_artifact", "create_run"):
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
    write_json(folder / records.HISTORY, {"epochs": [row(1), row(2), row(3)]})
    records.mark_complete(folder)
    study.catch_up()
    without_warnings(Tracker(uri, study).sync)
    assert [p[2] for p in points(uri) if p[1] == "loss"] == [1, 2, 3]


def test_an_empty_database_is_filled_with_the_same(uri, study, empty_database, tmp_path):
    """Live calls, an interruption and a resume on one side, one rebuild on the other."""
    one, two = add(study, "k1"), add(study, "key2")
    live = Tracker(uri, study)
    live.sync()
    for epoch in (1, 2, 3):
        for trial in (one, two):
            train(trial, epoch)
            live.trial(trial)
        if epoch == 2:
            live.sync()
            live = Tracker(uri, study)
    one.write_done("finished", epoch=3)
    two.write_done("stopped", epoch=3, reason="below the cutoff")
    for trial in (one, two):
        evaluated(trial)
        live.trial(trial)
    live.sync()

    shutil.copy(empty_database, tmp_path / "rebuilt.db")
    rebuilt = f"sqlite:///{tmp_path / 'rebuilt.db'}"
    tracker = Tracker(rebuilt, study)
    tracker.sync()
    assert points(rebuilt) == points(uri) and len(points(uri)) == 30
    for key, run in runs(uri).items():
        other = runs(rebuilt)[key]
        assert other.data.params == run.data.params and other.info.status == run.info.status
        assert other.info.run_name == run.info.run_name
        ids = ("mlflow.parentRunId", "mlflow.user", "mlflow.source.name", "mlflow.source.type")
        tags = [{k: v for k, v in r.data.tags.items() if k not in ids} for r in (run, other)]
        assert tags[0] == tags[1]


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
    other.accept({"name": "demo", "id": "id-2", "axes": {}})
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
    for do, args in ((tracker.sync, ()), (tracker.start, ())):
        with pytest.warns(UserWarning, match="the study goes on, `awcl study sync`") as told:
            do(*args)
        assert all("\n" not in str(warning.message) for warning in told)
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


def test_a_damaged_trial_file_does_not_bring_the_study_down(uri, study):
    add(study, "k1", 1)
    (study.path / "trials" / "k1" / "TRIAL.json").write_text(json.dumps({"key": "k1"})[:-1])
    with pytest.warns(UserWarning, match=r"TRIAL\.json: not a JSON file"):
        Tracker(uri, study).sync()
