"""Rows and subjects that run studies still do, at tiny sizes, in one Ray for all of them.

That the commands start each in a process of its own is tested on rows that need no Ray.
"""

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import pytest

from awcl.study.cluster import ray_session
from awcl.study.stages import Stages
from benchmarks import material, rows
from benchmarks.harness import Run
from benchmarks.scaling.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def a_ray() -> Iterator[None]:
    """As a study starts one. What this and the command set for their process is taken back."""
    with (
        patch.dict(os.environ, {"PYTHONPATH": str(ROOT)}),  # Ray's processes import stubs
        patch.object(warnings, "showwarning", warnings.showwarning),
        patch.object(material, "DRAWN", 2),  # a picture takes a second or two
        ray_session(Stages()),
    ):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of both rows: frames, their pack and MLflow's database are made once."""
    return tmp_path_factory.mktemp("rows")


@pytest.mark.parametrize(("name", "count"), [("trials_two", 2), ("early_stopping", 4)])
def test_rows_that_run_studies_still_run(name, count, folder):
    """`trials` is in `trials_two`."""
    found = list(rows.load(name).measure(Run(folder, smoke=True, storage=folder / "none")))
    assert len(found) == count
    for row in found:
        assert row.ours and row.against
        json.dumps(asdict(row))


def test_a_study_of_stubs_goes_through_the_executor_and_is_reported(tmp_path):
    found = SUBJECTS["driver-100"](Run(tmp_path, smoke=True))
    assert found["trials"] == 4
    assert found["mlflow_calls"]["create_run"] == 4 + 1
    assert found["parts"]["our records"]["calls"] == 4 * (1 + found["epochs"] + 1 + 1)
    assert [ended for ended, *_ in found["memory"]] == [1, 2, 3, 4]
    assert all(size > 10**6 for looked in found["memory"] for size in looked[1:])
    assert set(found["stages"]) == {
        "plan", "folder", "execute", "table", "report", "plan again", "run again", "MLflow anew",
    }  # fmt: skip
    json.dumps(found)
