"""MLflow as a projection of what storage holds. The only code that imports mlflow.

One parent run a study, one child run a trial, one writer. Everything written here is read from
storage, and what MLflow holds already is skipped: so a live study, a resumed one and a rebuild into
an empty database are the same calls. A failure of MLflow is a warning; storage has it all.
"""

import time
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from awcl.errors import InputError
from awcl.records import StudyFolder, TrialFolder
from awcl.tracking.client import reason, shown
from awcl.tracking.interrupts import to_its_end
from awcl.tracking.projection import of_study, of_trial
from awcl.tracking.runs import Runs

PAUSE = 60  # seconds without a try after a failure, so that an absent server holds up no study


def _warns(method: Callable) -> Callable:
    """Tracking never brings a study down: what it raises becomes a warning, once a message."""

    @wraps(method)
    def guarded(self: "Tracker", *args: Any) -> None:
        try:
            method(self, *args)
        except InputError:  # of our own storage
            raise
        except Exception as error:  # noqa: BLE001 - any server, driver or network may be behind it
            self.failed, self._again, self._runs = reason(error), time.monotonic() + PAUSE, None
            if self.goes_on:
                warnings.warn(
                    f"MLflow at {shown(self.uri)}: {self.failed}; the study goes on, "
                    "`awcl study sync` catches up",
                    stacklevel=2,
                )

    return guarded


class Tracker:
    """Writes one study to one MLflow server or database.

    uri: an MLflow tracking URI; artifacts of a SQLite store lie beside the database.
    goes_on: a study runs meanwhile, so that what fails is a warning of its own.
    failed: why MLflow may lack something of what it was given, or ''.
    """

    def __init__(self, uri: str, study: StudyFolder, goes_on: bool = True):
        self.uri, self.study, self.goes_on = uri, study, goes_on
        self.failed, self._again = "", 0.0
        self._runs: Runs | None = None  # None: to be read anew
        self._owed: dict[str, TrialFolder] = {}

    @_warns
    def sync(self) -> None:
        """Everything that storage holds of the study; what is pending counts as interrupted.

        Ctrl-C waits for its end: it would leave runs in MLflow that seem to go on.
        """
        to_its_end(self._write_all)
        self._owed.clear()
        self.failed = ""

    @_warns
    def start(self) -> None:
        """The study is running from now on, until the next `sync`."""
        if time.monotonic() >= self._again:
            self._open()
            self._runs.write(of_study(self.study, running=True))

    @_warns
    def trial(self, trial: TrialFolder) -> None:
        """What storage holds of one trial that runs or has ended, and MLflow does not yet."""
        self._owed[trial.key] = trial
        if time.monotonic() < self._again:
            return
        self._open()
        for key, owed in list(self._owed.items()):
            self._write(owed, running=True)
            del self._owed[key]

    @_warns
    def machines(self) -> None:
        """What storage holds of the machines of a study that runs, and MLflow does not yet."""
        if time.monotonic() >= self._again:
            self._open()
            self._runs.write(of_study(self.study, running=True))

    @_warns
    def report(self) -> None:
        """The study's report, where storage has a newer one than MLflow."""
        if time.monotonic() >= self._again:
            self._open()
            self._runs.write(of_study(self.study, running=False))

    def _write_all(self) -> None:
        self._runs = Runs(self.uri, self.study)  # a call that was cut off may have got through
        self._runs.write(of_study(self.study, running=False))
        for trial in self.study.trials():
            self._write(trial, running=False)

    def _open(self) -> None:
        if self._runs is None:
            self._runs = Runs(self.uri, self.study)
            self._runs.write(of_study(self.study, running=True))

    def _write(self, trial: TrialFolder, running: bool) -> None:
        run = of_trial(self.study, trial, running)
        if run is not None:
            self._runs.write(run)
