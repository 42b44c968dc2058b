"""The wheel: installed away from the checkout it finds its recipes and its taxonomy."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(*command, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that the checkout stays clean."""
    source, out = tmp_path_factory.mktemp("source") / "awcl", tmp_path_factory.mktemp("wheel")
    for name in ("awcl", "studies"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, source)
    (source / "README.md").touch()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", out)
    done = run(*pip, "wheel", *options, source, cwd=source)
    assert done.returncode == 0, done.stderr
    [file] = out.glob("awcl-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The python of a new environment with the wheel; dependencies are those of this one.

    They come by a path and not by its .pth files, so its editable install is not seen.
    """
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    site = home / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    done = run(*pip, "install", "--no-deps", "--no-index", "-q", wheel, cwd=home)
    assert done.returncode == 0, done.stderr
    return python


def test_the_wheel_holds_code_recipes_and_taxonomy_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"awcl/taxonomy.toml", "awcl/__main__.py", "studies/planes.py"} <= names
    assert {f"awcl/report/page.{kind}" for kind in ("html", "css", "js")} <= names
    assert {"awcl/downstream/tasks/planes.py", "awcl/pretrain/methods/groups.py"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"awcl", "studies"}


def test_it_runs_from_the_new_environment(installed, tmp_path):
    code = "import awcl, awcl.taxonomy as t; print(awcl.__file__); t.Taxonomy.load()"
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


def test_a_recipe_is_found_from_any_folder(installed, tmp_path):
    """Found, and then stopped for want of frames."""
    done = run(installed.parent / "awcl", "study", "run", "planes", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("awcl: --frames FRAMES.parquet is needed")
    assert list(tmp_path.iterdir()) == []
