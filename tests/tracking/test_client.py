"""Which URIs are let through, how a database is made, and how short what fails is told."""

import re
import sqlite3
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from awcl.errors import InputError
from awcl.tracking.client import (
    checked,
    connect,
    on_local_disk,
    reason,
    shown,
    sqlite_file,
    where_to_look,
)

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/home {at}/home nfs4 rw 0 0
/dev/sdb1 {at}/home/scratch xfs rw 0 0
//server/share {at}/my\\040share cifs rw 0 0
bucket {at}/bucket fuse.s3fs rw 0 0
/dev/sdc1 {at}/data ext4 rw 0 0
server:/data {at}/data nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "local"),
    [
        ("results", True),
        ("home", False),
        ("home/me/results", False),
        ("home/scratch/results", True),
        ("my share/results", False),
        ("bucket", False),
        ("data/results", False),  # the later mount hides the earlier one
    ],
)
def test_what_is_a_local_disk(tmp_path, folder, local):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(at=tmp_path))
    assert on_local_disk(tmp_path / folder, mounts) is local


def test_where_the_system_does_not_tell_it_is_not_taken_for_local(tmp_path):
    assert not on_local_disk(tmp_path, tmp_path / "absent")


def test_the_file_of_a_uri():
    assert sqlite_file("sqlite:////data/mlflow.db") == Path("/data/mlflow.db")
    assert sqlite_file("postgresql://host/db") is None


@pytest.mark.parametrize(
    "uri",
    ["foo", "results/mlruns", "file:///data/mlruns", "ftq://nowhere", "http://", "https:", "uc",
     "sqlite:", "sqlite://", "sqlite:///", "sqlite:////", "sqlite:///folder"],
)  # fmt: skip
def test_what_mlflow_can_never_write_to_is_refused(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(
        InputError, match=r"--tracking .*: MLflow cannot .*; give sqlite:///FILE, h"
    ):
        checked(uri)


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:5000", "https://host/mlflow", "sqlite:///mlflow.db", "sqlite:////a/b.db",
     "sqlite+pysqlite:///a.db", "postgresql://h/db", "mysql+pymysql://u:p@h/db", "mssql://h/db",
     "databricks", "databricks://profile"],
)  # fmt: skip
def test_what_may_work_is_let_through(uri):
    assert checked(uri) == uri


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("postgresql://me:secret@h/db", "mlflow ui --backend-store-uri 'postgresql://me:***@h/db'"),
        ("mysql://h/db?user=me&password=secret&x=1",
         "mlflow ui --backend-store-uri 'mysql://h/db?user=me&password=***&x=1'"),
        ("https://me:secret@lab/mlflow", "open https://me:***@lab/mlflow"),
        ("http://127.0.0.1:5000", "open http://127.0.0.1:5000"),
        ("databricks://profile", "open the workspace of databricks://profile"),
        ("sqlite:////a/b.db", "mlflow ui --backend-store-uri sqlite:////a/b.db"),
        ("sqlite:////{lab}/b.db", "mlflow ui --backend-store-uri 'sqlite:////{lab}/b.db'"),
        ("mysql://me:se/cret#@h/db", "mlflow ui --backend-store-uri 'mysql://me:***@h/db'"),
        ("mysql://h/db?passwd=secret", "mlflow ui --backend-store-uri 'mysql://h/db?passwd=***'"),
        ("mssql:///?odbc_connect=DRIVER%3Dx;PWD%3Dsecret;UID%3Dme",
         "mlflow ui --backend-store-uri 'mssql:///?odbc_connect=DRIVER%3Dx;PWD%3D***;UID%3Dme'"),
    ],
)  # fmt: skip
def test_where_to_look_is_told_without_passwords(uri, wanted):
    assert where_to_look(uri) == wanted
    assert "secret" not in shown(uri)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"--tracking http://\[x: no such address"):
        checked("http://[x")


def test_a_uri_that_is_refused_does_not_show_its_password():
    with pytest.raises(InputError, match=r"--tracking postgres://me:\*\*\*@h/db: MLflow cannot"):
        checked("postgres://me:secret@h/db")


@pytest.fixture
def no_password(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.mark.parametrize("of", ["uri", "password", "token", "file"])
def test_a_password_goes_readably_to_this_machine_alone(no_password, tmp_path, monkeypatch, of):
    there, here = "http://mlflow.lab:5000", "http://127.0.0.1:5000"
    assert checked(there) == there
    if of == "uri":
        there = "http://me:secret@mlflow.lab:5000"
    elif of == "file":
        (tmp_path / ".mlflow").mkdir()
        text = "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = secret\n"
        (tmp_path / ".mlflow/credentials").write_text(text)
    else:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{of.upper()}", "secret")
    with pytest.raises(InputError, match=r"--tracking .*: sends passwords readably; ") as told:
        checked(there)
    assert "secret" not in str(told.value)
    assert checked(here) == here
    assert checked("https://mlflow.lab") == "https://mlflow.lab"


def test_folders_and_plugins_are_let_through_where_mlflow_takes_them(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert checked("results/mlruns") and checked("file:///data/mlruns")
    plugin = EntryPoint("oci", "oci:Store", "mlflow.tracking_store")
    monkeypatch.setattr("awcl.tracking.client.entry_points", lambda group: [plugin])
    assert checked("oci://bucket")


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("127.0.0.1:9", "connection refused"),
        ("nowhere.invalid", "(name or service not known|temporary failure in name resolution)"),
    ],
)
def test_what_fails_in_the_network_is_told_without_what_wraps_it(monkeypatch, server, said):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Exception, match="Caused by") as caught:
        connect(f"http://{server}")
    assert re.fullmatch(said, reason(caught.value))


def test_a_reason_is_the_first_sentence_of_the_first_line_and_short():
    hint = "(raised as a result of Query-invoked autoflush; consider using a session)\n"
    assert reason(OSError(f"{hint}(sqlite3.OperationalError) database is locked\n[SQL: ...]")) == (
        "(sqlite3.OperationalError) database is locked"
    )
    assert reason(OSError("No 'x' (e.g. y, v. 3.1) here. Please do z. See https://w.")) == (
        "No 'x' (e.g. y, v. 3.1) here"
    )
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("word " * 1000))) == 150


@pytest.mark.slow
def test_studies_that_start_at_once_make_one_database(tmp_path):
    """Without a lock one of two dies of the other's tables, or of its write-ahead log."""
    code = "import sys; from awcl.tracking.client import connect; connect(sys.argv[1])"
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    command = [sys.executable, "-c", code, uri]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate(timeout=300)[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0], ended
    with sqlite3.connect(tmp_path / "new" / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("select count(*) from experiments").fetchone() == (1,)
