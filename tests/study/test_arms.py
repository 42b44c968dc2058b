"""Seeds of one arm together, as the table of a study shows them."""

import pandas as pd
import pytest

from awcl.config import TrialConfig, with_values
from awcl.downstream.evaluation import write_evaluation
from awcl.pretrain.methods import canonical
from awcl.records import StudyFolder
from awcl.study import arms
from awcl.study.table import render

TRUTH = ["head", "head", "femur", "femur", "heart", "heart"]


@pytest.fixture
def study(tmp_path):
    """A study of two arms and two seeds, and `run`, which adds a trial as it is stored."""
    folder = StudyFolder(tmp_path / "s")
    folder.accept({"name": "s", "axes": {"anatomy.ratio": [0, 1]}, "seeds": [0, 1]})

    def run(ratio, seed, wrong=0, outcome="finished", task="planes"):
        given = {"anatomy.ratio": ratio, "seed": seed, "pretrain.epochs": 2}
        config = canonical(with_values(TrialConfig(), given, "test"))
        trial = folder.trial(f"{ratio}-{seed}")
        trial.write_about({"key": trial.key, "config": config.model_dump(mode="json")})
        trial.append_history({"epoch": 1, "val/proxy": 0.5})
        trial.write_done(outcome, epoch=1, reason="")
        table = pd.DataFrame({"frame_id": list("abcdef"), "patient": list("ppqqrr")})
        table["audit_group"], table["truth"] = None, TRUTH
        table["ridge"] = ["heart"] * wrong + TRUTH[wrong:]
        metrics = {"macro_f1": 1.0, "macro_f1/low": 1.0, "macro_f1/high": 1.0}
        result = {"name": task, "epoch": 1, "metrics": metrics}
        write_evaluation(trial.evaluation(task, "s", "w"), result, table)

    return folder, run


def test_an_arm_is_shown_with_its_mean_and_each_seed(study):
    folder, run = study
    run(1, 0)
    run(1, 1, wrong=2)
    [row] = arms.rows(folder)
    assert row[:2] == ["planes", "1.0"]
    assert row[2] == "0.778 [too few patients]" and row[3] == "1.000 0.556"


def test_an_axis_of_one_value_has_its_column(study):
    folder, run = study
    definition = {"name": "t", "axes": {"anatomy.ratio": [0, 1], "pretrain.batch": [32]}}
    folder.accept({**definition, "seeds": [0, 1]})
    run(1, 0)
    run(1, 1)
    [row] = arms.rows(folder)
    batch = TrialConfig().pretrain.batch
    assert row[:3] == ["planes", "1.0", str(batch)]


def test_an_arm_that_lacks_a_seed_or_was_stopped_is_not_compared(study):
    folder, run = study
    run(0, 0)
    run(1, 0)
    run(1, 1, outcome="stopped")
    assert arms.rows(folder) == []
    assert "seeds together" not in render(folder)


def test_arms_of_a_task_stand_together(study):
    folder, run = study
    for task in ("planes-C", "planes"):
        for ratio in (1, 0):
            for seed in (0, 1):
                run(ratio, seed, task=task)
    assert [row[:2] for row in arms.rows(folder)] == [
        [task, ratio] for task in ("planes", "planes-C") for ratio in ("0.0", "1.0")
    ]
    lines = render(folder).splitlines()
    start = lines.index("seeds together, full budget")
    assert lines[start + 1].split()[:2] == ["task", "ratio"] and len(lines) == start + 6
    assert max(map(len, lines)) <= 100


def test_a_task_without_one_ridge_probe_has_no_such_row(study):
    folder, run = study
    for seed in (0, 1):
        run(1, seed)
        file = next((folder.trial(f"1-{seed}").path / "eval").glob("*/predictions.parquet"))
        pd.read_parquet(file).rename(columns={"ridge": "x/shift/ridge"}).to_parquet(file)
    assert arms.rows(folder) == []


def test_one_seed_has_no_such_table(tmp_path):
    folder = StudyFolder(tmp_path / "s")
    folder.accept({"name": "s", "axes": {}, "seeds": [3]})
    assert arms.rows(folder) == []
