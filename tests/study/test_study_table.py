"""The printed table of a study: order, sections, width, reasons."""

import pandas as pd
import pytest

from awcl.config import TrialConfig, with_values
from awcl.downstream.evaluation import write_evaluation
from awcl.pretrain.methods import canonical
from awcl.records import StudyFolder
from awcl.study.table import render


@pytest.fixture
def add(tmp_path):
    """add(key, proxies, outcome, ...): one trial of a study with two axes, as it is stored."""
    study = StudyFolder(tmp_path / "s")
    study.accept(
        {
            "name": "s",
            "axes": {"anatomy.ratio": [0, 1], "anatomy.granularity": ["coarse"]},
            "tasks": ["planes"],
        }
    )

    def make(key, proxies=(), outcome=None, reason="", score=None, tasks=("planes",), **values):
        trial = study.trial(key)
        values = {"pretrain.epochs": 3, **{k.replace("__", "."): v for k, v in values.items()}}
        config = canonical(with_values(TrialConfig(), values, "test"))
        trial.write_about({"key": key, "config": config.model_dump(mode="json")})
        for epoch, proxy in enumerate(proxies, start=1):
            trial.append_history({"epoch": epoch, "val/proxy": proxy, "time": 100.0 * epoch})
        if outcome:
            trial.write_done(outcome, epoch=len(proxies), reason=reason)
        if score is not None:
            names = ("macro_f1", "macro_f1/low", "macro_f1/high")
            metrics = dict(zip(names, score, strict=True))
            for task in tasks:
                result = {"name": task, "epoch": 1, "metrics": metrics}
                write_evaluation(trial.evaluation(task, "s", "w"), result, pd.DataFrame({"a": [1]}))
        return study

    return make


def section(table: str, title: str) -> list[str]:
    """The lines under a title, without it and the head of columns."""
    [part] = [part for part in table.split("\n\n") if part.startswith(title)]
    return part.splitlines()[2:]


def test_finished_trials_are_sorted_by_their_last_proxy(add):
    add("worst", [0.9, 0.9, 0.1], "finished")
    add("best", [0.1, 0.1, 0.8], "finished")
    study = add("middle", [0.1, 0.1, 0.3], "finished")
    lines = section(render(study), "finished")
    assert [line.split()[0] for line in lines] == ["best", "middle", "worst"]
    assert lines[0].split() == ["best", "1.0", "fine", "0", "3/3", "0.800"]


def test_stopped_failed_and_pending_trials_stand_apart_in_this_order(add):
    add("a", [0.1, 0.1, 0.8], "finished")
    add("b", [0.99], "stopped", reason="below the cutoff")
    add("c", [0.5], "failed", reason="it broke")
    add("d")
    study = add("e", [0.4])
    table = render(study)
    titles = [part.splitlines()[0] for part in table.split("\n\n") if "by" in part or "(" in part]
    assert [title.split()[0].rstrip(",") for title in titles[:4]] == [
        "finished", "stopped", "failed", "pending",
    ]  # fmt: skip
    assert [line.split()[0] for line in section(table, "finished")] == ["a"]
    assert [line.split()[0] for line in section(table, "stopped")] == ["b"]
    assert section(table, "stopped")[0].split()[4] == "1/3"
    assert [line.split()[0] for line in section(table, "pending")] == ["e", "d"]
    assert "(2)" in titles[3]


def test_a_failed_trial_has_its_reason_in_full_within_100_columns(add):
    reason = "InputError: " + "the loss is nan at epoch 1, step 1; lower pretrain.lr (1e+30) " * 5
    table = render(add("c", [], "failed", reason=reason.strip()))
    assert max(map(len, table.splitlines())) <= 100
    said = " ".join(table.split("c:")[1].split())
    assert said == reason.strip()


def test_test_scores_come_with_their_interval_and_a_dash_where_missing(add):
    add("a", [0.1], "finished", score=(0.5, 0.25, 0.75))
    study = add("b", [0.2], "finished")
    table = render(study)
    assert "test planes macro-F1 [95 %]" in table.splitlines()[1]
    missing, there = section(table, "finished")
    assert there.endswith("0.500 [0.250, 0.750]") and missing.split()[-1] == "-"


def test_ratio_0_shows_no_granularity(add):
    lines = section(render(add("a", [0.1], "finished", anatomy__ratio=0)), "finished")
    assert lines[0].split()[1:3] == ["0.0", "-"]


def test_a_table_with_a_task_fits_into_100_columns(add):
    values = {"anatomy__granularity": "coarse", "anatomy__ratio": 0.25, "seed": 10}
    study = add("0123456789ab", [0.1] * 3, "finished", score=(0.5, 0.2, 0.7), **values)
    for outcome in ("stopped", "failed"):
        study = add(f"{outcome:a<12}", [0.1], outcome, reason="x", score=(0.5, 0.2, 0.7), **values)
    lines = render(study).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line == line.rstrip() for line in lines)


def test_tasks_that_do_not_fit_follow_with_the_trials_axes_again(add):
    tasks = ("a", "b", "c", "planes-of-another-machine")
    study = add("0123456789ab", [0.1] * 3, "finished", score=(0.5, 0.2, 0.7), tasks=tasks)
    title, *lines = render(study).splitlines()
    assert title.startswith("finished") and max(map(len, lines)) <= 100
    heads, rows = lines[0::2], lines[1::2]
    shown = [[task for task in tasks if f"test {task} macro" in head] for head in heads]
    assert shown == [["a"], ["b", "c"], ["planes-of-another-machine"]]
    assert rows[0].split()[:6] == ["0123456789ab", "1.0", "fine", "0", "3/3", "0.100"]
    assert all(row.split()[:5] == ["0123456789ab", "1.0", "fine", "0", "0.500"] for row in rows[1:])


def test_a_task_is_shown_by_its_first_score_that_has_an_interval(add):
    study = add("one", [0.1, 0.1, 0.1], "finished", score=(0.5, 0.4, 0.6))
    names = ("n", "x/shift/dice", "x/shift/dice/low", "x/shift/dice/high")
    metrics = dict(zip(names, (3.0, 0.7, 0.65, 0.75), strict=True))
    for name, values in (("crossed", metrics), ("bare", {"rank": 3.0})):
        folder = study.trial("one").evaluation(name, "s", "w")
        write_evaluation(
            folder, {"name": name, "epoch": 1, "metrics": values}, pd.DataFrame({"a": [1]})
        )
    table = render(study)
    assert "test crossed x/shift/dice [95 %]" in table and "0.700 [0.650, 0.750]" in table
    assert "test planes macro-F1 [95 %]" in table and "0.500 [0.400, 0.600]" in table
    assert max(map(len, table.splitlines())) <= 100
