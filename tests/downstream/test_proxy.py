"""The proxy: both levels, the one that steers, the same labels for all trials."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from awcl.config import TrialConfig, with_values
from awcl.data.labels import usable_labels
from awcl.downstream import probes
from awcl.downstream.proxy import Proxy
from awcl.encoder import features
from awcl.errors import InputError


@pytest.mark.parametrize("level", ["coarse", "fine"])
def test_both_levels_are_given_and_one_of_them_steers(tiny_pack, taxonomy, tiny_encoder, level):
    found = dict(Proxy(tiny_pack, taxonomy, level).run(tiny_encoder))
    assert set(found) == {
        "val/proxy", "val/proxy_coarse", "val/proxy_fine", "val/knn_coarse", "val/knn_fine",
    }  # fmt: skip
    assert found["val/proxy"] == found[f"val/proxy_{level}"]
    assert found["val/proxy_coarse"] != found["val/proxy_fine"]


def test_the_value_is_the_macro_f1_of_a_probe_trained_on_train_and_judged_on_val(
    tiny_pack, taxonomy, tiny_encoder
):
    frames = tiny_pack.frames
    fine = frames["anatomy"].map(lambda name: taxonomy.at(name, "fine"))
    train = np.flatnonzero((fine.notna() & (frames["split"] == "train")).to_numpy())
    val = np.flatnonzero((fine.notna() & (frames["split"] == "val")).to_numpy())
    names = sorted(set(fine.iloc[train]))
    labels, truth = (np.array([names.index(fine[row]) for row in rows]) for rows in (train, val))
    x, y = (features(tiny_encoder, tiny_pack, rows) for rows in (train, val))
    patients = frames["patient"].to_numpy(str)[train]
    found = dict(Proxy(tiny_pack, taxonomy, "fine").run(tiny_encoder))
    options = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
    for name, predicted in (
        ("val/proxy_fine", probes.ridge(x, labels, patients, y)),
        ("val/knn_fine", probes.nearest(x, labels, y)),
    ):
        assert found[name] == pytest.approx(f1_score(truth, predicted, **options))


def test_the_probes_labels_are_the_same_whatever_the_anatomy_ratio(tiny_pack, taxonomy):
    """Pre-training with ratio 0.1 may use few labels; its probe has all of them."""
    proxy = Proxy(tiny_pack, taxonomy, "fine")
    config = with_values(TrialConfig(), {"anatomy.ratio": 0.1}, "test")
    train = tiny_pack.frames[tiny_pack.frames["split"] == "train"].reset_index(drop=True)
    used = usable_labels(train, config.anatomy, taxonomy, config.seed).sum()
    labelled = train["anatomy"].isin(["4CH", "LVOT", "HCP", "FLP"]).sum()
    assert used < labelled == len(proxy.problems["fine"].rows)


def test_where_chooses_frames_of_train_and_of_val(tiny_pack, taxonomy, tiny_encoder):
    proxy = Proxy(tiny_pack, taxonomy, "coarse", {"machine": "A"})
    assert set(tiny_pack.frames["machine"].iloc[proxy.rows]) == {"A"}
    assert 0 <= dict(proxy.run(tiny_encoder))["val/proxy"] <= 1


def test_judging_alters_nothing_in_the_encoder(tiny_pack, taxonomy, tiny_encoder):
    before = {name: t.clone() for name, t in tiny_encoder.state_dict().items()}
    assert any("running_mean" in name for name in before)
    tiny_encoder.train()
    dict(Proxy(tiny_pack, taxonomy, "fine").run(tiny_encoder))
    assert tiny_encoder.training
    assert all(t.equal(before[name]) for name, t in tiny_encoder.state_dict().items())


def test_running_twice_gives_the_same_numbers(tiny_pack, taxonomy, tiny_encoder):
    proxy = Proxy(tiny_pack, taxonomy, "fine")
    assert dict(proxy.run(tiny_encoder)) == dict(proxy.run(tiny_encoder))


def anatomy_that_fine_lacks(frames):
    """val holds HCP and train does not; both hold brain, so coarse stands."""
    fine_only = (frames["split"] == "train") & (frames["anatomy"] == "HCP")
    return frames["anatomy"].mask(fine_only, "trans_thalamic")


def test_a_level_that_allows_no_probe_is_left_out_unless_it_steers(repack, taxonomy, tiny_encoder):
    pack = repack(anatomy=anatomy_that_fine_lacks)
    found = dict(Proxy(pack, taxonomy, "coarse").run(tiny_encoder))
    assert set(found) == {"val/proxy", "val/proxy_coarse", "val/knn_coarse"}
    with pytest.raises(InputError, match="proxy_level fine: split 'val' holds 'HCP' at level fine"):
        Proxy(pack, taxonomy, "fine")


def test_an_empty_val_is_named(repack, taxonomy):
    pack = repack(split=lambda frames: frames["split"].replace("val", "train"))
    with pytest.raises(InputError, match="proxy_level fine: split 'val' is empty"):
        Proxy(pack, taxonomy)


def test_an_unknown_column_is_named(tiny_pack, taxonomy):
    with pytest.raises(InputError, match="where: unknown column 'vendor'; known: frame_id"):
        Proxy(tiny_pack, taxonomy, "fine", {"vendor": "A"})
