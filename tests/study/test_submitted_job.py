"""`awcl study submit` to a Ray that is there."""

import sys

import pytest

from awcl.__main__ import main


@pytest.mark.slow
def test_a_real_ray_runs_the_job_and_a_failure_is_told(shared_ray, capfd, tmp_path, monkeypatch):
    """The frames are not there, which only the job can know."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    from awcl.study import submitting

    monkeypatch.setattr(submitting, "PROGRAM", (sys.executable, "-m", "awcl"))
    address = f"http://{shared_ray._private.worker.global_worker.node.webui_url}"
    with pytest.raises(SystemExit) as ended:
        main(["study", "submit", "quickstart", "--cluster", address, "--follow",
              "--storage", str(tmp_path), "--frames", str(tmp_path / "gone.parquet")])  # fmt: skip
    said = capfd.readouterr()
    assert "gone.parquet" in said.out
    assert ended.value.code == 1 and "submit it again" in said.err
