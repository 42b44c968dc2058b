"""MLflow goes away in the middle of a study and comes back: the study goes on, nothing is lost."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings

import pytest
from recorded import add, evaluated, held, start, stored_points, train

from awcl import tracking
from awcl.tracking import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Server:
    """An `mlflow server` on a free port, which can be killed and started again."""

    def __init__(self, folder, database: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
        server += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
        self.command = [*server, "--host", "127.0.0.1", "--port", str(self.port)]
        self.log = folder / "server.log"

    def start(self) -> None:
        with self.log.open("a") as log:
            jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self.process = subprocess.Popen(
                self.command,
                start_new_session=True,
                stdout=log,
                stderr=log,
                env={**os.environ, **jobs},
            )
        end = time.monotonic() + 600
        while not self._answers():
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.5)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=20) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """With the workers that it started, which are a group of their own."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path, another_uri):
    made = Server(tmp_path, another_uri("server.db"))
    made.start()
    yield made
    made.kill()


def test_a_server_that_is_killed_and_comes_back_holds_it_all(
    server, study, another_uri, monkeypatch
):
    monkeypatch.setattr(tracking, "PAUSE", 0)
    one, two = add(study, "k1"), add(study, "k2")
    tracker = Tracker(server.uri, study)
    tracker.sync()
    tracker.start()
    for trial in (one, two):
        train(trial, 2)
        tracker.trial(trial)
    assert not tracker.failed
    assert held(server.uri)["k2"]["status"] == "RUNNING"

    server.kill()
    train(one, 3)
    one.write_done("finished", epoch=3)
    evaluated(one)
    began = time.monotonic()
    with pytest.warns(UserWarning, match="the study goes on"):
        tracker.trial(one)
    assert time.monotonic() - began < 120, "it holds up the study no longer than that"
    train(two, 3)

    server.start()
    train(two, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tracker.trial(two)
        live = held(server.uri)
        assert (live["k1"]["status"], live["k2"]["status"]) == ("FINISHED", "RUNNING")
        assert [point[2] for point in live["k2"]["points"] if point[1] == "loss"] == [1, 2, 3, 4]
        two.write_done("stopped", epoch=4, reason="below the cutoff")
        tracker.sync()

    rebuilt = another_uri("rebuilt.db")
    Tracker(rebuilt, study).sync()
    assert held(server.uri) == held(rebuilt)
    assert stored_points(f"sqlite:///{study.path.parents[1] / 'server.db'}") == 7 * 4 + 3


def test_a_database_that_another_holds_is_waited_for(uri, study):
    """For less than the 20 seconds that MLflow waits for a lock."""
    trial = add(study, "k1", 1)
    tracker = Tracker(uri, study)
    tracker.trial(trial)
    train(trial, 2)
    file = uri.removeprefix("sqlite:///")
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(4, lambda: other.execute("ROLLBACK")).start()
    began = time.monotonic()
    tracker.trial(trial)
    assert time.monotonic() - began > 2, "it was held"
    assert not tracker.failed
    assert [point[2] for point in held(uri)["k1"]["points"] if point[1] == "loss"] == [1, 2]
    other.close()


def test_a_database_that_stays_locked_is_caught_up_with(
    uri, study, another_uri, monkeypatch, capfd
):
    monkeypatch.setattr(tracking, "PAUSE", 0)
    trial = add(study, "k1", 1)
    tracker = Tracker(uri, study)
    tracker.start()
    other = sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.warns(UserWarning, match="database is locked; the study goes on"):
        tracker.trial(trial)
    assert "Traceback" not in capfd.readouterr().err
    other.execute("ROLLBACK")
    other.close()
    start(trial, code="0.1.0+def")
    train(trial, 2)
    tracker.trial(trial)
    trial.write_done("finished", epoch=2)
    tracker.sync()
    assert not tracker.failed
    rebuilt = another_uri("rebuilt.db")
    Tracker(rebuilt, study).sync()
    assert held(uri) == held(rebuilt)
