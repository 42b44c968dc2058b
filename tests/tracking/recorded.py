"""A study's folder as a run of the study leaves it, and what MLflow holds of it."""

import sqlite3

import pandas as pd
from mlflow import MlflowClient

from awcl.config import TrialConfig, with_values
from awcl.downstream.evaluation import write_evaluation
from awcl.records import StudyFolder, TrialFolder


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


def start(trial: TrialFolder, code: str = "0.1.0+abc") -> None:
    """One more start; when a trial is started first never changes."""
    time = 1000.0 + 100 * len(trial.starts())
    trial.append_start({"time": time, "launch": "launch-1", "places": 1, "code": code})


def train(trial: TrialFolder, to: int) -> None:
    """History up to an epoch, after a start; the time of an epoch never changes."""
    if to and not trial.starts():
        start(trial)
    for epoch in range(len(trial.history()) + 1, to + 1):
        trial.append_history(row(epoch))


def row(epoch: int) -> dict:
    return {"epoch": epoch, "time": 1000.0 + epoch, "loss": 5.0 / epoch, "val/proxy": epoch / 10}


def evaluated(trial: TrialFolder, settings: str = "s", score: float = 0.5, epoch: int = 3) -> None:
    """One evaluation, with a figure."""
    result = {
        "task": "planes",
        "name": "planes",
        "epoch": epoch,
        "time": 2000.0 + epoch,
        "metrics": {"macro_f1": score, "macro_f1/low": 0.25, "class/4CH & LVOT/f1": 0.75},
    }
    folder = trial.evaluation("planes", settings, "digest")
    write_evaluation(folder, result, pd.DataFrame({"frame_id": ["a"]}))
    (folder / "confusion.png").write_bytes(b"a figure")


def runs(uri: str) -> dict:
    """key -> run, of every run there is; fails where a key has two."""
    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments)
    by_key = {run.data.tags["awcl.key"]: run for run in found}
    assert len(by_key) == len(found)
    return by_key


def points(uri: str) -> list[tuple]:
    """Every stored metric point of every run: key, name, step, timestamp, value."""
    client, found = MlflowClient(uri), []
    for key, run in runs(uri).items():
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            found += [(key, name, p.step, p.timestamp, p.value) for p in history]
    return sorted(found)


def held(uri: str) -> dict:
    """All that MLflow holds of each run, by key and without MLflow's own ids."""
    client, all_points, found = MlflowClient(uri), points(uri), {}
    for key, run in runs(uri).items():
        tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
        found[key] = {
            "name": run.info.run_name,
            "status": run.info.status,
            "times": None if key == "study" else (run.info.start_time, run.info.end_time),
            "child": "mlflow.parentRunId" in run.data.tags,
            "params": run.data.params,
            "tags": tags,
            "points": [point for point in all_points if point[0] == key],
            "artifacts": sorted(_artifacts(client, run.info.run_id)),
        }
    return found


def _artifacts(client: MlflowClient, run: str, path: str | None = None) -> list[tuple[str, int]]:
    found = []
    for item in client.list_artifacts(run, path):
        if item.is_dir:
            found += _artifacts(client, run, item.path)
        else:
            found.append((item.path, item.file_size))
    return found


def stored_points(uri: str) -> int:
    """Rows of the database, where a point that is there twice counts twice."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        return connection.execute("select count(*) from metrics").fetchone()[0]
