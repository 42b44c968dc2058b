"""Ctrl-C, as a terminal sends it to every process of a command, and the same command again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import of_session

from awcl.records import StudyFolder

pytestmark = pytest.mark.slow

RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Phantom, Study

def study():
    values = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8,
              "pretrain.epochs": 12}
    return Study(name="tiny", base=with_values(TrialConfig(), values, "test"), seeds=[0, 1],
                 phantom=Phantom(scans=10, size=48, seconds=2, labelled=0.5), tasks=["planes"])
"""


@pytest.fixture
def command(tmp_path) -> list[str]:
    (tmp_path / "tiny.py").write_text(RECIPE)
    run = [sys.executable, "-m", "awcl", "study", "run", str(tmp_path / "tiny.py")]
    return [*run, "--storage", str(tmp_path)]


def interrupted(command: list[str], log: Path, when: Callable[[], bool], times: int = 1) -> str:
    """What the command said, which was sent SIGINT with all its group as soon as `when()`."""
    with log.open("w") as out:
        process = subprocess.Popen(command, start_new_session=True, stdout=out, stderr=out)
    end = time.time() + 240
    while time.time() < end and not when():
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    assert process.wait(120) == 130, log.read_text()
    end = time.time() + 30
    while time.time() < end and of_session(process.pid):
        time.sleep(0.1)
    assert of_session(process.pid) == []
    said = log.read_text()
    assert "Traceback" not in said
    assert said.endswith("awcl: interrupted; run the same command again to go on\n")
    return said


def test_an_interrupted_study_goes_on_and_says_so(command, tmp_path):
    """In the phantom; in training, where impatience sends it twice; then to the end."""
    study, log = StudyFolder(tmp_path / "tiny"), tmp_path / "log"
    interrupted(command, log, lambda: any(tmp_path.glob("phantom-*/images/*")))
    assert list(tmp_path.glob("phantom-*/frames.parquet")) == []

    begun = lambda: any(len(trial.history()) >= 2 for trial in study.trials())  # noqa: E731
    said = interrupted(command, log, begun, times=2)
    assert re.search(r"goes on: \d+ of 10 scans there", said)
    assert "training: 2 trials to run" in said
    stored = {trial.key: trial.history() for trial in study.trials()}

    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"goes on: [01] of 2 trials done, [12] begun \(epochs? \d+ of", done.stdout)
    for trial in study.trials():
        history = trial.history()
        assert [row["epoch"] for row in history] == list(range(1, 13))
        assert history[: len(stored[trial.key])] == stored[trial.key]
        assert len(trial.evaluations()) == 1
    assert [run["outcome"] for run in study.timings()] == ["interrupted", "done"]
    assert "compare  " in done.stdout and "total " in done.stdout
    assert "no report was written" not in done.stderr
    [report] = [line for line in done.stdout.splitlines() if line.startswith("report   ")]
    assert Path(report.split()[1]).read_text(encoding="utf-8").startswith("<!doctype html>")
