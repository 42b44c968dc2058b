"""Looks at the cluster while a study runs: which machines it has, which it waits for."""

import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.autoscaler.v2.schema import NodeInfo
from ray.autoscaler.v2.sdk import get_cluster_status

from awcl import costs
from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study.progress import Progress

LOOK = 10.0  # seconds between two looks; one takes 3 ms


@contextmanager
def watched(folder: StudyFolder, progress: Progress) -> Iterator[None]:
    """Stores the first look, those with other machines than before, one every costs.APART seconds,
    and the last. A look that fails is a warning: no study ends for it."""
    run, ended = time.time(), threading.Event()

    def watch() -> None:
        told: dict[str, Any] | None = None
        while True:
            over = ended.wait(LOOK if told else 0)
            try:
                look = {"time": time.time(), "run": run, **machines(), **progress.queue()}
                if over or told is None or _tells_more(told, look):
                    folder.append_machines(look)
                    told = look
            except (OSError, InputError, ray.exceptions.RayError) as error:
                warnings.warn(f"machines are not looked at: {error}", stacklevel=2)
                over = over or ended.wait(LOOK)
            if over:
                return

    watcher = threading.Thread(target=watch, name="watched-machines", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def machines() -> dict[str, dict[str, int]]:
    """machines: kind -> how many there are; asked: how many more the autoscaler has asked for."""
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    asked: Counter[str] = Counter()
    for launch in status.pending_launches:
        asked[launch.ray_node_type_name] += launch.count
    asked.update(node.ray_node_type_name for node in status.pending_nodes)
    there = Counter(kind(node) for node in [*status.active_nodes, *status.idle_nodes])
    return {"machines": dict(sorted(there.items())), "asked": dict(sorted(asked.items()))}


def kind(node: NodeInfo) -> str:
    """As the cluster's file names it; head or worker where no file does."""
    if node.ray_node_type_name != f"node_{node.node_id}":  # what Ray calls one without a name
        return node.ray_node_type_name
    return "head" if "node:__internal_head__" in node.total_resources() else "worker"


def _tells_more(told: dict[str, Any], look: dict[str, Any]) -> bool:
    same = all(told[name] == look[name] for name in ("machines", "asked"))
    return not same or look["time"] - told["time"] > costs.APART - LOOK
