"""The task `planes`, and how tasks are found."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics

from awcl.config import Config
from awcl.downstream import finetuning, tasks
from awcl.encoder import Encoder
from awcl.errors import InputError


@pytest.fixture(scope="module")
def judged(tiny_pack, taxonomy, tiny_encoder):
    """`planes` on `tiny_table`: the task after its run, and what it yielded."""
    task = tasks.build(tasks.settings("planes"), tiny_pack, taxonomy)
    return task, list(task.run(tiny_encoder))


def test_predictions_are_one_row_a_labelled_test_frame(judged, tiny_pack):
    task, _ = judged
    frames = tiny_pack.frames
    fit = (frames["split"] == "test") & frames["anatomy"].isin(["4CH", "LVOT", "HCP", "FLP"])
    assert list(task.predictions["frame_id"]) == list(frames["frame_id"][fit])
    assert list(task.predictions["truth"]) == list(frames["anatomy"][fit])
    assert list(task.predictions["patient"]) == list(frames["patient"][fit])
    assert {"audit_group", "machine", "ridge", "knn"} <= set(task.predictions)


def test_the_scores_can_be_had_again_from_the_predictions(judged):
    task, yielded = judged
    found, p = dict(yielded), task.predictions
    assert 0 < found["macro_f1"] < 1, "or much of what follows could not fail"
    options = {"labels": sorted(set(p["truth"])), "zero_division": 0}
    for prefix, column in (("", "ridge"), ("knn/", "knn")):
        balanced = metrics.recall_score(p["truth"], p[column], average="macro", **options)
        assert found[f"{prefix}balanced_accuracy"] == pytest.approx(balanced)
        for name, of in (
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
            ("f1", metrics.f1_score),
        ):
            macro = of(p["truth"], p[column], average="macro", **options)
            assert found[f"{prefix}macro_{name}"] == pytest.approx(macro)
            values = of(p["truth"], p[column], average=None, **options)
            for label, value in zip(options["labels"], values, strict=True):
                assert found[f"{prefix}class/{label}/{name}"] == pytest.approx(value)


def test_each_domain_has_its_own_score(judged):
    task, yielded = judged
    found = dict(yielded)
    for column, value in (("machine", "A"), ("machine", "B"), ("source", "tiny")):
        here = task.predictions[task.predictions[column] == value]
        again = metrics.f1_score(
            here["truth"], here["ridge"],
            labels=sorted(set(here["truth"])), average="macro", zero_division=0,
        )  # fmt: skip
        assert found[f"domain/{column}/{value}/macro_f1"] == pytest.approx(again)
    assert not any(name.startswith("domain/site") for name in found), "no frame has a site"


def test_intervals_stand_beside_their_scores_and_no_name_comes_twice(judged):
    _, yielded = judged
    found = dict(yielded)
    assert len(found) == len(yielded)
    for name in ("macro_f1", "balanced_accuracy"):
        assert 0 <= found[f"{name}/low"] <= found[name] <= found[f"{name}/high"] <= 1
    assert np.isfinite(list(found.values())).all()


def test_the_confusions_of_each_predictor_are_drawn(judged):
    task, _ = judged
    assert set(task.figures) == {"confusion_ridge", "confusion_knn"}


def test_the_full_suite_adds_fine_tuning_and_leaves_the_encoder_as_it_was(
    tiny_pack, taxonomy, tiny_encoder, judged
):
    before = {name: value.clone() for name, value in tiny_encoder.state_dict().items()}
    settings = tasks.settings({"task": "planes", "quick": False, "steps": 2})
    encoder = Encoder("test_resnet", 32)
    encoder.load_state_dict(before)
    task = tasks.build(settings, tiny_pack, taxonomy)
    found = dict(task.run(encoder))
    assert {"ridge", "knn", "finetuned"} <= set(task.predictions)
    again = metrics.f1_score(
        task.predictions["truth"], task.predictions["finetuned"], average="macro", zero_division=0,
        labels=sorted(set(task.predictions["truth"])),
    )  # fmt: skip
    assert found["finetuned/macro_f1"] == pytest.approx(again)
    assert found["finetuned/macro_f1/low"] <= again <= found["finetuned/macro_f1/high"]
    assert task.about["finetuned"]["learning_rate"] in finetuning.RATES
    assert all(torch.equal(value, before[n]) for n, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("names", "members"),
    [(["HCP", "4CH"], ["4CH", "HCP"]), (["heart"], ["4CH", "LVOT"])],
)
def test_anatomies_that_pre_training_never_saw_have_scores_of_their_own(
    tiny_pack, taxonomy, tiny_encoder, judged, names, members
):
    told = {"anatomy": {"held_out": names}}
    settings = tasks.settings({"task": "planes", "pretrained": told})
    task = tasks.build(settings, tiny_pack, taxonomy)
    found, p = dict(task.run(tiny_encoder)), task.predictions
    assert task.about["held_out"] == members
    others = sorted(set(p["truth"]) - set(members))
    for name, labels in (("held_out", members), ("not_held_out", others)):
        for prefix, column in (("", "ridge"), ("knn/", "knn")):
            again = metrics.f1_score(
                p["truth"], p[column], labels=labels, average="macro", zero_division=0
            )
            assert found[f"{prefix}{name}/macro_f1"] == pytest.approx(again)
    plain = dict(judged[1])
    assert {name: found[name] for name in plain} == plain, "it changes no other score"


def test_labels_of_test_change_no_prediction(repack, taxonomy, tiny_encoder, judged):
    def shuffled(frames):
        names = frames["anatomy"].copy()
        judged = (frames["split"] == "test") & names.isin(["4CH", "LVOT", "HCP", "FLP"])
        names[judged] = names[judged].to_numpy()[::-1]
        return names

    settings = tasks.settings({"task": "planes"})
    task = tasks.build(settings, repack(anatomy=shuffled), taxonomy)
    dict(task.run(tiny_encoder))
    before = judged[0].predictions
    assert list(task.predictions["truth"]) != list(before["truth"])
    for name in ("frame_id", "ridge", "knn"):
        assert list(task.predictions[name]) == list(before[name])


def test_intervals_resample_audit_groups_where_there_are_any(
    repack, taxonomy, tiny_encoder, judged
):
    def one_group(frames):
        return frames["patient"].mask(frames["split"] == "test", "tiny/p9")

    task = tasks.build(tasks.settings("planes"), repack(audit_group=one_group), taxonomy)
    found = dict(task.run(tiny_encoder))
    assert found["macro_f1"] == dict(judged[1])["macro_f1"]
    assert "macro_f1/low" not in found, "nothing is known of another group"


def test_the_level_is_the_finest_that_is_known_for_all(repack, tiny_pack, taxonomy):
    fine = tasks.build(tasks.settings("planes"), tiny_pack, taxonomy)
    assert fine.about == {"level": "fine", "classes": ["4CH", "FLP", "HCP", "LVOT"]}

    def vague(frames):
        return frames["anatomy"].replace("HCP", "brain")

    pack = repack(anatomy=vague)
    coarse = tasks.build(tasks.settings("planes"), pack, taxonomy)
    assert coarse.about == {"level": "coarse", "classes": ["brain", "femur", "heart"]}
    chosen = tasks.settings({"task": "planes", "level": "coarse"})
    assert tasks.build(chosen, tiny_pack, taxonomy).about["level"] == "coarse"


def test_where_chooses_the_frames_that_take_part(tiny_pack, taxonomy, tiny_encoder):
    settings = tasks.settings({"task": "planes", "where": {"machine": "!B"}, "level": "coarse"})
    task = tasks.build(settings, tiny_pack, taxonomy)
    dict(task.run(tiny_encoder))
    assert set(task.predictions["machine"]) == {"A"}
    assert set(tiny_pack.frames["machine"].iloc[task.problem.rows]) == {"A"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("plane", "task 'plane': choose one of .*planes"),
        ({"where": {}}, "task None: choose one of .*planes"),
        ({"task": "planes", "levle": "fine"}, "task planes: levle 'fine': Extra inputs are not"),
        ({"task": "planes", "level": "finest"}, "task planes: level 'finest': Input should be"),
    ],
)
def test_what_is_no_task_or_no_setting_is_named(given, said):
    with pytest.raises(InputError, match=said):
        tasks.settings(given)


def test_an_unknown_column_in_where_is_named(tiny_pack, taxonomy):
    settings = tasks.settings({"task": "planes", "where": {"vendor": "A"}})
    with pytest.raises(InputError, match="unknown column 'vendor'"):
        tasks.build(settings, tiny_pack, taxonomy)


NEW_TASK = """
import pandas as pd
from typing import Literal
from awcl.config import Config

class Settings(Config):
    task: Literal["counting"] = "counting"
    by: int = 1

class Task:
    def __init__(self, settings, pack, taxonomy):
        self.by, self.pack = settings.by, pack
        self.about, self.predictions = {}, pd.DataFrame()

    def run(self, encoder):
        yield "frames", float(len(self.pack) * self.by)
"""


def test_a_new_file_is_a_new_task(tiny_pack, taxonomy, tmp_path, monkeypatch):
    (tmp_path / "counting.py").write_text(NEW_TASK)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    settings = tasks.settings({"task": "counting", "by": 2})
    assert isinstance(settings, Config)
    task = tasks.build(settings, tiny_pack, taxonomy)
    assert dict(task.run(None)) == {"frames": 2.0 * len(tiny_pack)}
    with pytest.raises(InputError, match=r"choose one of .*planes.*counting"):
        tasks.settings("nothing")
    shutil.rmtree(tmp_path)


def test_predictions_can_be_stored(judged, tmp_path):
    task, _ = judged
    task.predictions.to_parquet(tmp_path / "p.parquet", index=False)
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == len(task.predictions)
