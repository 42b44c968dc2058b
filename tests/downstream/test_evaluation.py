"""One evaluation: what it says, that it is written whole, and whether its domain was seen."""

import json

import numpy as np
import pandas as pd
import pytest

from awcl.downstream import tasks
from awcl.downstream.evaluation import evaluate, target_domain_seen, write_evaluation
from awcl.records import TrialFolder

RESULT = {"task": "planes", "name": "planes", "epoch": 2, "time": 1.0, "metrics": {"macro_f1": 0.5}}
PREDICTIONS = pd.DataFrame({"frame_id": ["a"], "truth": ["4CH"]})


def test_a_result_says_what_was_judged_on_what(tiny_pack, taxonomy, tiny_encoder):
    settings = tasks.settings({"task": "planes", "level": "coarse"})
    result, predictions, _ = evaluate(tiny_encoder, settings, tiny_pack, taxonomy)
    assert result["task"] == "planes" and result["settings"]["level"] == "coarse"
    assert result["pack"] == tiny_pack.digest and result["backbone"] == "test_resnet"
    assert result["about"]["classes"] == ["brain", "femur", "heart"]
    assert result["metrics"]["macro_f1/low"] <= result["metrics"]["macro_f1"]
    assert len(predictions) > 0
    json.dumps(result, allow_nan=False)


def test_what_is_written_is_read_back(tmp_path):
    trial = TrialFolder(tmp_path / "trials" / "k")
    folder = trial.evaluation("planes", "hash", "digest")
    write_evaluation(folder, RESULT, PREDICTIONS)
    assert trial.evaluations() == [(folder, RESULT)]
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "predictions.parquet"), PREDICTIONS)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("metrics", [{"macro_f1": float("nan")}, {"macro_f1": object()}])
def test_what_cannot_be_written_whole_is_not_written(tmp_path, metrics):
    folder = tmp_path / "eval" / "planes-1"
    with pytest.raises((ValueError, TypeError)):
        write_evaluation(folder, {**RESULT, "metrics": metrics}, PREDICTIONS)
    assert list((tmp_path / "eval").iterdir()) == []


def test_what_was_written_first_stays(tmp_path):
    folder = tmp_path / "eval" / "planes-1"
    write_evaluation(folder, RESULT, PREDICTIONS)
    write_evaluation(folder, {**RESULT, "metrics": {"macro_f1": 0.9}}, PREDICTIONS)
    assert json.loads((folder / "EVAL.json").read_text()) == RESULT
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def rows(pack, **having) -> np.ndarray:
    keep = np.ones(len(pack), bool)
    for column, value in having.items():
        keep &= (pack.frames[column] == value).to_numpy()
    return np.flatnonzero(keep)


def test_a_domain_is_seen_when_pre_training_had_frames_of_it(tiny_pack):
    on_a = tiny_pack.frames.iloc[rows(tiny_pack, split="test", machine="A")]
    everyone = tiny_pack.frames.iloc[rows(tiny_pack, split="test")]
    train_a = rows(tiny_pack, split="train", machine="A")
    train_b = rows(tiny_pack, split="train", machine="B")
    assert target_domain_seen(tiny_pack, train_a, on_a)
    assert not target_domain_seen(tiny_pack, train_b, on_a)
    assert target_domain_seen(tiny_pack, train_b, everyone)


def test_a_domain_is_all_of_source_machine_site_and_trimester(repack):
    def trimester(frames):
        return np.where(frames["split"] == "test", "third", "second")

    pack = repack(trimester=trimester)
    tested = pack.frames.iloc[rows(pack, split="test", machine="A")]
    assert not target_domain_seen(pack, rows(pack, split="train", machine="A"), tested)
