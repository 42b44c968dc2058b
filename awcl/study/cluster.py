"""The Ray that a study runs on: which one, and how much fits it at a time."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from awcl.errors import InputError
from awcl.study.space import Resources
from awcl.study.stages import Stages

# What a trial's driver asks for: next to nothing, so that drivers never take workers' cores.
DRIVER = {"TRAIN_DRIVER": 0.01}
DRIVER_WITHOUT_OURS = {"CPU": 0.01}  # on a cluster that somebody else started
GROWS = "AWCL_CLUSTER_MACHINES"
LOWER = "lower pretrain.workers or the study's resources"


@contextmanager
def ray_session(stages: Stages) -> Iterator[None]:
    """The Ray that is there (RAY_ADDRESS, or already initialised), else one on this machine."""
    stages.begin("ray", "starting")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its tables; ours says more in fewer lines
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # else Ctrl-C ends `fit` like success
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # A trial is 5 processes, most of them idle; else the raylet warns of them on small machines.
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "16")
    if ray.is_initialized():
        yield
        return
    on_sigterm = signal.getsignal(signal.SIGTERM)
    _init_ray()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's prints a stack and aborts
    try:
        yield
    finally:
        ray.shutdown()


def _init_ray() -> None:
    if "RAY_ADDRESS" in os.environ:
        ray.init(logging_level="ERROR", log_to_driver=False)
        return
    # Else the process of an evaluation ends at once, and the next one imports all over again.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "120000")
    # A process a trial less; this machine gives no notice before it goes.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    try:
        ray.init(
            address="local",
            include_dashboard=False,  # ten processes that nothing here asks
            resources={"TRAIN_DRIVER": 1000},
            object_store_memory=200 * 2**20,  # frames come from the pack, not from Ray
            logging_level="ERROR",
            log_to_driver=False,
        )
    except Exception as error:  # Ray raises no narrower one where its processes are 30 s late
        reason = str(error).partition(". ")[0]
        raise InputError(
            f"Ray did not start on this machine ({reason}); where other work keeps it busy, run "
            "the study again later: what is stored stays"
        ) from error


def drivers_ask_for() -> dict[str, float]:
    """The resources of a trial's driver on this cluster."""
    return DRIVER if "TRAIN_DRIVER" in ray.cluster_resources() else DRIVER_WITHOUT_OURS


def slots(asked: Resources, workers: int) -> int:
    """How many trials fit, so that none holds a part of what it needs and waits for the rest."""
    fit = fitting(asked, workers, drivers_ask_for(), f"a trial ({workers} workers)")
    return min(fit, asked.concurrent or fit)


def fitting(asked: Resources, workers: int, driver: dict[str, float], what: str) -> int:
    """How often it fits the cluster as it is, or as it will be when its machines come: those wait
    until work waits. Raises InputError where it never does.
    """
    clusters = _machines()
    fit = max(_fitting(machines, asked, workers, driver) for machines in clusters)
    if fit:
        return fit
    for name, need in {"CPU": asked.cpus * workers, "GPU": asked.gpus * workers}.items():
        has = max(sum(machine.get(name, 0) for machine in machines) for machines in clusters)
        if has < need + driver.get(name, 0):
            raise InputError(f"{what} asks for {need:g} {name}, the cluster has {has:g}; {LOWER}")
    raise InputError(
        f"{what} asks for {asked.cpus} CPU, {asked.gpus:g} GPU for each worker; the cluster has as "
        f"much, but not on {'one machine' if workers == 1 else 'so many machines'}; {LOWER}"
    )


def beside(asked: Resources, evaluation: Resources) -> int:
    """How many evaluations fit machines on which no worker of a trial does, as those without a card
    where a worker asks for one: they take no trial's place."""
    return max(
        sum(_workers_on(each, evaluation) for each in machines if not _workers_on(each, asked))
        for machines in _machines()
    )


def _machines() -> list[list[dict[str, float]]]:
    """What each machine offers: of the cluster as it is, and of the cluster when it has grown.

    Ray does not say how far a cluster grows, so its files do (GROWS): the kinds of machine, and how
    many there are `at_most` of each.
    """
    there = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kinds = json.loads(os.environ.get(GROWS, "[]"))
    return [there, [kind for kind in kinds for _ in range(kind["at_most"])]]


def _fitting(
    machines: list[dict[str, float]], asked: Resources, workers: int, driver: dict[str, float]
) -> int:
    """How often these workers fit, each on one machine, beside their driver anywhere."""
    places = sum(_workers_on(machine, asked) for machine in machines) // workers
    cores = sum(machine.get("CPU", 0) for machine in machines)
    return min(places, int(cores // (asked.cpus * workers + driver.get("CPU", 0))))


def _workers_on(machine: dict[str, float], asked: Resources) -> int:
    """A fraction of a card is of one card: of two cards 0.6 each serve two workers, not three."""
    places = int(machine.get("CPU", 0) // asked.cpus)
    if asked.gpus:
        places = min(places, int(machine.get("GPU", 0)) * int(1 / asked.gpus))
    return places
