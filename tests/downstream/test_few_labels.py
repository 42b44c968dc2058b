"""Few labels: whose labels the probe has at each point, what is counted, and which curve it is."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from awcl.config import AnatomyConfig
from awcl.data.labels import usable_labels
from awcl.downstream import few_labels, probes, scores, tasks
from awcl.encoder import features
from awcl.errors import InputError

CLASSES = ["4CH", "FLP", "HCP", "LVOT"]
SHARES = [0.2, 0.5, 1.0]
NO_LABELS = {"anatomy": {"ratio": 0}}


def build(pack, taxonomy, pretrained=None, **values):
    data = {"task": "few_labels", "shares": SHARES, "draws": 3, "pretrained": pretrained, **values}
    return tasks.build(tasks.settings(data), pack, taxonomy)


@pytest.fixture(scope="module")
def judged(tiny_pack, taxonomy, tiny_encoder):
    """Of an encoder that used no labels: the task after its run, and what it yielded."""
    task = build(tiny_pack, taxonomy, NO_LABELS)
    return task, dict(task.run(tiny_encoder))


def train_rows(pack) -> np.ndarray:
    return np.flatnonzero((pack.frames["split"] == "train").to_numpy())


def listed(pack, taxonomy, share: float, seed: int, rows=None) -> np.ndarray:
    """Rows with the labels that pre-training would use at this ratio of patients."""
    rows = train_rows(pack) if rows is None else rows
    anatomy = AnatomyConfig(ratio=share, ratio_unit="patient")
    return rows[usable_labels(pack.frames.iloc[rows], anatomy, taxonomy, seed)]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("curve", ["transfer", "few_label"])
def test_a_point_is_the_mean_of_probes_on_the_labels_that_pre_training_would_use(
    judged, tiny_pack, taxonomy, tiny_encoder, share, curve
):
    task, found = judged
    p, names = task.predictions, tiny_pack.frames["anatomy"]
    judges = np.flatnonzero(tiny_pack.frames["frame_id"].isin(p["frame_id"]))
    y = features(tiny_encoder, tiny_pack, judges)
    for prefix, probe in (("", "ridge"), ("knn/", "knn")):
        reached = []
        for seed in range(3 if share < 1 else 1):
            rows = listed(tiny_pack, taxonomy, share, seed)
            labels = np.searchsorted(CLASSES, names.iloc[rows].to_numpy(str))
            x = features(tiny_encoder, tiny_pack, rows)
            patients = tiny_pack.frames["patient"].iloc[rows].to_numpy(str)
            predicted = (
                probes.ridge(x, labels, patients, y)
                if probe == "ridge"
                else probes.nearest(x, labels, y)
            )
            column = p[f"{curve}/{share:g}/{seed}/{probe}"]
            assert list(column) == [CLASSES[c] for c in predicted]
            options = {"labels": sorted(set(p["truth"])), "average": "macro", "zero_division": 0}
            reached.append(f1_score(p["truth"], column, **options))
        name = f"{curve}/{share:g}/{prefix}macro_f1"
        assert found[name] == pytest.approx(np.mean(reached))
        if share < 1:
            assert found[f"{name}/sd"] == pytest.approx(np.std(reached, ddof=1))
        else:
            assert f"{name}/sd" not in found


def test_the_interval_is_of_the_mean_over_draws_on_the_same_resamples(judged):
    task, found = judged
    p = task.predictions
    truth = np.searchsorted(CLASSES, p["truth"].to_numpy(str))
    drawn = [
        scores.macro_f1(
            scores.resample(
                truth,
                np.searchsorted(CLASSES, p[f"transfer/0.5/{seed}/ridge"].to_numpy(str)),
                p["patient"].to_numpy(),
                4,
            )
        )
        for seed in range(3)
    ]
    ends = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    assert found["transfer/0.5/macro_f1/low"] == pytest.approx(ends[0])
    assert found["transfer/0.5/macro_f1/high"] == pytest.approx(ends[1])


def test_lists_are_nested_and_each_seed_has_its_own(tiny_pack, taxonomy):
    rows = train_rows(tiny_pack)
    for seed in range(5):
        few, more, every = (
            set(few_labels.patients_rows(tiny_pack, rows, taxonomy, share, seed))
            for share in SHARES
        )
        assert few < more < every
    of_seeds = {
        tuple(few_labels.patients_rows(tiny_pack, rows, taxonomy, 0.5, seed)) for seed in range(5)
    }
    assert len(of_seeds) > 1


def test_patients_give_all_their_labels_or_none_and_none_is_of_test(tiny_pack, taxonomy):
    rows = train_rows(tiny_pack)
    got = few_labels.patients_rows(tiny_pack, rows, taxonomy, 0.5, 0)
    frames = tiny_pack.frames
    labelled = frames["anatomy"].isin(CLASSES) & (frames["split"] == "train")
    patients = frames["patient"].iloc[got].unique()
    assert sorted(got) == list(np.flatnonzero(labelled & frames["patient"].isin(patients)))


def test_labels_are_counted_once_whether_pre_training_or_probe_used_them(tiny_pack, taxonomy):
    every = listed(tiny_pack, taxonomy, 1, 0)
    pretrained = {"anatomy": {"ratio": 0.5, "ratio_unit": "patient"}, "seed": 1}
    used = listed(tiny_pack, taxonomy, 0.5, 1)
    task = build(tiny_pack, taxonomy, pretrained)
    wanted, _ = few_labels.lists(
        tiny_pack, taxonomy, task.pool, task.settings.pretrained, SHARES, draws=3
    )
    points = {(at.curve, at.share): (at.seeds, at.pool) for at in wanted}
    assert set(points) == {("transfer", s) for s in SHARES} | {("few_label", 0.5)}
    assert points["few_label", 0.5][0] == [1], "its own list of patients"
    assert task.about["pretraining_labels"] == len(used)
    for (curve, share), (seeds, pool) in points.items():
        point = task._point(curve, share, [task._list(pool, share, seed) for seed in seeds])
        for number, seed in enumerate(seeds):
            rows = listed(tiny_pack, taxonomy, share, seed)
            assert point.probe[number] == len(rows)
            assert point.total[number] == len({*used, *rows}) <= len(every)
            lost = len(set(CLASSES) - set(tiny_pack.frames["anatomy"].iloc[rows]))
            assert point.lost[number] == lost
        if curve == "few_label":
            assert point.total == point.probe, "the same patients' labels"


def test_an_encoder_that_used_no_label_has_the_whole_few_label_curve(judged):
    _, found = judged
    for share in SHARES:
        assert found[f"few_label/{share:g}/macro_f1"] == found[f"transfer/{share:g}/macro_f1"]


def test_the_seed_of_an_encoder_without_labels_has_its_list_whatever_the_draws(
    tiny_pack, taxonomy, tiny_encoder
):
    """It is the one that the trials have which it is paired with."""
    task = build(tiny_pack, taxonomy, {"anatomy": {"ratio": 0}, "seed": 7}, draws=2)
    list(task.run(tiny_encoder))
    few = [c.split("/")[2] for c in task.predictions if c.startswith("few_label/0.5/")]
    assert sorted({*few}) == ["0", "1", "7"]
    assert not any("/7/" in column for column in task.predictions if "transfer" in column)


@pytest.mark.parametrize(
    ("pretrained", "said"),
    [
        (None, "few_label: not known which labels pre-training used"),
        ({"anatomy": {"ratio": 0.5}}, "few_label: pre-training used labels of single frames"),
        (
            {"anatomy": {"ratio": 0}, "where": {"machine": ["A"]}},
            "few_label/0.2: no label of these patients here",
        ),
    ],
)
def test_without_matching_labels_there_is_no_few_label_curve_and_the_reason_is_told(
    tiny_pack, taxonomy, tiny_encoder, pretrained, said
):
    """The third judges on machine B an encoder that only saw A: their patients are others."""
    values = {"where": {"machine": ["B"]}} if pretrained and "where" in pretrained else {}
    task = build(tiny_pack, taxonomy, pretrained, **values)
    found = dict(task.run(tiny_encoder))
    assert not any(name.startswith("few_label") for name in found)
    assert task.about["left_out"][0].startswith(said)
    unknown = pretrained is None
    assert ("labels unknown in all" in task.about["labels"]["transfer/1"]) == unknown


def test_all_labels_at_ratio_1_are_the_point_at_1(tiny_pack, taxonomy, tiny_encoder):
    task = build(tiny_pack, taxonomy, {"anatomy": {"ratio": 1}, "seed": 4})
    found = dict(task.run(tiny_encoder))
    assert {n.split("/")[1] for n in found if n.startswith("few_label")} == {"1"}
    assert found["few_label/1/macro_f1"] == found["transfer/1/macro_f1"]


def test_what_is_held_out_of_pre_training_changes_no_list(tiny_pack, taxonomy, tiny_encoder):
    pretrained = {"anatomy": {"ratio": 0.5, "ratio_unit": "patient"}, "seed": 1}
    held = {**pretrained, "anatomy": {**pretrained["anatomy"], "held_out": ["HCP", "heart"]}}
    plain, other = (build(tiny_pack, taxonomy, of) for of in (pretrained, held))
    assert dict(plain.run(tiny_encoder)) == dict(other.run(tiny_encoder))
    assert other.about["pretraining_labels"] < plain.about["pretraining_labels"]


def test_labels_of_test_change_no_prediction(repack, taxonomy, tiny_encoder, judged):
    def reversed_there(frames):
        names = frames["anatomy"].copy()
        there = (frames["split"] == "test") & names.isin(CLASSES)
        names[there] = names[there].to_numpy()[::-1]
        return names

    task = build(repack(anatomy=reversed_there), taxonomy, NO_LABELS)
    dict(task.run(tiny_encoder))
    before, after = judged[0].predictions, task.predictions
    assert list(before["truth"]) != list(after["truth"])
    pd.testing.assert_frame_equal(before.drop(columns="truth"), after.drop(columns="truth"))


def test_the_figure_has_both_curves_and_the_labels_beside_each_point(judged):
    task, _ = judged
    axes = task.figures["few_labels"].axes[0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [text.split(":")[0] for text in legend] == ["transfer", "few-label"]
    assert len(axes.texts) == len(task.about["labels"]) == 6
    whole = axes.texts[2].get_text()
    assert task.about["labels"]["transfer/1"].startswith(f"labels {whole} in all, {whole} of the")
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["20 %", "50 %", "100 %"]


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(InputError, match=rf"task few_labels: shares\.0 {share}: "):
        tasks.settings({"task": "few_labels", "shares": [share]})
