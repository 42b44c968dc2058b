"""What dies or breaks within a running trial."""

import os
import signal

import pytest
from disturbing import LONG, one_trial, started, undisturbed, wait_for, without_times
from processes import of_session

from awcl import records

pytestmark = pytest.mark.slow


def test_a_killed_worker_starts_again_from_the_newest_whole_checkpoint(
    long_epoch, tmp_path, same_threads_after
):
    """SIGKILL of the training worker, after its newest checkpoint was cut off."""
    trial, command = one_trial(tmp_path, long_epoch, epochs=4, retries=2)
    log = tmp_path / "log"
    with started(command, log) as study:
        wait_for(lambda: len(trial.folder.history()) >= 2, study, log)
        told = trial.folder.history()
        newest = records.newest_checkpoint(trial.folder.train)
        os.truncate(newest / records.STATE, 1000)
        (worker,) = [p for p in of_session(study.pid) if "RayTrainWorker" in " ".join(p.cmdline())]
        worker.send_signal(signal.SIGKILL)
        wanted = undisturbed(trial, tmp_path / "undisturbed")
        assert study.wait(LONG) == 0, log.read_text()

    assert trial.folder.history()[: len(told)] == told  # an epoch trained twice is told once
    assert without_times(trial.folder.history()) == without_times(wanted)
    assert trial.folder.done == {"outcome": "finished", "epoch": 4}
    assert len(trial.folder.starts()) == 1  # restarted within the trial
    assert records.why_incomplete(trial.folder.checkpoint()) is None
    assert len(trial.folder.evaluations()) == 1
