"""Which labels a trial's pre-training used, as tasks are told."""

import numpy as np
import pytest

from awcl.config import TrialConfig, with_values
from awcl.downstream import tasks
from awcl.downstream.pretrained import Pretrained
from awcl.pretrain import methods
from awcl.pretrain.loop import pretrain_rows


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


def test_a_task_is_told_once_and_what_it_was_told_stays():
    config = config_of(anatomy__ratio=0.5, anatomy__taxonomy="own.toml", seed=7)
    settings = tasks.for_trial(tasks.settings("planes"), config)
    assert settings.pretrained.anatomy.ratio == 0.5 and settings.pretrained.seed == 7
    assert "own.toml" not in settings.model_dump_json(), "no path enters a result"
    again = tasks.for_trial(settings, config_of(seed=8))
    assert again == settings == tasks.settings(settings.model_dump(mode="json"))
