"""Paths in an object store do as pathlib's do, and say in a line what is wrong."""

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from awcl.errors import InputError
from awcl.files import as_path
from awcl.objects import PIECE, ObjectPath

FILES = ("a.json", "trials/1/TRIAL.json", "trials/1/train/x/epoch_0001/w", "trials/2/TRIAL.json")


@pytest.fixture
def both(tmp_path, bucket) -> list[Path | ObjectPath]:
    """The same files in a local folder and in a store."""
    folders = [tmp_path / "exp", as_path(f"{bucket}/exp")]
    for folder in folders:
        for name in FILES:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("text") if isinstance(file, Path) else file.put(b"text")
    return folders


@pytest.mark.parametrize(
    "pattern", ["*", "*.json", "trials/*/TRIAL.json", "**/epoch_*", "trials/**/w", "none/*"]
)
def test_the_same_is_found_by_a_pattern(both, pattern):
    local, remote = (sorted(str(p.relative_to(f)) for p in f.glob(pattern)) for f in both)
    assert local == remote


@pytest.mark.parametrize("name", [*FILES, "trials", "trials/1", "trial", "absent", "a.json/x"])
def test_the_same_is_a_file_or_a_folder(both, name):
    local, remote = ((f / name) for f in both)
    assert (local.is_file(), local.is_dir()) == (remote.is_file(), remote.is_dir())
    if local.is_dir():
        assert sorted(p.name for p in local.iterdir()) == [p.name for p in remote.iterdir()]
    if local.is_file():
        remote.unlink(missing_ok=True)
        remote.unlink(missing_ok=True)
        assert not remote.is_file()


def test_a_path_is_its_url(bucket):
    path = as_path(f"{bucket}/exp/")
    assert str(path / "study" / "a.json") == f"{bucket}/exp/study/a.json"
    assert str(path.parent) == bucket and str(as_path(f"{bucket}/a") / "b") == f"{bucket}/a/b"
    assert path / "a" == as_path(f"{bucket}/exp/a") and (path / "a").parent == path
    assert as_path(path) is path and isinstance(as_path("results"), Path)
    assert len({path, as_path(f"{bucket}/exp")}) == 1 and path / "a" < path / "b"


def test_what_a_failed_read_says_is_what_a_file_system_says(bucket):
    file = as_path(bucket) / "absent.txt"
    with pytest.raises(FileNotFoundError) as caught:
        file.read_text()
    assert (caught.value.strerror, caught.value.filename) == (
        "No such file or directory",
        str(file),
    )


def test_large_objects_come_back_whole(bucket, tmp_path):
    data = bytes(range(256)) * (PIECE // 256) + b"rest"
    (tmp_path / "large").write_bytes(data)
    file = as_path(bucket) / "large"
    file.put(tmp_path / "large")
    file.fetch(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_markers_that_others_leave_for_folders_are_no_files(bucket, s3_server):
    client = boto3.client("s3", endpoint_url=s3_server)
    client.put_object(Bucket=bucket.removeprefix("s3://"), Key="run/epoch_0001/", Body=b"")
    run = as_path(bucket) / "run"
    assert list(run.glob("**/epoch_*")) == [] and not run.is_dir()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/x", "ftp://host/x: no storage that is known; give a folder, or one of s3://"),
        ("s3:///x", "s3:///x: no storage that is known"),
        ("abfss://container/x", "abfss://container/x: "),
    ],
)
def test_a_url_that_is_none_is_refused(url, said):
    with pytest.raises(InputError) as caught:
        as_path(url)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_told(s3_server):
    folder = as_path("s3://absent-bucket/x")
    for wrong in (lambda: folder.put(b"x"), folder.is_dir, folder.read_bytes):
        with pytest.raises(InputError, match="s3://absent-bucket: there is no such bucket"):
            wrong()


LOOK = """
import sys
from awcl import objects
from awcl.files import as_path
from datetime import timedelta
objects.GIVE_UP = timedelta(seconds=1)
try:
    as_path("s3://some-bucket/x").is_dir()
except (OSError, objects.InputError) as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k",
             "AWS_SECRET_ACCESS_KEY": "s"},
            "OSError [Errno 5] Generic S3 error: Error performing list request",
        ),
        (
            {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"},
            "InputError s3://some-bucket: no credentials; look at AWS_ACCESS_KEY_ID,",
        ),
    ],
)  # fmt: skip
def test_no_network_and_no_credentials_are_a_line(environment, said):
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith(said) and done.stdout.count("\n") == 1, done
