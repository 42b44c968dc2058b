"""Ctrl-C and SIGTERM wait for the end of what must not be cut off, and are never lost."""

import os
import signal
import sqlite3
import threading
import time

import pytest

from awcl.tracking.interrupts import HEARD, to_its_end

NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def handlers():
    """As the command sets them; they are the same afterwards."""

    def raises(number, frame):
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, raises) for number in NUMBERS}
    yield
    after = [signal.signal(number, handler) for number, handler in before.items()]
    assert after == [raises, raises]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_signal_is_told_and_answered_at_the_end_however_it_ends(number, fails, capsys):
    done = []

    def do():
        send(number)
        time.sleep(0.2)
        done.append(True)
        if fails:
            raise OSError("database is locked")

    with pytest.raises(KeyboardInterrupt) as caught:
        to_its_end(do)
    assert caught.value.args == (number,)
    assert done == [True]
    assert capsys.readouterr().err == f"awcl: {HEARD}\n"


def test_without_a_signal_it_ends_as_it_ends(capsys):
    done = []
    to_its_end(lambda: done.append(True))
    assert done == [True]
    with pytest.raises(ZeroDivisionError):
        to_its_end(lambda: 1 / 0)
    assert capsys.readouterr().err == ""


def test_it_is_told_and_a_second_one_answered_while_sqlite_waits_for_a_lock(tmp_path, capsys):
    """SQLite waits in C, where Python answers no signal."""
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    told, ended = [], threading.Event()

    def do():
        try:
            sqlite3.connect(tmp_path / "a.db", timeout=20).execute("CREATE TABLE a (b)")
        finally:
            ended.set()

    def impatient():
        time.sleep(0.5)
        send(signal.SIGINT)
        time.sleep(0.5)
        told.append(capsys.readouterr().err)
        send(signal.SIGINT)

    threading.Thread(target=impatient).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        to_its_end(do)
    assert time.monotonic() - began < 10 and not ended.is_set()
    assert told == [f"awcl: {HEARD}\n"]
    holder.execute("ROLLBACK")
    assert ended.wait(20)


def test_a_second_sigterm_waits_like_the_first(capsys):
    done = []

    def do():
        send(signal.SIGTERM)
        time.sleep(0.2)
        send(signal.SIGTERM)
        time.sleep(0.2)
        done.append(True)

    with pytest.raises(KeyboardInterrupt):
        to_its_end(do)
    assert done == [True]
    assert capsys.readouterr().err == f"awcl: {HEARD}\n"
