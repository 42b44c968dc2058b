"""What the commands of studies say of MLflow."""

import argparse

import pytest
from recorded import add

from awcl import commands
from awcl.errors import InputError

RECIPE = """
from awcl.study.space import Phantom, Study

def study():
    return Study(name="tiny", phantom=Phantom(scans=2, size=32, seconds=1))
"""


def test_a_sync_that_fails_gives_the_reason_and_ends_with_1(study, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    add(study, "k1", 1)
    storage, uri = str(study.path.parent), "http://127.0.0.1:9"
    given = argparse.Namespace(name="demo", storage=storage, tracking=uri)
    assert commands.study_sync(given) == 1
    assert capsys.readouterr() == ("", f"awcl: MLflow at {uri}: connection refused\n")


@pytest.mark.parametrize("uri", ["foo", "sqlite:///"])
def test_a_uri_that_can_never_work_is_refused_before_anything_is_made(tmp_path, uri):
    recipe, storage = tmp_path / "tiny.py", tmp_path / "results"
    recipe.write_text(RECIPE)
    given = {"rename": None, "frames": None, "packs": None, "dry_run": False}
    options = argparse.Namespace(name=str(recipe), storage=str(storage), tracking=uri, **given)
    with pytest.raises(InputError, match=f"--tracking {uri}: MLflow cannot write there; give "):
        commands.study_run(options)
    assert not storage.exists()
