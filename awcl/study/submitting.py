"""A study as a job of a cluster: a thin layer over Ray's jobs.

The job is `awcl study run`, so what is submitted twice goes on from where it ended. It outlives the
connection it was submitted through. Code and installed recipes are in the cluster's image; a recipe
that is a file travels with the job.
"""

import asyncio
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from aiohttp import ClientError
from ray.job_submission import JobStatus, JobSubmissionClient

from awcl.errors import InputError
from awcl.study.recipes import file_of
from awcl.tracking.client import LOOPBACK

PROGRAM = ("awcl",)  # as the image has it on its PATH
REMOTE_PORT = 8265
AGENT_WAIT = 60.0  # seconds until a head that has just started takes jobs
TUNNEL_WAIT = 60.0  # seconds until a tunnel by ssh must be there
UNDER_WAY = (JobStatus.PENDING, JobStatus.RUNNING)


@contextmanager
def dashboard(cluster: str) -> Iterator[str]:
    """The address that jobs are sent to, as long as it is needed.

    cluster: a file of Ray's launcher, whose head is then reached through ssh, or the address of a
    dashboard. Raises InputError for any other, and where there is no way to the head.
    """
    if "://" in cluster:
        parts = urlsplit(cluster)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise InputError(
                f"--cluster {cluster}: would send the token readably over the network; give the "
                "cluster's file, or the address of a tunnel (`ray dashboard`, kubectl port-forward)"
            )
        yield cluster
        return
    _check_launcher(Path(cluster))
    with _tunnel(cluster) as port:
        yield f"http://127.0.0.1:{port}"


def _check_launcher(file: Path) -> None:
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"--cluster {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--cluster {file}: is no YAML") from error
    if any(isinstance(one, dict) and one.get("kind") == "RayJob" for one in documents):
        raise InputError(
            f"--cluster {file}: is itself the job, for Kubernetes; `kubectl apply -f {file}`"
        )
    if not isinstance(documents[0] if documents else None, dict) or "provider" not in documents[0]:
        raise InputError(f"--cluster {file}: is no file of `ray up`: it names no provider")


@contextmanager
def _tunnel(file: str) -> Iterator[int]:
    """`ray dashboard FILE` as long as it is needed; the port on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = [sys.executable, "-m", "ray.scripts.scripts", "dashboard", file]
    ports = ["--port", str(port), "--remote-port", str(REMOTE_PORT)]
    with tempfile.TemporaryFile("w+") as said:
        # A session of its own: ssh is its child, and has to end with it.
        tunnel = subprocess.Popen(
            [*ray, *ports],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + TUNNEL_WAIT
            while not _listens(port):
                if tunnel.poll() is not None or time.monotonic() > end:
                    said.seek(0)
                    lines = [line.strip() for line in said if line.strip()]
                    reason = lines[-1] if lines else "ssh says nothing"
                    raise InputError(f"--cluster {file}: no way to its head: {reason[:300]}")
                time.sleep(0.2)
            yield port
        finally:
            _end(tunnel)


def _end(process: subprocess.Popen) -> None:
    """The process and its children."""
    try:
        os.killpg(process.pid, 15)
        process.wait(timeout=10)
    except ProcessLookupError:
        process.wait()
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def client(address: str) -> JobSubmissionClient:
    """Raises InputError where no Ray answers there, or not to us.

    The token goes along explicitly: Ray's own way is a variable of the environment that also
    decides, for the rest of this process, what a Ray that it starts asks for.
    """
    token = _token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        return JobSubmissionClient(address, headers=headers)
    except (ConnectionError, RuntimeError) as error:  # the latter for a token that is not known
        raise InputError(f"--cluster: {address}: {_line(error)}") from error


def _token() -> str:
    """From where Ray looks for it, in its order; nothing where there is none."""
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        return given
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def submit(jobs: JobSubmissionClient, study: str, recipe: str, flags: list[str]) -> str:
    """Submits `awcl study run RECIPE FLAGS`; the job's id.

    study: its name, by which a second submission is known. Raises InputError where a job of this
    study is under way, and where Ray takes none.
    """
    for job in jobs.list_jobs():
        if job.status in UNDER_WAY and (job.metadata or {}).get("study") == study:
            raise InputError(
                f"study {study}: job {job.submission_id} runs it already; "
                f"`ray job stop {job.submission_id}` ends that, and what it stored is gone on from"
            )
    with _shipped(recipe) as (name, runtime_env):
        entrypoint = shlex.join([*PROGRAM, "study", "run", name, *flags])
        end = time.monotonic() + AGENT_WAIT
        while True:
            try:
                return jobs.submit_job(
                    entrypoint=entrypoint, metadata={"study": study}, runtime_env=runtime_env
                )
            except RuntimeError as error:  # what Ray raises for every answer that is no yes
                if "No available agent" not in str(error) or time.monotonic() > end:
                    raise InputError(f"Ray takes no job: {_line(error)}") from error
                time.sleep(1)


@contextmanager
def _shipped(recipe: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What the job calls the recipe, and what travels with it.

    A file travels alone. One of ./studies travels with the others there, which it may import, and
    keeps its name: the job finds them as it would be found here.
    """
    file = file_of(recipe)
    if file is None:
        yield recipe, {}
        return
    with tempfile.TemporaryDirectory() as folder:
        if file == Path(recipe):
            shutil.copy(file, folder)
            yield file.name, {"working_dir": folder}
            return
        beside = Path(folder, file.parent.name)
        beside.mkdir()
        for one in file.parent.glob("*.py"):
            shutil.copy(one, beside)
        yield recipe, {"working_dir": folder}


def follow(jobs: JobSubmissionClient, job: str) -> bool:
    """Prints what the job says until it ends; whether it did what was asked.

    Raises InputError where the connection breaks: the job goes on.
    """

    async def tell() -> None:
        async for text in jobs.tail_job_logs(job):
            print(text, end="", flush=True)

    try:
        asyncio.run(tell())
        while not (status := jobs.get_job_status(job)).is_terminal():
            time.sleep(0.2)
    except BrokenPipeError:  # whoever reads what is printed has left
        raise
    except (RuntimeError, OSError, ClientError) as error:  # the first is Ray's for all of these
        raise InputError(f"the connection broke, job {job} goes on: {_line(error)}") from error
    return status == JobStatus.SUCCEEDED
