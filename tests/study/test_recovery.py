"""Whatever dies of a trial and when, what is stored in the end is as if nothing had.

No Ray: what a worker, a trial's driver and a study's driver do to storage, in their order.
"""

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from awcl import checkpoints, complete
from awcl.files import read_json, write_json
from awcl.pretrain.reporter import write_checkpoint
from awcl.records import StudyFolder, TrialFolder

EPOCHS = 5
DEATHS = (
    "in an epoch",
    "in a checkpoint",  # while it is written
    "in an upload",  # files copied in any order, COMPLETE.json before others
    "before it is told",
    "in a line",  # that tells it
    "between epochs",
)

launches = st.lists(
    st.tuples(
        st.integers(0, EPOCHS - 1),  # whole epochs before it dies
        st.sampled_from(DEATHS),
        st.sampled_from(
            [None, checkpoints.STATE, checkpoints.HISTORY, checkpoints.ENCODER]
        ),  # spoilt later
    ),
    max_size=6,
)


def row(epoch: int) -> dict:
    return {"epoch": epoch, "time": float(epoch), "val/proxy": epoch / 10}


def saved(history: list[dict]):
    """What writes a checkpoint's files."""

    def save(folder: Path) -> None:
        for name in (checkpoints.ENCODER, checkpoints.STATE):
            (folder / name).write_bytes(bytes([len(history)]) * 100)
        write_json(folder / checkpoints.HISTORY, {"epochs": history})
        complete.mark(folder)

    return save


def launch(study: StudyFolder, trial: TrialFolder, name: str, epochs: int, death: str) -> None:
    """Trains for some whole epochs from what is stored, and dies in the next one."""
    study.catch_up()
    run = trial.train / name
    newest = checkpoints.newest(trial.train)
    history = read_json(newest / checkpoints.HISTORY)["epochs"] if newest else []
    for _ in range(min(epochs, EPOCHS - len(history))):
        history.append(row(len(history) + 1))
        write_checkpoint(run, checkpoints.folder_name(len(history)), saved(history))
        trial.append_history(history[-1])
        checkpoints.prune(trial.train, keep=2, up_to=len(history))
    if len(history) < EPOCHS:
        die(trial, run, [*history, row(len(history) + 1)], death)


def die(trial: TrialFolder, run: Path, history: list[dict], death: str) -> None:
    """Leaves what a process leaves that dies at this point of an epoch."""
    place = run / checkpoints.folder_name(len(history))
    lines = trial.path / "history.jsonl"
    if death == "in a checkpoint":
        part = run / ".0123456789ab.part"
        part.mkdir(parents=True, exist_ok=True)
        (part / checkpoints.ENCODER).write_bytes(b"half")
    elif death == "in an upload":
        write_checkpoint(run, place.name, saved(history))
        (place / checkpoints.STATE).unlink()
    elif death in ("before it is told", "in a line"):
        write_checkpoint(run, place.name, saved(history))
    if death == "in a line":
        with lines.open("a") as file:
            file.write('{"epoch": ')


def spoil(trial: TrialFolder, name: str | None) -> None:
    """Cuts a file of the newest complete checkpoint."""
    newest = checkpoints.newest(trial.train) if name else None
    if newest:
        os.truncate(newest / name, 1)


@settings(deadline=None)
@given(launches)
def test_any_sequence_of_epochs_checkpoints_crashes_and_restarts_ends_in_one_history(sequence):
    with tempfile.TemporaryDirectory() as folder:
        study = StudyFolder(Path(folder) / "study")
        trial = study.trial("abc")
        trial.write_about({"key": "abc"})
        for number, (epochs, death, spoilt) in enumerate(sequence):
            launch(study, trial, f"launch-{number}", epochs, death)
            spoil(trial, spoilt)
        launch(study, trial, "last", EPOCHS, "between epochs")
        study.catch_up()
        assert trial.history() == [row(epoch) for epoch in range(1, EPOCHS + 1)]
        assert checkpoints.epoch_of(trial.checkpoint()) == EPOCHS
        stored = read_json(trial.checkpoint() / checkpoints.HISTORY)["epochs"]
        assert stored == trial.history()
