"""Early stopping on storage: rungs as a study left them."""

from awcl.records import StudyFolder
from awcl.study import stopping
from awcl.study.plan import held, make_plan
from awcl.study.space import EarlyStopping


def row(epoch: int, proxy: float, time: float) -> dict:
    return {"epoch": epoch, "time": time, "val/proxy": proxy}


def test_an_epoch_that_was_stored_and_not_decided_is_decided_on_restart(
    tiny_study, tiny_frames, tmp_path
):
    """The driver died between a rung's row and its decision: no trial slips past the rung."""
    study = tiny_study.model_copy(
        update={"seeds": [0, 1], "early_stopping": EarlyStopping(grace=1, reduction=2)}
    )
    with held(make_plan(study, tiny_frames, tmp_path)) as plan:
        good, bad = plan.trials
        good.folder.append_history(row(1, 0.9, time=1.0))
        bad.folder.append_history(row(1, 0.1, time=2.0))
        asha = stopping.restored(plan)
        assert asha.decisions[good.key, 1].stop is False
        assert asha.decisions[bad.key, 1].stop is True
        stored = StudyFolder(plan.folder.path).decisions()
        assert [made["key"] for made in stored] == [good.key, bad.key]
        stopping.restored(plan)
        assert StudyFolder(plan.folder.path).decisions() == stored
