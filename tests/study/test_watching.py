"""Looks at the cluster while a study runs: what is stored, when, and that none ends a study."""

import threading
import time
import warnings
from itertools import pairwise

import pytest
from ray.autoscaler.v2.schema import (
    ClusterStatus,
    LaunchRequest,
    NodeInfo,
    NodeUsage,
    ResourceUsage,
)

from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study import watching
from awcl.study.progress import Course, Progress
from awcl.study.watching import watched


@pytest.fixture
def study(tmp_path) -> StudyFolder:
    return StudyFolder(tmp_path / "s")


def progress() -> Progress:
    courses = {"a": Course(0, 4, started=1.0), "b": Course(0, 4), "c": Course(4, 4, ended=True)}
    return Progress({**courses, "d": Course(0, 4)}, 1, None, 0, now=0)


class Cluster:
    """machines() as a cluster tells it; counts how often it was asked."""

    def __init__(self, monkeypatch):
        self.now, self.asked = {"machines": {"head": 1}, "asked": {}}, 0
        monkeypatch.setattr(watching, "machines", self.machines)
        monkeypatch.setattr(watching, "LOOK", 0.01)

    def machines(self) -> dict:
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def seen(self, times: int = 2) -> None:
        """Waits until it was looked at again."""
        until, end = self.asked + times, time.monotonic() + 60
        while self.asked < until and time.monotonic() < end:
            time.sleep(0.005)
        assert self.asked >= until


def test_the_first_look_each_change_and_the_last_are_stored(study, monkeypatch):
    cluster = Cluster(monkeypatch)
    began = time.time()
    with watched(study, progress()):
        cluster.seen(10)
        cluster.now = {"machines": {"head": 1}, "asked": {"gpu-workers": 2}}
        cluster.seen()
        cluster.now = {"machines": {"gpu-workers": 2, "head": 1}, "asked": {}}
        cluster.seen(10)
    looks = study.machines()
    assert [look["machines"] for look in looks] == [
        {"head": 1}, {"head": 1}, *[{"gpu-workers": 2, "head": 1}] * 2,
    ]  # fmt: skip
    assert [look["asked"] for look in looks] == [{}, {"gpu-workers": 2}, {}, {}]
    assert {(look["running"], look["waiting"]) for look in looks} == {(1, 2)}
    assert len({look["run"] for look in looks}) == 1
    assert began <= looks[0]["run"] <= looks[0]["time"] < looks[-1]["time"] <= time.time()
    assert "watched-machines" not in [thread.name for thread in threading.enumerate()]


def test_what_does_not_change_is_stored_now_and_then(study, monkeypatch):
    cluster = Cluster(monkeypatch)
    monkeypatch.setattr(watching.costs, "APART", 0.2)
    with watched(study, progress()):
        time.sleep(1)
        cluster.seen()
    times = [look["time"] for look in study.machines()]
    gaps = [after - before for before, after in pairwise(times)]
    assert 2 <= len(times) <= 8 and all(gap >= 0.19 for gap in gaps[:-1])


@pytest.mark.parametrize("error", [OSError("gone"), InputError("store away")])
def test_a_look_that_fails_is_a_warning_and_the_study_goes_on(study, monkeypatch, error):
    cluster = Cluster(monkeypatch)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with watched(study, progress()):
            cluster.now = error
            cluster.seen(3)
            cluster.now = {"machines": {"head": 1, "late": 1}, "asked": {}}
            cluster.seen(3)
    assert study.machines()[-1]["machines"] == {"head": 1, "late": 1}
    assert any("machines are not looked at" in str(warning.message) for warning in told)


def node(name: str, number: int, head: bool = False) -> NodeInfo:
    usage = [ResourceUsage("CPU", total=4.0, used=0.0)]
    usage += [ResourceUsage("node:__internal_head__", total=1.0, used=0.0)] * head
    return NodeInfo(
        instance_type_name="",
        ray_node_type_name=name or f"node_{number}",
        instance_id="",
        ip_address="",
        node_status="IDLE",
        node_id=str(number),
        resource_usage=NodeUsage(usage=usage, idle_time_ms=0),
    )


def test_machines_are_called_as_the_clusters_file_does_else_head_and_worker(monkeypatch):
    launch = LaunchRequest("", "gpu-workers", 2, LaunchRequest.Status.PENDING, 0)
    status = ClusterStatus(
        active_nodes=[node("gpu-workers", 1), node("", 2)],
        idle_nodes=[node("", 3, head=True), node("gpu-workers", 4)],
        pending_launches=[launch],
        pending_nodes=[node("gpu-workers", 5), node("cpu-workers", 6)],
    )
    monkeypatch.setattr(watching, "get_cluster_status", lambda address: status)
    monkeypatch.setattr(
        watching.ray, "get_runtime_context", lambda: type("Context", (), {"gcs_address": "a"})
    )
    assert watching.machines() == {
        "machines": {"gpu-workers": 2, "head": 1, "worker": 1},
        "asked": {"cpu-workers": 1, "gpu-workers": 3},
    }


@pytest.mark.slow
def test_a_ray_of_one_machine_has_a_head_and_asks_for_none(shared_ray):
    assert watching.machines() == {"machines": {"head": 1}, "asked": {}}
