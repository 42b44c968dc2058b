"""One Ray for all tests that need one, and studies to run on it."""

import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from awcl.config import with_values
from awcl.data.table import FrameTable
from awcl.study.space import Study
from awcl.taxonomy import Taxonomy

TINY = {
    "model.backbone": "test_resnet",
    "data.size": 32,
    "pretrain.batch": 8,
    "pretrain.epochs": 2,
    "pretrain.precision": "float32",
}


@pytest.fixture
def tiny_study() -> Study:
    """Two epochs of a very small network on `tiny_table`, judged on planes."""
    study = Study(name="tiny", proxy_level="fine", tasks=["planes"])
    return study.model_copy(update={"base": with_values(study.base, TINY, "tests")})


@pytest.fixture
def tiny_frames(tiny_table, tmp_path):
    """`tiny_table` as a file."""
    path = tmp_path / "frames.parquet"
    tiny_table.write(path)
    return path


@pytest.fixture(scope="session")
def shared_ray():
    """A Ray as somebody else starts one: with a dashboard, without a resource of ours."""
    import ray

    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.1"
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=True,
        object_store_memory=150 * 2**20,
        logging_level="ERROR",
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()


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
