"""Which figures a study has, and what lies where in them."""

import io

import numpy as np
import pytest
from made_study import dice, predictions
from PIL import Image
from sklearn.metrics import f1_score

from awcl.files import read_json, write_json
from awcl.report import interactive, parallel, plots, printed, summary, tables
from awcl.report.charts import Forest, points
from awcl.report.reading import read
from awcl.report.writing import find

SELF = {"pretrain.positives": "self"}


def curves(made):
    found = find(read(made.folder))
    drawn = plots.over_axes(found.stored, found.arms, found.estimates)
    return {chart.name: chart for chart in drawn}, found


def lines(chart):
    return {line.name: list(line.x) for line in chart.lines if line.in_legend}


def test_ratio_0_is_the_common_origin_of_coarse_and_fine(ratios):
    drawn, found = curves(ratios)
    ratio = drawn["ratio-planes-ridge-macro-f1"]
    assert lines(ratio) == {"coarse": [0, 0.5, 1], "fine": [0, 0.5, 1]}
    [each] = found.estimates.values()
    origin = next(of for of in each if of.arm.is_simclr)
    for line in ratio.lines:
        if line.in_legend:
            assert line.y[0] == origin.value and (line.low[0], line.high[0]) == origin.interval


def test_a_line_has_every_arm_that_agrees_with_it_in_what_it_reads():
    """Beside the slow form, which holds every arm against every line."""
    rng = np.random.default_rng(0)
    each = []
    for name in range(60):
        other = {axis: rng.choice(["-", 1, 2, 3], p=[0.1, 0.3, 0.3, 0.3]) for axis in "xyz"}
        each.append((name, {"arm": "a", **other} if name % 5 else other))
    groups = [other for _, other in each]
    slow = [
        [name for name, other in each
         if all(value in ("-", group.get(axis)) for axis, value in other.items())]
        for group in groups
    ]  # fmt: skip
    assert list(plots._on_each(groups, each)) == slow
    assert len({len(found) for found in slow}) > 3


def test_an_axis_of_words_has_a_place_for_each(ratios):
    drawn, _ = curves(ratios)
    chart = drawn["granularity-planes-ridge-macro-f1"]
    assert chart.ticks == {0.0: "coarse", 1.0: "fine"}
    assert lines(chart) == {"ratio 0.5": [0, 1], "ratio 1": [0, 1]}


def test_arms_have_lines_of_their_own_and_one_trial_of_both_is_on_both(making):
    axes = {"anatomy.ratio": [0, 1], "pretrain.batch": [32, 64]}
    made = making(arms={"simclr": SELF, "awcl": {}}, axes=axes)
    for batch in (32, 64):
        for ratio in (0, 1):
            made.add(right=0.5, anatomy__ratio=ratio, pretrain__batch=batch)
    drawn, _ = curves(made)
    assert lines(drawn["batch-planes-ridge-macro-f1"]) == {
        "awcl, ratio 0": [32, 64],
        "awcl, ratio 1": [32, 64],
        "simclr, ratio 0": [32, 64],
    }
    assert lines(drawn["ratio-planes-ridge-macro-f1"]) == {
        "awcl, batch 32": [0, 1],
        "awcl, batch 64": [0, 1],
        "simclr, batch 32": [0],
        "simclr, batch 64": [0],
    }


def test_every_seed_is_a_dot(ratios):
    drawn, _ = curves(ratios)
    dots = [line for line in drawn["ratio-planes-ridge-macro-f1"].lines if line.look == "points"]
    assert [len(line.x) for line in dots] == [6, 6]


def test_an_axis_whose_values_are_far_apart_is_logarithmic(making):
    made = making(axes={"pretrain.temperature": [0.05, 0.5]})
    for temperature in (0.05, 0.5):
        made.add(right=0.5, pretrain__temperature=temperature)
    [chart] = curves(made)[0].values()
    assert chart.is_log and lines(chart) == {"all": [0.05, 0.5]}


def test_no_curve_is_drawn_of_single_points(making):
    made = making(axes={"pretrain.temperature": [0.1, 0.5], "anatomy.ratio": [0.2, 0.7]})
    made.add(right=0.5, pretrain__temperature=0.1, anatomy__ratio=0.2)
    made.add(right=0.5, pretrain__temperature=0.5, anatomy__ratio=0.7)
    assert not curves(made)[0]


def test_early_stopping_shows_rungs_and_who_was_stopped(making):
    made = making(axes={"anatomy.ratio": [0, 1]})
    made.add(anatomy__ratio=0)
    key = made.add(outcome="stopped", epochs=1, reason="low <proxy>", anatomy__ratio=1).key
    made.folder.append_decision(
        {"key": key, "epoch": 1, "value": 0.1, "cutoff": 0.2, "seen": [0.2], "stop": True}
    )
    found = find(read(made.folder))
    [chart] = plots.early_stopping(found.stored, found.every)
    assert chart.marks == {1.0: "rung 1"}
    assert lines(chart) == {"finished (1)": [1, 2, 3, None], "stopped early (1)": [1, None]}
    [cross] = [line for line in chart.lines if line.look == "crosses"]
    assert (list(cross.x), cross.y[0]) == ([1], pytest.approx(0.12))
    drawn = interactive.figure(chart)
    assert any("low &lt;proxy&gt;" in text for trace in drawn["data"] for text in trace["text"])


def test_few_label_curves_run_over_the_shares_of_patients(making):
    made = making(axes={"anatomy.ratio": [0, 1]})
    for ratio, right in ((0, 0.3), (1, 0.9)):
        table = predictions(right, 0)
        for share in ("0.05", "0.25", "1"):
            for draw in (0, 1):
                table[f"transfer/{share}/{draw}/ridge"] = predictions(right, draw)["ridge"]
        table = table.drop(columns="ridge")
        trial = made.add(table=table, anatomy__ratio=ratio)
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_labels", "name": "few"})
    found = find(read(made.folder))
    [chart] = plots.few_labels(found.estimates)
    assert lines(chart) == {"ratio 1": [5, 25, 100], "ratio 0, SimCLR": [5, 25, 100]}
    assert list(chart.ticks.values()) == ["5 %", "25 %", "100 %"] and chart.is_log
    best = next(line for line in chart.lines if line.name == "ratio 1")
    each = [predictions(0.9, draw) for draw in (0, 1)]
    scores = [f1_score(t["truth"], t["ridge"], average="macro") for t in each]
    assert best.y[0] == pytest.approx(sum(scores) / 2)
    assert not list(plots.forests(found.estimates, found.to_simclr))


def test_a_label_matched_curve_runs_over_trials_of_every_share(making):
    """Pre-training with labels has the point of its own share, pre-training without has all."""
    shares = [0.05, 0.25, 1]
    made = making(arms={"awcl": {}, "simclr": SELF}, axes={"anatomy.ratio": shares})
    for ratio in shares:
        made.add(table=few_label([ratio], 0.9), anatomy__ratio=ratio)
    made.add(table=few_label(shares, 0.3), pretrain__positives="self")
    for trial in made.folder.trials():
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_labels", "name": "few"})
    [chart] = plots.few_labels(find(read(made.folder)).estimates)
    assert lines(chart) == {"awcl": [5, 25, 100], "simclr": [5, 25, 100]}


def test_arms_are_compared_where_pre_training_and_probe_have_the_same_few_labels(making):
    made = making(arms={"awcl": {}, "simclr": SELF}, axes={"anatomy.ratio": [0.05, 1]})
    for ratio in (0.05, 1):
        table = few_label([ratio], 0.9)
        made.add(table=table.assign(**{"transfer/1/0/ridge": table["truth"]}), anatomy__ratio=ratio)
    made.add(table=few_label([0.05, 1], 0.3), pretrain__positives="self")
    for trial in made.folder.trials():
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_labels", "name": "few"})
    found = find(read(made.folder))
    told = summary.findings(found.estimates, found.differences)
    assert [finding.title for finding in told] == [
        "few: macro-F1, few label, 0.05, ridge probe", "few: macro-F1, few label, 1, ridge probe"
    ]  # fmt: skip
    assert "first of 2 arms" in told[0].sentences[0] and "Minus SimCLR" in told[0].sentences[1]
    table = tables.differences("to_simclr", "", found.arms, found.to_simclr)
    assert len(table.columns) == 3 and len(table.rows) == 2


def test_of_few_labels_a_seed_is_paired_by_its_own_list(making):
    """The second list is a poor one: that is no difference of arms, nor of its seeds."""
    made = making(arms={"awcl": {}, "simclr": SELF}, axes={"anatomy.ratio": [0.05]}, seeds=[0, 1])
    good, poor = predictions(0.9, 0), predictions(0.2, 0)
    lists = {"few_label/0.05/0/ridge": good["ridge"], "few_label/0.05/1/ridge": poor["ridge"]}
    frames = good.drop(columns="ridge")
    for seed, name in enumerate(lists):
        own = frames.assign(**{name: lists[name]})
        made.add(table=own, seed=seed, anatomy__ratio=0.05)
        made.add(table=frames.assign(**lists), seed=seed, pretrain__positives="self")
    for trial in made.folder.trials():
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_labels", "name": "few"})
    ((_, of),) = find(read(made.folder)).differences.items()
    for difference in of.to_simclr:
        assert difference.each == {0: 0, 1: 0}


def test_a_list_that_an_arm_does_not_have_is_no_comparison(making):
    made = making(arms={"awcl": {}, "simclr": SELF}, axes={"anatomy.ratio": [0.05]}, seeds=[5])
    table = few_label([0.05], 0.9)
    made.add(table=table.rename(columns=lambda n: n.replace("/0/", "/5/")), seed=5,
             anatomy__ratio=0.05)  # fmt: skip
    made.add(table=few_label([0.05], 0.3), seed=5, pretrain__positives="self")
    for trial in made.folder.trials():
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_labels", "name": "few"})
    ((score, of),) = find(read(made.folder)).estimates.items()
    assert score.name == "few_label/0.05/ridge/macro_f1"
    assert [estimate.arm.name for estimate in of] == ["awcl"]


def test_few_masks_are_a_curve_and_compared_at_every_share(making):
    made = making(axes={"anatomy.ratio": [0, 1]})
    for ratio in (0, 1):
        table = dice(0.5, ratio)
        overlap = table.pop("frozen/C/transfer/dice")
        table = table.drop(columns="frozen/C/shift/dice")
        for curve in ("transfer", "few_label"):
            table = table.assign(**{f"{curve}/{at}/0/dice": overlap for at in ("0.05", "1")})
        trial = made.add(table=table, anatomy__ratio=ratio)
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "task": "few_masks", "name": "few"})
    found = find(read(made.folder))
    compared = [score.name for score in found.estimates if score.is_compared]
    assert compared == ["few_label/0.05/dice", "few_label/1/dice"]
    charts = list(plots.few_labels(found.estimates))
    assert {chart.y_label for chart in charts} == {"Dice"} and len(charts) == 2
    assert not list(plots.forests(found.estimates, found.to_simclr))


def few_label(shares, right):
    made = predictions(right, 0)
    for share in shares:
        made[f"few_label/{share:g}/0/ridge"] = made["ridge"]
    return made.drop(columns="ridge")


def test_every_trial_with_a_proxy_is_a_line_of_the_parallel_coordinates(ratios):
    ratios.add(outcome="stopped", epochs=1, anatomy__ratio=0.25)
    ratios.add(outcome=None, epochs=0, anatomy__ratio=0.75)
    found = find(read(ratios.folder))
    [chart] = parallel.coordinates(found.stored, found.every, list(found.estimates))
    assert list(chart.ticks.values()) == ["ratio", "granularity", "epochs", "proxy"]
    assert sum(line.x.count(None) for line in chart.lines) == 11
    heights = [y for line in chart.lines for y in line.y if y is not None]
    assert min(heights) == 0 and max(heights) == 1


def test_an_arm_that_agrees_with_no_line_has_its_own(making):
    """Without anatomy there is no granularity, and SimCLR stands on no line of AWCL's ratio."""
    axes = {"anatomy.ratio": [0, 1], "anatomy.granularity": ["coarse", "fine"],
            "pretrain.temperature": [0.1, 0.5]}  # fmt: skip
    made = making(axes=axes)
    for temperature in (0.1, 0.5):
        made.add(right=0.9, anatomy__ratio=0, pretrain__temperature=temperature)
        for level in ("coarse", "fine"):
            made.add(right=0.5, anatomy__ratio=1, anatomy__granularity=level,
                     pretrain__temperature=temperature)  # fmt: skip
    drawn, _ = curves(made)
    assert lines(drawn["temperature-planes-ridge-macro-f1"]) == {
        "ratio 0, no granularity": [0.1, 0.5],
        "ratio 1, coarse": [0.1, 0.5],
        "ratio 1, fine": [0.1, 0.5],
    }


def test_cross_entropy_stands_at_no_temperature(making):
    axes = {"pretrain.method": ["groups", "supervised"], "pretrain.temperature": [0.05, 0.5]}
    made = making(axes=axes)
    for temperature in (0.05, 0.5):
        made.add(right=0.5, pretrain__temperature=temperature)
    made.add(right=0.9, pretrain__method="supervised", pretrain__temperature=0.05)
    drawn, found = curves(made)
    [supervised] = [arm for arm in found.arms if arm.config.pretrain.method == "supervised"]
    assert supervised.values["pretrain.temperature"] == "-"
    assert list(lines(drawn["temperature-planes-ridge-macro-f1"]).values()) == [[0.05, 0.5]]


def test_an_interval_of_too_few_patients_is_not_drawn(making):
    made = making(axes={"anatomy.ratio": [0.5, 1]})
    for ratio in (0.5, 1):
        made.add(table=predictions(ratio / 2, 0, patients=4), anatomy__ratio=ratio)
    drawn, found = curves(made)
    [line, _] = drawn["ratio-planes-ridge-macro-f1"].lines
    assert list(line.low) == list(line.high) == [None, None]
    [forest] = plots.forests(found.estimates, found.to_simclr)
    assert not interactive.figure(forest)["layout"]["shapes"]
    assert printed.png(forest) and points(forest)[1][2] == "too few patients"


def test_one_trial_has_no_parallel_coordinates(making):
    made = making()
    made.add(right=0.5)
    found = find(read(made.folder))
    assert not list(parallel.coordinates(found.stored, found.every, list(found.estimates)))


def test_arms_are_told_apart_in_the_parallel_coordinates(making):
    made = making(arms={"random": {"pretrain.epochs": 0}, "awcl": {}, "simclr": SELF}, seeds=[0, 1])
    for seed in (0, 1):
        made.add(seed, epochs=0, outcome="finished", pretrain__epochs=0).append_history(
            {"epoch": 0, "time": 1.0, "val/proxy": 0.1}
        )
        made.add(seed)
        made.add(seed, pretrain__positives="self")
    found = find(read(made.folder))
    [chart] = parallel.coordinates(found.stored, found.every, [])
    assert list(chart.ticks.values()) == ["epochs", "arm", "proxy"]
    assert [line.name for line in chart.lines] == ["random", "awcl", "simclr"]
    assert len({line.colour for line in chart.lines}) == 3
    named = {text: y for x, y, text in chart.labels if x == 1}
    for line in chart.lines:
        assert {y for x, y in zip(line.x, line.y, strict=True) if x == 1} == {named[line.name]}
    head, *told = points(chart)
    assert head == ["arm", "seed", "epochs", "proxy"] and len(told) == 6
    assert told[0] == ["random", "0", "0", "0.100"], "an untrained encoder has no epoch"
    assert not interactive.figure(chart)["layout"]["showlegend"]


def test_parallel_coordinates_say_which_scores_they_show(making):
    """The first of each task, by names that are short enough to stand side by side."""
    made = making(axes={"anatomy.ratio": [0, 1]})
    for ratio, score in ((0, 0.2), (1, 0.8)):
        trial = made.add(table=predictions(score, 0), anatomy__ratio=ratio)
        file = next(trial.path.glob("eval/*/EVAL.json"))
        write_json(file, {**read_json(file), "metrics": {"macro_f1": score}})
    found = find(read(made.folder))
    [chart] = parallel.coordinates(found.stored, found.every, list(found.estimates))
    assert list(chart.ticks.values()) == ["ratio", "proxy", "test 1"]
    assert chart.notes == ["test 1 is planes: macro-F1, ridge probe"]
    head, *told = points(chart)
    assert head[-1] == "planes: macro-F1, ridge probe"
    assert sorted(row[-1] for row in told) == ["0.200", "0.800"]
    assert printed.png(chart)


def test_differences_are_drawn_with_a_line_at_zero(ratios):
    found = find(read(ratios.folder))
    scores, differences = plots.forests(found.estimates, found.to_simclr)
    assert (scores.zero, differences.zero) == (False, True)
    first = differences.rows[0]
    assert (first.name, first.tone) == ("ratio 1, fine", "better")
    shapes = interactive.figure(differences)["layout"]["shapes"]
    assert shapes[-1]["x0"] == shapes[-1]["x1"] == 0 and len(shapes) == 5


def test_a_figure_is_drawn_twice_from_the_same_numbers(ratios):
    found = find(read(ratios.folder))
    every = [
        *plots.forests(found.estimates, found.to_simclr),
        *plots.over_axes(found.stored, found.arms, found.estimates),
        *plots.early_stopping(found.stored, found.every),
    ]
    assert len({chart.name for chart in every}) == len(every) == 5
    for chart in every:
        picture = Image.open(io.BytesIO(printed.png(chart)))
        assert picture.width > 500 and len(picture.convert("L").getcolors(256)) > 10
        told = [value for row in points(chart)[1:] for value in row]
        shown = [trace for trace in interactive.figure(chart)["data"] if trace.get("text")]
        which = "x" if isinstance(chart, Forest) else "y"
        drawn = [
            value
            for trace in shown
            for value in trace[which]
            if trace.get("showlegend", True) and value is not None
        ]
        assert drawn and all(f"{value:.3f}" in " ".join(told) for value in drawn)
