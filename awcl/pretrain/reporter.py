"""Where a run's metrics and checkpoints go: the loop knows this interface and nothing behind it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from awcl import checkpoints
from awcl.errors import InputError
from awcl.files import (
    AnyPath,
    put_in_place,
    read_json,
    remove_folder,
    scratch_folder,
    whole_file,
    write_json,
)
from awcl.pretrain import machine

Save = Callable[[Path], None]


class Reporter(Protocol):
    """Called equally on every worker; what is written, rank 0 writes."""

    def start(self) -> Path | None:
        """The complete checkpoint to go on from, or None."""
        ...

    def epoch(self, metrics: dict[str, Any], save: Save) -> None:
        """After each epoch. `save(folder)` writes a checkpoint into an empty folder."""
        ...

    def notice(self) -> bool:
        """Whether this machine, or that of another worker, will go soon; each notice counts once.

        Asked every few steps, so it must be quick, and must not wait for the device.
        """
        ...

    def partial(self, epochs: int, steps: int, save: Save) -> None:
        """On a notice, after so many epochs and steps of the next: saves a partial checkpoint."""
        ...


def write_checkpoint(run: AnyPath, name: str, save: Save) -> None:
    """Puts a checkpoint into a run's folder, whole or not at all."""
    with scratch_folder(run) as part:
        save(part)
        remove_folder(run / name)  # a broken one that was set aside
        put_in_place(part, run / name)


class FolderReporter:
    """A plain folder: checkpoints RUN/epoch_0007, metrics RUN/history.jsonl, RUN/TRIAL.json.

    about: what the run is; another run's folder is refused. keep: newest checkpoints kept.
    log: called with each epoch's metrics. notice: `Reporter.notice`; none where nobody gives one.
    """

    def __init__(
        self,
        run: Path,
        about: dict[str, Any],
        keep: int = 2,
        log: Callable[[dict[str, Any]], None] = lambda metrics: None,
        notice: Callable[[], bool] = lambda: False,
    ):
        self.run, self.about, self.keep, self.log = Path(run), about, keep, log
        self.notice = notice

    def start(self) -> Path | None:
        trial = self.run / "TRIAL.json"
        if trial.is_file():
            _refuse_other(read_json(trial), self.about, trial)
        elif machine.place()[0] == 0:
            write_json(trial, self.about)
        checkpoint = checkpoints.newest(self.run, partial=True, deep=False)
        if machine.place()[0] == 0:
            epochs = (
                [] if checkpoint is None else read_json(checkpoint / checkpoints.HISTORY)["epochs"]
            )
            with whole_file(self.run / "history.jsonl") as part:
                part.write_text("".join(json.dumps(row) + "\n" for row in epochs))
        machine.barrier()
        return checkpoint

    def epoch(self, metrics: dict[str, Any], save: Save) -> None:
        if machine.place()[0] == 0:
            self._write(metrics, save)
        machine.barrier()

    def partial(self, epochs: int, steps: int, save: Save) -> None:
        if machine.place()[0] == 0:
            write_checkpoint(self.run, checkpoints.folder_name(epochs, steps), save)

    def _write(self, metrics: dict[str, Any], save: Save) -> None:
        write_checkpoint(self.run, checkpoints.folder_name(metrics["epoch"]), save)
        with open(self.run / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        # Later ones are broken; the run gets there again.
        checkpoints.prune(self.run, self.keep, up_to=metrics["epoch"], deep=False)
        self.log(metrics)


def _refuse_other(found: dict[str, Any], wanted: dict[str, Any], where: Path) -> None:
    if found["key"] != wanted["key"]:
        there, asked = _dotted(found["config"]), _dotted(wanted["config"])
        differing = [
            f"{name} {there.get(name)!r} there, {asked.get(name)!r} asked for"
            for name in {**asked, **there}
            if there.get(name) != asked.get(name)
        ]
        reason = "; ".join(differing) or "the frames or the taxonomy differ"
        raise InputError(f"{where}: another run is in this folder ({reason}); choose another --out")


def _dotted(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in data.items():
        whole = f"{prefix}{name}"
        out.update(_dotted(value, f"{whole}.") if isinstance(value, dict) else {whole: value})
    return out
