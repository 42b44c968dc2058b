"""MLflow as a projection of what storage holds. The only code that imports mlflow.

One parent run a study, one child run a trial, one writer. Everything written here is read from
storage, and what MLflow holds already is skipped: so a live study, a resumed one and a rebuild into
an empty database are the same calls. A failure of MLflow is a warning; storage has it all.
"""

import logging
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

from awcl.config import TrialConfig, parse, shown
from awcl.records import StudyFolder, TrialFolder

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # clinical machines speak to no one
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own default waits 4 minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

PAUSE = 60  # seconds without a try after a failure, so that an absent server holds up no study
STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


def _warns(method: Callable) -> Callable:
    """Tracking never brings a study down: what it raises becomes a warning, once a message."""

    @wraps(method)
    def guarded(self: "Tracker", *args: Any) -> None:
        try:
            method(self, *args)
        except Exception as error:  # noqa: BLE001 - any server, driver or network may be behind it
            self.failed, self._again = True, time.monotonic() + PAUSE
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            warnings.warn(
                f"MLflow at {self.uri}: {reason}; the study goes on, `awcl study sync` catches up",
                stacklevel=2,
            )

    return guarded


class Tracker:
    """Writes one study to one MLflow server or SQLite file.

    uri: an MLflow tracking URI; artifacts of a SQLite store lie beside the database.
    failed: whether a call failed, so that MLflow may lack something.
    """

    def __init__(self, uri: str, study: StudyFolder):
        self.uri, self.study = uri, study
        self.failed, self._again = False, 0.0
        self._open: Any = None
        self._runs: dict[str, str] = {}

    @_warns
    def sync(self) -> None:
        """Everything that storage holds of the study; what is pending counts as interrupted."""
        trials = list(self.study.trials())
        for trial in trials:
            self._trial(trial)
        for trial in trials:
            if trial.done is None and trial.history():
                run = self._run(trial)
                self._client.set_tag(run, "awcl.outcome", "interrupted")
                self._client.set_terminated(run, "KILLED", end_time=_end(trial))
        complete = all(trial.done is not None for trial in trials)
        self._client.set_terminated(self._parent(), "FINISHED" if complete else "KILLED")

    @_warns
    def start(self) -> None:
        """The study is running from now on, until the next `sync`."""
        self._client.update_run(self._parent(), status="RUNNING")

    @_warns
    def trial(self, trial: TrialFolder) -> None:
        """What storage holds of one trial and MLflow does not yet."""
        if time.monotonic() >= self._again:
            self._trial(trial)

    # --- the MLflow side -------------------------------------------------------------------

    @property
    def _client(self) -> Any:
        if self._open is None:
            from mlflow import MlflowClient  # two seconds of import, only where it is used

            logging.getLogger("mlflow").setLevel(logging.WARNING)  # not each table it creates
            database = _sqlite_file(self.uri)
            if database:
                database.parent.mkdir(parents=True, exist_ok=True)
            client = MlflowClient(tracking_uri=self.uri)
            client.search_experiments(max_results=1)  # makes the tables, before any other writer
            if database:
                with closing(sqlite3.connect(database)) as connection:
                    connection.execute("PRAGMA journal_mode=WAL")  # a reading UI blocks no write
            self._open = client
        return self._open

    def _experiment(self) -> str:
        name = f"awcl-{self.study.definition['name']}"
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        database = _sqlite_file(self.uri)
        location = (database.parent / "mlartifacts" / name).as_uri() if database else None
        kind = {
            "mlflow.experimentKind": "custom_model_development"
        }  # which pages the UI opens with
        return self._client.create_experiment(name, artifact_location=location, tags=kind)

    def _parent(self) -> str:
        definition = self.study.definition
        tags = {"awcl.study": definition["name"]}
        return self._find_or_create("study", definition["name"], tags, start=None)

    def _run(self, trial: TrialFolder) -> str:
        parent = self._parent()
        tags = {"mlflow.parentRunId": parent, "awcl.study": self.study.definition["name"]}
        first = next(iter(trial.history()), None)
        start = first and int((first["time"] - first.get("seconds", 0)) * 1000)
        return self._find_or_create(trial.key, _run_name(self.study, trial), tags, start)

    def _find_or_create(self, key: str, name: str, tags: dict[str, str], start: int | None) -> str:
        """The one run of this key and study."""
        if key not in self._runs:
            experiment, study_id = self._experiment(), self.study.definition["id"]
            found = self._client.search_runs(
                [experiment], f"tags.`awcl.key` = '{key}' and tags.`awcl.id` = '{study_id}'"
            )
            if not found:
                tags = {**tags, "awcl.key": key, "awcl.id": study_id}
                made = self._client.create_run(experiment, start, tags, run_name=name)
                found = [made]
            self._runs[key] = found[0].info.run_id
        return self._runs[key]

    def _trial(self, trial: TrialFolder) -> None:
        done = trial.done
        if done is None and not trial.history():
            return  # nothing to tell yet
        run = self._run(trial)
        held = self._client.get_run(run)
        if not held.data.params:
            self._log_params(run, trial)
        self._log_history(run, trial, int(held.data.metrics.get("epoch", 0)))
        self._log_evaluations(run, trial, held.data.metrics)
        if done is None:
            if held.info.status != "RUNNING":
                self._client.update_run(run, status="RUNNING")
            return
        self._client.set_tag(run, "awcl.outcome", done["outcome"])
        if done.get("reason"):
            self._client.set_tag(run, "awcl.reason", done["reason"][:5000])
        self._client.set_terminated(run, STATUS[done["outcome"]], end_time=_end(trial))

    def _log_params(self, run: str, trial: TrialFolder) -> None:
        from mlflow.entities import Param

        about = trial.about
        config = parse(TrialConfig, about["config"], trial.key)
        params = {**shown(config), "pack": about["pack"], "taxonomy": about["taxonomy"]}
        self._client.log_batch(run, params=[Param(k, str(v)) for k, v in params.items()])

    def _log_history(self, run: str, trial: TrialFolder, logged: int) -> None:
        """Epochs that MLflow lacks, so that no point is there twice."""
        for row in trial.history():
            if row["epoch"] > logged:
                self._log(run, row, int(row["time"] * 1000), row["epoch"])

    def _log_evaluations(self, run: str, trial: TrialFolder, held: dict[str, float]) -> None:
        for folder, found in trial.evaluations():
            metrics = {f"test/{found['name']}/{k}": v for k, v in found["metrics"].items()}
            if any(_name(name) not in held for name in metrics):
                for file in sorted(folder.iterdir()):  # first, for the metrics say that it is done
                    self._client.log_artifact(run, str(file), artifact_path=folder.name)
                self._log(run, metrics, int(found["time"] * 1000), found["epoch"])

    def _log(self, run: str, values: dict[str, Any], millis: int, step: int) -> None:
        from mlflow.entities import Metric

        numbers = {k: v for k, v in values.items() if isinstance(v, int | float)}
        rows = [Metric(_name(k), float(v), millis, step) for k, v in numbers.items()]
        self._client.log_batch(run, metrics=rows)


def _end(trial: TrialFolder) -> int | None:
    """When its last epoch ended, in milliseconds; None = now."""
    history = trial.history()
    return int(history[-1]["time"] * 1000) if history else None


def _run_name(study: StudyFolder, trial: TrialFolder) -> str:
    """The trial by what sets it apart: the axes of the study and the seed."""
    config = shown(parse(TrialConfig, trial.about["config"], trial.key))
    axes = [*study.definition["axes"], "seed"]
    return " ".join(f"{axis.rpartition('.')[2]}={config[axis]}" for axis in axes)


def _name(name: str) -> str:
    """A metric's name in the characters that MLflow admits."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
