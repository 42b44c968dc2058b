"""A whole private study in an object store: killed in mid-sweep, run again, looked at."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from stored import contents, versions

from awcl.__main__ import main
from awcl.files import as_path, fetch
from awcl.records import StudyFolder

RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Resources, Study

def study():
    values = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8,
              "pretrain.epochs": 8}
    return Study(name="tiny", base=with_values(TrialConfig(), values, "test"), seeds=[0, 1],
                 resources=Resources(concurrent=1, node_disk="$HOME/disk"), tasks=["planes"])
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


MAPPING = """
table = "frames.csv"
root = "images"
[columns]
path = "file"
patient = "pid"
scan = "exam"
anatomy = "view"
split = "part"
"""
NAMES = re.compile(rb"Muster-\d\d|EX2031-\d\d|DCM-\d\d")  # of patients, scans and frames


@pytest.fixture
def clinic(tiny_table, tmp_path) -> Path:
    """A folder with all that a clinic has, and a private frame table made of it.

    One image is damaged, for what is said of it.
    """
    folder = tmp_path / "clinic"
    (folder / "images").mkdir(parents=True)
    rows = []
    for frame in tiny_table.frames.itertuples():
        patient, number = frame.frame_id.removeprefix("tiny/p").split("_")
        file, name = f"DCM-{int(patient):02d}-{number}.png", f"{int(patient):02d}-1987"
        shutil.copy(frame.path, folder / "images" / file)
        exam = f"EX2031-{name}-{int(number) // 2}"
        rows.append([file, f"Muster-{name}", exam, frame.anatomy, frame.split])
    (folder / "images" / rows[0][0]).write_bytes(b"no image")
    table = pd.DataFrame(rows, columns=["file", "pid", "exam", "view", "part"])
    table.to_csv(folder / "frames.csv", index=False)
    (folder / "clinic.toml").write_text(MAPPING)
    out = str(folder / "frames.parquet")
    with pytest.raises(SystemExit) as ended:
        main(["frames", f"table={folder / 'clinic.toml'}", "--out", out, "--private"])
    assert not ended.value.code
    return folder


@pytest.fixture
def ray_folder(monkeypatch) -> Iterator[Path]:
    """Where Ray writes its logs; its sockets are there too, and need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # what was killed may still write


def written(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder, and all that it says: its name, its bytes, and a table's rows."""
    for file in folder.rglob("*"):
        if file.is_file():
            rows = pd.read_parquet(file).to_csv().encode() if file.suffix == ".parquet" else b""
            yield (
                file,
                b"\n".join([str(file.relative_to(folder)).encode(), file.read_bytes(), rows]),
            )


@pytest.mark.slow
def test_a_study_in_an_object_store_goes_on_after_sigkill(
    bucket, s3_server, clinic, ray_folder, tmp_path
):
    """Its pack comes from there to a folder of the machine once, for all of its processes.

    And nothing that it writes, wherever that is, tells the names of patients, scans or images.
    """
    (tmp_path / "tiny.py").write_text(RECIPE)
    study = [str(tmp_path / "tiny.py"), "--storage", f"{bucket}/exp"]
    run = [
        sys.executable,
        "-c",
        AWCL,
        "study",
        "run",
        *study,
        "--frames",
        str(clinic / "frames.parquet"),
    ]
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
    # Beside it lie the features of what was evaluated there.
    [staged] = [of.parent for of in (tmp_path / "home/disk/staged").glob("[!.]*/PACK.json")]
    inode = (staged / "PACK.json").stat().st_ino
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

    assert contents(staged) == contents(tmp_path / "home/.cache/awcl/packs" / staged.name)
    assert (staged / "PACK.json").stat().st_ino == inode, "it was fetched again"

    (tmp_path / "told").write_text(again.stdout + again.stderr + table.stdout)
    fetch(as_path(bucket), tmp_path / "store")
    frame = pd.read_parquet(clinic / "frames.parquet").query("split == 'test'")["frame_id"].iloc[0]
    naming, hashed, logs = [], [], []
    for file, said in [*written(tmp_path), *written(ray_folder)]:
        naming += [file] * bool(NAMES.search(said))
        hashed += [file.name] * (frame.encode() in said)
        logs += [file] * (f"pack {staged.name} to ".encode() in said)
    assert "predictions.parquet" in hashed, "frames are told of by their hashed names"
    assert any(file.is_relative_to(ray_folder) for file in logs), "Ray's logs are among these"
    own = {"frames.csv", "frames.parquet"}
    assert {f.name for f in naming if f.is_relative_to(clinic)} >= own, (
        "else nothing could be found"
    )
    assert [file for file in naming if not file.is_relative_to(clinic)] == []


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
