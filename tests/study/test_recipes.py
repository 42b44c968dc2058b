"""Where a recipe is found, and what is said where there is none."""

import warnings
from pathlib import Path

import pandas as pd
import pytest

from awcl.config import TrialConfig
from awcl.data.table import FrameTable
from awcl.errors import InputError
from awcl.study import recipes
from awcl.study.plan import make_plan
from awcl.study.smoke import smaller
from awcl.study.space import Study
from awcl.taxonomy import Taxonomy

RECIPE = """
from awcl.study.space import Study

def study():
    return Study(name={name!r}, axes={axes!r})
"""


def write(path, name="own", axes=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RECIPE.format(name=name, axes=axes or {}))
    return path


def test_a_file_is_a_recipe(tmp_path):
    assert recipes.load(str(write(tmp_path / "mine.py"))) == Study(name="own")


def test_a_recipe_is_found_in_the_folder_studies_before_the_installed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    installed = recipes.load("planes")
    assert installed.name == "planes" and installed.axes
    write(tmp_path / "studies" / "planes.py", name="ours")
    assert recipes.load("planes").name == "ours"


def test_the_installed_recipes_are_studies_and_the_same_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in recipes._installed():
        made = recipes.load(name)
        assert made.name == name and isinstance(made.base, TrialConfig)
        assert made.model_dump_json() == recipes.load(name).model_dump_json()


def test_an_unknown_name_is_told_with_those_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"study 'plane': no such file and no recipe; there is "):
        recipes.load("plane")
    with pytest.raises(InputError, match=r"study 'own\.py': no such file"):
        recipes.load("own.py")


def test_a_file_without_study_is_told(tmp_path):
    (tmp_path / "mine.py").write_text("studies = 1\n")
    with pytest.raises(InputError, match=r"mine\.py: .*mine\.py defines no function study\(\)$"):
        recipes.load(str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("name", "axes", "said"),
    [
        ("own", {"anatomy.ratio": [2]}, r"mine\.py: .*anatomy\.ratio 2: Input should be less"),
        ("own", {"anatomy.raito": [1]}, r"mine\.py: .*unknown field 'anatomy\.raito'; known"),
        ("Own Study", {}, r"mine\.py: name 'Own Study': String should match"),
    ],
)
def test_a_recipe_with_a_mistake_is_told_in_one_line(tmp_path, name, axes, said):
    path = write(tmp_path / "mine.py", name, axes)
    with pytest.raises(InputError, match=said) as caught:
        recipes.load(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def study():\n    return 1 / 0\n", "mine.py, line 2: ZeroDivisionError: division by"),
        ("def study():\n    return {}['a']\n", "mine.py, line 2: KeyError: 'a'"),
        ("raise ValueError('one\\ntwo')\n", "mine.py, line 1: ValueError: one two"),
        ("import no_such_module\n", "mine.py, line 1: ModuleNotFoundError: No module named"),
        ("raise SystemExit('a word')\n", "mine.py, line 1: SystemExit: a word"),
        ("def study(:\n", "mine.py: SyntaxError: invalid syntax (mine.py, line 1)"),
        ("def study(name):\n    return name\n", "mine.py: TypeError: study() missing 1 required"),
        ("def study():\n    return 3\n", "mine.py returns int, no Study"),
        (
            "from awcl.errors import InputError\ndef study():\n    raise InputError('no')\n",
            "mine.py: no",
        ),
    ],
)
def test_whatever_a_recipe_raises_or_returns_is_told_in_one_line(tmp_path, code, said):
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(InputError) as caught:
        recipes.load(str(tmp_path / "mine.py"))
    message = str(caught.value)
    assert message.startswith("study ") and said in message and "\n" not in message


@pytest.mark.parametrize(
    "name", ["anatomy_ratio", "full", "granularity", "paper", "rivals", "temperature"]
)
def test_a_recipe_runs_on_a_clinics_own_frames(name, tiny_table, tmp_path, packs):
    """Of a source that nobody knows, from two machines, without masks."""
    frames = tiny_table.frames
    twice = [frames, frames.assign(frame_id=frames["frame_id"] + "_again")]
    table = FrameTable.build(pd.concat(twice), Taxonomy.load(), "test")
    with warnings.catch_warnings(action="ignore"):  # what is not run is told
        plan = make_plan(smaller(recipes.load(name)), table, tmp_path, packs)
    assert plan.trials and set(plan.tasks_not_run) <= {"cross_segmentation"}
    assert {"planes", "cross_planes", "diagnostics"} & {of.task for of in plan.judged_by}


@pytest.fixture(scope="module")
def packs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("packs")
