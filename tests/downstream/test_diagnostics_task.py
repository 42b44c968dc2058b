"""The task `diagnostics`: what it yields, what it reads, what it leaves out and says so."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from awcl.downstream import tasks
from awcl.downstream.features import cached_features
from awcl.downstream.probes import ridge
from awcl.downstream.tasks import diagnostics
from awcl.errors import InputError


def build(pack, taxonomy, **settings):
    return tasks.build(tasks.settings({"task": "diagnostics", **settings}), pack, taxonomy)


@pytest.fixture(scope="module")
def judged(tiny_pack, taxonomy, tiny_encoder):
    task = build(tiny_pack, taxonomy)
    return task, list(task.run(tiny_encoder))


def test_each_value_comes_once_with_its_interval_or_what_chance_gives(judged):
    _, yielded = judged
    found = dict(yielded)
    assert len(found) == len(yielded) and np.isfinite(list(found.values())).all()
    assert {"alignment", "uniformity", "effective_rank"} < set(found)
    for name in ("fine_within_coarse", "fine_within_coarse/heart"):
        assert found[f"{name}/low"] <= found[name] <= min(1 + 1e-9, found[f"{name}/high"])
    for name in ("coarse/purity", "fine/purity", "machine/balanced_accuracy", "patient/accuracy"):
        assert 0 <= found[f"{name}/low"] <= found[name] <= found[f"{name}/high"] <= 1
        assert 0 < found[f"{name.partition('/')[0]}/chance"] < 1
    assert found["machine/chance"] == 0.5


def test_predictions_are_a_row_a_test_frame_from_which_the_values_can_be_had(judged, tiny_pack):
    task, yielded = judged
    assert not task.figures
    found, p = dict(yielded), task.predictions
    test = tiny_pack.frames[tiny_pack.frames["split"] == "test"]
    assert sorted(p["frame_id"]) == sorted(test["frame_id"])
    for name in ("coarse/purity", "fine/purity", "fine_within_coarse", "patient/accuracy"):
        assert p[name].mean() == pytest.approx(found[name])
    assert balanced_accuracy_score(p["machine"], p["machine/read"]) == pytest.approx(
        found["machine/balanced_accuracy"]
    )
    assert ((p["machine"] == p["machine/read"]) == p["machine/right"]).all()
    known = p["frame_id"].isin(
        test["frame_id"][test["anatomy"].isin(["4CH", "LVOT", "HCP", "FLP"])]
    )
    assert (p["fine/purity"].notna() == known).all()


def test_fine_structure_is_looked_for_in_coarse_classes_of_several_fine_ones(judged, tiny_pack):
    """Here the heart alone: of the other kinds there is one plane each."""
    task, yielded = judged
    found, p = dict(yielded), task.predictions.set_index("frame_id")
    anatomy = tiny_pack.frames.set_index("frame_id")["anatomy"][p.index]
    assert (p["fine_within_coarse"].notna() == anatomy.isin(["4CH", "LVOT"])).all()
    assert found["fine_within_coarse/heart"] == found["fine_within_coarse"]
    assert not any(name.startswith("fine_within_coarse/brain") for name in found)


def test_the_machine_is_read_by_a_probe_that_was_taught_on_other_patients(
    judged, tiny_pack, tiny_encoder
):
    task, _ = judged
    frames = tiny_pack.frames
    train = np.flatnonzero(frames["split"] == "train")
    names, labels = np.unique(frames["machine"].iloc[train].to_numpy(str), return_inverse=True)
    test = np.flatnonzero(frames["split"] == "test")
    again = ridge(
        cached_features(tiny_encoder, tiny_pack, train), labels,
        frames["patient"].iloc[train].to_numpy(str), cached_features(tiny_encoder, tiny_pack, test),
    )  # fmt: skip
    read = task.predictions.set_index("frame_id")["machine/read"]
    # The order of training frames differs, and with it the last bits of a sum.
    assert (read[frames["frame_id"].iloc[test]].to_numpy() == names[again]).mean() > 0.9


def test_what_test_frames_are_labelled_with_teaches_nobody(
    repack, taxonomy, tiny_encoder, tiny_pack, judged
):
    def swapped(frames):
        names = frames["machine"].replace({"A": "B", "B": "A"})
        return frames["machine"].where(frames["split"] != "test", names)

    task = build(repack(machine=swapped), taxonomy)
    dict(task.run(tiny_encoder))
    assert list(task.predictions["machine/read"]) == list(judged[0].predictions["machine/read"])


def test_the_encoder_is_left_as_it_was_and_a_second_run_gives_the_same(
    tiny_pack, taxonomy, tiny_encoder, judged
):
    before = {name: t.clone() for name, t in tiny_encoder.state_dict().items()}
    training = tiny_encoder.training
    assert list(build(tiny_pack, taxonomy).run(tiny_encoder)) == judged[1]
    assert tiny_encoder.training == training
    assert all(t.equal(before[name]) for name, t in tiny_encoder.state_dict().items())


def test_what_the_frames_do_not_allow_is_left_out_and_said(repack, taxonomy, tiny_encoder):
    pack = repack(machine=lambda frames: None, anatomy=lambda frames: None)
    task = build(pack, taxonomy)
    found = dict(task.run(tiny_encoder))
    assert "patient/accuracy" in found and "alignment" in found
    assert not any(name.startswith(("machine", "fine", "coarse")) for name in found)
    assert task.about["left_out"] == {
        "coarse/purity": "fewer than two test patients have a known anatomy",
        "fine/purity": "fewer than two test patients have a known anatomy",
        "fine_within_coarse": "no coarse class has two fine ones in several test patients",
        "machine": "fewer than two machines in both train and test",
    }


def test_without_test_frames_there_is_nothing_to_judge(repack, taxonomy, tiny_pack):
    pack = repack(split=lambda frames: frames["split"].replace("test", "val"))
    with pytest.raises(InputError, match="split 'test' is empty: 0 frames, and diagnostics need"):
        build(pack, taxonomy)
    with pytest.raises(InputError, match=r"data\.recipe 'strong': choose one of"):
        build(tiny_pack, taxonomy, recipe="strong")


def test_of_very_many_frames_some_are_drawn_by_their_names(
    tiny_pack, taxonomy, tiny_encoder, monkeypatch
):
    monkeypatch.setattr(diagnostics, "MOST", 7)
    task = build(tiny_pack, taxonomy)
    dict(task.run(tiny_encoder))
    assert len(task.predictions) == 7 == len(task.taught)
    assert list(build(tiny_pack, taxonomy).test) == list(task.test)


def test_a_map_is_drawn_in_quick_form_where_it_is_asked_for(tiny_pack, taxonomy, tiny_encoder):
    """And where it is not, the settings say nothing of it: what is stored is not judged anew."""
    plain = tasks.settings("diagnostics").model_dump(mode="json")
    assert "map_frames" not in plain and plain["quick"]
    task = build(tiny_pack, taxonomy, map_frames=6)
    dict(task.run(tiny_encoder))
    assert task.figures["map"].get_suptitle().startswith("6 test frames by their features (t-SNE)")
    asked = tasks.settings({"task": "diagnostics", "map_frames": 6}).model_dump(mode="json")
    assert asked == {**plain, "map_frames": 6} and tasks.settings(asked).map_frames == 6


def test_the_full_suite_draws_a_map_in_three_panels(tiny_pack, taxonomy, tiny_encoder):
    task = build(tiny_pack, taxonomy, quick=False)
    dict(task.run(tiny_encoder))
    (figure,) = task.figures.values()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["anatomy, fine", "anatomy, coarse", "domain: machine"]
    fine, _, domain = (
        [text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes
    )
    assert len(fine) == 5 and fine[0].startswith("unknown (")
    counted = task.predictions["machine"].value_counts()
    assert domain == [f"A ({counted['A']})", f"B ({counted['B']})"]
