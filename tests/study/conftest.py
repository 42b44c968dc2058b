"""One Ray for all tests that need one, and studies to run on it."""

import os

import pytest

from awcl.config import with_values
from awcl.study.space import Study

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
    """A Ray as somebody else starts one: with a dashboard, without a resource of ours, and with two
    cards by its own account, so that placing trials on cards is tested."""
    import ray

    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.1"
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2,
        include_dashboard=True,
        object_store_memory=150 * 2**20,
        logging_level="ERROR",
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()
