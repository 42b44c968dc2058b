"""Studies that the report's tests read."""

from collections.abc import Callable
from typing import Any

import pytest
from made_study import Making

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
