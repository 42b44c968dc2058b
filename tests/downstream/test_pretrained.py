"""Which labels a trial's pre-training used, as tasks are told."""

import numpy as np
import pytest

from awcl.config import TrialConfig, with_values
from awcl.downstream import tasks
from awcl.downstream.pretrained import Pretrained
from awcl.errors import InputError
from awcl.files import read_json, write_json
from awcl.pretrain import methods
from awcl.pretrain.loop import pretrain_rows
from awcl.pretrain.trial import about, told


def config_of(**values) -> TrialConfig:
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    return methods.canonical(with_values(TrialConfig(), dotted, "test"))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"anatomy__ratio": 0.5},
        {"anatomy__ratio": 0.4, "anatomy__ratio_unit": "patient", "seed": 3},
        {"anatomy__granularity": "coarse"},
        {"anatomy__held_out": ["HCP"]},
        {"pretrain__positives": "hierarchical"},
        {"pretrain__positives": "self"},
        {"pretrain__positives": "patient"},
        {"pretrain__method": "supervised", "anatomy__ratio": 0.5},
        {"pretrain__method": "supcon", "anatomy__ratio": 0.5},
        {"pretrain__method": "supcon", "method__background": True, "anatomy__ratio": 0.5},
        {
            "pretrain__method": "supcon",
            "method__background": True,
            "anatomy__ratio_unit": "patient",
        },
        {"pretrain__method": "moco", "pretrain__batch": 4, "anatomy__ratio": 0.5},
        {"pretrain__method": "moco", "pretrain__batch": 4, "pretrain__positives": "hierarchical"},
        {"pretrain__method": "moco", "pretrain__batch": 4, "pretrain__positives": "self"},
        {"pretrain__method": "uscl", "pretrain__batch": 4},
        {"data__pretrain_where": {"machine": "A"}},
    ],
)
def test_they_are_the_labels_that_the_method_counts(repack, taxonomy, values):
    """A frame that is known as 'brain' only has a label at coarse, and none at fine."""

    def vague(frames):
        return frames["anatomy"].mask(frames["frame_id"] == "tiny/p2_0", "brain")

    pack, config = repack(anatomy=vague), config_of(**values)
    told = Pretrained.of(config)
    rows = pretrain_rows(pack, config)
    frames = pack.frames.iloc[rows].reset_index(drop=True)
    np.testing.assert_array_equal(told.rows(pack), rows)
    used = told.labelled(pack, taxonomy)
    assert len(used) == methods.build(config, frames, taxonomy).labels_used
    assert set(used) <= set(rows)


def test_background_is_told_of_where_it_was_read_and_nowhere_else():
    """What is stored of other trials, and so the names of their evaluations, is as it ever was."""
    with_background = Pretrained.of(config_of(pretrain__method="supcon", method__background=True))
    assert with_background.model_dump()["background"] is True
    for method in methods.names():
        plain = Pretrained.of(config_of(pretrain__method=method))
        assert set(plain.model_dump(mode="json")) == {"anatomy", "where", "seed", "elsewhere"}


def test_a_task_is_told_once_and_what_it_was_told_stays():
    config = config_of(anatomy__ratio=0.5, anatomy__taxonomy="own.toml", seed=7)
    settings = tasks.for_trial(tasks.settings("planes"), config)
    assert settings.pretrained.anatomy.ratio == 0.5 and settings.pretrained.seed == 7
    assert "own.toml" not in settings.model_dump_json(), "no path enters a result"
    again = tasks.for_trial(settings, config_of(seed=8))
    assert again == settings == tasks.settings(settings.model_dump(mode="json"))


@pytest.fixture
def run(tmp_path, tiny_pack):
    """A run's folder with a checkpoint two folders below, as a study stores one."""
    config = config_of(anatomy__ratio=0.5, seed=3)
    write_json(tmp_path / "run" / "TRIAL.json", about(config, tiny_pack))
    (tmp_path / "run" / "train" / "launch" / "epoch_0001").mkdir(parents=True)
    return tmp_path / "run"


@pytest.mark.parametrize("inside", ["", "train/launch/epoch_0001"])
def test_a_run_or_its_checkpoint_tells_what_it_was_trained_with(run, tiny_pack, taxonomy, inside):
    found = told(tasks.settings("planes"), str(run / inside), tiny_pack, taxonomy)
    assert found.pretrained.anatomy.ratio == 0.5 and found.pretrained.seed == 3


def test_a_weights_file_is_of_a_run_only_as_its_checkpoint(run, tiny_pack, taxonomy):
    """What a run started from lies in its folder, too, and has read none of its labels."""
    made = run / "train" / "launch" / "epoch_0001" / "encoder.safetensors"
    given = run / "weights" / "0123.safetensors"
    given.parent.mkdir()
    for file in (made, given):
        file.write_bytes(b"weights")
    settings = tasks.settings("planes")
    assert told(settings, str(made), tiny_pack, taxonomy).pretrained.seed == 3
    assert told(settings, str(given), tiny_pack, taxonomy).pretrained is None


def test_on_other_frames_or_without_a_run_nothing_is_known(
    run, repack, tmp_path, tiny_pack, taxonomy
):
    other = repack(machine=lambda frames: "A")
    assert told(tasks.settings("planes"), str(run), other, taxonomy).pretrained is None
    (tmp_path / "w.pth").write_bytes(b"weights")
    assert (
        told(tasks.settings("planes"), str(tmp_path / "w.pth"), tiny_pack, taxonomy).pretrained
        is None
    )


@pytest.mark.parametrize("what", ["random", "imagenet"])
def test_what_was_not_trained_here_used_no_label_of_an_anatomy(tiny_pack, taxonomy, what):
    found = told(tasks.settings("planes"), what, tiny_pack, taxonomy).pretrained
    assert found.anatomy.ratio == 0 and len(found.labelled(tiny_pack, taxonomy)) == 0
    assert len(found.seen(tiny_pack)) == 0, "it has seen no frame of any domain"
    assert len(found.rows(tiny_pack)) > 0


def test_a_run_by_another_taxonomy_is_judged_by_that_alone(run, tiny_pack, taxonomy):
    stored = read_json(run / "TRIAL.json")
    stored["config"]["anatomy"]["taxonomy"] = "own.toml"
    write_json(run / "TRIAL.json", {**stored, "taxonomy": "0123"})
    with pytest.raises(InputError, match=r"another taxonomy; give --anatomy\.taxonomy own\.toml"):
        told(tasks.settings("planes"), str(run), tiny_pack, taxonomy)
