"""Several tasks on an encoder: which are allowed, what is written, kept and refused; the tables."""

import pytest
import torch

from awcl.downstream import suite, tasks, telling
from awcl.downstream.comparing import Difference
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.taxonomy import BUILTIN, Taxonomy


def planes(**settings):
    return tasks.settings({"task": "planes", **settings})


def test_tasks_that_the_frames_do_not_allow_are_named_with_the_reason(tiny_pack, taxonomy):
    able, reasons = suite.allowed({"quick": False}, tiny_pack, taxonomy)
    assert {"planes", "diagnostics"} <= {settings.name for settings in able}
    assert not any(settings.quick for settings in able)
    assert {settings.name for settings in able} | set(reasons) == {*tasks.names()} - {"few_masks"}
    assert "mask" in reasons["segmentation"]


def test_the_quick_suite_leaves_out_what_takes_long(tiny_pack, taxonomy):
    able, reasons = suite.allowed({"quick": True}, tiny_pack, taxonomy)
    assert [settings.name for settings in able] == ["cross_planes", "planes"]
    assert all(settings.quick for settings in able)
    assert set(reasons) == {"segmentation"}


def test_frames_that_allow_no_task_are_refused(repack, taxonomy):
    pack = repack(split=lambda frames: frames["split"].replace("test", "val"))
    with pytest.raises(InputError, match=r"these frames allow no task; .*planes: split 'test' "):
        suite.allowed({}, pack, taxonomy)


def test_a_result_is_written_once_and_then_kept(tiny_pack, taxonomy, tiny_encoder, tmp_path):
    given = (tiny_encoder, "mine", planes(), tiny_pack, taxonomy, tmp_path)
    result, predictions = suite.judge(*given)
    folder = tmp_path / "mine" / "planes"
    assert {"EVAL.json", "predictions.parquet"} < {file.name for file in folder.iterdir()}
    assert any(file.suffix == ".png" for file in folder.iterdir())
    assert result["encoder"] == "mine"
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    again, read = suite.judge(*given)
    assert again == result and read.equals(predictions)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_a_result_by_another_taxonomy_is_refused(tiny_pack, taxonomy, tiny_encoder, tmp_path):
    (tmp_path / "own.toml").write_text(BUILTIN.read_text().replace("heart ", "thorax_ "))
    own = Taxonomy.load(tmp_path / "own.toml")
    suite.judge(tiny_encoder, "mine", planes(), tiny_pack, taxonomy, tmp_path)
    with pytest.raises(InputError, match="holds a result of other taxonomy; give another"):
        suite.judge(tiny_encoder, "mine", planes(), tiny_pack, own, tmp_path)


def test_a_result_of_other_weights_settings_or_frames_is_refused_and_stays(
    tiny_pack, taxonomy, tiny_encoder, repack, tmp_path
):
    suite.judge(tiny_encoder, "mine", planes(), tiny_pack, taxonomy, tmp_path)
    file = tmp_path / "mine" / "planes" / "EVAL.json"
    before = file.read_bytes()
    torch.manual_seed(1)
    others = [
        (Encoder("test_resnet", 32), planes(), tiny_pack, "weights"),
        (
            tiny_encoder,
            planes(level="coarse"),
            tiny_pack,
            r"settings \(level 'auto', now 'coarse'\)",
        ),
        (tiny_encoder, planes(), repack(operator=lambda frames: "x"), "frames"),
    ]
    for encoder, settings, pack, what in others:
        with pytest.raises(InputError, match=f"planes: holds a result of other {what}; give ano"):
            suite.judge(encoder, "mine", settings, pack, taxonomy, tmp_path)
    assert file.read_bytes() == before


@pytest.mark.parametrize("word", ["", ".", "..", "a/b", "../up"])
def test_an_encoder_has_the_name_of_a_folder(word):
    with pytest.raises(InputError, match="choose a NAME that a folder can have"):
        suite.check_names(["fine", word])


@pytest.mark.parametrize("task", ["planes", "segmentation"])
def test_an_encoder_that_has_diverged_is_not_judged(masked_pack, taxonomy, task):
    encoder = Encoder("test_resnet", 32)
    next(encoder.parameters()).data.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite; its training has diverged"):
        suite.judge(encoder, "nan", tasks.settings(task), masked_pack, taxonomy)


def test_without_a_folder_nothing_is_written(tiny_pack, taxonomy, tiny_encoder, tmp_path):
    result, _ = suite.judge(tiny_encoder, "mine", planes(), tiny_pack, taxonomy)
    assert 0 < result["metrics"]["macro_f1"] < 1
    assert list(tmp_path.iterdir()) == []


def test_two_encoders_of_one_name_are_refused():
    with pytest.raises(InputError, match="two encoders are called 'a'; tell them apart as NAME=X"):
        suite.check_names(["a", "b", "a"])


# --- tables ------------------------------------------------------------------------------------

METRICS = {
    "macro_f1": 0.5, "macro_f1/low": 0.25, "macro_f1/high": 0.75, "rank": 12.0,
    "class/4CH/f1": 1.0, "domain/machine/A/macro_f1": 0.5,
}  # fmt: skip


def result(about=None, **metrics) -> dict:
    return {"about": about or {}, "metrics": {**METRICS, **metrics}}


def test_the_table_shows_main_scores_with_intervals_an_encoder_a_column():
    table = telling.scores("planes", {"random": result(), "mine": result(more=1.0)})
    assert table.splitlines() == [
        "planes",
        "            random                mine",
        "  macro_f1  0.500 [0.250, 0.750]  0.500 [0.250, 0.750]",
        "  rank      12.000                12.000",
        "  more      -                     1.000",
    ]


def test_no_line_is_wider_than_100_columns_whatever_is_told():
    about = {
        "classes": [f"class {n}" for n in range(40)],
        "left_out": {"african": "why " * 40},
        "nothing": {},
    }
    name = "first_trimester/in_domain/hc_error_mm"
    metrics = {name: 10.0, f"{name}/low": -20.123, f"{name}/high": 30.123}
    results = {f"encoder-{n}": result(about, **metrics) for n in range(6)}
    table = telling.scores("planes", results)
    assert max(map(len, table.splitlines())) <= 100
    assert all(table.count(encoder) == 1 for encoder in results)
    rows = [Difference(f"frozen/{name}", 10.0, 12.0, -20.0, 30.0, 40, 3, 3)]
    told = telling.differences("cross_segmentation", *list(results)[:2], rows)
    assert max(map(len, told.splitlines())) <= 100


def test_facts_stand_once_where_they_are_the_same_for_all():
    results = {
        "a": result({"level": "fine", "rate": 0.001, "out": {"x": "lacks"}}),
        "b": result({"level": "fine", "rate": 0.01, "out": {"x": "lacks"}}),
    }
    lines = telling.scores("planes", results).splitlines()[1:5]
    assert lines == ["  level: fine", "  a: rate: 0.001", "  out, x: lacks", "  b: rate: 0.01"]


def test_a_difference_that_is_clear_of_zero_has_a_star():
    rows = [
        Difference("ridge/macro_f1", 0.5, 0.75, 0.125, 0.375, 40, 12, 12),
        Difference("knn/macro_f1", 0.5, 0.375, -0.25, 0.0, 40, 12, 12),
        Difference("class/4CH/dice", 0.5, 0.5, 0.0, 0.0, 40, 12, 0),
    ]
    assert telling.differences("planes", "random", "mine", rows).splitlines() == [
        "planes: mine (B) minus random (A)",
        "                  A      B      B - A [95 %]               n",
        "  ridge/macro_f1  0.500  0.750  +0.250 [+0.125, +0.375] *  12",
        "  knn/macro_f1    0.500  0.375  -0.125 [-0.250, +0.000]    12",
    ]
