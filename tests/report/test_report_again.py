"""The command that a report prints plans the very trials of the study it is of."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from awcl import __main__ as program
from awcl.commands import studies
from awcl.records import Command
from awcl.report import again
from awcl.report.reading import read
from awcl.study.plan import Plan, held
from awcl.study.stages import Stages

RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Phantom, Study

def study():
    values = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8}
    return Study(name="own", base=with_values(TrialConfig(), values, "test"), tasks=["planes"],
                 axes={"pretrain.lr": [0.1, 0.01, 0.001, 0.2, 0.3]}, seeds=[0, 1],
                 phantom=Phantom(scans=10, size=48, seconds=2, labelled=0.5))
"""


def planned(*arguments: str | Path) -> Plan:
    """What `awcl study run ... --dry-run` would tell of."""
    words = ["study", "run", *map(str, arguments), "--dry-run"]
    with Stages() as stages:
        plan, _ = studies._study(program._parser(words).parse_args(words), stages)
    return plan


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """Of all cases, which share the phantom."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    """A file in the folder that commands run in."""
    (tmp_path / "own.py").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own.py"


CASES = [
    ("", "own", "awcl study run own.py --storage STORAGE"),
    ("--as other", "other", "awcl study run own.py --as other --storage STORAGE"),
    ("--smoke", "own-smoke", "awcl study run own.py --smoke --storage STORAGE"),
    (
        "--frames FRAMES.parquet --as real",
        "real",
        "awcl study run own.py --as real --frames FRAMES.parquet --storage STORAGE",
    ),
    (
        "--frames FRAMES.parquet --as real --smoke",
        "real-smoke",
        "awcl study run own.py --as real --smoke --frames FRAMES.parquet --storage STORAGE",
    ),
]


@pytest.mark.parametrize(("flags", "name", "printed"), CASES)
def test_the_printed_command_plans_the_same_trials(
    flags, name, printed, recipe, storage, tiny_table
):
    tiny_table.write(recipe.parent / "frames.parquet")
    filled = {"FRAMES.parquet": "frames.parquet", "STORAGE": str(storage)}

    def words(command: str) -> list[str]:
        return [filled.get(word, word) for word in shlex.split(command)]

    given = planned(recipe, *words(f"{flags} --storage STORAGE"))  # as `python own.py` names it
    with held(given):
        pass
    command, report = again.commands(read(given.folder))
    assert command == printed and report == f"awcl study report {name} --storage STORAGE"
    anew = planned(*words(command)[3:])
    assert anew.folder.path == given.folder.path == storage / name
    assert [trial.key for trial in anew.trials] == [trial.key for trial in given.trials]


def test_a_command_that_does_not_say_how_it_is_run_keeps_what_is_stored(recipe, storage):
    given = planned(recipe, "--storage", storage, "--as", "kept")
    with held(given):
        before = given.folder.definition
    assert before["command"] == {
        "recipe": "own.py", "rename": "kept", "smoke": False, "frames": False,
    }  # fmt: skip
    with held(replace(given, command=None)):
        assert given.folder.definition == before


def command(made) -> str:
    return again.commands(read(made.folder))[0]


def told(made) -> str:
    return " ".join(again.placeholders(read(made.folder)))


def test_a_recipe_elsewhere_is_named_without_its_folder(making):
    made = making(command=Command(recipe="/home/jane/my studies/own.py").model_dump())
    assert command(made) == "awcl study run FOLDER/own.py --storage STORAGE"
    assert "FOLDER: where own.py is." in told(made) and "jane" not in told(made)


def test_weights_that_trials_start_from_are_given_again(making):
    weights = {"imagenet test_resnet 32": "imagenet:0123456789ab", "/home/x 32": "weights:ab"}
    made = making(weights=weights, command=Command(recipe="paper").model_dump())
    assert command(made) == ("awcl study run paper --imagenet-weights WEIGHTS --storage STORAGE")
    assert "WEIGHTS: the file of ImageNet's weights" in told(made)
    facts = dict(again.facts(read(made.folder)))
    assert facts["started from"] == "imagenet:0123456789ab, weights:ab"


def test_weights_that_were_lacking_are_told_of(making):
    row = {"arm": "imagenet", "reason": "weights not at hand"}
    made = making(not_run=[row], command=Command(recipe="paper").model_dump())
    assert "--imagenet-weights" not in command(made)
    assert "With --imagenet-weights FILE it also runs what was not run" in told(made)


@pytest.mark.parametrize(
    ("name", "words"),
    [("demo", "--as demo"), ("demo-smoke", "--as demo --smoke")],
)
def test_of_a_study_without_a_stored_command_the_name_is_kept(making, name, words):
    """It may have been run under any name: with --as the command is right for all of them."""
    made = making(name=name)
    assert command(made) == (
        f"awcl study run RECIPE {words} --frames FRAMES.parquet --storage STORAGE"
    )
    assert "RECIPE: the study's recipe, a name or a file" in told(made)


def test_what_trials_have_in_common_is_listed_and_what_arms_have_instead(making):
    made = making(
        axes={"pretrain.temperature": [0.1, 0.2]},
        arms={
            "random": {"pretrain.epochs": 0},
            "patient": {"data.sampler": "partners"},
            "none": {"pretrain.epochs": 0},
            "same": {"pretrain.batch": 64},
        },
    )
    facts = dict(again.facts(read(made.folder)))
    assert facts["epochs"] == "3; 0 (random, none)" and facts["batch"] == "64"
    assert facts["sampler"] == "uniform; partners (patient)"
    assert facts["pretrain.temperature"] == "0.1, 0.2" and "temperature" not in facts
    assert facts["augmentations"] == "ultrasound" and facts["pre-trained on"] == "all frames"
    assert (facts["backbone"], facts["view size"]) == ("resnet18", "224")
    assert (facts["optimiser"], facts["learning rate"]) == ("adamw", "0.001")
