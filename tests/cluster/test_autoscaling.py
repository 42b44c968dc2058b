"""Machines that come when trials wait for them and go when idle: Ray's autoscaler, fake machines.

The node types are those of aws.yaml; a provider of Ray's own for tests starts a raylet of this
machine where AWS would start a virtual one. Such a raylet claims a card that is not there. So the
trial asks for processor cores, which the head does not have either.
"""

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import ray
from disturbing import LONG, a_study, started, wait_for
from ray._private.services import get_node_ip_address
from ray.autoscaler._private.fake_multi_node.node_provider import (
    FAKE_HEAD_NODE_ID,
    FAKE_HEAD_NODE_TYPE,
)
from ray.autoscaler.v2.sdk import get_cluster_status

pytestmark = pytest.mark.slow

FAKES = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
AT_MOST = 2
IDLE = 12  # seconds after which a machine without work goes


@pytest.fixture
def launcher_file(of_launcher, tmp_path) -> Path:
    """aws.yaml with fake machines: its GPU workers, small ones, and another provider."""
    workers = of_launcher["aws"]["available_node_types"]["gpu-workers"]
    workers = workers | {
        "max_workers": AT_MOST,
        "resources": {"CPU": 1, "GPU": 1},
        "node_config": {},
    }
    head = of_launcher["aws"]["available_node_types"]["head"]
    file = tmp_path / "fake.yaml"
    file.write_text(
        json.dumps(
            of_launcher["aws"]
            | {
                "provider": {
                    "type": "external",
                    "module": FAKES,
                    "launch_multiple": True,
                    "disable_node_updaters": True,  # nobody goes there by ssh
                    "disable_launch_config_check": True,
                    "head_node_id": FAKE_HEAD_NODE_ID,
                    "gcs_address": f"{get_node_ip_address()}:{free_port()}",
                },
                "available_node_types": {
                    FAKE_HEAD_NODE_TYPE: head | {"max_workers": 0, "node_config": {}},
                    "gpu-workers": workers,
                },
                "head_node_type": FAKE_HEAD_NODE_TYPE,
                "max_workers": AT_MOST,
                "idle_timeout_minutes": IDLE / 60,
                "docker": {},
                "file_mounts": {},
                # what `ray up` adds on its way
                "cluster_synced_files": [],
                "rsync_exclude": [],
                "rsync_filter": [],
                "file_mounts_sync_continuously": False,
            }
        )
    )
    return file


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return one.getsockname()[1]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for Ray's own, of a short name, since a socket's may have 107 letters. In the usual
    one this Ray would become the one that others of this machine find."""
    with TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def head(launcher_file, scratch, tmp_path) -> Iterator[str]:
    """The address of a head as `ray up` starts one."""
    config = json.loads(launcher_file.read_text())
    address = config["provider"]["gcs_address"]
    offered = config["available_node_types"][FAKE_HEAD_NODE_TYPE]["resources"]
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
        f"--port={address.rpartition(':')[2]}", f"--autoscaling-config={launcher_file}",
        f"--num-cpus={offered['CPU']}",
        f"--resources={json.dumps({'TRAIN_DRIVER': offered['TRAIN_DRIVER']})}",
        "--include-dashboard=false", f"--ray-client-server-port={free_port()}",
        "--disable-usage-stats", f"--object-store-memory={100 * 2**20}", f"--temp-dir={scratch}",
    ]  # fmt: skip
    environment = {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        "RAY_AUTH_MODE": "disabled",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    with started(command, tmp_path / "head.log", **environment) as process:
        wait_for(lambda: answers(address), process, tmp_path / "head.log")
        yield address


def answers(address: str) -> bool:
    try:
        return get_cluster_status(address) is not None
    except (RuntimeError, ray.exceptions.RayError):
        return False


def workers(address: str) -> int:
    """How many GPU workers run."""
    status = get_cluster_status(address)
    nodes = [*status.active_nodes, *status.idle_nodes]
    return sum(node.ray_node_type_name == "gpu-workers" for node in nodes)


def test_machines_come_for_a_pending_study_and_go_after_it(head, tiny_table, tmp_path):
    """Two trials, each of which fills a machine: 0 machines, 2, and 0 again."""
    frames = tmp_path / "frames.parquet"
    tiny_table.write(frames)
    plan, command = a_study(tmp_path, frames, trials=2, epochs=2, retries=0)
    machines = json.dumps([{"at_most": AT_MOST, "CPU": 1, "GPU": 1}])
    environment = {
        "RAY_ADDRESS": head, "RAY_AUTH_MODE": "disabled", "AWCL_CLUSTER_MACHINES": machines,
    }  # fmt: skip
    log, seen = tmp_path / "log", [workers(head)]
    with started(command, log, **environment) as study:
        while study.poll() is None:
            seen.append(workers(head))
            time.sleep(0.5)
        assert study.returncode == 0, log.read_text()
    end = time.time() + LONG
    while seen[-1] and time.time() < end:
        seen.append(workers(head))
        time.sleep(0.5)
    assert seen[0] == 0 and max(seen) == AT_MOST and seen[-1] == 0
    assert seen[seen.index(AT_MOST) :] == sorted(seen[seen.index(AT_MOST) :], reverse=True)
    for trial in plan.trials:
        assert trial.folder.done == {"outcome": "finished", "epoch": 2}
        assert len(trial.folder.evaluations()) == 1
