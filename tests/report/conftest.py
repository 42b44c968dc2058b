"""Studies that the report's tests read."""

from collections.abc import Callable
from typing import Any

import pytest
from made_study import Making, dice

from awcl.config import TrialConfig, with_values
from awcl.files import AnyPath
from awcl.records import StudyFolder


@pytest.fixture
def making(tmp_path) -> Callable[..., Making]:
    """making(axes=..., seeds=..., ...): a study without trials, on this machine or at `path`."""

    def make(path: AnyPath | None = None, **definition: Any) -> Making:
        base = with_values(TrialConfig(), {"pretrain.epochs": 3}, "test")
        folder = StudyFolder((path or tmp_path) / "demo")
        folder.accept(
            {
                "name": "demo", "axes": {}, "seeds": [0], "tasks": [{"task": "planes"}],
                "packs": {"224": "p1"}, "base": base.model_dump(mode="json"), **definition,
            }
        )  # fmt: skip
        return Making(folder, base)

    return make


RATIOS = {"anatomy.ratio": [0, 0.5, 1], "anatomy.granularity": ["coarse", "fine"]}


@pytest.fixture
def ratios(making) -> Making:
    """Ratio 0, 0.5 and 1, coarse and fine, with two seeds; fine at ratio 1 is far the best."""
    made = making(axes=RATIOS, seeds=[0, 1])
    for seed in (0, 1):
        made.add(seed, 0.3, anatomy__ratio=0)
        made.add(seed, 0.35, anatomy__ratio=0.5, anatomy__granularity="coarse")
        made.add(seed, 0.4, anatomy__ratio=0.5)
        made.add(seed, 0.35, anatomy__ratio=1, anatomy__granularity="coarse")
        made.add(seed, 0.95, anatomy__ratio=1)
    return made


PAPER = {
    "random": {"pretrain.epochs": 0},
    "imagenet": {"pretrain.epochs": 0, "model.init": "imagenet"},
    "plain": {"pretrain.positives": "self"},
    "queue": {"pretrain.method": "moco", "pretrain.positives": "self"},
    "labels": {"pretrain.method": "supervised"},
    "coarse": {"anatomy.granularity": "coarse"},
    "fine": {},
}
SHARES = {"random": 0.3, "plain": 0.5, "queue": 0.6, "labels": 0.95, "coarse": 0.7, "fine": 0.8}
LABELS = {"labels": 187, "coarse": 224, "fine": 187}


@pytest.fixture
def paper(making) -> Making:
    """A paper's comparison in small, under other names: planes and segmentation across domains,
    two seeds, ImageNet's weights not at hand; `fine` is the best by anatomy in both."""
    absent = {"arm": "imagenet", "reason": "weights not at hand"}
    made = making(arms=PAPER, seeds=[0, 1], not_run=[absent])
    for name, right in SHARES.items():
        for seed in (0, 1):
            values = {field.replace(".", "__"): value for field, value in PAPER[name].items()}
            trial = made.add(seed, right, labels=LABELS.get(name, 0), **values)
            epoch = trial.done["epoch"]
            table = dice(0.5 + right / 4, seed)
            made.judge(trial, "organs", table, epoch, kind="cross_segmentation")
    return made
