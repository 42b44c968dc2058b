"""A whole study in an object store: killed in mid-sweep, run again, looked at."""

import os
import signal
import subprocess
import sys
import time

import boto3
import pytest

from awcl.__main__ import main
from awcl.files import as_path
from awcl.records import StudyFolder
from awcl.study import packs
from awcl.study.plan import held, make_plan

RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Resources, Study

def study():
    values = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8,
              "pretrain.epochs": 8}
    return Study(name="tiny", base=with_values(TrialConfig(), values, "test"), seeds=[0, 1],
                 resources=Resources(concurrent=1), tasks=["planes"])
"""

AWCL = """
import sys
from awcl import __main__, lease
lease.RENEW, lease.STOP, lease.EXPIRE = 1, 60, 5  # the killed one renews no more
__main__.main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The user's cache, where packs lie."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def versions(bucket: str, prefix: str, server: str) -> dict[str, tuple]:
    """Every object under a prefix, with what changes when it is written."""
    client = boto3.client("s3", endpoint_url=server)
    name = bucket.removeprefix("s3://")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
    found = [item for page in pages for item in page.get("Contents", [])]
    return {item["Key"]: (item["ETag"], item["LastModified"]) for item in found}


@pytest.mark.slow
def test_a_study_in_an_object_store_goes_on_after_sigkill(bucket, s3_server, tiny_frames, tmp_path):
    (tmp_path / "tiny.py").write_text(RECIPE)
    study = [str(tmp_path / "tiny.py"), "--storage", f"{bucket}/exp"]
    run = [sys.executable, "-c", AWCL, "study", "run", *study, "--frames", str(tiny_frames)]
    folder, log = StudyFolder(as_path(f"{bucket}/exp/tiny")), tmp_path / "log"

    with log.open("w") as out:
        driver = subprocess.Popen(run, start_new_session=True, stdout=out, stderr=out)
    end = time.time() + 400
    while time.time() < end and not any(trial.evaluations() for trial in folder.trials()):
        assert driver.poll() is None, log.read_text()
        time.sleep(0.2)
    [done] = [trial for trial in folder.trials() if trial.done]
    [other] = [trial for trial in folder.trials() if not trial.done]
    while time.time() < end and not other.history():
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(1)
    before = versions(bucket, f"exp/tiny/trials/{done.key}/", s3_server)
    packed = versions(bucket, "exp/packs/", s3_server)
    known = other.history()
    assert other.done is None and known and packed

    again = subprocess.run(run, capture_output=True, text=True, timeout=500)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"taken over from {os.uname().nodename}, process {driver.pid}" in again.stdout
    assert "goes on: 1 of 2 trials done, 1 begun" in again.stdout
    assert versions(bucket, f"exp/tiny/trials/{done.key}/", s3_server) == before
    assert versions(bucket, "exp/packs/", s3_server) == packed
    history = other.history()
    assert [row["epoch"] for row in history] == list(range(1, 9)) and history[: len(known)] == known
    assert other.done["outcome"] == "finished" and len(other.evaluations()) == 1
    assert not folder.held and not list(folder.path.glob("tune/**"))

    status = [sys.executable, "-m", "awcl", "study", "status", *study]
    table = subprocess.run(status, capture_output=True, text=True, timeout=120)
    assert table.returncode == 0, table.stderr
    assert done.key in table.stdout and other.key in table.stdout and "8/8" in table.stdout
    assert (tmp_path / "results" / "mlflow.db").is_file()


def test_a_pack_is_put_there_once_and_fetched_where_it_lacks(
    tiny_study, tiny_frames, bucket, s3_server, tmp_path, monkeypatch
):
    with held(make_plan(tiny_study, tiny_frames, as_path(f"{bucket}/exp"))) as plan:
        [trial] = plan.trials
    stored = versions(bucket, "exp/packs/", s3_server)
    assert {name.rpartition("/")[2] for name in stored} >= {"PACK.json", "COMPLETE.json"}
    make_plan(tiny_study, tiny_frames, as_path(f"{bucket}/exp"))
    assert versions(bucket, "exp/packs/", s3_server) == stored

    source = str(packs.shared(trial.pack, plan.folder.path.parent))
    assert packs.fetched(trial.pack.folder, source) == trial.pack.folder
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    fetched = packs.fetched(tmp_path / "absent" / trial.pack.digest, source)
    assert fetched == tmp_path / "another/.cache/awcl/packs" / trial.pack.digest
    assert {f.name: f.read_bytes() for f in fetched.iterdir()} == {
        f.name: f.read_bytes() for f in trial.pack.folder.iterdir()
    }


def test_a_pack_that_does_not_come_whole_is_refused_and_not_put_in_place(
    tiny_study, tiny_frames, bucket, tmp_path, monkeypatch
):
    plan = make_plan(tiny_study, tiny_frames, as_path(f"{bucket}/exp"))
    source = packs.shared(plan.trials[0].pack, plan.folder.path.parent)
    shard = source / "shard-00000.npy"
    shard.put(shard.read_bytes()[:-1] + b"x")
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    with pytest.raises(packs.InputError, match=r"shard-00000.npy is corrupt"):
        packs.fetched(tmp_path / "absent" / source.name, str(source))
    assert not (tmp_path / "another/.cache/awcl/packs" / source.name).exists()


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        (
            "s3://absent-bucket/exp",
            "awcl: s3://absent-bucket: there is no such bucket; make it, or",
        ),
        ("BUCKET/exp", "BUCKET/exp/tiny: no study is stored here; run it, or give --storage"),
        (
            "http://host/exp",
            "awcl: http://host/exp: no storage that is known; give a folder, or one",
        ),
    ],
)
def test_storage_of_no_use_is_a_line(bucket, capsys, storage, said):
    with pytest.raises(SystemExit) as ended:
        main(["study", "status", "tiny", "--storage", storage.replace("BUCKET", bucket)])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and said.replace("BUCKET", bucket) in told
    assert told.count("\n") == 1
