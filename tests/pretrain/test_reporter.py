"""The folder reporter: what it keeps, what it goes on from, what it refuses."""

import json
import os
from pathlib import Path

import pytest

from awcl import checkpoints, complete
from awcl.config import TrialConfig, with_values
from awcl.errors import InputError
from awcl.pretrain.reporter import FolderReporter


def about(**values) -> dict:
    changed = {name.replace("__", "."): value for name, value in values.items()}
    config = with_values(TrialConfig(), changed, "test").model_dump(mode="json")
    return {"key": str(hash(str(config))), "config": config}


def run_epochs(reporter: FolderReporter, first: int, last: int) -> None:
    """What the loop does, without training."""
    for epoch in range(first, last + 1):

        def save(folder: Path, epoch: int = epoch) -> None:
            (folder / checkpoints.STATE).write_text(f"state {epoch}")
            rows = [{"epoch": e, "loss": e / 10} for e in range(1, epoch + 1)]
            (folder / checkpoints.HISTORY).write_text(json.dumps({"epochs": rows}))
            complete.mark(folder)

        reporter.epoch({"epoch": epoch, "loss": epoch / 10}, save)


def kept(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir() if path.is_dir())


def history(run: Path) -> list[int]:
    lines = (run / "history.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


def test_a_new_run_starts_from_nothing(tmp_path):
    reporter = FolderReporter(tmp_path / "run", about())
    assert reporter.start() is None
    assert json.loads((tmp_path / "run" / "TRIAL.json").read_text()) == about()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_checkpoints_are_kept(tmp_path, keep):
    reporter = FolderReporter(tmp_path, about(), keep=keep)
    reporter.start()
    run_epochs(reporter, 1, 5)
    assert kept(tmp_path) == [f"epoch_000{e}" for e in range(6 - keep, 6)]
    assert FolderReporter(tmp_path, about()).start() == tmp_path / "epoch_0005"
    assert history(tmp_path) == [1, 2, 3, 4, 5]


def test_runs_in_folders_of_this_one_are_left_alone(tmp_path):
    """`--out runs` after `--out runs/a`: its checkpoints are no start for this one, and stay."""
    inner = FolderReporter(tmp_path / "a", about(seed=1))
    inner.start()
    run_epochs(inner, 1, 2)
    outer = FolderReporter(tmp_path, about(seed=2), keep=1)
    assert outer.start() is None and history(tmp_path) == []
    run_epochs(outer, 1, 3)
    assert kept(tmp_path / "a") == ["epoch_0001", "epoch_0002"]


def partial(reporter: FolderReporter, epochs: int, steps: int) -> Path:
    def save(folder: Path) -> None:
        (folder / checkpoints.STATE).write_text(f"state {epochs} {steps}")
        rows = [{"epoch": e} for e in range(1, epochs + 1)]
        (folder / checkpoints.HISTORY).write_text(json.dumps({"epochs": rows}))
        complete.mark(folder)

    reporter.partial(epochs, steps, save)
    return reporter.run / checkpoints.folder_name(epochs, steps)


def test_a_partial_checkpoint_is_gone_on_from_and_goes_with_the_epoch(tmp_path):
    reporter = FolderReporter(tmp_path, about(), keep=1)
    reporter.start()
    assert not reporter.notice()
    first = partial(reporter, 0, 5)
    assert FolderReporter(tmp_path, about()).start() == first
    assert history(tmp_path) == []
    run_epochs(reporter, 1, 2)
    assert kept(tmp_path) == ["epoch_0002"]
    partial(reporter, 2, 5)
    second = partial(reporter, 2, 20)
    assert kept(tmp_path) == ["epoch_0002", "epoch_0002_step_00005", "epoch_0002_step_00020"]
    again = FolderReporter(tmp_path, about(), keep=1)
    assert again.start() == second
    assert history(tmp_path) == [1, 2]
    run_epochs(again, 3, 3)
    assert kept(tmp_path) == ["epoch_0003"]


def test_a_broken_partial_checkpoint_is_set_aside_and_made_anew(tmp_path):
    reporter = FolderReporter(tmp_path, about())
    reporter.start()
    run_epochs(reporter, 1, 1)
    broken = partial(reporter, 1, 5)
    truncate(broken)
    again = FolderReporter(tmp_path, about())
    with pytest.warns(UserWarning, match="epoch_0001_step_00005 is set aside"):
        assert again.start() == tmp_path / "epoch_0001"
    partial(again, 1, 5)
    assert FolderReporter(tmp_path, about()).start() == broken


def test_each_epoch_is_logged(tmp_path):
    logged = []
    reporter = FolderReporter(tmp_path, about(), log=logged.append)
    reporter.start()
    run_epochs(reporter, 1, 2)
    assert [metrics["loss"] for metrics in logged] == [0.1, 0.2]


def truncate(checkpoint: Path) -> None:
    file = checkpoint / checkpoints.STATE
    os.truncate(file, file.stat().st_size - 1)


def corrupt(checkpoint: Path) -> None:
    (checkpoint / checkpoints.STATE).write_text("stale 5")


def without_mark(checkpoint: Path) -> None:
    (checkpoint / complete.COMPLETE).unlink()


def lost_file(checkpoint: Path) -> None:
    (checkpoint / checkpoints.HISTORY).unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate, r"state\.pt has 6 bytes of 7"),
        (corrupt, r"state\.pt is corrupt"),
        (without_mark, r"COMPLETE\.json: No such file"),
        (lost_file, r"history\.json is missing"),
    ],
)
def test_a_broken_newest_checkpoint_is_set_aside_and_the_one_before_used(tmp_path, spoil, reason):
    reporter = FolderReporter(tmp_path, about())
    reporter.start()
    run_epochs(reporter, 1, 5)
    spoil(tmp_path / "epoch_0005")
    again = FolderReporter(tmp_path, about())
    with pytest.warns(UserWarning, match=f"epoch_0005 is set aside: .*{reason}"):
        assert again.start() == tmp_path / "epoch_0004"
    assert history(tmp_path) == [1, 2, 3, 4]
    run_epochs(again, 5, 5)
    assert kept(tmp_path) == ["epoch_0004", "epoch_0005"]
    assert FolderReporter(tmp_path, about()).start() == tmp_path / "epoch_0005"
    assert (tmp_path / "epoch_0005" / checkpoints.STATE).read_text() == "state 5"


def test_broken_checkpoints_do_not_push_out_those_of_the_run_that_begins_anew(tmp_path):
    reporter = FolderReporter(tmp_path, about())
    reporter.start()
    run_epochs(reporter, 1, 5)
    truncate(tmp_path / "epoch_0004")
    truncate(tmp_path / "epoch_0005")
    again = FolderReporter(tmp_path, about())
    with pytest.warns(UserWarning, match="set aside"):
        assert again.start() is None
    assert history(tmp_path) == []
    run_epochs(again, 1, 2)
    with pytest.warns(UserWarning, match="set aside"):
        assert FolderReporter(tmp_path, about()).start() == tmp_path / "epoch_0002"
    run_epochs(again, 3, 5)
    assert kept(tmp_path) == ["epoch_0004", "epoch_0005"]


def test_a_save_that_fails_leaves_no_checkpoint_and_no_line(tmp_path):
    reporter = FolderReporter(tmp_path, about())
    reporter.start()
    run_epochs(reporter, 1, 1)

    def full(folder: Path) -> None:
        (folder / checkpoints.STATE).write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        reporter.epoch({"epoch": 2}, full)
    assert kept(tmp_path) == ["epoch_0001"]
    assert history(tmp_path) == [1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pretrain__temperature": 0.5}, r"pretrain\.temperature 0\.1 there, 0\.5 asked for"),
        ({"seed": 3}, "seed 0 there, 3 asked for"),
        (
            {"data__pretrain_where": {"machine": "A"}},
            r"data\.pretrain_where\.machine None there, \['A'\] asked for",
        ),
    ],
)
def test_another_runs_folder_is_refused_with_the_difference(tmp_path, values, said):
    FolderReporter(tmp_path, about()).start()
    other = about(**values)
    with pytest.raises(InputError, match=rf"another run .*\({said}\); .*--out"):
        FolderReporter(tmp_path, other).start()


def test_a_run_on_other_frames_is_refused(tmp_path):
    FolderReporter(tmp_path, about()).start()
    with pytest.raises(InputError, match="the frames or the taxonomy differ"):
        FolderReporter(tmp_path, {**about(), "key": "other"}).start()
