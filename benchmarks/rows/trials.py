"""What a trial costs beside its training: six short trials of a study, one at a time.

The limit is Ray's own, measured right after, in a Ray with the dashboard that Train's cleaner asks:
trials of Tune that each start Train with one worker, which ends, and report once; each is timed
from its start to that of the next one. Ours do as much and are a study's: they open the pack,
measure the proxy, write checkpoints, are told to storage and MLflow. A trial's overhead is the time
between the same two starts, less the seconds of its epochs as the loop counted them; where it goes
is told by what the study stores of its times. All of ours are run first, so the ratio is of each of
ours to the median of the empty ones; their Ray has a dashboard, ours none, which is kind to ours.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

from awcl.records import StudyFolder, TrialFolder
from benchmarks import material, studies
from benchmarks.harness import Row, Run

TRIALS, EMPTY = 6, 3


def measure(run: Run) -> Iterator[Row]:
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    with ray_session(Stages()):
        stored = study(run, places=1)
    yield overhead(run, stored, places=1)


def overhead(run: Run, stored: StudyFolder, places: int) -> Row:
    """What each of a study's trials cost beside its epochs, so many at a time."""
    with rays_own():
        alone = empty_trials(run.size(EMPTY, 1) * places, run.folder / "tune", places)
    each = times(stored, places)
    parts = {name: mean(span[name] for span in each) for name in each[0]}
    found = [sum(span.values()) - span["epochs"] for span in each]
    mid = median(found)
    ratio = tuple(value / median(alone) for value in (mid, min(found), max(found)))
    told = ", ".join(f"{name} {value:.1f} s" for name, value in parts.items())
    return Row(
        f"overhead a trial, {HOW[places]}: time", f"{mid:.1f} s (of a trial, means: {told})",
        f"{median(alone):.1f} s, an empty trial of Train in Tune, the limit", ratio,
        "<= 15 s" if places == 1 else "", mid <= 15 if places == 1 else None,
        why="an empty trial takes most of it; the rest is proxy, checkpoints, imports, LOG.md",
        details={**parts, "ours": found, "empty": alone},
    )  # fmt: skip


HOW = {1: "one at a time", 2: "two at a time on a core each"}


def study(run: Run, places: int) -> StudyFolder:
    """Runs a study of trials that are equal but for their seed, so many at a time."""
    table = run.folder / "frames.parquet"
    if not table.is_file():
        material.table(material.files(run.folder / "images", run.size(400, 40))).write(table)
    fields = {
        "name": f"bench-trials-{places}",
        "base": {
            "model": {"backbone": "test_resnet" if run.smoke else "resnet10t"},
            "data": {"size": run.size(64, 32)},
            "pretrain": {"batch": run.size(16, 8), "epochs": run.size(4, 1)},
        },
        "seeds": list(range(run.size(TRIALS, places))),
        "resources": {"cpus": 2 // places, "concurrent": places},
    }
    return studies.run(run.folder, fields, run.folder / "results", "--frames", str(table))


def times(stored: StudyFolder, places: int = 1) -> list[dict[str, float]]:
    """Where the seconds went between a trial's start and that of the one which took its place.

    Of all trials but the last of each place, of which none knows what would have come next; of all
    where there are no others.
    """
    found = spans(stored, places)
    return found[:-places] or found


def spans(stored: StudyFolder, places: int) -> list[dict[str, float]]:
    """`times` of all trials that ended, by their end; 0 to the next one where none comes.

    A place that is free is taken by the next trial to start.
    """
    ended = sorted((_end(t), t.key, t) for t in stored.trials() if t.done and t.history())
    starts = sorted(_start(trial) for _, _, trial in ended)
    found = []
    for number, (done, _, trial) in enumerate(ended):
        further = starts[number + places :]
        rows = trial.history()
        epochs = sum(row["seconds"] for row in rows)
        begun = rows[0]["time"] - rows[0]["seconds"]
        found.append(
            {
                "to the first step": begun - _start(trial),
                "epochs": epochs,
                "proxy and checkpoints": rows[-1]["time"] - begun - epochs,
                "from the last epoch to its mark": done - rows[-1]["time"],
                "to the next trial": further[0] - done if further else 0,
            }
        )
    return found


def lasted(stored: StudyFolder) -> float:
    """Seconds from the first trial's start to the last one's end."""
    trials = list(stored.trials())
    return max(map(_end, trials)) - min(map(_start, trials))


def _start(trial: TrialFolder) -> float:
    return trial.starts()[0]["time"]


def _end(trial: TrialFolder) -> float:
    return (trial.path / "DONE.json").stat().st_mtime


@contextmanager
def rays_own() -> Iterator[None]:
    """A Ray as it comes, but for a resource of ours; or the one that is there."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        resources={"TRAIN_DRIVER": 1000},
        logging_level="ERROR",
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


def empty_trials(count: int, storage: Path, places: int = 1) -> list[float]:
    """Seconds from the start of a trial, which runs Train with nothing to do, to that of the one
    which takes its place; so many of them."""
    from ray import tune

    from awcl.study.cluster import drivers_ask_for

    starts: list[float] = []

    class Starts(tune.Callback):
        def on_trial_start(self, iteration, trials, trial, **info) -> None:
            starts.append(time.time())

        def __getstate__(self) -> dict[str, Any]:
            return {}  # Tune pickles callbacks

    tune.Tuner(
        tune.with_resources(_empty_driver, drivers_ask_for()),
        param_space={"storage": str(storage)},
        tune_config=tune.TuneConfig(num_samples=count + places, max_concurrent_trials=places),
        run_config=tune.RunConfig(
            name="empty", storage_path=str(storage), verbose=0, callbacks=[Starts()]
        ),
    ).fit()
    shutil.rmtree(storage)
    return [after - start for start, after in zip(starts, starts[places:], strict=False)]


def _empty_driver(space: dict[str, str]) -> None:
    import ray.train
    from ray import tune
    from ray.train.torch import TorchTrainer

    TorchTrainer(
        _empty_worker,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(name="empty", storage_path=space["storage"]),
    ).fit()
    tune.report({"done": 1})  # TuneReportCallback may stand still (awcl.study.driver)


def _empty_worker() -> None:
    """Nothing to do."""
