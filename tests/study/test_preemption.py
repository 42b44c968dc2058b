"""A machine that is taken away on short notice, as spot machines are, of a cluster of three."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from awcl import records
from awcl.config import RunConfig
from awcl.data.table import FrameTable
from awcl.downstream.diagnostics import Diagnostics
from awcl.downstream.proxy import Proxy
from awcl.files import read_json
from awcl.pretrain.loop import pretrain
from awcl.pretrain.reporter import FolderReporter
from awcl.pretrain.trial import about
from awcl.study import recipes
from awcl.study.plan import Trial, make_plan
from awcl.taxonomy import Taxonomy

pytestmark = pytest.mark.slow

RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Resources, Study

def study():
    values = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 4,
              "pretrain.epochs": 2, "pretrain.precision": "float32"}
    return Study(name="spot", base=with_values(TrialConfig(), values, "test"), proxy_level="fine",
                 tasks=["planes"], resources=Resources(retries=0))
"""
STEPS, LONG = 240, 240  # of an epoch; seconds
TIMES = {"time", "seconds", "images_per_second", "data_wait"}


@pytest.fixture
def long_epoch(tiny_table, tmp_path) -> Path:
    """A frame table of which an epoch is so long that a machine can go in the middle of it."""
    frames = tiny_table.frames
    copies = [frames[frames["split"] != "train"]]
    for number in range(40):
        copy = frames[frames["split"] == "train"].copy()
        copies.append(copy.assign(frame_id=copy["frame_id"] + f"_{number}"))
    table = FrameTable.build(pd.concat(copies), Taxonomy.load(), "test")
    table.write(tmp_path / "frames.parquet")
    return tmp_path / "frames.parquet"


@pytest.fixture
def cluster(monkeypatch):
    """A node for drivers, and two with a core each."""
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.2")
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "resources": {"TRAIN_DRIVER": 1000},
            "include_dashboard": False,
            "_system_config": {"health_check_failure_threshold": 30},  # a slow machine is alive
        },
    )
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    yield made
    made.shutdown()


@pytest.fixture
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@contextmanager
def started(command: list[str], cluster: Cluster, log: Path) -> Iterator[subprocess.Popen]:
    with log.open("w") as out:
        env = {**os.environ, "RAY_ADDRESS": cluster.address}
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(what: Callable[[], object], process: subprocess.Popen, log: Path) -> None:
    end = time.time() + LONG
    while not what():
        assert process.poll() is None and time.time() < end, log.read_text()
        time.sleep(0.05)


def busy_node(cluster: Cluster):
    """The node whose core is taken."""
    free = cluster.global_state.available_resources_per_node()
    (busy,) = [node for node in cluster.worker_nodes if free[node.node_id].get("CPU", 0) < 1]
    return busy


def drain(cluster: Cluster, node, seconds: float) -> float:
    """Announces that a node will be taken away; the time at which it will, since 1970."""
    end = time.time() + seconds
    accepted, why = GcsClient(address=cluster.gcs_address).drain_node(
        node.node_id,
        autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION,
        "spot",
        int(end * 1000),
    )
    assert accepted, why
    return end


def undisturbed(trial: Trial, folder: Path) -> list[dict]:
    """The history of the trial without Ray."""
    taxonomy = Taxonomy.load()
    evaluators = [Proxy(trial.pack, taxonomy, "fine", {}), Diagnostics(trial.pack, "ultrasound")]
    reporter = FolderReporter(folder, about(trial.config, trial.pack))
    run = RunConfig(threads=1, device="cpu")
    return pretrain(trial.config, trial.pack, taxonomy, reporter, evaluators, run)


def partial(trial: Trial) -> list[Path]:
    return list(trial.folder.train.glob("epoch_0001_step_*"))


def without_times(history: list[dict]) -> list[dict]:
    return [{name: v for name, v in row.items() if name not in TIMES} for row in history]


def test_a_trial_saves_at_once_and_goes_on_elsewhere_from_that_step(
    cluster, long_epoch, tmp_path, same_threads_after
):
    """The checkpoint of the epoch before is spoilt meanwhile: what goes on, goes on from the step.

    retries is 0: a machine that goes is no failure of the trial.
    """
    recipe, log = tmp_path / "spot.py", tmp_path / "log"
    recipe.write_text(RECIPE)
    (trial,) = make_plan(recipes.load(str(recipe)), long_epoch, tmp_path).trials
    command = [sys.executable, "-m", "awcl", "study", "run", str(recipe)]
    command += ["--frames", str(long_epoch), "--storage", str(tmp_path)]
    with started(command, cluster, log) as study:
        wanted = undisturbed(trial, tmp_path / "undisturbed")
        wait_for(trial.folder.history, study, log)
        (first,) = trial.folder.history()
        node = busy_node(cluster)
        end = drain(cluster, node, 0.6 * first["seconds"])
        wait_for(lambda: partial(trial), study, log)
        assert time.time() < end
        assert 0 < int(partial(trial)[0].name[-5:]) < STEPS
        (whole,) = trial.folder.train.glob("*/epoch_0001")
        os.truncate(whole / records.STATE, 1000)
        time.sleep(max(0, end + 0.5 - time.time()))
        cluster.remove_node(node)
        assert study.wait(LONG) == 0, log.read_text()

    lines = (trial.folder.path / "history.jsonl").read_text().splitlines()
    assert without_times(map(json.loads, lines)) == without_times(wanted)
    assert trial.folder.done == {"outcome": "finished", "epoch": 2}
    assert len(trial.folder.evaluations()) == 1
    stored = read_json(trial.folder.checkpoint() / records.HISTORY)["epochs"]
    assert without_times(stored) == without_times(wanted)
    assert not partial(trial)
    assert (whole / records.STATE).stat().st_size == 1000  # epoch 1 was not trained again
