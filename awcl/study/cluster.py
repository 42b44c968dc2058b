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
    # A process a trial less; this machine gives no notice before it goes.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    ray.init(
        address="local",
        include_dashboard=True,
        resources={"TRAIN_DRIVER": 1000},
        object_store_memory=200 * 2**20,  # frames come from the pack, not from Ray
        logging_level="ERROR",
        log_to_driver=False,
    )


def drivers_ask_for() -> dict[str, float]:
    """The resources of a trial's driver on this cluster."""
    return DRIVER if "TRAIN_DRIVER" in ray.cluster_resources() else DRIVER_WITHOUT_OURS


def slots(asked: Resources, workers: int) -> int:
    """How many trials fit, so that none holds a part of what it needs and waits for the rest."""
    fit = fitting(asked, workers, drivers_ask_for(), f"a trial ({workers} workers)")
    return min(fit, asked.concurrent or fit)


def _there() -> dict[str, float]:
    """What the cluster has, or will have when its machines come: those wait until work waits.

    Ray does not say how far a cluster grows, so its files do (AWCL_CLUSTER_LIMITS).
    """
    limits = json.loads(os.environ.get("AWCL_CLUSTER_LIMITS", "{}"))
    there = ray.cluster_resources()
    return there | {name: max(most, there.get(name, 0)) for name, most in limits.items()}


def fitting(asked: Resources, workers: int, driver: dict[str, float], what: str) -> int:
    """How often it fits the cluster. Raises InputError where it never does."""
    there = _there()
    fit = []
    for name, need in {"CPU": asked.cpus * workers, "GPU": asked.gpus * workers}.items():
        if need:
            fit.append(int(there.get(name, 0) // (need + driver.get(name, 0))))
            if fit[-1] == 0:
                raise InputError(
                    f"{what} asks for {need:g} {name}, the cluster has {there.get(name, 0):g}; "
                    "lower pretrain.workers or the study's resources"
                )
    return min(fit)
