"""What a study notes down of the code that ran it."""

import re
import subprocess

import pytest

import awcl
from awcl.version import code_version


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that gives the version of an awcl in this folder."""
    file = tmp_path / "awcl" / "__init__.py"
    file.parent.mkdir()
    file.write_text("")
    monkeypatch.setattr(awcl, "__file__", str(file))
    yield lambda: code_version.__wrapped__()


def git(folder, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_checkout_is_its_commit_and_whether_files_differ(package, tmp_path):
    git(tmp_path, "init")
    git(tmp_path, "add", "awcl")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "-a", "v9", "-m", "a tag changes nothing")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert package() == f"{awcl.__version__}+{commit}"
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "STUDY.json").write_text("{}")
    assert package() == f"{awcl.__version__}+{commit}"
    (tmp_path / "awcl" / "__init__.py").write_text("changed = True")
    assert package() == f"{awcl.__version__}+{commit}.dirty"


def test_an_installed_package_is_its_release(package, tmp_path):
    assert package() == awcl.__version__
    (tmp_path / ".git").mkdir()  # no repository
    assert package() == awcl.__version__


def test_this_one_has_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\+[0-9a-f]{12}(\.dirty)?)?", code_version())
