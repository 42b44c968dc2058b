"""A machine that is taken away, as spot machines are, of a cluster of three.

One that vanishes without a word is in tests/cluster/test_three_nodes.py.
"""

import json
import os
import time
from pathlib import Path

import pytest
from disturbing import LONG, STEPS, one_trial, started, undisturbed, wait_for, without_times
from machines import busy_nodes, drain, three_machines
from ray.cluster_utils import Cluster

from awcl import checkpoints
from awcl.files import read_json
from awcl.study.plan import Trial

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.2")
    with three_machines(failures=30) as made:  # a slow machine is alive
        yield made


def busy_node(cluster: Cluster):
    """The node that trains the only trial."""
    (busy,) = busy_nodes(cluster)
    return busy


def partial(trial: Trial) -> list[Path]:
    return list(trial.folder.train.glob("epoch_0001_step_*"))


def test_a_trial_saves_at_once_and_goes_on_elsewhere_from_that_step(
    cluster, long_epoch, tmp_path, same_threads_after
):
    """The checkpoint of the epoch before is spoilt meanwhile: what goes on, goes on from the step.

    retries is 0: a machine that goes is no failure of the trial.
    """
    trial, command = one_trial(tmp_path, long_epoch, epochs=2, retries=0)
    log = tmp_path / "log"
    with started(command, log, RAY_ADDRESS=cluster.address) as study:
        wanted = undisturbed(trial, tmp_path / "undisturbed")
        wait_for(trial.folder.history, study, log)
        (first,) = trial.folder.history()
        node = busy_node(cluster)
        end = drain(cluster, node, 0.6 * first["seconds"])
        wait_for(lambda: partial(trial), study, log)
        assert time.time() < end
        assert 0 < int(partial(trial)[0].name[-5:]) < STEPS
        (whole,) = trial.folder.train.glob("*/epoch_0001")
        os.truncate(whole / checkpoints.STATE, 1000)
        time.sleep(max(0, end + 0.5 - time.time()))
        cluster.remove_node(node)
        assert study.wait(LONG) == 0, log.read_text()

    lines = (trial.folder.path / "history.jsonl").read_text().splitlines()
    assert without_times(map(json.loads, lines)) == without_times(wanted)
    assert trial.folder.done == {"outcome": "finished", "epoch": 2}
    assert len(trial.folder.evaluations()) == 1
    stored = read_json(trial.folder.checkpoint() / checkpoints.HISTORY)["epochs"]
    assert without_times(stored) == without_times(wanted)
    assert not partial(trial)
    assert (whole / checkpoints.STATE).stat().st_size == 1000  # epoch 1 was not trained again
