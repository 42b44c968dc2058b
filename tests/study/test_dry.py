"""A dry run: what would run, what it asks for, how long; nothing is stored."""

import subprocess
import sys

import pytest

from awcl import checkpoints, complete
from awcl.config import with_values
from awcl.errors import InputError
from awcl.study import dry
from awcl.study.plan import held, make_plan
from awcl.study.space import Resources


def test_it_tells_of_trials_resources_and_time_and_stores_nothing(
    tiny_study, tiny_frames, tmp_path, monkeypatch
):
    asked = Resources(cpus=1, gpus=0.5)
    changes = {"axes": {"pretrain.lr": [0.1, 0.01]}, "seeds": [0, 1], "resources": asked}
    plan = make_plan(tiny_study.model_copy(update=changes), tiny_frames, tmp_path)
    timed = []
    monkeypatch.setattr(dry, "seconds_per_step", lambda config, *rest: timed.append(config) or 0.5)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    lines = "\n".join(dry.tell(plan))
    assert len(timed) == 1, "trials that differ in rate and seed alone take as long"
    for trial in plan.trials:
        assert trial.key in lines
    assert "a trial asks for 1 x (1 CPU, 0.5 GPU)" in lines
    assert "4 evaluations to do" in lines
    steps = len(dry.pretrain_rows(plan.trials[0].pack, timed[0])) // timed[0].pretrain.batch
    seconds = 4 * timed[0].pretrain.epochs * steps * 0.5
    whole = f"{dry.duration(seconds)} one after the other, {dry.duration(seconds / 2)} at 2"
    assert whole in lines
    assert not plan.folder.path.exists()


def test_the_command_runs_nothing(tiny_study, tiny_frames, tmp_path):
    recipe = tmp_path / "tiny.py"
    recipe.write_text(
        "from awcl.study.space import Study\n"
        f"def study():\n    return Study.model_validate({tiny_study.model_dump()!r})\n"
    )
    command = [sys.executable, "-m", "awcl", "study", "run", str(recipe), "--dry-run"]
    command += ["--frames", str(tiny_frames), "--storage", str(tmp_path / "results")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert "to run" in told.stdout and "the steps of 1 trials: " in told.stdout
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["packs"]


def test_what_is_done_is_not_counted(tiny_study, tiny_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(dry, "seconds_per_step", lambda *given: 1.0)
    with held(make_plan(tiny_study, tiny_frames, tmp_path)) as plan:
        plan.trials[0].folder.write_done("failed", epoch=0, reason="")
        assert "a step of" in "\n".join(dry.tell(plan))
        plan.trials[0].folder.write_done("finished", epoch=2)
        assert "a step of" in "\n".join(dry.tell(plan)), "its checkpoint is gone"
        made = plan.trials[0].folder.train / "epoch_0002"
        made.mkdir(parents=True)
        (made / checkpoints.ENCODER).write_bytes(b"w")
        complete.mark(made)
        assert list(dry.tell(plan))[-1] == "every trial is done"


def test_a_step_is_timed_for_real(tiny_study, tiny_frames, tmp_path):
    plan = make_plan(tiny_study, tiny_frames, tmp_path)
    assert 0 < dry._step(plan.trials[0], threads=1) < 30


def test_what_a_run_would_refuse_is_refused(tiny_study, tiny_frames, tmp_path):
    with held(make_plan(tiny_study, tiny_frames, tmp_path)):
        pass
    base = with_values(tiny_study.base, {"pretrain.lr": 0.5}, "test")
    with pytest.raises(InputError, match=r"base\.pretrain\.lr was 0\.001, now 0\.5"):
        make_plan(tiny_study.model_copy(update={"base": base}), tiny_frames, tmp_path)


def test_a_card_that_this_machine_has_not_is_told(tiny_study, tiny_frames, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    cards = tiny_study.model_copy(update={"resources": Resources(gpus=0.5)})
    told = "\n".join(dry.tell(make_plan(cards, tiny_frames, tmp_path)))
    assert "a trial does not fit this machine: it asks for 0.5 GPU" in told
