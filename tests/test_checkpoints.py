"""When a checkpoint counts as complete, and which one is the newest."""

import warnings
from pathlib import Path

import pytest
from made_checkpoints import checkpoint, cut, damage, flip, halve

from awcl import checkpoints, complete
from awcl.errors import InputError
from awcl.files import as_path, put_in_place, scratch_folder
from awcl.records import TrialFolder

BROKEN = [
    ("encoder.safetensors", "unlink", "encoder.safetensors is missing"),
    ("state.pt", "unlink", "state.pt is missing"),
    ("history.json", "unlink", "history.json is missing"),
    ("COMPLETE.json", "unlink", "COMPLETE.json: No such file"),
    ("encoder.safetensors", cut, "encoder.safetensors has 17 bytes of 18"),
    ("state.pt", flip, r"state.pt is corrupt \(sha256 differs\)"),
    ("encoder.safetensors", flip, r"encoder.safetensors is corrupt \(sha256 differs\)"),
    ("COMPLETE.json", halve, "COMPLETE.json: not a JSON file"),
    ("COMPLETE.json", lambda _: b"[]", "COMPLETE.json: holds no JSON object"),
    ("COMPLETE.json", lambda _: b'{"files": []}', "COMPLETE.json lists no files"),
    ("COMPLETE.json", lambda _: b'{"files": {}}', "COMPLETE.json lists no files"),
    (
        "COMPLETE.json",
        lambda _: b'{"files": {"state.pt": 5}}',
        "COMPLETE.json lists no files",
    ),
]


@pytest.mark.parametrize(("name", "how", "said"), BROKEN)
def test_a_broken_checkpoint_is_passed_with_a_warning(folder, tmp_path, name, how, said):
    """In a store some of what is broken shows only in a copy on this machine."""
    older, newer = checkpoint(folder, 1), checkpoint(folder, 2)
    copy = tmp_path / "copy"
    assert complete.why_not(newer) is None
    assert checkpoints.newest(folder) == newer
    assert checkpoints.newest(folder, copy=copy).name == newer.name
    file = newer / name
    file.unlink() if how == "unlink" else damage(file, how)
    with pytest.warns(UserWarning, match=f"epoch_0002 is set aside: .*{said}") as told:
        found = checkpoints.newest(folder, copy=copy)
    assert found.name == older.name and complete.why_not(found) is None
    assert "\n" not in str(told[0].message)
    assert isinstance(found, Path)


def test_what_is_opened_is_on_this_machine_and_whole(folder):
    made = checkpoint(folder, 1)
    with checkpoints.opened(made) as local:
        assert complete.why_not(local) is None and isinstance(local, Path)


def test_a_corrupt_copy_of_a_checkpoint_is_refused(bucket):
    made = checkpoint(as_path(bucket), 1)
    damage(made / checkpoints.STATE, flip)
    with (
        pytest.raises(InputError, match=r"epoch_0001: state.pt is corrupt"),
        checkpoints.opened(made),
    ):
        pass


def test_the_newest_is_found_whichever_launch_wrote_it(tmp_path):
    checkpoint(tmp_path / "launch-2", 9)
    newest = checkpoint(tmp_path / "launch-1", 10)
    (tmp_path / "epoch_0011").write_text("a file, no folder")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoints.newest(tmp_path) == newest


def test_no_checkpoint_is_none(folder):
    assert checkpoints.newest(folder / "absent") is None


def test_a_partial_checkpoint_is_the_newest_only_for_a_run_that_goes_on(folder):
    """It stands between whole epochs, also where folders would sort otherwise."""
    launch, partial = folder / "launch", True
    begun = checkpoint(folder, 0, step=10)
    assert checkpoints.newest(folder) is None
    assert checkpoints.newest(folder, partial=partial) == begun
    sixth = checkpoint(launch, 6)
    early, late = (checkpoint(folder, 6, step=step) for step in (90_000, 100_000))
    assert checkpoints.newest(folder) == sixth
    assert checkpoints.newest(folder, partial=partial) == late
    assert [checkpoints.epoch_of(path) for path in (sixth, early, begun)] == [6, 6, 0]
    damage(late / checkpoints.STATE, cut)
    with pytest.warns(UserWarning, match="epoch_0006_step_100000 is set aside"):
        assert checkpoints.newest(folder, partial=partial) == early
    assert checkpoints.newest(folder) == sixth
    seventh = checkpoint(launch, 7)
    assert checkpoints.newest(folder, partial=partial) == seventh
    assert checkpoints.newest(folder, up_to=6) == sixth


def test_the_digest_is_of_the_weights_alone(folder):
    one, two = checkpoint(folder / "a", 1), checkpoint(folder / "b", 1, epochs=[1, 2])
    assert checkpoints.digest(one) == checkpoints.digest(two)
    assert checkpoints.digest(one) != checkpoints.digest(checkpoint(folder, 2))
    assert len(checkpoints.digest(one)) == 12


def test_a_copy_beside_a_checkpoint_is_no_checkpoint(folder):
    kept = checkpoint(folder, 3)
    for name in ("epoch_0003.bak", "epoch_0009_old", "epoch_last"):
        with scratch_folder(folder) as part:
            (part / "file").write_bytes(b"x")
            put_in_place(part, folder / name)
    assert checkpoints.all_of(folder) == [kept]


def test_pruning_keeps_the_newest_of_all_launches(folder):
    trial = TrialFolder(folder / "k")
    for launch, epochs in (("a", (1, 2)), ("b", (3, 10))):
        for epoch in epochs:
            checkpoint(trial.train / launch, epoch)
    for epoch, step in ((3, 10), (10, 10), (10, 20)):
        checkpoint(trial.train, epoch, step=step)
    checkpoints.prune(trial.train, keep=2, up_to=10)
    kept = [p.name for launch in "ab" for p in (trial.train / launch).glob("*")]
    assert sorted(kept) == ["epoch_0003", "epoch_0010"]
    partial = ["epoch_0010_step_00010", "epoch_0010_step_00020"]  # of epoch 11
    assert sorted(p.name for p in trial.train.glob("epoch_*")) == partial
    checkpoints.prune(trial.train, keep=2)
    assert not list(trial.train.glob("epoch_*"))
