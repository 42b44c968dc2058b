"""What MLflow takes for what a trial writes: into a SQLite file, and through a server to one.

A study of stub trials is stored without a driver (`stub.store`) and then written by
`awcl study sync` into both, empty before. Both are on this machine, so no network's delay is in it.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import Missing, Run
from benchmarks.scaling import stub
from benchmarks.scaling.driver import counted

TRIALS, FRAMES = 60, 80
PATIENCE = 600.0  # seconds for a server to come up, on a machine that does other work


def measure(run: Run) -> dict[str, Any]:
    """Of each: seconds of the wall, of this process's processor and of the server's; calls."""
    from awcl.study.plan import held, make_plan

    table, storage = stub.prepared(run.folder, FRAMES, "test_resnet")
    plan = make_plan(stub.study(run.size(TRIALS, 4), "test_resnet"), table, storage)
    with held(plan):
        stub.store(plan)
        found = {"SQLite": _written(plan, f"sqlite:///{run.folder / 'file.db'}")}
        with server(run.folder) as (uri, process):
            before = _seconds(process)
            found["server"] = _written(plan, uri)
            found["server"]["server's processor"] = round(_seconds(process) - before, 3)
    return {"trials": len(plan.trials), "epochs": stub.EPOCHS, "of": found}


def _written(plan: Any, uri: str) -> dict[str, Any]:
    from awcl.tracking import Tracker

    calls: Counter[str] = Counter()
    tracker = Tracker(uri, plan.folder, goes_on=False)
    with counted(calls):
        wall, processor = time.perf_counter(), time.process_time()
        tracker.sync()
        took = time.perf_counter() - wall, time.process_time() - processor
    if tracker.failed:
        raise RuntimeError(f"{uri}: {tracker.failed}")
    return {"wall": round(took[0], 3), "processor": round(took[1], 3), "calls": dict(calls)}


def _seconds(process: psutil.Process) -> float:
    """Of the processor, by a process and what it has started."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of an `mlflow server` on a SQLite file, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
        "--backend-store-uri", f"sqlite:///{folder / 'served.db'}", "--workers", "1",
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    log, quiet = folder / "server.log", {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, env=os.environ | quiet, stdout=out, stderr=out, start_new_session=True
        )
    uri, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while not _answers(uri):
            if process.poll() is not None or time.monotonic() > end:
                raise Missing(f"mlflow server did not come up:\n{log.read_text()[-1000:]}")
            time.sleep(0.5)
        yield uri, psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=20) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
