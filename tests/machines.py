"""Ray's view of a cluster of several machines, which are processes of this one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2
from ray.experimental import internal_kv


@contextmanager
def three_machines(failures: int) -> Iterator[Cluster]:
    """A node for drivers, and two with a core each.

    failures: how often a node may fail to answer before it is dead, every 3 s.
    """
    others = internal_kv.internal_kv_get_gcs_client()
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "resources": {"TRAIN_DRIVER": 1000},
            "include_dashboard": False,
            "_system_config": {"health_check_failure_threshold": failures},
        },
    )
    try:
        for _ in range(2):
            one_more(made)
        yield made
    finally:
        made.shutdown()
        if others is not None:  # of the Ray that tests of this process share: it was taken away
            internal_kv._initialize_internal_kv(others)


def one_more(cluster: Cluster) -> Any:
    """A node with a core, in the cluster from now on."""
    return cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)


def busy_nodes(cluster: Cluster) -> list[Any]:
    """The nodes whose core is taken."""
    free = cluster.global_state.available_resources_per_node()
    return [node for node in cluster.worker_nodes if free[node.node_id].get("CPU", 0) < 1]


def drain(cluster: Cluster, node: Any, seconds: float) -> float:
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
