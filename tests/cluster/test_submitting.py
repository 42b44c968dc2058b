"""`awcl study submit` and the file that `ray submit` ships."""

import importlib.util
import os
import runpy
import sys
from pathlib import Path

import pytest

from awcl.__main__ import main

CLUSTER = Path(__file__).parents[2] / "cluster"
URL = "http://127.0.0.1:1"
STORAGE = ["--storage", "s3://bucket/studies"]


def told(capsys, *arguments: str) -> str:
    """What `awcl study submit` says when it refuses."""
    with pytest.raises(SystemExit) as ended:
        main(["study", "submit", *arguments])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "--storage results: a job runs on the cluster's head"),
        ([*STORAGE, "--frames", "data/f.parquet"], "--frames data/f.parquet: a job runs on"),
        ([*STORAGE, "--tracking", "https://me:word@lab"], "--tracking: holds a password"),
        ([*STORAGE, "--tracking", "mysql://h/db?password=word"], "--tracking: holds a password"),
        ([*STORAGE, "--tracking", "http://mlflow.lab"], "sends passwords readably"),
        ([*STORAGE, "--cluster", "http://10.0.0.1:8265"], "send the token readably"),
        ([*STORAGE, "--cluster", "none.yaml"], "--cluster none.yaml: No such file"),
        ([*STORAGE, "--cluster", str(CLUSTER / "kuberay.yaml")], "kubectl apply -f"),
        ([*STORAGE, "--cluster", str(CLUSTER / "docker-compose.yaml")], "names no provider"),
        ([*STORAGE, "--cluster", URL], URL),
    ],
)
def test_what_cannot_work_on_a_cluster_is_refused_in_a_line(capsys, flags, reason):
    line = told(capsys, "quickstart", "--cluster", URL, *flags)
    assert reason in line and "word" not in line.replace("password", "")


class Jobs:
    """Ray's jobs, without a Ray."""

    def __init__(self, *there):
        self.there, self.shipped = list(there), {}

    def list_jobs(self):
        return self.there

    def submit_job(self, **given):
        folder = given["runtime_env"].get("working_dir")
        self.shipped = (
            {
                str(file.relative_to(folder)): file.read_text()
                for file in Path(folder).rglob("*")
                if file.is_file()
            }
            if folder
            else {}
        )
        self.given = given
        return "raysubmit_1"


@pytest.fixture
def submitting():
    from awcl.study import submitting

    return submitting


def job(status: str, study: str):
    from ray.job_submission import JobDetails, JobType

    return JobDetails(
        type=JobType.SUBMISSION, submission_id="raysubmit_0", status=status,
        entrypoint="awcl", metadata={"study": study},
    )  # fmt: skip


def test_a_job_is_study_run_with_its_flags_quoted(submitting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no recipe of ./studies is
    jobs = Jobs(job("SUCCEEDED", "planes"), job("RUNNING", "other"))
    flags = ["--storage", "s3://b/my studies"]
    assert submitting.submit(jobs, "planes", "planes", flags) == "raysubmit_1"
    assert jobs.given["entrypoint"] == "awcl study run planes --storage 's3://b/my studies'"
    assert jobs.given["runtime_env"] == {} and jobs.given["metadata"] == {"study": "planes"}


def test_a_recipe_that_is_a_file_travels_alone(submitting, tmp_path):
    (tmp_path / "mine.py").write_text("# a recipe")
    (tmp_path / "frames.key").write_text("secret")
    jobs = Jobs()
    submitting.submit(jobs, "mine", str(tmp_path / "mine.py"), [])
    assert jobs.shipped == {"mine.py": "# a recipe"}
    assert jobs.given["entrypoint"] == "awcl study run mine.py"


def test_a_recipe_of_the_folder_studies_travels_with_what_it_may_import(
    submitting, tmp_path, monkeypatch
):
    """And keeps its name, by which it is run again here."""
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    for name in ("planes.py", "paper.py"):
        Path("studies", name).write_text("# edited here")
    Path("studies/RESULTS.md").write_text("stays")
    jobs = Jobs()
    submitting.submit(jobs, "planes", "planes", [])
    assert jobs.shipped == {f"studies/{name}.py": "# edited here" for name in ("planes", "paper")}
    assert jobs.given["entrypoint"] == "awcl study run planes"


@pytest.mark.parametrize("error", [RuntimeError("WebSocket closed"), ConnectionResetError()])
def test_a_connection_that_breaks_says_that_the_job_goes_on(submitting, error, capsys):
    from awcl.errors import InputError

    class Breaks(Jobs):
        async def tail_job_logs(self, job):
            yield "epoch 1\n"
            raise error

    with pytest.raises(InputError, match="the connection broke, job raysubmit_1 goes on"):
        submitting.follow(Breaks(), "raysubmit_1")
    assert capsys.readouterr().out == "epoch 1\n"


def test_a_reader_of_the_log_that_leaves_is_no_broken_connection(submitting):
    class Leaves(Jobs):
        async def tail_job_logs(self, job):
            raise BrokenPipeError
            yield

    with pytest.raises(BrokenPipeError):
        submitting.follow(Leaves(), "raysubmit_1")


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_a_study_under_way_is_not_submitted_twice(submitting, status):
    from awcl.errors import InputError

    jobs = Jobs(job(status, "planes"))
    with pytest.raises(InputError, match="raysubmit_0 runs it already"):
        submitting.submit(jobs, "planes", "planes", [])


def test_what_ray_refuses_is_told_in_a_line(submitting, monkeypatch):
    from awcl.errors import InputError

    def refuse(**given):
        raise RuntimeError("Request failed with status code 500:\n no disk")

    jobs = Jobs()
    monkeypatch.setattr(jobs, "submit_job", refuse)
    with pytest.raises(InputError, match=r"Ray takes no job: .* no disk") as told:
        submitting.submit(jobs, "planes", "planes", [])
    assert "\n" not in str(told.value)


def test_a_head_that_has_just_started_is_waited_for(submitting, monkeypatch):
    monkeypatch.setattr(submitting.time, "sleep", lambda seconds: None)
    jobs, answers = Jobs(), ["No available agent to submit job"] * 2

    def late(**given):
        if answers:
            raise RuntimeError(answers.pop())
        return "raysubmit_1"

    monkeypatch.setattr(jobs, "submit_job", late)
    assert submitting.submit(jobs, "planes", "planes", []) == "raysubmit_1"


def test_a_tunnel_that_fails_says_why_and_leaves_no_process(submitting, tmp_path):
    import psutil

    from awcl.errors import InputError

    (tmp_path / "none.yaml").write_text("provider: {type: nowhere}\ncluster_name: x\n")
    with (
        pytest.raises(InputError, match="no way to its head"),
        submitting.dashboard(str(tmp_path / "none.yaml")),
    ):
        pass
    lines = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    assert not [line for line in lines if "none.yaml" in line]


def test_the_file_that_ray_submit_ships_is_study_run_on_that_cluster(monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "")  # so that what it sets is taken back
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setattr(sys, "argv", ["submit_entry.py", "nosuchstudy", "--storage", "s3://b/x"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CLUSTER / "submit_entry.py"), run_name="__main__")
    assert ended.value.code == 2 and os.environ["RAY_ADDRESS"] == "auto"
    assert "study 'nosuchstudy': no such file and no recipe" in capsys.readouterr().err


@pytest.mark.parametrize("tracking", [["--tracking", "http://lab"], ["--track=http://lab"]])
def test_what_ray_submit_ships_takes_no_server_that_passwords_go_to_readably(
    monkeypatch, capsys, tracking
):
    monkeypatch.setattr(sys, "argv", ["submit_entry.py", "nosuchstudy", *tracking, "--smoke"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CLUSTER / "submit_entry.py"), run_name="__main__")
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "awcl: --tracking http://lab: sends passwords readably; give https://"


def test_the_shipped_file_needs_nothing_beside_it(tmp_path):
    """It is copied alone: whatever it imports is in the image."""
    text = (CLUSTER / "submit_entry.py").read_text()
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if " import " in line}
    imported = {name for name in imported if importlib.util.find_spec(name)}
    assert imported <= {"awcl"}
