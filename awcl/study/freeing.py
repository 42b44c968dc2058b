"""What trials hold of the cluster, and how what one held that ended abruptly is freed."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray._private.state import state as cluster_state
from ray.core.generated.gcs_pb2 import ActorTableData, PlacementGroupTableData
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, remove_placement_group

EVERY = 0.5  # seconds between two looks
AT_THE_END = 10.0  # seconds that a trial stopped last has to die


@contextmanager
def freed_places() -> Iterator[None]:
    """Removes, as long as this lasts, each placement group of this job whose creator is dead.

    A trial that is stopped is killed, and the placement group of its workers outlives Train's
    controller that made it: Ray removes it with the whole job only, and the study would wait for
    ever for cores that nobody uses. Train's own cleaner is left out (`awcl.study.driver.Trainer`):
    it asks a dashboard, which may be late or another cluster's. This asks the cluster's own table,
    which says of each group who made it.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY):
            _remove_orphans()

    watcher = threading.Thread(target=watch, name="freed-places", daemon=True)
    watcher.start()
    try:
        yield
        end = time.monotonic() + AT_THE_END
        while _of_controllers() and time.monotonic() < end:
            time.sleep(EVERY)
    finally:
        ended.set()
        watcher.join()


def placed() -> int | None:
    """How many trials' workers have their places: others wait for machines. None where the cluster
    does not answer just now."""
    try:
        groups = _of_controllers()
    except RayError:
        return None
    return sum(group.state == PlacementGroupTableData.CREATED for group in groups)


def _remove_orphans() -> None:
    for group in _of_controllers():
        if group.creator_actor_dead or _is_dead(ray.ActorID(group.creator_actor_id)):
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))


def _is_dead(creator: ray.ActorID) -> bool:
    """By the table of actors: that of groups does not say so of one that came after the death.

    A controller that is killed lives on for a moment, sees that its workers are gone, and asks for
    places for others.
    """
    told = cluster_state._connect_and_get_accessor().get_actor_info(creator)
    return told is None or ActorTableData.FromString(told).state == ActorTableData.DEAD


def _of_controllers() -> list[PlacementGroupTableData]:
    """The placement groups there are that an actor of this job made; Tune's own have no actor."""
    job = ray.get_runtime_context().get_job_id()
    table = cluster_state._connect_and_get_accessor().get_placement_group_table()
    return [
        group
        for group in map(PlacementGroupTableData.FromString, table)
        if group.state != PlacementGroupTableData.REMOVED
        and group.creator_job_id.hex() == job
        and not ray.ActorID(group.creator_actor_id).is_nil()
    ]
