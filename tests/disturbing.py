"""A study as a process of its own, disturbed from outside, and what it would have been."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import of_session

from awcl.config import RunConfig
from awcl.downstream.diagnostics import Diagnostics
from awcl.downstream.proxy import Proxy
from awcl.pretrain.loop import pretrain
from awcl.pretrain.reporter import FolderReporter
from awcl.pretrain.trial import about
from awcl.study import recipes
from awcl.study.plan import Plan, Trial, make_plan
from awcl.taxonomy import Taxonomy

LONG = 240  # seconds
STEPS = 240  # of an epoch of `long_epoch`
TIMES = {"time", "seconds", "images_per_second", "data_wait"}

RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Resources, Study

def study():
    values = {{"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 4,
              "pretrain.epochs": {epochs}, "pretrain.precision": "float32"}}
    return Study(name="disturbed", base=with_values(TrialConfig(), values, "test"),
                 seeds=list(range({trials})), proxy_level="fine", tasks=["planes"],
                 resources=Resources(retries={retries}))
"""


def a_study(
    folder: Path, frames: Path, trials: int, epochs: int, retries: int
) -> tuple[Plan, list[str]]:
    """The plan of a study of so many trials, alike but for their seed; the command that runs it."""
    folder.mkdir(exist_ok=True)
    recipe = folder / "disturbed.py"
    recipe.write_text(RECIPE.format(trials=trials, epochs=epochs, retries=retries))
    command = [sys.executable, "-m", "awcl", "study", "run", str(recipe)]
    plan = make_plan(recipes.load(str(recipe)), frames, folder)
    return plan, [*command, "--frames", str(frames), "--storage", str(folder)]


def one_trial(folder: Path, frames: Path, epochs: int, retries: int) -> tuple[Trial, list[str]]:
    """A study of one trial, and the command that runs it."""
    plan, command = a_study(folder, frames, 1, epochs, retries)
    (trial,) = plan.trials
    return trial, command


@contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """The command in a session of its own, which is gone after the block."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for left in of_session(process.pid):
            left.kill()
        process.wait()


def wait_for(what: Callable[[], object], process: subprocess.Popen, log: Path) -> None:
    end = time.time() + LONG
    while not what():
        assert process.poll() is None and time.time() < end, log.read_text()
        time.sleep(0.05)


def undisturbed(trial: Trial, folder: Path) -> list[dict]:
    """The history of the trial without Ray."""
    taxonomy = Taxonomy.load()
    evaluators = [Proxy(trial.pack, taxonomy, "fine", {}), Diagnostics(trial.pack, "ultrasound")]
    reporter = FolderReporter(folder, about(trial.config, trial.pack))
    run = RunConfig(threads=1, device="cpu")
    return pretrain(trial.config, trial.pack, taxonomy, reporter, evaluators, run)


def without_times(history: Iterable[dict]) -> list[dict]:
    return [{name: v for name, v in row.items() if name not in TIMES} for row in history]
