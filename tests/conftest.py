"""What several test files need."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from PIL import Image
from processes import with_variable

from awcl.data.pack import FramePack
from awcl.data.packing import find_or_build
from awcl.data.table import FrameTable
from awcl.files import AnyPath, as_path
from awcl.taxonomy import Taxonomy

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what runs in its background deaf to Ctrl-C, and every child of it is so too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


SUITE = "AWCL_TEST_SUITE"  # a variable that every process which a test starts inherits
LEFT = 60.0  # seconds after the last test


def pytest_sessionstart(session: pytest.Session) -> None:
    os.environ[SUITE] = str(os.getpid())


@pytest.hookimpl(trylast=True)  # after xdist has ended its own processes
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the suite where a process is left of it a minute later."""
    end = time.monotonic() + LEFT
    while left := with_variable(SUITE, str(os.getpid()), but=_of_python):
        if time.monotonic() > end:
            print(f"\nprocesses are left: {left}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        time.sleep(0.5)


def _of_python(process: psutil.Process) -> bool:
    """What multiprocessing keeps of its own as long as this process is there."""
    command = " ".join(process.cmdline())
    kept = "multiprocessing.resource_tracker" in command or "multiprocessing.forkserver" in command
    return kept and process.ppid() == os.getpid()


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Ray, its Train and its Tune leave handlers behind, which the next test would meet."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with subsets of the public data sets, laid out as their downloads are."""
    if not os.environ.get("AWCL_TEST_DATA"):
        pytest.skip("AWCL_TEST_DATA is not set: the real images are not here")
    return Path(os.environ["AWCL_TEST_DATA"])


SIZE = 32
ANATOMIES = ("4CH", "LVOT", "HCP", "FLP", "BG", None)


@pytest.fixture(scope="session")
def tiny_table(tmp_path_factory) -> FrameTable:
    """48 frames of 12 patients: 4 anatomies, background, unlabelled; 2 machines; 3 splits.

    Each anatomy is a pattern of its own under noise, so that a probe has something to find.
    """
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :56]
    rows = []
    for patient in range(12):
        for number in range(4):
            kind = (patient + number) % len(ANATOMIES)
            pattern = 128 + 60 * np.sin((kind + 1) * x / 9 + (kind % 3) * y / 5)
            image = np.clip(pattern + rng.normal(0, 20, x.shape), 0, 255).astype(np.uint8)
            path = folder / f"p{patient}_{number}.png"
            Image.fromarray(image).save(path)
            rows.append(
                {
                    "frame_id": f"tiny/p{patient}_{number}",
                    "path": str(path),
                    "source": "tiny",
                    "patient": f"tiny/p{patient}",
                    "scan": f"tiny/p{patient}",
                    "anatomy": ANATOMIES[kind],
                    "split": "test" if patient >= 9 else "val" if patient >= 6 else "train",
                    "machine": "A" if patient % 2 else "B",
                }
            )
    return FrameTable.build(pd.DataFrame(rows), Taxonomy.load(), "tiny")


@pytest.fixture(scope="session")
def tiny_pack(tiny_table, tmp_path_factory) -> FramePack:
    """`tiny_table` packed for views of 32 pixels."""
    return find_or_build(tiny_table, SIZE, tmp_path_factory.mktemp("packs"), workers=1, quiet=True)


@pytest.fixture
def long_epoch(tiny_table, tmp_path) -> Path:
    """A frame table of which an epoch is so long that a machine can go in the middle of it."""
    frames = tiny_table.frames
    copies = [frames[frames["split"] != "train"]]
    for number in range(40):
        copy = frames[frames["split"] == "train"].copy()
        copies.append(copy.assign(frame_id=copy["frame_id"] + f"_{number}"))
    table = FrameTable.build(pd.concat(copies), Taxonomy.load(), "test")
    table.write(tmp_path / "frames.parquet")
    return tmp_path / "frames.parquet"


@pytest.fixture
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    """A cache of Hugging Face that holds no weights, whatever this machine's does."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An object store on this machine, and the environment in which programs find it; its URL."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield url
    server.stop()


@pytest.fixture
def bucket(s3_server) -> str:
    """The URL of a new bucket."""
    import boto3

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path) -> AnyPath:
    """A folder of a study, on this machine and in an object store."""
    if request.param == "local":
        return tmp_path / "folder"
    return as_path(f"{request.getfixturevalue('bucket')}/folder")
