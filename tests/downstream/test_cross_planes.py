"""Planes across domains: who trains and judges on each route, over which classes, and the drop."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from awcl.downstream import probes, tasks
from awcl.downstream.tasks import cross_planes
from awcl.encoder import features
from awcl.errors import InputError

KINDS = ("4CH", "LVOT", "HCP", "FLP", "ACP", "PROFILE")
AWAY = ("tiny/p3", "tiny/p4", "tiny/p5", "tiny/p10")
COMMON = ["4CH", "ACP", "LVOT", "PROFILE"]
ROUTES = {"in_domain": ("AB", "AB"), "transfer": ("C", "C"), "shift": ("AB", "C")}


def every_pattern(frames):
    """Each of the six patterns of `tiny_table` is an anatomy."""
    places = frames["frame_id"].str.extract(r"p(\d+)_(\d)").astype(int)
    return (places[0] + places[1]).mod(6).map(dict(enumerate(KINDS)))


COLUMNS = {
    "source": lambda frames: "phantom",
    "trimester": lambda frames: "second",
    "machine": lambda frames: frames["machine"].mask(frames["patient"].isin(AWAY), "C"),
    "anatomy": every_pattern,
}


@pytest.fixture
def pack(repack):
    """A phantom of machines A and B at home, C away; tests there hold four classes in common."""
    return repack(**COLUMNS)


@pytest.fixture
def judged(pack, taxonomy, tiny_encoder):
    task = tasks.build(tasks.settings("cross_planes"), pack, taxonomy)
    return task, dict(task.run(tiny_encoder))


def rows_of(pack, machines: str, split: str) -> np.ndarray:
    frames = pack.frames
    of = frames["machine"].isin(list(machines)) & (frames["split"] == split)
    return np.flatnonzero(of & frames["anatomy"].isin(COMMON))


def test_each_route_is_trained_and_judged_on_its_side_over_the_common_classes(
    judged, pack, tiny_encoder
):
    task, found = judged
    names = pack.frames["anatomy"]
    for route, (trained, tested) in ROUTES.items():
        train, test = rows_of(pack, trained, "train"), rows_of(pack, tested, "test")
        labels = np.searchsorted(COMMON, names.iloc[train].to_numpy(str))
        patients = pack.frames["patient"].iloc[train].to_numpy(str)
        x, y = (features(tiny_encoder, pack, rows) for rows in (train, test))
        expected = {
            "ridge": probes.ridge(x, labels, patients, y),
            "knn": probes.nearest(x, labels, y),
        }
        for name, classes in expected.items():
            column = task.predictions.set_index("frame_id")[f"machine_C/{route}/{name}"].dropna()
            assert list(column.index) == list(pack.frames["frame_id"].iloc[test])
            assert list(column) == [COMMON[c] for c in classes]
            prefix = f"machine_C/{route}/" + ("" if name == "ridge" else "knn/")
            options = {"labels": COMMON, "average": "macro", "zero_division": 0}
            truth = names.iloc[test]
            assert found[f"{prefix}macro_f1"] == pytest.approx(f1_score(truth, column, **options))
            balanced = recall_score(truth, column, **options)
            assert found[f"{prefix}balanced_accuracy"] == pytest.approx(balanced)
    assert task.about["crossings"]["machine_C"]["classes"] == COMMON
    assert task.about["left_out"] == {}


def test_the_drop_is_home_minus_away_and_every_score_is_within_its_interval(judged):
    _, found = judged
    for prefix in ("", "knn/"):
        for score in ("macro_f1", "balanced_accuracy"):
            home, away = (found[f"machine_C/{r}/{prefix}{score}"] for r in ("in_domain", "shift"))
            assert found[f"machine_C/drop/{prefix}{score}"] == pytest.approx(home - away)
    for name, value in found.items():
        if f"{name}/low" in found:
            assert found[f"{name}/low"] <= value <= found[f"{name}/high"]
    assert np.isfinite(list(found.values())).all()


def test_predictions_are_one_row_a_frame_with_the_truth_beside_them(judged, pack):
    task, _ = judged
    p = task.predictions
    assert p["frame_id"].is_unique
    assert list(p["truth"]) == list(pack.frames.set_index("frame_id")["anatomy"].loc[p["frame_id"]])
    assert {"patient", "audit_group", "machine"} <= set(p)


def test_a_patient_on_both_sides_is_drawn_for_both(pack, taxonomy, tiny_encoder):
    side = {"machine": ["A", "B"]}
    same = [{"name": "same", "home": side, "away": side}]
    settings = tasks.settings({"task": "cross_planes", "crossings": same})
    found = dict(tasks.build(settings, pack, taxonomy).run(tiny_encoder))
    for end in ("", "/low", "/high"):
        assert found[f"same/drop/macro_f1{end}"] == 0


def test_patients_on_one_side_each_are_drawn_independently():
    """Against a plain bootstrap with another generator, which draws the sides apart."""
    rng = np.random.default_rng(0)

    def side(name, right):
        units = np.repeat([f"{name}{i:02d}" for i in range(60)], 3)
        truth = np.repeat(np.arange(60) % 2, 3)
        good = np.repeat(rng.random(60) < right, 3)
        return SimpleNamespace(classes=["x", "y"], truth=truth, units=units), np.where(
            good, truth, 1 - truth
        )

    (home, at_home), (away, shifted) = side("h", 0.8), side("a", 0.6)
    task = SimpleNamespace(problems={"c": {"in_domain": home, "shift": away}})
    predicted = {"in_domain": {"ridge": at_home}, "shift": {"ridge": shifted}}
    found = dict(cross_planes.Task._drops(task, "c", predicted))

    def drawn(of, predicted):
        """Means over patients, drawn among those of either class, 4,000 times."""
        right = (predicted == of.truth)[::3]
        halves = [right[0::2], right[1::2]]
        draws = [half[rng.integers(30, size=(4000, 30))].mean(1) for half in halves]
        return np.mean(draws, axis=0)  # balanced accuracy

    low, high = np.quantile(drawn(home, at_home) - drawn(away, shifted), [0.025, 0.975])
    width = found["c/drop/balanced_accuracy/high"] - found["c/drop/balanced_accuracy/low"]
    assert width == pytest.approx(high - low, rel=0.15)
    assert found["c/drop/balanced_accuracy/low"] == pytest.approx(low, abs=0.03)


def test_labels_of_test_change_no_prediction(repack, taxonomy, tiny_encoder, judged):
    def swapped(frames):
        """Two classes that both tests hold change places there."""
        names = every_pattern(frames)
        other = names.map(lambda name: {"4CH": "ACP", "ACP": "4CH"}.get(name, name))
        return names.mask(frames["split"] == "test", other)

    task = tasks.build(
        tasks.settings("cross_planes"), repack(**{**COLUMNS, "anatomy": swapped}), taxonomy
    )
    dict(task.run(tiny_encoder))
    before, after = judged[0].predictions, task.predictions
    assert list(before["truth"]) != list(after["truth"])
    pd.testing.assert_frame_equal(before.drop(columns="truth"), after.drop(columns="truth"))


@pytest.mark.parametrize(
    ("where", "seen"), [({}, 1.0), ({"machine": ["A", "B"]}, 0.0), ({"machine": ["C"]}, 1.0)]
)
def test_it_says_whether_pre_training_saw_the_domain_away(
    pack, taxonomy, tiny_encoder, judged, where, seen
):
    settings = {"task": "cross_planes", "pretrained": {"anatomy": {}, "where": where}}
    task = tasks.build(tasks.settings(settings), pack, taxonomy)
    assert dict(task.run(tiny_encoder))["machine_C/target_domain_seen"] == seen
    assert "machine_C/target_domain_seen" not in judged[1], "nobody said what it saw"


def test_without_a_test_at_home_the_shift_remains_and_the_reason_is_told(
    repack, taxonomy, tiny_encoder
):
    def split(frames):
        home_test = (frames["split"] == "test") & ~frames["patient"].isin(AWAY)
        return frames["split"].mask(home_test, "val")

    task = tasks.build(tasks.settings("cross_planes"), repack(**COLUMNS, split=split), taxonomy)
    found = dict(task.run(tiny_encoder))
    assert {name.split("/")[1] for name in found} == {"transfer", "shift"}
    why = "home, split test holds no frame with an anatomy"
    assert task.about["left_out"] == {"machine_C/in_domain": why}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"machine": lambda f: "A"},
            "no two domains to cross between; name them in the task's `crossings`$",
        ),
        (
            {**COLUMNS, "anatomy": lambda f: f["machine"].map({"C": "HCP"}).fillna("FLP")},
            "no two domains .*; machine_C: 0 classes in common, it needs two",
        ),
        (
            {**COLUMNS, "anatomy": lambda f: f["anatomy"].where(f["split"] == "val")},
            "no two domains .*; machine_C: 0 classes in common, it needs two",
        ),
        (
            {**COLUMNS, "split": lambda f: f["split"].mask(f["machine"] == "C", "train")},
            "no two domains .*; machine_C/shift: away, split test holds no frame",
        ),
    ],
)
def test_frames_without_two_sides_are_refused_in_one_line(repack, taxonomy, columns, said):
    with pytest.raises(InputError, match=said) as caught:
        tasks.build(tasks.settings("cross_planes"), repack(**columns), taxonomy)
    assert "\n" not in str(caught.value)


def test_predictions_can_be_stored(judged, tmp_path):
    judged[0].predictions.to_parquet(tmp_path / "p.parquet", index=False)
    again = pd.read_parquet(tmp_path / "p.parquet")
    assert list(again) == list(judged[0].predictions)
