"""A study of arms on a real Ray: untrained, started from weights, and not run until they come."""

import pytest
import timm
import torch

from awcl import records
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


def test_untrained_and_warm_arms_run_beside_others_and_what_lacks_weights_comes_later(
    shared_ray, tiny_study, tiny_frames, tmp_path, empty_hub, recwarn
):
    given = Encoder("test_resnet", 32)
    given.save(tmp_path / "given.safetensors")
    imagenet = tmp_path / "imagenet.pth"
    torch.save(timm.create_model("test_resnet", in_chans=3).state_dict(), imagenet)
    arms = {
        "random": {"pretrain.epochs": 0},
        "imagenet": {"pretrain.epochs": 0, "model.init": "imagenet"},
        "warm": {"model.init": str(tmp_path / "given.safetensors"), "pretrain.epochs": 1},
    }
    stopping = EarlyStopping(grace=1, reduction=2)
    study = tiny_study.model_copy(update={"arms": arms, "early_stopping": stopping})
    plan = run(study, tiny_frames, tmp_path)
    assert rows(plan) == {"random": [0], "warm": [1]}
    assert all(trial.folder.outcome == "finished" for trial in plan.trials)
    assert all(len(trial.folder.evaluations()) == 1 for trial in plan.trials)
    untrained = next(t for t in plan.trials if t.config.pretrain.epochs == 0)
    assert untrained.folder.checkpoint().name == "epoch_0000"
    assert not plan.folder.decisions(), "an untrained trial is at no rung"
    assert "0/0" in render(plan.folder) and "weights not at hand" in render(plan.folder)

    before = {t.key: records.checkpoint_digest(t.folder.checkpoint()) for t in plan.trials}
    again = run(study, tiny_frames, tmp_path, imagenet=str(imagenet))
    assert rows(again) == {"random": [0], "imagenet": [0], "warm": [1]}
    digests = {t.key: records.checkpoint_digest(t.folder.checkpoint()) for t in again.trials}
    assert before.items() <= digests.items()
    assert again.done and "not run" not in render(again.folder)
    [new] = [trial for trial in again.trials if trial.key not in before]
    stored = of_trial(again.folder, new.folder, running=False)
    assert stored.params["arm"] == "imagenet" and stored.evaluations[0][1].epoch == 0
