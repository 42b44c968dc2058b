"""What a trial costs beside its training: six short trials of a study, one at a time.

The limit is Ray's own, measured in the same session: trials of Tune that each start Train with one
worker, which reports once and ends. Ours do as much and are a study's: they open the pack, measure
the proxy, write checkpoints, are told to storage and MLflow. A trial's overhead is the time from
its start to that of the next one, less the seconds of its epochs as the loop counted them; where it
goes is told by what the study stores of its times.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

from benchmarks import material
from benchmarks.harness import Missing, Row, Run

TRIALS, EMPTY = 6, 3
RECIPE = '''"""Short trials, for the benchmark of what a trial costs beside its training."""

from awcl.config import TrialConfig, with_values
from awcl.study.space import Resources, Study

BASE = {base!r}


def study() -> Study:
    return Study(
        name="{name}",
        base=with_values(TrialConfig(), BASE, "benchmarks"),
        seeds={seeds!r},
        resources=Resources(**{resources!r}),
    )
'''


def measure(run: Run) -> Iterator[Row]:
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    with ray_session(Stages()):
        alone = empty_trials(run.size(EMPTY, 1), run.folder / "tune")
        folder = study(run, "bench-trials", run.size(TRIALS, 1), places=1)
    spans = times(folder)
    parts = {name: mean(span[name] for span in spans) for name in spans[0]}
    overhead = [sum(span.values()) - span["epochs"] for span in spans]
    mid = median(overhead)
    ratio = tuple(value / median(alone) for value in (mid, min(overhead), max(overhead)))
    told = ", ".join(f"{name} {value:.1f} s" for name, value in parts.items())
    yield Row(
        "overhead a trial, one at a time", f"{mid:.1f} s (of a trial: {told})",
        f"{median(alone):.1f} s, an empty trial of Train in Tune, the limit", ratio, "<= 15 s",
        mid <= 15, why="see LOG.md", details=parts,
    )  # fmt: skip


def study(run: Run, name: str, trials: int, places: int) -> Path:
    """Runs a study of so many equal trials, all but for their seed; its folder."""
    from awcl.__main__ import main

    images = run.folder / "images"
    paths = material.files(images, run.size(400, 40)) if not images.is_dir() else None
    table = run.folder / "frames.parquet"
    if paths:
        material.table(paths).write(table)
    base = {
        "model.backbone": "resnet10t" if not run.smoke else "test_resnet",
        "data.size": run.size(64, 32),
        "pretrain.batch": run.size(16, 8),
        "pretrain.epochs": run.size(4, 1),
    }
    cores = 2 // places
    recipe = run.folder / f"{name}.py"
    resources = {"cpus": cores, "concurrent": places}
    recipe.write_text(
        RECIPE.format(base=base, name=name, seeds=list(range(trials)), resources=resources)
    )
    storage = run.folder / "results"
    command = ["study", "run", str(recipe), "--frames", str(table), "--storage", str(storage)]
    try:
        main(command)
    except SystemExit as ended:
        if ended.code:
            raise Missing(f"the study of the benchmark failed, exit code {ended.code}") from ended
    return storage / name


def times(folder: Path) -> list[dict[str, float]]:
    """Of each trial but the last, where the seconds between its start and the next one's went."""
    from awcl.records import StudyFolder

    trials = sorted(StudyFolder(folder).trials(), key=lambda trial: trial.starts()[0]["time"])
    starts = [trial.starts()[0]["time"] for trial in trials]
    # Of the last trial the end is known by its mark alone.
    ends = [*starts[1:], (trials[-1].path / "DONE.json").stat().st_mtime]
    spans = []
    for trial, start, end in zip(trials, starts, ends, strict=True):
        rows, done = trial.history(), (trial.path / "DONE.json").stat().st_mtime
        epochs = sum(row["seconds"] for row in rows)
        begun = rows[0]["time"] - rows[0]["seconds"]
        spans.append(
            {
                "to the first step": begun - start,
                "epochs": epochs,
                "proxy and checkpoints": rows[-1]["time"] - begun - epochs,
                "from the last epoch to its mark": done - rows[-1]["time"],
                "to the next trial": end - done,
            }
        )
    return spans[:-1] or spans


def empty_trials(count: int, storage: Path) -> list[float]:
    """Seconds of each of so many trials of Tune that run Train with nothing to do."""
    from ray import tune

    from awcl.study.cluster import drivers_ask_for

    results = tune.Tuner(
        tune.with_resources(_empty_driver, drivers_ask_for()),
        param_space={"storage": str(storage)},
        tune_config=tune.TuneConfig(num_samples=count, max_concurrent_trials=1),
        run_config=tune.RunConfig(name="empty", storage_path=str(storage), verbose=0),
    ).fit()
    found = [result.metrics["time_total_s"] for result in results]
    shutil.rmtree(storage)
    return found


def _empty_driver(space: dict[str, str]) -> None:
    import ray.train
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        _empty_worker,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(
            name="empty", storage_path=space["storage"], callbacks=[TuneReportCallback()]
        ),
    ).fit()


def _empty_worker() -> None:
    import ray.train

    ray.train.report({"done": 1})
