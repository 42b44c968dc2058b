"""An empty MLflow database and a study without trials."""

import shutil

import pytest
from mlflow import MlflowClient

from awcl.records import StudyFolder


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database with MLflow's tables and nothing in them; making one takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "template.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def another_uri(empty_database, tmp_path):
    """A function that makes one more empty database and gives its URI."""

    def make(name: str) -> str:
        shutil.copy(empty_database, tmp_path / name)
        return f"sqlite:///{tmp_path / name}"

    return make


@pytest.fixture
def uri(another_uri, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    return another_uri("mlflow.db")


@pytest.fixture
def study(tmp_path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "results" / "demo")
    axes = {"anatomy.ratio": [0, 1]}
    folder.accept({"name": "demo", "id": "id-1", "axes": axes, "packs": {"224": "p1"}})
    return folder
