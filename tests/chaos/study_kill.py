"""A study that is killed again and again ends as one that is left alone.

    python tests/chaos/study_kill.py [--trials 12] [--kills 5] [--seed 0]

Runs a study of short trials on the phantom twice: undisturbed, and with SIGKILL at random moments
after each of which the same command is given again. Half of the kills hit the driver alone, whose
Ray has to notice; half hit every process at once, as a power cut does. In the end the two must
agree in the table (times have no part in it) and in every epoch's metrics but for times and
speeds; no trial that had ended may have been touched again; MLflow must hold one run a trial with
one point an epoch; and no process may be left. Exit code 0 only then.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from mlflow import MlflowClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import of_session

from awcl.records import StudyFolder
from awcl.study.table import render

EPOCHS = 3
AT_LEAST = 30  # seconds of an average run, or none would come to its first epoch
RECIPE = """
from awcl.config import DataConfig, ModelConfig, PretrainConfig, TrialConfig
from awcl.study.space import Phantom, Study

def study():
    return Study(
        name="chaos",
        phantom=Phantom(scans=24, size=64, seconds=3),
        base=TrialConfig(
            model=ModelConfig(backbone="test_resnet"),
            pretrain=PretrainConfig(epochs={epochs}, warmup=1, batch=32),
            data=DataConfig(size=32),
        ),
        axes={{"anatomy.ratio": [0.0, 0.5, 1.0], "pretrain.temperature": [0.1, 0.5]}},
        seeds=list(range({seeds})),
        tasks=["planes"],
    )
"""
OF_TIME = {"time", "seconds", "images_per_second", "data_wait"}  # fields of an epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=12, help="a multiple of 6 (12)")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments to kill at")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        recipe = root / "chaos.py"
        recipe.write_text(RECIPE.format(epochs=EPOCHS, seeds=options.trials // 6))
        print("undisturbed", flush=True)
        took = run(recipe, root / "calm")
        print(f"  {took:.0f} s\ndisturbed", flush=True)
        wrong = disturb(recipe, root / "wild", options.kills, random.Random(options.seed), took)
        wrong += differences(StudyFolder(root / "calm/chaos"), StudyFolder(root / "wild/chaos"))
        wrong += in_mlflow(root / "wild/mlflow.db", options.trials)
        print(render(StudyFolder(root / "wild/chaos")))
    minutes = (time.monotonic() - began) / 60
    for line in wrong:
        print(f"WRONG: {line}")
    verdict = "ends otherwise than" if wrong else "ends exactly as"
    print(
        f"{options.trials} trials, {options.kills} kills: {verdict} undisturbed; {minutes:.1f} min"
    )
    sys.exit(bool(wrong))


def start(recipe: Path, storage: Path) -> subprocess.Popen:
    """The study's driver, leader of a session that all of its processes stay in."""
    command = [sys.executable, "-m", "awcl", "study", "run", str(recipe)]
    storage.mkdir(exist_ok=True)
    with open(storage / "log", "a") as log:
        return subprocess.Popen(
            [*command, "--storage", str(storage)], stdout=log, stderr=log, start_new_session=True
        )


def run(recipe: Path, storage: Path) -> float:
    """To the end, in seconds."""
    began = time.monotonic()
    driver = start(recipe, storage)
    if driver.wait() != 0:
        sys.exit(f"the study failed:\n{(storage / 'log').read_text()[-3000:]}")
    return time.monotonic() - began


def disturb(recipe: Path, storage: Path, kills: int, rng: random.Random, took: float) -> list[str]:
    """Kills, runs again, and at last lets it end; what went wrong."""
    wrong, ended = [], {}
    folder = StudyFolder(storage / "chaos")
    for number in range(kills):
        driver = start(recipe, storage)
        # All of these together are about as long as `took`, and each start takes its share of it:
        # so every kill finds work under way.
        time.sleep(rng.uniform(0.2, 1.4) * max(took / kills, AT_LEAST))
        everything = rng.random() < 0.5
        if driver.poll() is not None:
            wrong.append(f"run {number + 1} ended by itself with {driver.returncode}")
            break
        kill(driver, everything)
        wrong += [f"{key} ran again after it had ended" for key in touched(folder, ended)]
        ended = state(folder)
        what = "every process" if everything else "the driver"
        epochs = sum(len(trial.history()) for trial in folder.trials())
        print(f"  kill {number + 1}: {what}; {len(ended)} trials done, {epochs} epochs", flush=True)
    driver = start(recipe, storage)
    if driver.wait() != 0:
        wrong.append(f"the last run ended with {driver.returncode}: see {storage / 'log'}")
        print((storage / "log").read_text()[-3000:])
    wrong += [f"{key} ran again after it had ended" for key in touched(folder, ended)]
    if not soon(lambda: not of_session(driver.pid), seconds=60):
        left = [process.name() for process in of_session(driver.pid)]
        wrong.append(f"processes are left: {left}")
    return wrong


def kill(driver: subprocess.Popen, everything: bool) -> None:
    for process in of_session(driver.pid) if everything else [psutil.Process(driver.pid)]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    driver.wait()


def soon(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.5)
    return condition()


def state(folder: StudyFolder) -> dict[str, tuple[int, ...]]:
    """When what a trial that has ended stored last changed."""
    files = ("DONE.json", "history.jsonl", "TRIAL.json")
    return {
        trial.key: tuple((trial.path / name).stat().st_mtime_ns for name in files)
        for trial in folder.trials()
        if trial.done
    }


def touched(folder: StudyFolder, before: dict[str, tuple[int, ...]]) -> list[str]:
    now = state(folder)
    return [key for key, then in before.items() if now.get(key) != then]


def differences(calm: StudyFolder, wild: StudyFolder) -> list[str]:
    """Where the two studies do not hold the same."""
    wrong = []
    if render(calm) != render(wild):
        wrong.append(f"the tables differ; undisturbed:\n{render(calm)}")
    for one in calm.trials():
        other = wild.trial(one.key)
        if measured(one.history()) != measured(other.history()):
            wrong.append(f"{one.key}: the epochs differ")
        if measured([r["metrics"] for _, r in one.evaluations()]) != measured(
            [r["metrics"] for _, r in other.evaluations()]
        ):
            wrong.append(f"{one.key}: the evaluations differ")
    return wrong


def measured(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in OF_TIME} for row in rows]


def in_mlflow(database: Path, trials: int) -> list[str]:
    """One run a trial, one point an epoch, none left running."""
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("awcl-chaos").experiment_id
    runs = client.search_runs([experiment])
    wrong = [f"MLflow: {r.info.run_name} is {r.info.status}" for r in runs
             if r.info.status != "FINISHED"]  # fmt: skip
    if len(runs) != trials + 1:
        wrong.append(f"MLflow: {len(runs)} runs of {trials} trials and a study")
    for found in runs:
        if "mlflow.parentRunId" not in found.data.tags:
            continue
        points = client.get_metric_history(found.info.run_id, "val/proxy")
        if [point.step for point in points] != list(range(1, EPOCHS + 1)):
            wrong.append(f"MLflow: {found.info.run_name} has epochs {[p.step for p in points]}")
    return wrong


if __name__ == "__main__":
    main()
