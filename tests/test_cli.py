"""The command line, run in this process on very small data."""

import argparse
import json
import shutil
import signal
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from awcl import commands
from awcl.__main__ import main
from awcl.commands import studies
from awcl.data import videos
from awcl.data.table import FrameTable
from awcl.records import StudyFolder, newest_checkpoint
from awcl.study.space import Study, expand
from awcl.taxonomy import Taxonomy

Told = namedtuple("Told", "code out err")
SMALL = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8}


@pytest.fixture
def awcl(capsys, monkeypatch):
    """awcl("pack", file, ...) -> exit code, stdout, stderr. What it sets for its process goes."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments) -> Told:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Told(ended.value.code or 0, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def packs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("packs")


@pytest.fixture(scope="module")
def frames(tiny_table, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("frames") / "frames.parquet"
    tiny_table.write(file)
    return file


@pytest.fixture
def changed(tiny_table, tmp_path):
    """changed(f): a frame table on disk whose rows f has changed, however wrong they now are."""

    def make(change) -> Path:
        rows = change(tiny_table.frames.copy()).reset_index(drop=True)
        table = FrameTable.build(rows, Taxonomy.load(), "x", check_splits=False)
        (tmp_path / "changed").mkdir()
        table.write(tmp_path / "changed" / "frames.parquet")
        return tmp_path / "changed" / "frames.parquet"

    return make


def flags(**values) -> list[str]:
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    return [part for name, v in {**SMALL, **dotted}.items() for part in (f"--{name}", str(v))]


def crossing(rows: pd.DataFrame) -> pd.DataFrame:
    """One frame of a test patient is in train."""
    return rows.assign(split=rows["split"].mask(rows["frame_id"] == "tiny/p9_0", "train"))


# --- what works --------------------------------------------------------------------------------

MAPPING = """
table = "frames.csv"
root = "/"
[columns]
path = "file"
patient = "pid"
anatomy = "view"
split = "part"
[anatomy]
"head" = "HCP"
"""


@pytest.fixture
def clinic(tiny_table, tmp_path) -> Path:
    """An own table and its mapping file, which is returned."""
    own = tiny_table.frames[["path", "patient", "anatomy", "split"]].copy()
    own["anatomy"] = own["anatomy"].replace("HCP", "head").fillna("")
    own.columns = ["file", "pid", "view", "part"]
    own.to_csv(tmp_path / "frames.csv", index=False)
    (tmp_path / "clinic.toml").write_text(MAPPING)
    return tmp_path / "clinic.toml"


def test_an_own_table_becomes_a_frame_table(awcl, clinic, tmp_path, tiny_table):
    told = awcl("frames", f"table={clinic}", "--out", tmp_path / "f.parquet")
    assert told.code == 0 and "48 frames -> " in told.out
    table = FrameTable.read(tmp_path / "f.parquet", Taxonomy.load())
    assert sorted(table.frames["path"]) == sorted(tiny_table.frames["path"])
    assert set(table.frames["anatomy"].dropna()) == {"4CH", "LVOT", "HCP", "FLP", "BG"}
    assert set(table.frames["source"]) == {"clinic"}


def test_private_names_come_with_a_word_about_the_key(awcl, clinic, tmp_path):
    told = awcl("frames", f"table={clinic}", "--out", tmp_path / "f.parquet", "--private")
    assert told.code == 0 and "f.key safe and apart" in told.out
    frames = FrameTable.read(tmp_path / "f.parquet", Taxonomy.load()).frames
    assert frames["patient"].str.fullmatch("[0-9a-f]{16}").all()


def test_an_audit_says_3_where_something_leaks_and_0_once_it_is_mended(awcl, changed, tmp_path):
    leaking, fixed = changed(crossing), tmp_path / "fixed.parquet"
    told = awcl("audit", leaking)
    assert told.code == 3 and "1 patients in two splits" in told.out
    refused = awcl("audit", leaking, "--fix", fixed)
    assert refused.code == 2 and not fixed.exists()
    assert refused.err.startswith("awcl: the fix would move 3 of the test frames (27%)")
    told = awcl("audit", leaking, "--fix", fixed, "--force")
    assert told.code == 3 and f"48 frames -> {fixed}" in told.out
    assert awcl("audit", fixed).code == 0


def test_a_pack_is_made_once(awcl, frames, tmp_path):
    for _ in range(2):
        told = awcl("pack", frames, "--size", 32, "--packs", tmp_path / "packs")
        assert told.code == 0 and "48 frames at 32 px -> " in told.out
        folder = Path(told.out.split("-> ")[1].strip())
        stamp = (folder / "PACK.json").stat().st_mtime_ns
    assert stamp == (folder / "PACK.json").stat().st_mtime_ns
    assert [p.name for p in (tmp_path / "packs").iterdir() if p.name != "seen"] == [folder.name]


def test_a_frame_that_cannot_be_read_is_named_and_left_out(awcl, changed, tmp_path):
    def lost(rows):
        return rows.assign(path=rows["path"].mask(rows["frame_id"] == "tiny/p0_0", "/no/such.png"))

    told = awcl("pack", changed(lost), "--size", 32, "--packs", tmp_path / "packs")
    assert told.code == 0 and "47 frames" in told.out
    assert "1 frames could not be read" in told.err and "  tiny/p0_0: " in told.err


def test_videos_become_frames_and_one_that_is_damaged_is_one_line(awcl, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2, 20, 40, 40), dtype=np.uint8)
    for name, pictures in zip(("a.avi", "b.avi"), noise, strict=True):
        videos.write(tmp_path / name, pictures)
    (tmp_path / "scans.csv").write_text(
        "scan,patient,from_frame,to_frame,anatomy\na,1,3,4,4CH\nb,2,,,\n"
    )
    frames = tmp_path / "frames.parquet"
    told = awcl("frames", f"video={tmp_path}", "--every", 5, "--out", frames)
    assert told.code == 0 and "10 frames -> " in told.out, told.err
    assert "2 labelled frames are kept and 8 of the others (every 5)" in told.out
    damaged = bytearray((tmp_path / "b.avi").read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 3000] = bytes(3000)
    (tmp_path / "b.avi").write_bytes(damaged)
    told = awcl("pack", frames, "--size", 32, "--packs", tmp_path / "packs")
    assert told.code == 0 and "8 frames at 32 px" in told.out
    head, line = told.err.strip().splitlines()
    assert head == "2 frames could not be read and are left out:"
    assert line.startswith("  video/b/000010 and 1 more of its video: the video breaks off after")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    """Where `made` puts its phantom."""
    return tmp_path_factory.mktemp("clinic") / "phantom"


CLINIC = ("--scans", 5, "--size", 64, "--seconds", 3, "--rate", 8, "--labelled", 0.4)


@pytest.fixture
def made(awcl, phantom) -> tuple[Told, Path]:
    """A phantom of five scans, made by the first test that asks for it, and what was told of it."""
    return awcl("phantom", "--out", phantom, *CLINIC, "--workers", 1), phantom


def test_a_phantom_is_a_set_without_leaks_that_can_be_packed(awcl, made, tmp_path):
    told, folder = made
    assert told.code == 0, told.err
    frames = folder / "frames.parquet"
    table = FrameTable.read(frames, Taxonomy.load())
    assert told.out.strip().splitlines()[-1] == f"{len(table)} frames -> {frames}"
    assert set(table.frames["split"]) == {"train", "val", "test"}
    assert awcl("audit", frames).code == 0
    told = awcl("pack", frames, "--size", 32, "--packs", tmp_path / "packs")
    assert told.code == 0 and told.out.startswith(f"{len(table)} frames at 32 px -> ")


def test_a_phantom_of_videos_becomes_frames_as_own_videos_do(awcl, tmp_path):
    told = awcl("phantom", "--out", tmp_path / "p", "--videos", "--workers", 1, *CLINIC)
    assert told.code == 0, told.err
    own = FrameTable.read(tmp_path / "p" / "frames.parquet", Taxonomy.load())
    told = awcl("frames", f"video={tmp_path / 'p' / 'videos'}", "--out", tmp_path / "f.parquet")
    assert told.code == 0 and f"{len(own)} frames -> " in told.out, told.err


def test_a_contact_sheet_is_drawn_with_frames_beside(awcl, frames, tmp_path):
    told = awcl("phantom", "--sheet", tmp_path / "s.png", "--beside", frames, "--seed", 1)
    assert told.code == 0 and told.out == f"contact sheet -> {tmp_path / 's.png'}\n"
    with Image.open(tmp_path / "s.png") as beside:
        assert beside.format == "PNG" and beside.width > 1700 and beside.height > 1900
    assert files(tmp_path) == {tmp_path / "s.png"}


def test_pre_training_goes_on_and_is_judged(awcl, frames, packs, tmp_path):
    run, given = tmp_path / "run", ("--frames", frames, "--packs", packs)
    told = awcl("pretrain", *given, "--out", run, *flags(pretrain__epochs=2))
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].startswith("epoch   1/2  loss ") and " proxy " in lines[0]
    assert lines[-1].startswith("2 epochs, val/proxy ") and lines[-1].endswith(f"-> {run}")
    assert newest_checkpoint(run).name == "epoch_0002"

    again = awcl("pretrain", *given, "--out", run, *flags(pretrain__epochs=2))
    assert again.code == 0 and again.out.splitlines() == [lines[-1]], "nothing was left to train"
    other = awcl("pretrain", *given, "--out", run, *flags(pretrain__epochs=2, seed=1))
    assert other.code == 2 and "another run is in this folder (seed 0 there, 1" in other.err

    out = tmp_path / "EVAL.json"
    told = awcl("evaluate", run, *given, "--out", out)
    assert told.code == 0, told.err
    result = json.loads(out.read_text())
    assert result["encoder"] == "epoch_0002" and result["backbone"] == "test_resnet"
    assert f"{result['metrics']['macro_f1']:.3f}  [" in told.out
    assert "planes of epoch_0002, level fine: 4CH, FLP, HCP, LVOT" in told.out


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit(15)])
def test_what_is_interrupted_says_how_to_go_on(awcl, monkeypatch, tmp_path, raised):
    """Ctrl-C, and SIGTERM as Ray answers it."""

    def interrupted(options):
        raise raised

    monkeypatch.setattr(commands, "study_status", interrupted)
    before = signal.getsignal(signal.SIGINT)
    told = awcl("study", "status", "planes")
    signal.signal(signal.SIGINT, before)
    assert told.code == 130
    assert told.err == "awcl: interrupted; run the same command again to go on\n"


def test_an_interrupted_run_goes_on_from_its_newest_checkpoint(awcl, frames, packs, tmp_path):
    run, given = tmp_path / "run", ("--frames", frames, "--packs", packs)
    command = ("pretrain", *given, "--out", run, *flags(pretrain__epochs=2))
    first = awcl(*command)
    shutil.rmtree(run / "epoch_0002")
    second = awcl(*command)
    assert second.code == 0
    shown = [line.split("images/s")[0].split()[:6] for line in first.out.splitlines()[1:2]]
    assert [line.split()[:6] for line in second.out.splitlines()[:-1]] == shown


def test_a_random_encoder_is_judged_on_chosen_frames(awcl, frames, packs):
    told = awcl(
        "evaluate", "random", "--frames", frames, "--packs", packs, "--where", "machine=A", *flags()
    )
    assert told.code == 0, told.err
    assert told.out.startswith("planes of random, level fine: ")
    assert "domain/machine/A/macro_f1" in told.out and "machine/B" not in told.out


# --- what does not -----------------------------------------------------------------------------


def refused(told: Told, said: str) -> None:
    """One line on stderr for the user, no trace-back, not exit code 0."""
    assert told.code not in (0, None)
    lines = told.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("awcl: "), told.err
    assert said in lines[0]
    assert "Traceback" not in told.err


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (('"head" = "HCP"', '"head" = "HPC"'), "[anatomy] 'head': unknown anatomy name 'HPC'; did"),
        (('"head" = "HCP"', ""), "unknown anatomy name 'head'"),
        (('anatomy = "view"', 'anatomy = "label"'), "'label'"),
        (('table = "frames.csv"', 'table = "frame.csv"'), "frame.csv: no such file"),
    ],
)
def test_a_mapping_that_is_wrong_makes_no_table(awcl, clinic, tmp_path, edit, said):
    clinic.write_text(MAPPING.replace(*edit))
    before = files(tmp_path)
    refused(awcl("frames", f"table={clinic}", "--out", tmp_path / "f.parquet"), said)
    assert files(tmp_path) == before


def test_a_patient_in_two_splits_of_an_own_table_is_refused(awcl, clinic, tmp_path):
    own = pd.read_csv(tmp_path / "frames.csv")
    own.loc[own["pid"] == "tiny/p9", "part"] = ["train", "test", "test", "test"]
    own.to_csv(tmp_path / "frames.csv", index=False)
    before = files(tmp_path)
    told = awcl("frames", f"table={clinic}", "--out", tmp_path / "f.parquet")
    refused(told, "this patient is in test and train")
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["fetal_plane_db=x"], "unknown source 'fetal_plane_db'; did you mean 'fetal_planes_db'"),
        (["hc18"], "'hc18': give NAME=DIR, with NAME one of african_planes"),
    ],
)
def test_a_source_that_is_none_is_refused(awcl, tmp_path, sources, said):
    refused(awcl("frames", *sources, "--out", tmp_path / "f.parquet"), said)
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"anatomy__ratio": 1.5}, "anatomy.ratio '1.5': Input should be less than or equal to 1"),
        ({"anatomy__ratio": -0.5}, "anatomy.ratio '-0.5': Input should be greater than or equal"),
        ({"pretrain__temperature": 0}, "pretrain.temperature '0': Input should be greater than 0"),
        ({"pretrain__batch": 64}, "pretrain.batch 64 is larger than the 24 frames"),
        ({"pretrain__epochs": "ten"}, "pretrain.epochs 'ten': Input should be a valid integer"),
        ({"model__backbone": "resnet81"}, "model.backbone 'resnet81': no such timm model; nearest"),
        ({"pretrain__method": "byol"}, "pretrain.method 'byol': choose one of groups, supervised"),
        ({"data__recipe": "strong"}, "data.recipe 'strong': choose one of paper, ultrasound"),
        ({"data__pretrain_where": "vendor=A"}, "unknown column 'vendor'"),
        ({"data__pretrain_where": "machine"}, "'machine': give COLUMN=VALUE"),
        ({"pretrain__workers": 2}, "pretrain.workers is 2, but 1 processes run"),
        ({"device": "cuda"}, "device cuda: this machine has no CUDA device"),
    ],
)
def test_a_configuration_that_is_wrong_starts_no_run(awcl, frames, packs, tmp_path, values, said):
    if values.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    given = ("--frames", frames, "--packs", packs, "--out", tmp_path / "run")
    refused(awcl("pretrain", *given, *flags(**values)), said)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_empty_split_is_refused(awcl, changed, packs, tmp_path, split):
    table = changed(lambda rows: rows[rows["split"] != split])
    given = ("--frames", table, "--packs", packs)
    before = files(tmp_path)
    if split == "test":
        out = tmp_path / "EVAL.json"
        told = awcl("evaluate", "random", *given, "--out", out, *flags())
    else:
        told = awcl("pretrain", *given, "--out", tmp_path / "run", *flags())
    refused(told, f"split '{split}' is empty")
    assert files(tmp_path) == before


@pytest.mark.parametrize("command", ["pack", "audit", "pretrain", "evaluate"])
@pytest.mark.parametrize("content", [None, b"frame_id,path\n", b"PAR1 cut off"])
def test_frames_that_are_no_table_are_refused(awcl, tmp_path, packs, command, content):
    file = tmp_path / "frames.parquet"
    if content is not None:
        file.write_bytes(content)
    before = files(tmp_path)
    arguments = {
        "pack": ("pack", file, "--packs", packs),
        "audit": ("audit", file, "--fix", tmp_path / "fixed.parquet"),
        "pretrain": ("pretrain", "--frames", file, "--out", tmp_path / "run"),
        "evaluate": ("evaluate", "random", "--frames", file, *flags()),
    }[command]
    said = "no such file" if content is None else "not a Parquet file"
    refused(awcl(*arguments), f"{file}: {said}; make one with `awcl frames`")
    assert files(tmp_path) == before


def test_a_patient_in_two_splits_is_refused_with_what_mends_it(awcl, changed, packs, tmp_path):
    told = awcl(
        "pretrain", "--frames", changed(crossing), "--packs", packs, "--out", tmp_path / "r"
    )
    refused(told, "this patient is in test and train; give one split (`awcl audit")
    assert not (tmp_path / "r").exists()


def test_packs_in_a_place_that_cannot_be_written_are_refused(awcl, frames, tmp_path):
    (tmp_path / "file").write_text("")
    told = awcl("pack", frames, "--size", 32, "--packs", tmp_path / "file" / "packs")
    refused(told, f"Not a directory ({tmp_path / 'file'}")
    told = awcl("pack", frames, "--size", 32, "--packs", "/proc/packs")
    refused(told, "(/proc/")
    assert files(tmp_path) == {tmp_path / "file"}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere", "nowhere: no checkpoint, run folder or weights file"),
        (".", "no complete checkpoint in this folder"),
        ("file.safetensors", "file.safetensors: not a safetensors file"),
    ],
)
def test_an_encoder_that_is_none_is_refused(awcl, frames, packs, tmp_path, monkeypatch, what, said):
    monkeypatch.chdir(tmp_path)
    Path("file.safetensors").write_bytes(b"no weights")
    refused(awcl("evaluate", what, "--frames", frames, "--packs", packs), said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--scans", 0], "--scans 0: at least 1 scan"),
        (["--size", 5], "phantom: size 5: between 32 and 2048"),
        (["--labelled", 2], "phantom: labelled 2.0: between 0 and 1"),
        (["--rate", 0], "phantom: rate 0.0: between 1 and 200"),
        (["--rate", "nan"], "phantom: rate nan: between 1 and 200"),
        (["--seconds", -1], "phantom: seconds -1.0: between"),
        (["--every", 0], "phantom: every 0: between"),
        (["--seed", -1], "phantom: seed -1: between"),
        (["--workers", -1], "--workers -1: at least 1 process"),
        (["--workers", 0], "--workers 0: at least 1 process"),
        (["--sheet", "s.jpg"], "--sheet s.jpg: it is a PNG"),
        (["--taxonomy", "none.toml"], "taxonomy none.toml: No such file or directory"),
    ],
)
def test_a_phantom_that_cannot_be_is_refused(awcl, tmp_path, given, said):
    refused(awcl("phantom", "--out", tmp_path / "p", *given), said)
    assert files(tmp_path) == set()


def test_a_phantom_goes_only_where_it_may(awcl, made, frames, tmp_path):
    _, folder = made
    before = files(folder)
    said = f"{folder}: holds a phantom with seed 0, not 1; give another --out"
    refused(awcl("phantom", "--out", folder, *CLINIC, "--seed", 1), said)
    assert files(folder) == before
    refused(awcl("phantom", "--out", frames.parent), f"{frames.parent}: holds other files")
    refused(awcl("phantom", "--out", frames), "frames.parquet")
    refused(awcl("phantom", "--out", "/proc/phantom"), "(/proc/phantom")
    refused(awcl("phantom"), "give --out DIR to make one, or --sheet FILE.png")
    told = awcl("phantom", "--sheet", tmp_path / "s.png", "--beside", tmp_path / "none.parquet")
    refused(told, "none.parquet: no such file")
    assert files(tmp_path) == set()


def test_tasks_and_columns_that_are_none_are_refused(awcl, frames, packs):
    given = ("evaluate", "random", "--frames", frames, "--packs", packs, *flags())
    refused(awcl(*given, "--task", "plane"), "task 'plane': choose one of ")
    refused(awcl(*given, "--where", "vendor=A"), "unknown column 'vendor'")
    refused(awcl(*given, "--where", "machine"), "--where 'machine': give COLUMN=VALUE")


def test_a_study_that_is_none_or_has_no_frames_is_refused(awcl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(awcl("study", "run", "plane"), "study 'plane': no such file and no recipe; there is ")
    refused(awcl("study", "run", "planes"), "--frames FRAMES.parquet is needed")
    refused(awcl("study", "run", "planes", "--as", "../up"), "--as: name '../up'")
    refused(awcl("study", "status", "planes"), "results/planes: no study is stored here")
    refused(awcl("study", "sync", "planes"), "no study is stored here")
    refused(awcl("study", "propose", "planes", 2), "no study is stored here")
    refused(awcl("study", "register", "planes"), "no study is stored here")
    assert files(tmp_path) == set()


def test_proposals_are_appended_and_shown_as_a_table(awcl, tmp_path):
    axes = {"pretrain.lr": {"low": 0.001, "high": 0.1, "log": True}, "anatomy.ratio": [0.5, 1]}
    study = Study(name="s", axes=axes, sampler="sobol", samples=4)
    folder = StudyFolder(tmp_path / "s")
    folder.accept({**study.model_dump(mode="json"), "packs": {}, "id": "1"})
    refused(awcl("study", "propose", "s", 2, "--storage", tmp_path), "no trial ran to its full")
    for number, config in enumerate(expand(study)):
        trial = folder.trial(f"{number}")
        trial.write_about({"key": trial.key, "config": config.model_dump(mode="json")})
        trial.append_history({"epoch": 1, "val/proxy": 0.1 * number})
        trial.write_done("finished", epoch=1)
    told = awcl("study", "propose", "s", 2, "--storage", tmp_path)
    assert told.code == 0 and told.err == ""
    head, *rows, said, then = told.out.splitlines()
    assert head.split() == ["pretrain.lr", "anatomy.ratio"]
    assert (
        said == "2 configurations appended, learnt from 4 finished; below 10 they are random draws"
    )
    assert then == "`awcl study run s` trains them"
    proposed = [list(point.values()) for point in folder.definition["proposed"]]
    assert [[float(cell) for cell in row.split()] for row in rows] == proposed
    with folder.only_driver():
        told = awcl("study", "propose", "s", 2, "--storage", tmp_path)
    refused(told, "another process is running this study")


def test_a_sync_that_reaches_no_mlflow_says_so_and_is_no_success(awcl, tmp_path):
    StudyFolder(tmp_path / "s").accept({"name": "s", "id": "1", "axes": {}})
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    uri = f"sqlite:///{tmp_path / 'broken.db'}"
    told = awcl("study", "sync", "s", "--storage", tmp_path, "--tracking", uri)
    assert told.code == 1 and told.out == ""
    assert told.err.startswith(f"awcl: warning: MLflow at {uri}: ")


@pytest.mark.parametrize(
    "command",
    ["frames", "phantom", "audit", "pack", "pretrain", "evaluate"]
    + [f"study {action}" for action in ("run", "status", "evaluate", "propose", "sync")],
)
def test_every_command_has_help_with_an_example(awcl, command):
    told = awcl(*command.split(), "--help")
    assert told.code == 0 and f"example:\n  awcl {command} " in told.out


def test_a_relative_database_is_the_one_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = argparse.Namespace(tracking="sqlite:///mlflow.db", storage="results")
    assert studies._tracking(options) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    options = argparse.Namespace(tracking=None, storage="results")
    assert studies._tracking(options) == f"sqlite:///{tmp_path / 'results' / 'mlflow.db'}"
    options = argparse.Namespace(tracking="http://127.0.0.1:5000", storage="results")
    assert studies._tracking(options) == "http://127.0.0.1:5000"
