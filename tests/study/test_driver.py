"""A trial's driver under Tune: every word of its training arrives, however late Tune asks."""

import json
import time

import pytest
from ray import tune

from awcl import checkpoints
from awcl.study import driver, jobs
from awcl.study.cluster import drivers_ask_for
from awcl.study.plan import make_plan

pytestmark = pytest.mark.slow


class Late(tune.Callback):
    """Tune is busy with the first epoch until the training has ended."""

    def __init__(self, trial):
        self.trial, self.epochs = trial, []

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        if "row" not in result:
            return
        self.epochs.append(json.loads(result["row"])["epoch"])
        end = time.monotonic() + 60
        last = lambda: checkpoints.newest(self.trial.folder.train, after=1)  # noqa: E731
        while last() is None and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(5)  # Train's controller and its worker end meanwhile


def test_what_a_training_says_last_arrives(shared_ray, tiny_study, tiny_frames, tmp_path):
    """Its last epoch and its end wait for Tune together: neither may hold up the other."""
    plan = make_plan(tiny_study, tiny_frames, tmp_path)
    [trial] = plan.trials
    late = Late(trial)
    tune.Tuner(
        tune.with_resources(driver.drive, drivers_ask_for()),
        param_space={"job": jobs.training_job(trial, plan, "launch")},
        tune_config=tune.TuneConfig(time_budget_s=90),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), callbacks=[late], verbose=0),
    ).fit()
    assert late.epochs == [1, 2]
    assert trial.folder.done == {"outcome": "finished", "epoch": 2}
