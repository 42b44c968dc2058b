"""The commands and the recipe of cluster/README.md, as far as they go without a cluster."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from awcl.__main__ import main
from awcl.data.table import FrameTable
from awcl.study import recipes
from awcl.taxonomy import Taxonomy

PAGE = (Path(__file__).parents[2] / "cluster" / "README.md").read_text()


@pytest.fixture
def at_home(tiny_table, tmp_path, monkeypatch) -> Path:
    """A folder with clean.parquet and its images, which is where commands run.

    Each frame is there twice, so that those of train fill a batch of planes.
    """
    (tmp_path / "images").mkdir()
    copied = [shutil.copy(path, tmp_path / "images") for path in tiny_table.frames["path"]]
    frames = tiny_table.frames.assign(path=[str(path) for path in copied])
    again = frames.assign(frame_id=frames["frame_id"] + "_again")
    table = FrameTable.build(pd.concat([frames, again]), Taxonomy.load(), "test")
    table.write(tmp_path / "clean.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    return ended.value.code or 0


def test_the_head_has_the_packs_of_the_study_and_of_its_smoke_run(at_home, monkeypatch, capsys):
    """Packed by the page's commands, then planned where no image is."""
    monkeypatch.setattr("awcl.study.smoke.FRAMES", {"train": 20, "val": 10, "test": 10})
    monkeypatch.setattr("awcl.study.dry.seconds_per_step", lambda *given: 1.0)
    commands = re.findall(r"^    awcl (pack clean.parquet[^#\n]*)", PAGE, re.MULTILINE)
    for command in commands:
        assert run(*shlex.split(command)) == 0
    assert len(list(at_home.glob("packs/*/PACK.json"))) == len(commands) == 2
    sent = pd.read_parquet("packs/frames.parquet")
    assert list(sent["path"]) == list(sent["frame_id"] + ".png")
    for name in ("images", "clean.parquet"):
        (at_home / name).rename(at_home / f"not-{name}")
    frames = "packs/frames.parquet"
    plan = ["study", "run", "planes", "--frames", frames, "--packs", "packs", "--dry-run"]
    for flags in ([], ["--smoke"]):
        assert run(*plan, *flags) == 0, capsys.readouterr().err


def test_the_recipe_asks_for_cards_to_train_and_for_none_to_evaluate(tmp_path, of_launcher):
    [recipe] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text(recipe)
    study = recipes.load(str(tmp_path / "mine.py"))
    assert study.name == "mine" and len(study.axes) == 2 and study.tasks
    kinds = of_launcher["aws"]["available_node_types"]
    assert set(study.prices) == set(kinds)
    trains, judges = (kinds[f"{kind}-workers"]["resources"] for kind in ("gpu", "cpu"))
    assert 0 < study.resources.gpus <= trains["GPU"] and study.resources.cpus <= trains["CPU"]
    assert study.evaluation.gpus == 0 and study.evaluation.cpus <= judges["CPU"]


def test_prices_of_own_machines_go_by_the_name_that_ray_gives_them(of_launcher):
    from ray.autoscaler._private.local.config import prepare_local

    prepared, _ = prepare_local(of_launcher["onprem"])
    [name] = prepared["available_node_types"]
    assert f'{{"{name}": ' in PAGE
