"""A study whose trials train nothing, so that a thousand of them tell what their driver costs.

One short pre-training and its evaluation are real: their row of history, checkpoint, result and
predictions are what every stub trial then reports and stores, as its own. Real are also Tune and
Ray's actors, and all of `awcl.study` and `awcl.tracking` in the driver. In place of Train (its
controller, workers, process group) and of the training stands `drive`; Tune's actors are reused,
so that no process is started for a trial. What those cost is in `overhead.py`.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from awcl import checkpoints, hashing, records
from awcl.config import TrialConfig, with_values
from awcl.files import as_path, read_json
from awcl.study.space import Resources, Study

AT_A_TIME, EPOCHS = 8, 3
PATIENCE = 600.0  # seconds for the actors of all places to start
TEMPLATE = "template"  # in the storage, beside the study


def frames(folder: Path, count: int) -> Path:
    """A frame table of so many drawn frames."""
    from benchmarks import material  # seconds of import, which no actor needs

    table = folder / "frames.parquet"
    material.table(material.files(folder / "images", count)).write(table)
    return table


def study(trials: int, backbone: str) -> Study:
    """So many trials: points of two axes on two seeds; to the full budget, judged on planes."""
    values = {
        "model.backbone": backbone,
        "data.size": 64,
        "pretrain.batch": 8,
        "pretrain.epochs": EPOCHS,
        "pretrain.precision": "float32",
    }
    return Study(
        name="stubs",
        base=with_values(TrialConfig(), values, "benchmarks"),
        axes={  # one alone has too few values: equal points are one
            "pretrain.temperature": {"low": 0.01, "high": 10, "log": True},
            "pretrain.lr": {"low": 0.001, "high": 1, "log": True},
        },
        sampler="random",
        samples=trials // 2,
        seeds=[0, 1],
        tasks=["planes"],
        resources=Resources(concurrent=AT_A_TIME),
    )


def prepared(folder: Path, count: int, backbone: str) -> tuple[Path, Path]:
    """A frame table of so many frames, and a storage with their pack and the template.

    Made by a process of its own, so that its memory is not taken for that of a driver.
    """
    table, storage = folder / "frames.parquet", folder / "results"
    storage.mkdir()
    made = get_context("spawn").Process(target=_prepare, args=(folder, storage, count, backbone))
    made.start()
    made.join()
    if made.exitcode:
        raise RuntimeError(f"the template was not made, exit code {made.exitcode}")
    return table, storage


def _prepare(folder: Path, storage: Path, count: int, backbone: str) -> None:
    make_template(frames(folder, count), storage, backbone)


def make_template(table: Path, storage: Path, backbone: str) -> None:
    """One real trial of one epoch, and its evaluation, under STORAGE/template."""
    from awcl.config import RunConfig
    from awcl.downstream.diagnostics import Diagnostics
    from awcl.downstream.proxy import Proxy
    from awcl.pretrain.loop import pretrain
    from awcl.pretrain.reporter import FolderReporter
    from awcl.pretrain.trial import about
    from awcl.study import judging
    from awcl.study.plan import make_plan
    from awcl.taxonomy import Taxonomy

    plan = make_plan(study(2, backbone), table, storage)
    trial, taxonomy = plan.trials[0], Taxonomy.load()
    once = with_values(trial.config, {"pretrain.epochs": 1}, "benchmarks")
    run = storage / TEMPLATE
    evaluators = [Proxy(trial.pack, taxonomy, "fine", {}), Diagnostics(trial.pack, "ultrasound")]
    reporter = FolderReporter(run, about(once, trial.pack))
    pretrain(once, trial.pack, taxonomy, reporter, evaluators, RunConfig(threads=1, device="cpu"))
    judging.evaluate_job(
        {
            "config": once.model_dump(mode="json"),
            "pack": str(trial.pack.folder),
            "shared_pack": str(trial.pack.folder),
            "node_disk": None,
            "taxonomy": once.anatomy.taxonomy,
            "settings": plan.study.tasks[0],
            "checkpoint": str(run / checkpoints.folder_name(1)),
            "folder": str(run / "eval" / "planes"),
        },
        cpus=1,
        gpus=0,
    )


def drive(space: dict[str, dict[str, Any]]) -> None:
    """In place of `awcl.study.driver.drive`: reports what the template's epoch did, and ends.

    Like Train's controller it holds a placement group, which Ray's table then keeps. The weights of
    its checkpoint are those of the template, by hard links.
    """
    import json

    from ray import tune
    from ray.util import placement_group, remove_placement_group

    job = space["job"]
    trial, config = records.TrialFolder(as_path(job["folder"])), TrialConfig(**job["config"])
    template, epochs = _template(trial), config.pretrain.epochs
    _wait_for_all_actors(trial)
    group = placement_group([{"TRAIN_DRIVER": 0.01}])
    (row,) = records.TrialFolder(template).history()
    for epoch in range(1, epochs + 1):
        proxy = _between_0_and_1(job["key"], epoch)
        told = row | {"epoch": epoch, "time": time.time(), "val/proxy": proxy}
        tune.report({"epoch": epoch, "row": json.dumps(told), "proxy": proxy})
    _store_checkpoint(trial, template, epochs)
    remove_placement_group(group)
    trial.write_done("finished", epoch=epochs)
    tune.report({"final": True})


def _wait_for_all_actors(trial: records.TrialFolder) -> None:
    """Until each place has its actor.

    A stub ends before the process of the next one is up. So the first actor would do all trials,
    and for each of them Tune would start a process that nobody waits for any more.
    """
    here, trials = _template(trial).parent / "actors", trial.path.parent
    here.mkdir(exist_ok=True)
    (here / str(os.getpid())).touch()
    end = time.monotonic() + PATIENCE
    while len(list(here.iterdir())) < min(AT_A_TIME, len(list(trials.iterdir()))):
        if time.monotonic() > end:
            raise RuntimeError(f"not every place had its actor within {PATIENCE:.0f} s")
        time.sleep(0.1)


def evaluate_job(job: dict[str, Any], cpus: int, gpus: float) -> None:
    """In place of `awcl.study.judging.evaluate_job`: the template's result, as the trial's own."""
    from awcl.downstream.evaluation import write_evaluation

    folder, checkpoint = as_path(job["folder"]), as_path(job["checkpoint"])
    told = _template(records.TrialFolder(folder.parents[1])) / "eval" / "planes"
    own = {
        "settings": job["settings"],
        "time": time.time(),
        "checkpoint": checkpoints.digest(checkpoint),
        "epoch": checkpoints.epoch_of(checkpoint),
    }
    predictions = pd.read_parquet(told / "predictions.parquet")
    write_evaluation(folder, read_json(told / "EVAL.json") | own, predictions)


def _template(trial: records.TrialFolder) -> Path:
    return trial.path.parents[2] / TEMPLATE  # STORAGE/stubs/trials/KEY


def _store_checkpoint(trial: records.TrialFolder, template: Path, epochs: int) -> None:
    checkpoint = trial.train / checkpoints.folder_name(epochs)
    checkpoint.mkdir(parents=True)
    for file in (template / checkpoints.folder_name(1)).iterdir():
        os.link(file, checkpoint / file.name)


def _between_0_and_1(key: str, epoch: int) -> float:
    return int(hashing.of_json([key, epoch])[:8], 16) / 2**32


class Places(Counter):
    """How many actors may be kept: as many as there are places, and those that trials wait for."""

    def __missing__(self, key: Any) -> int:
        return AT_A_TIME


@contextmanager
def in_place() -> Iterator[None]:
    """Meanwhile studies of this process run stubs, AT_A_TIME of them whatever cores there are."""
    from ray import tune
    from ray.tune.execution import tune_controller

    from awcl.study import driver, judging

    class Cache(tune_controller._ObjectCache):
        """Keeps the actor of each place. Tune keeps as many as trials wait for, and none waits: the
        next comes when one has ended and is judged. So it would start a process for almost each.
        """

        def __init__(self, may_keep_one: bool = True):
            super().__init__(may_keep_one)
            self._max_num_objects = Places()

    with ExitStack() as stack:
        variables = {
            "AWCL_CLUSTER_MACHINES": f'[{{"at_most": 1, "CPU": {AT_A_TIME}}}]',
            "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",  # else a busy machine's actor is not reused
        }
        stack.enter_context(patch.dict(os.environ, variables))
        stack.enter_context(patch.object(driver, "drive", drive))
        stack.enter_context(patch.object(judging, "evaluate_job", evaluate_job))
        reusing = partial(tune.TuneConfig, reuse_actors=True)
        stack.enter_context(patch.object(tune, "TuneConfig", reusing))
        stack.enter_context(patch.object(tune_controller, "_ObjectCache", Cache))
        yield


def store(plan: Any) -> None:
    """What a run of stubs leaves, put there without Ray and without a driver."""
    from awcl.study import jobs

    for trial in plan.trials:
        template = _template(trial.folder)
        (row,) = records.TrialFolder(template).history()
        start = {"time": time.time(), "launch": "launch-stub", "places": 1, "code": "stub"}
        trial.folder.append_start(start)
        for epoch in range(1, EPOCHS + 1):
            trial.folder.append_history(row | {"epoch": epoch, "time": time.time()})
        _store_checkpoint(trial.folder, template, EPOCHS)
        trial.folder.write_done("finished", epoch=EPOCHS)
        for evaluation in plan.missing_of(trial):
            evaluate_job(jobs.evaluation_job(evaluation, plan), cpus=1, gpus=0)
