"""`awcl study submit` to a Ray that is there."""

import os
import sys

import psutil
import pytest

from awcl.__main__ import main

AGENT = 52365  # Ray's port for jobs, the same for every Ray of a machine: the first one has it


def of_another_ray() -> bool:
    for one in psutil.net_connections("tcp"):
        if one.laddr and one.laddr.port == AGENT and one.status == psutil.CONN_LISTEN and one.pid:
            return os.getpid() not in [parent.pid for parent in psutil.Process(one.pid).parents()]
    return False


@pytest.mark.slow
def test_a_real_ray_runs_the_job_and_a_failure_is_told(shared_ray, capfd, tmp_path, monkeypatch):
    """The frames are not there, which only the job can know."""
    if of_another_ray():
        pytest.skip(f"another Ray of this machine has port {AGENT}, so this one takes no jobs")
    from awcl.study import submitting

    monkeypatch.setattr(submitting, "PROGRAM", (sys.executable, "-m", "awcl"))
    address = f"http://{shared_ray._private.worker.global_worker.node.webui_url}"
    with pytest.raises(SystemExit) as ended:
        main(["study", "submit", "quickstart", "--cluster", address, "--follow",
              "--storage", str(tmp_path), "--frames", str(tmp_path / "gone.parquet")])  # fmt: skip
    said = capfd.readouterr()
    assert "gone.parquet" in said.out
    assert ended.value.code == 1 and "submit it again" in said.err
