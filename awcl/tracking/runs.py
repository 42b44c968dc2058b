"""The runs of one study in MLflow, brought to what they should be by sending what they lack."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awcl import hashing
from awcl.files import AnyPath, local_copy
from awcl.records import StudyFolder
from awcl.tracking.client import connect, sqlite_file
from awcl.tracking.projection import STEPS, STUDY, Points, Run

BATCH = 800  # MLflow takes 1000 metrics, parameters and tags together in one call
EVALUATIONS = "awcl.evaluations"  # the tag that names those that are there as a whole
REPORT = "awcl.report"  # the tag that says which report is there


@dataclass
class Held:
    """What MLflow holds of a run, as far as it decides what is sent."""

    id: str
    status: str
    end: int | None
    params: dict[str, str]
    tags: dict[str, str]
    step: int


class Runs:
    """All runs of a study, read by one search and kept up with what is written.

    One writer: nobody else may write to them while this is used.
    """

    def __init__(self, uri: str, study: StudyFolder):
        self.client, definition = connect(uri), study.definition
        self._study_id = definition["id"]
        self._experiment = _experiment(self.client, uri, study, f"awcl-{definition['name']}")
        self._held: dict[str, Held] = {}
        for run in list(self._search()):
            key = run.data.tags["awcl.key"]
            if key in self._held:  # a creation that timed out and was tried again was done twice
                self.client.delete_run(run.info.run_id)
            else:
                self._held[key] = _held(run)

    def write(self, wanted: Run) -> str:
        """Sends what MLflow lacks of a run; the parent comes before its trials. Gives its id."""
        held = self._held.get(wanted.key) or self._create(wanted)
        tags = {**wanted.tags, "awcl.key": wanted.key, "awcl.id": self._study_id}
        if wanted.key != STUDY:
            tags["mlflow.parentRunId"] = self._held[STUDY].id
        points = [row for row in wanted.rows if row.step > held.step]
        there = held.tags.get(EVALUATIONS, "").split()
        for folder, scores in wanted.evaluations:
            if folder.name not in there:
                with local_copy(folder) as files:
                    self.client.log_artifacts(held.id, str(files), artifact_path=folder.name)
                points.append(scores)
        if wanted.evaluations:
            tags[EVALUATIONS] = " ".join(folder.name for folder, _ in wanted.evaluations)
        if wanted.report is not None:
            tags[REPORT] = self._report(held, wanted.report)
        self._log(held, wanted.params, points, tags)
        self._set_status(held, wanted)
        self._held[wanted.key] = Held(
            held.id,
            wanted.status,
            wanted.end or held.end,
            {**held.params, **wanted.params},
            tags,
            max([held.step, *(row.step for row in wanted.rows)]),
        )
        return held.id

    def _report(self, held: Held, file: AnyPath) -> str:
        """Sends the report where MLflow has another one; gives the digest of what it has then."""
        data = file.read_bytes()
        digest = hashing.of_bytes(data)
        if held.tags.get(REPORT) != digest:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / file.name
                copy.write_bytes(data)
                self.client.log_artifact(held.id, str(copy))
        return digest

    def _search(self) -> Iterator[Any]:
        """Every run of the study, oldest first."""
        token = None
        while token != "":
            page = self.client.search_runs(
                [self._experiment],
                f"tags.`awcl.id` = '{self._study_id}'",
                order_by=["attributes.start_time", "attributes.run_id"],
                page_token=token,
            )
            yield from page
            token = page.token or ""

    def _create(self, wanted: Run) -> Held:
        tags = {"awcl.key": wanted.key, "awcl.id": self._study_id}
        run = self.client.create_run(self._experiment, wanted.start, tags, run_name=wanted.name)
        return _held(run)

    def _log(
        self, held: Held, params: dict[str, str], points: list[Points], tags: dict[str, str]
    ) -> None:
        """In this order: parameters, metrics, and the tags that say what is there."""
        from mlflow.entities import Metric, Param, RunTag

        new_params = [Param(k, v) for k, v in params.items() if k not in held.params]
        new_tags = [RunTag(k, v) for k, v in tags.items() if held.tags.get(k) != v]
        metrics = [
            Metric(_name(name), row.values[name], row.millis, row.step)
            for row in points
            # this one says which rows are there, so it is the last of its row
            for name in sorted(row.values, key=lambda name: name in STEPS)
        ]
        *whole, last = [metrics[at : at + BATCH] for at in range(0, len(metrics) or 1, BATCH)]
        for batch in whole:
            self.client.log_batch(held.id, metrics=batch)
        if last or new_params or new_tags:
            self.client.log_batch(held.id, metrics=last, params=new_params, tags=new_tags)
        for name in held.tags:
            if name.startswith("awcl.") and name not in tags:  # such as why an earlier run failed
                self.client.delete_tag(held.id, name)

    def _set_status(self, held: Held, wanted: Run) -> None:
        if wanted.status == "RUNNING":
            if held.status != "RUNNING":
                self.client.update_run(held.id, status="RUNNING")
        elif (held.status, held.end) != (wanted.status, wanted.end or held.end):
            self.client.set_terminated(held.id, wanted.status, end_time=wanted.end)


def _held(run: Any) -> Held:
    data, info = run.data, run.info
    steps = [int(data.metrics[name]) for name in STEPS if name in data.metrics]
    newest = max(steps, default=-1)  # an untrained trial has a row of epoch 0
    return Held(info.run_id, info.status, info.end_time, data.params, data.tags, newest)


def _experiment(client: Any, uri: str, study: StudyFolder, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":  # in the UI; it can be restored, with all its runs
            client.restore_experiment(found.experiment_id)
            print(f"mlflow: the experiment {name} was deleted there, and is restored", flush=True)
        return found.experiment_id
    location = None  # a server's own
    if not uri.startswith("http"):
        database = sqlite_file(uri)
        beside = database.parent if database else study.path.parent
        folder = beside / "mlartifacts" / name
        location = folder.as_uri() if isinstance(folder, Path) else str(folder)
    pages = {"mlflow.experimentKind": "custom_model_development"}  # which ones the UI opens with
    return client.create_experiment(name, artifact_location=location, tags=pages)


def _name(name: str) -> str:
    """A metric's name in the characters that MLflow admits."""
    return re.sub(r"[^\w\-. /:]", "_", name)
