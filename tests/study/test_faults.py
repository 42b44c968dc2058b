"""What dies or breaks of a study and of a running trial."""

import os
import signal
import sqlite3

import pytest
from disturbing import LONG, one_trial, started, undisturbed, wait_for, without_times
from processes import of_session

from awcl import checkpoints, complete

EPOCHS = 5
pytestmark = pytest.mark.slow


def test_after_the_driver_and_then_a_worker_were_killed_all_is_as_if_nothing_had(
    long_epoch, tmp_path, same_threads_after
):
    """SIGKILL of the driver with its Ray, as a power cut would, in the second epoch. The same
    command goes on from there; then SIGKILL of the training worker, after its newest checkpoint
    was cut off: it starts again from the newest whole one."""
    trial, command = one_trial(tmp_path, long_epoch, epochs=EPOCHS, retries=2)
    log = tmp_path / "log"
    with started(command, log) as study:
        wait_for(trial.folder.history, study, log)
    stored = trial.folder.history()
    assert trial.folder.done is None

    with started(command, log) as study:
        wait_for(lambda: len(trial.folder.history()) >= max(2, len(stored) + 1), study, log)
        told = trial.folder.history()
        assert told[: len(stored)] == stored
        newest = checkpoints.newest(trial.folder.train)
        os.truncate(newest / checkpoints.STATE, 1000)
        (worker,) = [p for p in of_session(study.pid) if "RayTrainWorker" in " ".join(p.cmdline())]
        worker.send_signal(signal.SIGKILL)
        wanted = undisturbed(trial, tmp_path / "undisturbed")
        assert study.wait(LONG) == 0, log.read_text()

    assert trial.folder.history()[: len(told)] == told  # an epoch trained twice is told once
    assert without_times(trial.folder.history()) == without_times(wanted)
    assert trial.folder.done == {"outcome": "finished", "epoch": EPOCHS}
    assert len(trial.folder.starts()) == 2  # the worker was restarted within the trial
    assert complete.why_not(trial.folder.checkpoint()) is None
    assert len(trial.folder.evaluations()) == 1
    points = sqlite3.connect(tmp_path / "mlflow.db").execute(
        "select count(*), count(distinct step) from metrics where key = 'val/proxy' "
        "group by run_uuid"
    )
    assert list(points) == [(EPOCHS, EPOCHS)]
