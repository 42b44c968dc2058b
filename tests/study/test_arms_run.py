"""A study of arms on a real Ray: untrained, started from weights, not run for want of them."""

import pytest

from awcl.encoder import Encoder
from awcl.study import executor
from awcl.study.plan import held, make_plan
from awcl.study.space import EarlyStopping
from awcl.study.stages import Stages
from awcl.study.table import render
from awcl.tracking import Tracker
from awcl.tracking.projection import of_trial

pytestmark = pytest.mark.slow


def run(study, frames, storage, **options):
    plan = make_plan(study, frames, storage, **options)
    with held(plan):
        executor.execute(plan, Tracker(f"sqlite:///{storage / 'mlflow.db'}", plan.folder), Stages())
    return plan


def rows(plan) -> dict[str, list[int]]:
    """Arm -> the epochs of its trial's history."""
    folder = plan.folder
    return {
        folder.arm_of[trial.key]: [row["epoch"] for row in trial.history()]
        for trial in folder.trials()
    }


def test_untrained_and_warm_arms_run_and_one_without_weights_holds_up_none(
    shared_ray, tiny_study, tiny_frames, tmp_path, empty_hub, recwarn
):
    given = Encoder("test_resnet", 32)
    given.save(tmp_path / "given.safetensors")
    arms = {
        "random": {"pretrain.epochs": 0},
        "imagenet": {"pretrain.epochs": 0, "model.init": "imagenet"},
        "warm": {"model.init": str(tmp_path / "given.safetensors")},
    }
    stopping = EarlyStopping(grace=1, reduction=2)
    study = tiny_study.model_copy(update={"arms": arms, "early_stopping": stopping})
    plan = run(study, tiny_frames, tmp_path)
    assert rows(plan) == {"random": [0], "warm": [1, 2]}
    assert all(trial.folder.outcome == "finished" for trial in plan.trials)
    assert all(len(trial.folder.evaluations()) == 1 for trial in plan.trials)
    untrained, warm = plan.trials
    assert untrained.folder.checkpoint().name == "epoch_0000"
    decided = [made["key"] for made in plan.folder.decisions()]
    assert decided == [warm.key], "an untrained trial is at no rung"
    stored = of_trial(plan.folder, untrained.folder, running=False)
    assert stored.params["arm"] == "random" and stored.evaluations[0][1].step == 0
    assert "0/0" in render(plan.folder) and "weights not at hand" in render(plan.folder)
