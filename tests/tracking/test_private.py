"""Of a private study, MLflow is told no name of a patient, scan or frame, and no path."""

import sqlite3
from pathlib import Path

import pandas as pd
from recorded import start, train

from awcl.config import TrialConfig, with_values
from awcl.data.table import FrameTable
from awcl.downstream import tasks
from awcl.downstream.evaluation import evaluate, write_evaluation
from awcl.encoder import Encoder
from awcl.study.plan import held, make_plan
from awcl.study.space import Study
from awcl.taxonomy import Taxonomy
from awcl.tracking import Tracker

TINY = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8}


def told(uri: str, folder: Path) -> str:
    """All that MLflow's database and its artifacts hold, as text."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        text = list(connection.iterdump())
    for file in folder.rglob("*"):
        if file.suffix == ".parquet":
            text.append(pd.read_parquet(file).to_csv())
        elif file.is_file():
            text.append(file.read_bytes().decode(errors="replace"))
    return "\n".join(text)


def project(table: FrameTable, uri: str, folder: Path) -> str:
    """What MLflow is told of a study on these frames: one trial, failed, then evaluated."""
    table.write(folder / "frames.parquet")
    base = with_values(TrialConfig(), TINY, "test")
    study = Study(name="demo", base=base, tasks=["planes"])
    with held(make_plan(study, folder / "frames.parquet", folder / "results")) as plan:
        [trial] = plan.trials
    start(trial.folder)
    train(trial.folder, 2)
    encoder = Encoder("test_resnet", 32)
    settings = tasks.settings("planes")
    result, predictions, _ = evaluate(encoder, settings, trial.pack, Taxonomy.load())
    assert len(predictions) > 0
    place = trial.folder.evaluation("planes", "s", "digest")
    write_evaluation(place, {**result, "epoch": 2}, predictions)
    trial.folder.write_done("finished", epoch=2)
    Tracker(uri, plan.folder).sync()
    return told(uri, folder / "mlartifacts")


def test_nothing_of_original_names_is_told(uri, another_uri, tiny_table, tmp_path):
    frames = tiny_table.frames
    images = str(Path(frames["path"][0]).parent)
    names = {*frames["patient"], *frames["scan"], *frames["frame_id"]}

    (tmp_path / "open").mkdir()
    in_the_open = project(tiny_table, another_uri("open/mlflow.db"), tmp_path / "open")
    assert any(name in in_the_open for name in names), "else this test could not fail"

    (tmp_path / "private").mkdir()
    private = tiny_table.private(tmp_path / "key")
    text = project(private, another_uri("private/mlflow.db"), tmp_path / "private")
    hashed = {*private.frames["frame_id"]}
    assert any(name in text for name in hashed), "predictions are there, under hashed names"
    assert [name for name in names if name in text] == []
    assert images not in text
