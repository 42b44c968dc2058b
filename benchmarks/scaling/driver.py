"""What a study's driver costs a trial, in processor, memory and calls, by the number of trials.

The stages of `awcl study run` one after the other, each timed, on stubs (stub.py): plan, take and
fill the study's folder, execute, table, report; then the same command again with nothing left to
do, and a rebuild of MLflow in an empty database.
"""

import resource
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from benchmarks.harness import Run
from benchmarks.scaling import stub
from benchmarks.scaling.clock import Clock

BACKBONE, FRAMES = "resnet18", 200
LOOKS = 10  # at memory, over a run


def measure(run: Run, trials: int) -> dict[str, Any]:
    """Figures of a study of so many stub trials. The times of a stage are (wall, processor)."""
    from awcl.study.plan import held, make_plan
    from awcl.study.stages import Stages
    from awcl.tracking import Tracker

    backbone = "test_resnet" if run.smoke else BACKBONE
    table, storage = stub.prepared(run.folder, FRAMES, backbone)
    study, stages = stub.study(trials, backbone), Times()
    with stages.of("plan"):
        plan = make_plan(study, table, storage)
    if len(plan.trials) != trials:
        raise RuntimeError(f"{len(plan.trials)} trials, not {trials}: some of the points are equal")
    executed = _execute(plan, Tracker(_database(storage, "live"), plan.folder), stages)
    with stages.of("table"):
        _table(plan.folder)
    with stages.of("report"):
        _report(plan.folder)
    with stages.of("plan again"):
        again = make_plan(study, table, storage)
    with stages.of("run again"), held(again):
        _executor().execute(again, Tracker(_database(storage, "live"), again.folder), Stages())
    with stages.of("MLflow anew"):
        Tracker(_database(storage, "anew"), again.folder, goes_on=False).sync()
    about = {"trials": trials, "epochs": stub.EPOCHS}
    return {**about, "stages": stages.seconds, "peaks": stages.peaks, **executed}


def _execute(plan: Any, tracker: Any, stages: "Times") -> dict[str, Any]:
    """Runs a plan on stubs; where the seconds of its main thread went, memory, calls to MLflow."""
    from awcl.study.cluster import ray_session
    from awcl.study.plan import held
    from awcl.study.stages import Stages

    clock, memory, calls = Clock(), Memory(len(plan.trials)), Counter()
    with ExitStack() as stack:
        stack.enter_context(stub.in_place())
        stack.enter_context(ray_session(Stages()))
        for one in _timed(clock):
            stack.enter_context(one)
        stack.enter_context(memory.at_each_end())
        stack.enter_context(counted(calls))
        with stages.of("folder"):
            stack.enter_context(held(plan))
        with stages.of("execute"), clock.running("Tune, Ray, the rest"):
            _executor().execute(plan, tracker, Stages())
        freeing = _look_at_groups()
    if any(trial.folder.outcome != "finished" for trial in plan.trials):
        raise RuntimeError("not every stub trial finished")
    return {
        "parts": {name: spent.as_dict() for name, spent in clock.spent.items()},
        "memory": memory.seen,
        "mlflow_calls": dict(calls),
        "look_at_groups": freeing,
    }


def _timed(clock: Clock) -> list[Any]:
    """Patches under which each part of the driver's main thread is timed."""
    from awcl.study import tuning
    from awcl.study.evaluating import Evaluations
    from awcl.tracking import Tracker

    recorder = ("on_trial_start", "on_trial_result", "on_trial_complete")
    return [
        *(clock.on(tuning.Recorder, name, "our records") for name in recorder),
        *(clock.on(Evaluations, name, "evaluations") for name in ("begin", "collect", "finish")),
        clock.on(Tracker, "trial", "MLflow"),
    ]


def _executor() -> Any:
    from awcl.study import executor

    return executor


def _table(folder: Any) -> None:
    from awcl.study.table import render

    render(folder, details=True)


def _report(folder: Any) -> None:
    from awcl.report.writing import write

    write(folder)


def _database(storage: Path, name: str) -> str:
    return f"sqlite:///{storage / name}.db"


def _look_at_groups() -> float:
    """Seconds of a look at Ray's placement groups, which a run takes twice a second, at its end."""
    from awcl.study import freeing

    began = time.thread_time()
    freeing._of_controllers()
    return round(time.thread_time() - began, 5)


class Times:
    """Of each stage: seconds of the wall, and of this process on all of its threads; the most
    bytes that were resident until its end."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}
        self.peaks: dict[str, int] = {}

    @contextmanager
    def of(self, name: str):
        wall, processor = time.perf_counter(), time.process_time()
        yield
        took = time.perf_counter() - wall, time.process_time() - processor
        self.seconds[name] = round(took[0], 3), round(took[1], 3)
        self.peaks[name] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Memory:
    """Resident bytes of the driver, and of Ray's process of cluster state (GCS), as trials end.

    seen: (trials ended, bytes of the driver, bytes of the GCS).
    """

    def __init__(self, trials: int) -> None:
        self.every = max(1, trials // LOOKS)
        self.seen: list[tuple[int, int, int]] = []
        self.ended = 0

    @contextmanager
    def at_each_end(self):
        from awcl.study import tuning

        original = tuning.Recorder._ended

        def ended(recorder: Any, stored: Any) -> None:
            original(recorder, stored)
            self.ended += 1
            if self.ended % self.every == 0:
                self.look()

        with patch.object(tuning.Recorder, "_ended", ended):
            yield

    def look(self) -> None:
        here = psutil.Process()
        states = [p for p in here.children(recursive=True) if p.name().startswith("gcs_server")]
        sizes = (p.memory_info().rss for p in (here, *states[:1]))
        self.seen.append((self.ended, *sizes))


@contextmanager
def counted(calls: Counter):
    """Meanwhile each call of an MLflow client is counted by its name."""
    from awcl.tracking import runs

    original = runs.connect
    with patch.object(runs, "connect", lambda uri: Counted(original(uri), calls)):
        yield


class Counted:
    """Anything, with its calls counted."""

    def __init__(self, counted_one: Any, calls: Counter):
        self._one, self._calls = counted_one, calls

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._one, name)
        if callable(value):
            self._calls[name] += 1
        return value
