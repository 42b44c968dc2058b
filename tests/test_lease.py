"""One driver a study: of two that want it one has it, and one that lost it touches nothing."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import PurePosixPath

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from obstore.store import MemoryStore

from awcl import lease
from awcl.errors import InputError
from awcl.files import append_line, as_path, read_json, write_json
from awcl.lease import EXPIRE, RENEW, STOP, Lease, held_since, only_driver
from awcl.objects import Bucket, Closed, ObjectPath


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claim(clock):
    """claim(): another process's claim to one LEASE, and `said` on it what it told."""
    file = ObjectPath(Bucket("memory://", MemoryStore()), PurePosixPath("study/LEASE"))

    def made() -> Lease:
        said: list[str] = []
        made = Lease(file, clock, said.append)
        made.said = said
        return made

    return made


def test_the_first_has_it_and_a_second_is_refused_as_soon_as_it_is_renewed(claim, clock):
    first, second = claim(), claim()
    assert first.take()
    assert not second.take()
    clock.now += RENEW
    assert not second.take() and first.renew()
    with pytest.raises(InputError, match=rf"another process is running.*process {os.getpid()}"):
        second.take()
    first.check()
    assert first.said == [] and len(second.said) == 1


def test_a_released_one_is_taken_at_once(claim):
    first, second = claim(), claim()
    assert first.take()
    first.release()
    assert second.take() and second.said == []


def test_one_that_is_not_renewed_is_taken_over_and_its_holder_stops(claim, clock):
    first, second = claim(), claim()
    assert first.take() and not second.take()
    clock.now += EXPIRE - 1
    assert not second.take()
    clock.now += 1
    assert second.take()
    assert "not renewed for 90 s, taken over from" in second.said[-1]
    assert not first.renew()
    assert first.said == [f"{first.file} is lost, another process has taken the study over: "
                          "this process stops"]  # fmt: skip
    with pytest.raises(Closed):
        first.check()
    first.release()
    second.check()
    assert second.renew(), "what was lost is not released"


def test_the_watch_begins_with_the_first_look_whatever_the_holders_clock_says(claim, clock):
    first, second = claim(), claim()
    assert first.take()
    clock.now += 10 * EXPIRE
    assert not second.take()
    assert second.take() is False


def test_of_two_that_wait_one_takes_it_over(claim, clock):
    first, second, third = claim(), claim(), claim()
    assert first.take() and not second.take() and not third.take()
    clock.now += EXPIRE
    assert third.take()
    with pytest.raises(InputError, match="another process is running this study"):
        second.take()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(5, "no answer"), "no answer"),
        (InputError("s3://bucket: no credentials"), "s3://bucket: no credentials"),
    ],
)
def test_a_holder_whose_store_does_not_answer_stops_before_another_may_take_over(
    claim, clock, monkeypatch, error, said
):
    """Also where it is credentials that are not to be had for a moment."""
    first = claim()
    assert first.take()

    def unreachable(*_):
        raise error

    monkeypatch.setattr(ObjectPath, "replace", unreachable)
    clock.now += STOP
    assert first.renew()
    first.check()
    clock.now += 1
    assert not first.renew()
    assert f"not renewed for 70 s ({said})" in first.said[0]
    first.release()
    assert STOP + RENEW <= EXPIRE


def test_a_holder_that_slept_does_nothing_until_it_has_looked(claim, clock):
    first = claim()
    assert first.take()
    clock.now += STOP + 1
    with pytest.raises(Closed, match="no renewal in time"):
        first.check()
    assert not first.renew()


def test_a_put_whose_answer_was_lost_is_known_by_what_it_left(claim, monkeypatch):
    first = claim()
    assert first.take()
    stale = first._ours
    assert first.renew()
    text = first.file.read_bytes()
    assert first.file.replace(text, stale) == first._ours
    assert first.file.replace(b"other", stale) is None


def test_a_file_that_is_no_lease_is_told(claim):
    first = claim()
    first.file.put(b"[1]")
    with pytest.raises(InputError, match="LEASE: no LEASE of this program; remove it"):
        first.take()


PROCESS, LATER = st.integers(0, 1), st.sampled_from([0, RENEW, STOP, EXPIRE])


class Holders(RuleBasedStateMachine):
    """Two processes in any order, with any time between: each takes, renews, releases or sleeps."""

    @initialize()
    def begin(self):
        self.clock = Clock()
        self.file = ObjectPath(Bucket("memory://", MemoryStore()), PurePosixPath("LEASE"))
        self.claims = [self.new(), self.new()]
        self.held = [False, False]

    def new(self) -> Lease:
        return Lease(self.file, self.clock, lambda line: None)

    @rule(who=PROCESS, later=LATER)
    def take(self, who, later):
        self.clock.now += later
        if not self.held[who]:
            try:
                self.held[who] = self.claims[who].take()
            except InputError:
                self.claims[who] = self.new()

    @rule(who=PROCESS, later=LATER)
    def renew(self, who, later):
        self.clock.now += later
        if self.held[who] and not self.claims[who].renew():
            self.claims[who], self.held[who] = self.new(), False

    @rule(who=PROCESS)
    def release(self, who):
        if self.held[who]:
            self.claims[who].release()
            self.claims[who], self.held[who] = self.new(), False

    @invariant()
    def at_most_one_may_write(self):
        may = 0
        for claim, held in zip(self.claims, self.held, strict=True):
            if held:
                try:
                    claim.check()
                    may += 1
                except Closed:
                    pass
        assert may <= 1


TestHolders = Holders.TestCase
TestHolders.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_while_one_holds_a_folder_no_second_does_and_then_it_does(folder, monkeypatch):
    monkeypatch.setattr(lease, "RENEW", 0.2)
    monkeypatch.setattr(lease, "LOOK", 0.1)
    assert held_since(folder) is None
    before = time.time()
    with only_driver(folder):
        with (
            pytest.raises(InputError, match="another process is running this study"),
            only_driver(folder),
        ):
            pass
        assert before <= held_since(folder) <= time.time(), "who was refused has changed nothing"
        write_json(folder / "a.json", {"a": 1})
    assert held_since(folder) is None
    with only_driver(folder):
        assert read_json(folder / "a.json") == {"a": 1}


def test_a_look_at_a_folder_does_not_refuse_who_wants_it(tmp_path):
    """Such as `awcl study status`, in the same instant."""
    (tmp_path / "LEASE").touch()
    with open(tmp_path / "LEASE") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.3, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        with only_driver(tmp_path):
            assert held_since(tmp_path) is not None


def test_a_driver_that_lost_its_lease_is_interrupted_and_touches_nothing(bucket, monkeypatch):
    monkeypatch.setattr(lease, "RENEW", 0.2)
    folder = as_path(f"{bucket}/study")
    interrupted = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: interrupted.set())
    try:
        with pytest.raises(Closed), only_driver(folder):
            append_line(folder / "history.jsonl", {"epoch": 1})
            as_path(f"{folder}/LEASE").put(b'{"host": "other", "process": 1, "released": false}')
            assert interrupted.wait(10)
            with pytest.raises(Closed):
                folder.is_file()
            append_line(folder / "history.jsonl", {"epoch": 2})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert as_path(f"{folder}/history.jsonl").read_bytes() == b'{"epoch": 1}\n'
    assert read_json(as_path(f"{folder}/LEASE"))["host"] == "other"


HOLDER = """
import sys, time
from awcl import lease
from awcl.files import as_path
lease.RENEW = 0.2
with lease.only_driver(as_path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_held_is_another_s(folder, monkeypatch, capsys):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    process.kill()
    process.wait()
    monkeypatch.setattr(lease, "EXPIRE", 1.0)
    monkeypatch.setattr(lease, "LOOK", 0.1)
    began = time.monotonic()
    with only_driver(folder):
        said = capsys.readouterr().out
    if isinstance(folder, ObjectPath):
        assert time.monotonic() - began >= 1
        host = json.loads(as_path(f"{folder}/LEASE").read_text())["host"]
        assert f"taken over from {host}, process {process.pid}\n" in said
    else:
        assert said == ""


STUDY = """
import sys, time
from awcl import __main__, commands, lease
from awcl.files import as_path
lease.RENEW = 0.2

def study(options):
    with lease.only_driver(as_path(options.storage)):
        print("held", flush=True)
        time.sleep(60)

commands.study_status = study
__main__.main(["study", "status", "any", "--storage", sys.argv[1]])
"""


def test_a_command_that_lost_its_lease_ends_with_a_line_and_not_with_0(bucket):
    process = subprocess.Popen(
        [sys.executable, "-c", STUDY, f"{bucket}/study"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    as_path(f"{bucket}/study/LEASE").put(b'{"host": "other", "process": 1, "released": false}')
    said, told = process.communicate(timeout=30)
    assert said == (
        f"{bucket}/study/LEASE is lost, another process has taken the study over: "
        "this process stops\n"
    )
    assert told == "awcl: interrupted; run the same command again to go on\n"
    assert process.returncode == 130
