"""Packs come to each machine's disk once and whole, whatever happens on their way."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from faulty_store import FaultyStore, running
from stored import contents

from awcl import complete, objects
from awcl.errors import InputError
from awcl.files import AnyPath, as_path, write_json
from awcl.study import packs, staging, transfer
from awcl.study.staging import staged

DIGEST = "0123456789ab"
SHARDS = [f"shard-{number:05d}.npy" for number in range(6)]
BYTES = 20_000  # of a shard
LONG = 240  # seconds
OUTSIDE = {"../x": {"bytes": 1, "sha256": ""}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE", 0)
    monkeypatch.setattr(objects, "GIVE_UP", timedelta(seconds=1))


@pytest.fixture
def store(s3_server, monkeypatch) -> FaultyStore:
    """Stands between this test's programs and the object store."""
    with running(s3_server) as faulty:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
        yield faulty


@pytest.fixture
def folders(tmp_path) -> Callable[..., Path]:
    """Makes folders that are packs as far as staging goes."""

    def make(digest: str = DIGEST, names: list[str] = SHARDS) -> Path:
        folder = tmp_path / "made" / digest
        folder.mkdir(parents=True)
        rng = random.Random(digest)
        for name in names:
            (folder / name).write_bytes(rng.randbytes(BYTES))
        write_json(folder / "PACK.json", {"digest": digest, "files": dict.fromkeys(names, BYTES)})
        complete.mark(folder)
        return folder

    return make


@pytest.fixture
def source(folders, bucket, store) -> AnyPath:
    """The same pack in the store."""
    packs._put(folders(), as_path(f"{bucket}/packs/{DIGEST}"))
    store.asked.clear()
    return as_path(f"{bucket}/packs/{DIGEST}")


def stage(source: AnyPath, disk: Path) -> Path:
    return staged(source, disk, lambda there, total: None)


def fetched(store: FaultyStore) -> list[int]:
    """How often each shard was asked for."""
    return [store.asked["GET", name] for name in SHARDS]


STAGE = """
import sys, time
from pathlib import Path
from awcl.files import as_path
from awcl.study.staging import staged
print("ready", flush=True)
sys.stdin.readline()
there = staged(as_path(sys.argv[1]), Path(sys.argv[2]), lambda there, total: None)
print("staged", there, flush=True)
sys.stdin.readline()
"""


class Node:
    """A process of a machine whose disk is a folder; it stages at `go`, and holds the pack then."""

    def __init__(self, source: AnyPath, disk: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE, str(source), str(disk)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def staged(self) -> Path:
        """Waits until it has."""
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("staged "):
                return Path(line.removeprefix("staged ").strip())
        raise AssertionError("".join(said))

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.kill()


@pytest.mark.slow
def test_two_machines_with_three_processes_each_fetch_every_shard_once_a_machine(
    source, store, folders, tmp_path
):
    disks = [tmp_path / "one", tmp_path / "two"]
    processes = [Node(source, disk) for disk in disks for _ in range(3)]
    store.held = {SHARDS[2]}
    for process in processes:
        process.go()
    assert store.holding.wait(LONG)
    store.let_go.set()
    assert {process.staged() for process in processes} == {
        disk / "staged" / DIGEST for disk in disks
    }
    assert fetched(store) == [2] * len(SHARDS)
    for disk in disks:
        assert contents(disk / "staged" / DIGEST) == contents(tmp_path / "made" / DIGEST)
    for process in processes:
        process.kill()


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_middle_leaves_whole_shards_and_the_next_goes_on(
    source, store, tmp_path
):
    store.held = {SHARDS[4]}
    part = tmp_path / "staged" / f".{DIGEST}.part"
    with Node(source, tmp_path) as node:
        node.go()
        assert store.holding.wait(LONG)
        whole = [*SHARDS[:4], SHARDS[5]]
        while {file.name for file in part.glob("shard*")} < {*whole}:
            assert node.process.poll() is None
            time.sleep(0.01)
        node.kill()
    store.let_go.set()
    assert not (tmp_path / "staged" / DIGEST).exists()
    assert all((part / name).stat().st_size == BYTES for name in whole)

    store.asked.clear()
    there = stage(source, tmp_path)
    assert fetched(store) == [0, 0, 0, 0, 1, 0]
    assert contents(there) == contents(tmp_path / "made" / DIGEST)


def test_a_transfer_cut_in_the_middle_keeps_what_is_whole_and_goes_on_there(
    source, store, tmp_path, monkeypatch
):
    store.cut = {SHARDS[1]}
    with pytest.raises(OSError, match=SHARDS[1]) as caught:
        stage(source, tmp_path)
    assert "\n" not in str(caught.value)
    part = tmp_path / "staged" / f".{DIGEST}.part"
    assert not (tmp_path / "staged" / DIGEST).exists()
    assert all(file.stat().st_size == BYTES for file in part.glob("shard*"))
    there = {file.name for file in part.iterdir()}
    assert SHARDS[1] not in there and not any(name.startswith(".") for name in there)

    store.cut.clear()
    store.asked.clear()
    assert contents(stage(source, tmp_path)) == contents(tmp_path / "made" / DIGEST)
    assert fetched(store) == [int(name not in there) for name in SHARDS]


def test_a_shard_that_comes_corrupt_is_fetched_again(source, store, tmp_path, capsys):
    store.spoiled[SHARDS[3]] = transfer.TRIES - 1
    assert contents(stage(source, tmp_path)) == contents(tmp_path / "made" / DIGEST)
    assert fetched(store) == [1, 1, 1, transfer.TRIES, 1, 1]
    said = capsys.readouterr().out
    assert said.count(f"{SHARDS[3]}: ") == said.count("fetching it again") == transfer.TRIES - 1


def test_a_shard_that_is_corrupt_in_the_store_is_one_clear_line(source, store, tmp_path):
    shard = source / SHARDS[3]
    shard.put(b"x" * BYTES)
    with pytest.raises(InputError) as caught:
        stage(source, tmp_path)
    assert str(caught.value) == (
        f"pack {source}: {SHARDS[3]} is corrupt (sha256 differs), fetched {transfer.TRIES} times; "
        f"remove {source}, and the study's next run puts it there again"
    )
    assert not (tmp_path / "staged" / DIGEST).exists()
    assert not (tmp_path / "staged" / f".{DIGEST}.part" / SHARDS[3]).exists()

    shard.put(tmp_path / "made" / DIGEST / SHARDS[3])
    assert contents(stage(source, tmp_path)) == contents(tmp_path / "made" / DIGEST)


def test_a_pack_comes_from_a_folder_that_machines_share_too(folders, tmp_path):
    shared = folders()
    assert contents(stage(shared, tmp_path / "disk")) == contents(shared)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / complete.COMPLETE).unlink(), "COMPLETE.json: No such file or directory;"),
        (lambda f: (f / SHARDS[0]).unlink(), f"{SHARDS[0]} is missing; remove"),
        (lambda f: os.truncate(f / SHARDS[0], 9), f"{SHARDS[0]} is corrupt (sha256 differs)"),
        (
            lambda f: write_json(f / complete.COMPLETE, {"files": OUTSIDE}),
            "COMPLETE.json lists '../x', no plain name",
        ),
        (lambda f: f.rename(f.with_name("ba9876543210")), "holds another pack; remove"),
    ],
)  # fmt: skip
def test_what_is_not_that_pack_is_refused_in_a_line(spoil, said, folders, tmp_path):
    shared = folders()
    spoil(shared)
    [shared] = (tmp_path / "made").iterdir()
    with pytest.raises(InputError) as caught:
        stage(shared, tmp_path / "disk")
    assert said in str(caught.value) and str(shared) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [file.name for file in (tmp_path / "disk/staged").glob("[!.]*")] == []


def test_a_pack_that_was_damaged_on_the_disk_is_mended(source, store, tmp_path):
    there = stage(source, tmp_path)
    os.truncate(there / SHARDS[2], 5)
    store.asked.clear()
    assert contents(stage(source, tmp_path)) == contents(tmp_path / "made" / DIGEST)
    assert fetched(store) == [0, 0, 1, 0, 0, 0]


# --- room ----------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Path:
    """A disk with room for two packs and a half."""
    whole = int(2.5 * len(SHARDS) * BYTES)
    monkeypatch.setattr(staging, "_free", lambda folder: whole - held_bytes(folder))
    return tmp_path / "disk"


def held_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def forgetful(monkeypatch):
    """Lets go of packs as the end of this process would."""

    def forget() -> None:
        for lock in staging._in_use.values():
            lock.close()
        staging._in_use.clear()

    monkeypatch.setattr(staging, "_in_use", {})
    yield forget
    forget()


def test_the_pack_that_was_not_read_for_longest_makes_room(disk, folders, forgetful):
    sources = [folders(f"{number:012x}") for number in range(3)]
    first, second = (stage(source, disk) for source in sources[:2])
    forgetful()
    for age, pack in enumerate((second, first)):  # read again since: the first
        os.utime(staging._lock(pack, "lock"), (age, age))
    third = stage(sources[2], disk)
    assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
    assert contents(first) == contents(sources[0])


@pytest.mark.slow
def test_a_pack_in_use_is_never_removed_and_a_full_disk_is_a_line(disk, folders, forgetful):
    sources = [folders(f"{number:012x}") for number in range(3)]
    with Node(sources[0], disk) as reader:
        reader.go()
        first = reader.staged()
        second = stage(sources[1], disk)
        with pytest.raises(InputError) as caught:
            stage(sources[2], disk)
        said = str(caught.value)
        assert said.startswith(f"pack {2:012x} needs 120 kB more in {disk}/staged of ")
        assert said.endswith("free; make room, or give another disk (resources.node_disk)")
        assert contents(first) == contents(sources[0]) and contents(second) == contents(sources[1])
        reader.kill()
    assert stage(sources[2], disk).exists() and not first.exists() and second.exists()


FULL = """
import sys
from pathlib import Path
from awcl.errors import InputError
from awcl.study import staging
staging._free = lambda folder: 10**9  # somebody else fills the disk meanwhile
try:
    staging.staged(Path(sys.argv[1]), Path(sys.argv[2]), lambda there, total: None)
except InputError as error:
    print("InputError", error)
"""


def test_a_disk_that_others_fill_meanwhile_is_a_line(folders, tmp_path):
    """On a file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=64k tmpfs "{disk}" && exec "$@"'
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets its users mount nothing")
    done = subprocess.run(
        [*alone, sys.executable, "-c", FULL, str(folders()), str(disk)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"InputError pack {DIGEST} needs 120 kB more in"), done


# --- where a study's pack is ---------------------------------------------------------------------


def test_a_pack_is_read_where_it_lies_unless_a_disk_is_named(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("SCRATCH", str(tmp_path / "disk"))
    shared = folders()

    def found(node_disk: str | None) -> Path:
        return packs.fetched(shared, str(shared), node_disk, lambda there, total: None)

    assert found(None) == shared
    assert found("$SCRATCH/mine") == tmp_path / "disk/mine/staged" / DIGEST
    for wrong in ("scratch", "$NO_SUCH_VARIABLE", "/x/$NO_SUCH_VARIABLE"):
        with pytest.raises(InputError, match=r"resources.node_disk '.*give an absolute path"):
            found(wrong)
    with pytest.raises(InputError, match=r"is not on .*; give --storage a URL, or a folder that"):
        packs.fetched(tmp_path / "absent", str(tmp_path / "absent"), None, lambda a, b: None)


def test_a_put_that_was_broken_off_goes_on_with_the_next_shard(folders, bucket, store):
    folder, final = folders(), as_path(f"{bucket}/packs/{DIGEST}")
    for name in SHARDS[:3]:
        (final / name).put(folder / name)
    (final / SHARDS[3]).put(b"of another size")
    store.asked.clear()
    packs._put(folder, final)
    assert [store.asked["PUT", name] for name in SHARDS] == [0, 0, 0, 1, 1, 1]
    assert {str(name) for name in final.sizes()} == {*contents(folder)}
