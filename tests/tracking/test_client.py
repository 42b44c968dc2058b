"""A SQLite database for MLflow is made once and in the mode that its disk allows."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from awcl.tracking.client import on_local_disk, sqlite_file

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
