"""The command line, run in this process on very small data."""

import argparse
import json
import shutil
import sys
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image

from awcl import checkpoints, commands, complete
from awcl import study as study_package
from awcl.__main__ import main
from awcl.commands import studies
from awcl.commands.shared import configured, new_file
from awcl.config import TrialConfig
from awcl.data import videos
from awcl.data.pack import FramePack
from awcl.data.table import FrameTable
from awcl.downstream.evaluation import write_evaluation
from awcl.downstream.features import weights_digest
from awcl.encoder import Encoder, features
from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study import plan, recipes
from awcl.study.space import Study, expand
from awcl.taxonomy import Taxonomy
from awcl.weights import find_encoder

Told = namedtuple("Told", "code out err")
Own = namedtuple("Own", "given plan")
ENCODER = {"model.backbone": "test_resnet", "data.size": 32}
SMALL = {**ENCODER, "pretrain.batch": 8}


@pytest.fixture
def awcl(capsys, monkeypatch):
    """awcl("pack", file, ...) -> exit code, stdout, stderr. What it sets for its process goes."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*arguments) -> Told:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Told(ended.value.code or 0, *capsys.readouterr())

    return run


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
    return _flags({**SMALL, **values})


def of_encoder(**values) -> list[str]:
    """Those that the commands of one encoder read."""
    return _flags({**ENCODER, **values})


def _flags(values: dict) -> list[str]:
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    return [part for name, value in dotted.items() for part in (f"--{name}", str(value))]


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
    assert checkpoints.newest(run).name == "epoch_0002"

    again = awcl("pretrain", *given, "--out", run, *flags(pretrain__epochs=2))
    assert again.code == 0 and again.out.splitlines() == [lines[-1]], "nothing was left to train"
    other = awcl("pretrain", *given, "--out", run, *flags(pretrain__epochs=2, seed=1))
    assert other.code == 2 and "another run is in this folder (seed 0 there, 1" in other.err

    out = tmp_path / "EVAL.json"
    told = awcl("evaluate", run, *given, "--task", "planes", "--quick", "--out", out)
    assert told.code == 0, told.err
    result = json.loads(out.read_text())
    assert result["encoder"] == "run-epoch_0002" and result["backbone"] == "test_resnet"
    lines = told.out.splitlines()
    assert lines[:4] == [
        "planes", "  level: fine", "  classes: 4CH, FLP, HCP, LVOT", lines[3].rstrip()
    ]  # fmt: skip
    assert lines[3].split() == ["run-epoch_0002"]
    assert f"macro_f1 {result['metrics']['macro_f1']:.3f} [" in " ".join(lines[4].split())
    assert lines[-1] == f"-> {out}" and "class/" not in told.out


def test_pre_training_starts_from_an_encoder_that_is_named(
    awcl, frames, packs, tmp_path, empty_hub
):
    common = ["pretrain", "--frames", frames, "--packs", packs, "--device", "cpu"]
    first, second = tmp_path / "first", tmp_path / "second"
    told = awcl(*common, "--out", first, *flags(pretrain__epochs=0))
    assert told.code == 0 and told.out.startswith("untrained  proxy ")
    assert "\n0 epochs, val/proxy " in told.out
    begun = flags(pretrain__epochs=1, model__init=first)
    told = awcl(*common, "--out", second, *begun)
    assert told.code == 0, told.err
    [kept] = (second / "weights").iterdir()
    assert kept.read_bytes() == (first / "epoch_0000" / checkpoints.ENCODER).read_bytes()
    stored = (second / "TRIAL.json").read_text()
    assert f"weights:{kept.stem}" in stored and str(tmp_path) not in stored
    assert awcl(*common, "--out", second, *begun).code == 0, "it goes on from there"
    told = awcl(*common, "--out", second, *flags(pretrain__epochs=1))
    assert told.code == 2 and "another run is in this folder (model.init 'weights:" in told.err
    for given, said in (
        ("imagenet", "imagenet: weights of timm's test_resnet.r160_in1k are not in the cache"),
        ("nowhere", "nowhere: no checkpoint, run folder or weights file"),
    ):
        told = awcl(*common, "--out", tmp_path / "none", *flags(model__init=given))
        assert told.code == 2 and said in told.err and told.err.count("\n") == 1
        assert not (tmp_path / "none").exists()


def test_a_smoke_run_is_a_study_of_its_own_and_a_warning_is_told_once(
    awcl, frames, packs, tmp_path, monkeypatch
):
    monkeypatch.setattr("awcl.study.dry.seconds_per_step", lambda *given: 1.0)
    (tmp_path / "own.py").write_text(
        "from awcl.config import TrialConfig, with_values\n"
        "from awcl.study.space import Study\n"
        "def study():\n"
        f"    values = {{**{SMALL!r}, 'data.pretrain_where': {{'machine': '!C'}}}}\n"
        "    arms = {f'a{n}': {'pretrain.lr': 0.001 + n} for n in range(9)}\n"
        "    return Study(name='own', base=with_values(TrialConfig(), values, 't'), arms=arms,\n"
        "                 seeds=[0, 1], tasks=['planes'])\n"
    )
    common = ["study", "run", tmp_path / "own.py", "--frames", frames, "--packs", packs]
    told = awcl(*common, "--storage", tmp_path / "results", "--smoke", "--dry-run")
    assert told.code == 0, told.err
    rows = [line.split() for line in told.out.splitlines() if "0/2" in line]
    assert [row[0] for row in rows] == ["a0", "a3", "a5", "a8"]
    assert told.err.count("no frame has machine 'C'") == 1


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit(15)])
def test_what_is_interrupted_says_how_to_go_on(awcl, monkeypatch, tmp_path, raised):
    """Ctrl-C, and SIGTERM as Ray answers it."""

    def interrupted(options):
        raise raised

    monkeypatch.setattr(commands, "study_status", interrupted)
    told = awcl("study", "status", "planes")
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


def test_a_random_encoder_is_judged_on_chosen_frames(awcl, frames, packs, tmp_path):
    given = ("--frames", frames, "--packs", packs, "--task", "planes", "--quick", *of_encoder())
    out = tmp_path / "EVAL.json"
    told = awcl("evaluate", "random", *given, "--where", "machine=A", "--out", out)
    assert told.code == 0, told.err
    metrics = json.loads(out.read_text())["metrics"]
    assert "domain/machine/A/macro_f1" in metrics
    assert "domain/machine/B/macro_f1" not in metrics


def test_encoders_are_judged_on_all_tasks_that_the_frames_allow_and_compared(
    awcl, frames, packs, tmp_path
):
    out = tmp_path / "results"
    given = ("--frames", frames, "--packs", packs, "--quick", "--out", out)
    torch.manual_seed(5)
    Encoder("test_resnet", 32).save(tmp_path / "other.safetensors")
    command = (
        "evaluate",
        "random",
        f"mine={tmp_path / 'other.safetensors'}",
        *given,
        *of_encoder(),
    )
    told = awcl(*command, "--compare")
    assert told.code == 0, told.err
    assert "segmentation is not run: " in told.err
    for word in ("random", "mine"):
        assert {folder.name for folder in (out / word).iterdir()} == {"cross_planes", "planes"}
    _, head, ridge = told.out[
        told.out.index("\nplanes: mine (B) minus random (A)") + 1 :
    ].splitlines()[:3]
    assert head.split() == ["A", "B", "B", "-", "A", "[95", "%]", "n"]
    scores = {
        word: json.loads((out / word / "planes" / "EVAL.json").read_text())["metrics"]["macro_f1"]
        for word in ("random", "mine")
    }
    gain = scores["mine"] - scores["random"]
    assert ridge.split()[:4] == [
        "ridge/macro_f1", f"{scores['random']:.3f}", f"{scores['mine']:.3f}", f"{gain:+.3f}"
    ]  # fmt: skip
    assert "* clear of zero: " in told.out
    assert max(map(len, told.out.splitlines())) <= 100

    before = {file: file.stat().st_mtime_ns for file in files(out)}
    again = awcl(*command, "--compare")
    assert again.code == 0 and f"{out / 'mine' / 'planes'}: kept as it is" in again.out
    assert again.out.endswith(told.out), "what is kept says the same"
    stored = awcl("evaluate", out / "random", out / "mine", "--compare")
    assert stored.code == 0, "no frames are asked for"
    assert stored.out == told.out.removesuffix(f"-> {out}\n")
    other = awcl("evaluate", "random", *given, *of_encoder(seed=1))
    refused_last(other, "cross_planes: holds a result of other weights; give another --out")
    assert {file: file.stat().st_mtime_ns for file in files(out)} == before


def test_a_trial_of_a_study_is_compared_by_what_was_stored_of_it(awcl, frames, packs, tmp_path):
    out = tmp_path / "results"
    given = ("--frames", frames, "--packs", packs, "--task", "planes", "--quick", *of_encoder())
    assert awcl("evaluate", "random", *given, "--out", out).code == 0
    trial = tmp_path / "study" / "trials" / "abc"
    shutil.copytree(out / "random" / "planes", trial / "eval" / "planes-1")
    told = awcl("evaluate", trial, out / "random", "--compare")
    assert told.code == 0 and "planes: random (B) minus abc (A)" in told.out
    mixed = awcl("evaluate", trial, "fresh=random", "--compare", *given)
    assert mixed.code == 0 and "planes: fresh (B) minus abc (A)" in mixed.out
    assert "+0.000 [+0.000, +0.000]" in mixed.out
    evaluation = trial / "eval" / "planes-1" / "predictions.parquet"
    pd.read_parquet(evaluation).iloc[1:].to_parquet(evaluation)
    told = awcl("evaluate", trial, out / "random", "--compare")
    refused(told, "planes of abc and random: the results are of different frames")


def test_features_are_embedded_with_the_names_of_their_frames(awcl, frames, packs, tmp_path):
    out = tmp_path / "features.parquet"
    given = ("--frames", frames, "--packs", packs, "--where", "machine=A", *of_encoder())
    told = awcl("embed", "random", *given, "--out", out)
    assert told.code == 0, told.err
    assert told.out == f"24 frames, 96 features of random -> {out}\n"
    table = pq.read_table(out)
    assert table.schema.field("feature").type == pa.list_(pa.float32(), 96)
    about = json.loads(table.schema.metadata[b"awcl"])
    encoder, _ = find_encoder("random", "test_resnet", 32)
    pack = FramePack(packs / about["pack"])
    assert about["encoder"] == weights_digest(encoder) and about["backbone"] == "test_resnet"
    rows = [list(pack.frames["frame_id"]).index(name) for name in table["frame_id"].to_pylist()]
    np.testing.assert_allclose(
        np.array(table["feature"].to_pylist()), features(encoder, pack, np.array(rows)), atol=1e-5
    )
    refused(awcl("embed", "random", *given, "--out", out), "is there already, and is not overwrit")
    refused(awcl("embed", "random", *given, "--out", frames), "is there already")
    refused(awcl("embed", "random", *given, "--out", "f.csv"), "a name that ends in .parquet")


def test_an_exported_encoder_says_what_goes_in_and_is_read_again(awcl, frames, packs, tmp_path):
    out = tmp_path / "e.safetensors"
    told = awcl("export", "random", *of_encoder(), "--out", out)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].startswith("timm.create_model('test_resnet', in_chans=1, num_classes=0, check")
    assert lines[1].startswith("input: (N, 1, 32, 32) float32")
    assert lines[-1] == f"test_resnet, random -> {out}"
    features = [tmp_path / f"{number}.parquet" for number in (1, 2)]
    for what, file in zip(("random", out), features, strict=True):
        given = ("--frames", frames, "--packs", packs, "--out", file, *of_encoder())
        assert awcl("embed", what, *given).code == 0
    assert pq.read_table(features[0]).equals(pq.read_table(features[1]))
    before = out.read_bytes()
    refused(awcl("export", "random", *of_encoder(), "--out", out), "is there already")
    refused(
        awcl("export", "random", *of_encoder(), "--out", "e.pth"), "ends in .safetensors or .onnx"
    )
    assert out.read_bytes() == before


# --- what does not -----------------------------------------------------------------------------


def refused(told: Told, said: str) -> None:
    """One line on stderr for the user, no trace-back, not exit code 0."""
    assert told.code not in (0, None)
    lines = told.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("awcl: "), told.err
    assert said in lines[0]
    assert "Traceback" not in told.err


def refused_last(told: Told, said: str) -> None:
    """As `refused`, after lines that told of other things."""
    assert told.code == 2 and said in told.err.splitlines()[-1], told.err
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
        (
            {"pretrain__method": "byol"},
            "pretrain.method 'byol': choose one of groups, moco, supcon, ",
        ),
        ({"pretrain__method": "moco", "method__queue": 500}, "method.queue 500 is more than half"),
        (
            {"method__queue": 500},
            "method.queue: no setting of pretrain.method groups, which has none",
        ),
        ({"data__recipe": "strong"}, "data.recipe 'strong': choose one of paper, ultrasound"),
        ({"data__pretrain_where": "vendor=A"}, "unknown column 'vendor'"),
        ({"data__pretrain_where": "machine"}, "'machine': give COLUMN=VALUE"),
        ({"pretrain__workers": 2}, "pretrain.workers is 2, but 1 processes run"),
        ({"device": "cuda"}, "device cuda: torch finds no CUDA device on this machine"),
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
        out = tmp_path / "results"
        told = awcl("evaluate", "random", *given, "--out", out, *of_encoder())
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
        "evaluate": ("evaluate", "random", "--frames", file, *of_encoder()),
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
        ("nowhere", "nowhere: no checkpoint, run folder or weights file; or give 'random' or 'im"),
        ("pickle.pth", "pickle.pth: no weights file, or one that holds pickled code, which is not"),
        ("cut.pth", "cut.pth: not a whole weights file"),
        ("vit.pth", "vit.pth: weights do not fit test_resnet: 'conv1.0.weight' is missing"),
        ("four.pth", "four.pth: weights for images of 4 channels"),
        ("vit.safetensors", "vit.safetensors: an encoder with model.backbone test_vit; --model.ba"),
        ("large.safetensors", "large.safetensors: an encoder with data.size 64; --data.size asks"),
        ("imagenet", "weights of timm's test_resnet.r160_in1k are not in the cache; download"),
        (".", "no complete checkpoint in this folder"),
        ("file.safetensors", "file.safetensors: not a safetensors file"),
    ],
)
def test_an_encoder_that_is_none_is_refused(awcl, frames, packs, tmp_path, monkeypatch, what, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    Path("file.safetensors").write_bytes(b"no weights")
    torch.save({"state_dict": argparse.Namespace()}, "pickle.pth")
    for name, of in {"vit": "test_vit", "four": "test_resnet", "cut": "test_resnet"}.items():
        model = timm.create_model(of, in_chans=4 if name == "four" else 3)
        torch.save(model.state_dict(), f"{name}.pth")
    Path("cut.pth").write_bytes(Path("cut.pth").read_bytes()[:-1000])
    Encoder("test_vit", 32).save(Path("vit.safetensors"))
    Encoder("test_resnet", 64).save(Path("large.safetensors"))
    before = files(tmp_path)
    given = ("--frames", frames, "--packs", packs, *of_encoder())
    refused(awcl("evaluate", what, *given, "--out", "results"), said)
    assert files(tmp_path) == before


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
    given = ("evaluate", "random", "--frames", frames, "--packs", packs, *of_encoder())
    refused(awcl(*given, "--task", "plane"), "task 'plane': choose one of ")
    refused(awcl(*given, "--where", "vendor=A"), "unknown column 'vendor'")
    refused(awcl(*given, "--task", "{"), "--task {: no JSON (")
    refused(awcl(*given, "--task", '{"draws": 1}'), 'which? give "task"')
    said = "task few_labels: draws 0: Input should be greater than or equal to 1"
    refused(awcl(*given, "--task", '{"task": "few_labels", "draws": 0}'), said)
    twice = ("--task", "planes", "--task", '{"task": "planes", "level": "coarse"}')
    refused(awcl(*given, *twice), "--task: two are called 'planes'; give one of them a \"name\"")


def test_a_run_that_was_trained_on_other_frames_is_told_of(awcl, frames, packs, tmp_path):
    run = tmp_path / "run"
    trained = ("--frames", frames, "--packs", packs, "--out", run, *flags(pretrain__epochs=1))
    assert awcl("pretrain", *trained).code == 0
    given = ("evaluate", run, "--packs", packs, "--quick", "--task", "planes")
    told = awcl(*given, "--frames", frames)
    assert told.code == 0 and "another table" not in told.err
    swapped = pd.read_parquet(frames)
    swapped["split"] = swapped["split"].map({"train": "test", "test": "train", "val": "val"})
    swapped.to_parquet(tmp_path / "swapped.parquet")
    told = awcl(*given, "--frames", tmp_path / "swapped.parquet")
    assert "pre-trained on another table of frames; whether it saw test patients" in told.err


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_judged(awcl, frames, packs):
    given = ("evaluate", "random", "--frames", frames, "--packs", packs, "--quick", *of_encoder())
    refused(awcl(*given, "--task", "planes", "--out", "/proc/results"), "--out /proc/results: ")
    refused(awcl("evaluate", "../up=random", *given[2:]), "choose a NAME that a folder can have")


def test_a_task_is_given_its_settings_as_in_a_recipe(awcl, frames, packs, tmp_path):
    given = ("evaluate", "random", "--frames", frames, "--packs", packs, "--quick", *of_encoder())
    coarse = '{"task": "planes", "name": "planes-coarse", "level": "coarse"}'
    told = awcl(*given, "--task", "planes", "--task", coarse, "--out", tmp_path / "results")
    assert told.code == 0, told.err
    levels = {
        file.parent.name: json.loads(file.read_text())["about"]["level"]
        for file in (tmp_path / "results" / "random").glob("*/EVAL.json")
    }
    assert levels == {"planes": "fine", "planes-coarse": "coarse"}
    refused(awcl(*given, "--where", "machine"), "--where 'machine': give COLUMN=VALUE")


def test_a_study_that_is_none_or_has_no_frames_is_refused(awcl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(awcl("study", "run", "plane"), "study 'plane': no such file and no recipe; there is ")
    refused(awcl("study", "run", "planes"), "--frames FRAMES.parquet is needed")
    refused(awcl("study", "run", "planes", "--as", "../up"), "--as: name '../up'")
    refused(awcl("study", "run", "planes", "--as", ""), "--as: name '': String should match")
    refused(awcl("study", "status", "planes"), "results/planes: no study is stored here")
    refused(awcl("study", "sync", "planes"), "no study is stored here")
    refused(awcl("study", "propose", "planes", 2), "no study is stored here")
    refused(awcl("study", "register", "planes"), "no study is stored here")
    assert files(tmp_path) == set()


RECIPE = """
from awcl.config import TrialConfig, with_values
from awcl.study.space import Study

def study():
    values = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8}
    return Study(name="own", base=with_values(TrialConfig(), values, "test"), tasks=["planes"])
"""


@pytest.fixture
def own(frames, packs, tmp_path) -> Own:
    """A study of one trial; its folder is in tmp_path / "results"."""
    (tmp_path / "own.py").write_text(RECIPE)
    storage = ("--storage", tmp_path / "results")
    given = (tmp_path / "own.py", "--frames", frames, "--packs", packs, *storage)
    return Own(
        given, plan.make_plan(recipes.load(str(given[0])), frames, tmp_path / "results", packs)
    )


def ended(own: Own, judged: bool) -> None:
    """The study's trial as finished."""
    with plan.held(own.plan):
        [trial] = own.plan.trials
    checkpoint = trial.folder.train / "epoch_0001"
    checkpoint.mkdir(parents=True)
    (checkpoint / checkpoints.ENCODER).write_bytes(b"weights")
    complete.mark(checkpoint)
    trial.folder.append_history({"epoch": 1, "time": 1.0, "val/proxy": 0.5})
    trial.folder.write_done("finished", epoch=1)
    for evaluation in own.plan.missing_evaluations() if judged else ():
        result = {"name": "planes", "epoch": 1, "metrics": {}}
        settings = {"settings": evaluation.settings.model_dump(mode="json")}
        frames = pd.DataFrame({"frame_id": ["f"], "patient": ["p"], "audit_group": [None]})
        write_evaluation(evaluation.folder, {**result, **settings}, frames)


def test_nothing_to_evaluate_is_said_before_ray_is_there(awcl, own, tmp_path, monkeypatch):
    monkeypatch.delattr(study_package, "executor", raising=False)
    monkeypatch.setitem(sys.modules, "awcl.study.executor", None)  # to import it fails
    refused(awcl("study", "evaluate", *own.given), "results/own: no study is stored here; run it")
    assert not (tmp_path / "results" / "own").exists()
    with plan.held(own.plan):
        pass
    refused(awcl("study", "evaluate", *own.given), "study own: nothing to evaluate, no trial has")
    ended(own, judged=True)
    told = awcl("study", "evaluate", *own.given)
    assert told.code == 0 and told.err == ""
    assert "nothing to evaluate: every task has judged every trial that has ended\n" in told.out
    assert (tmp_path / "results" / "own" / "report.html").is_file()


def test_an_evaluation_that_fails_is_told_after_the_table(awcl, own, monkeypatch):
    from awcl.study import evaluating, executor

    def fails(*_) -> None:
        evaluating.tell_failed(["planes of k: no memory"])

    ended(own, judged=False)
    monkeypatch.setattr(executor, "evaluate", fails)
    told = awcl("study", "evaluate", *own.given)
    assert told.code == 1 and "finished, by val/proxy (1)" in told.out
    assert told.err == (
        "awcl: 1 evaluation failed; the first, planes of k: no memory; "
        "`awcl study evaluate` tries again\n"
    )


def test_a_damaged_record_of_a_trial_is_written_anew_once_it_is_removed(own):
    [trial] = own.plan.trials
    with plan.held(own.plan):
        file, before = trial.folder.path / "TRIAL.json", trial.folder.about
    file.unlink()
    with plan.held(own.plan):
        assert trial.folder.about == before


def test_times_are_wrapped_between_stages():
    summary = ", ".join([*(f"stage{number} 1 min 11 s" for number in range(9)), "total 3 h 5 min"])
    first, *others = lines = studies._times(summary).splitlines()
    assert first.startswith("times    stage0 1 min 11 s, ") and max(map(len, lines)) <= 100
    assert others and all(line.startswith(" " * 9 + "stage") for line in others)
    assert " ".join(line.strip() for line in lines) == f"times    {summary}"


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
    assert told.err.startswith(f"awcl: MLflow at {uri}: ")


@pytest.mark.parametrize(
    "command",
    ["frames", "phantom", "audit", "pack", "pretrain", "evaluate", "embed", "export"]
    + [f"study {action}" for action in ("run", "status", "evaluate", "report", "propose", "sync")],
)
def test_every_command_has_help_with_an_example(awcl, command):
    told = awcl(*command.split(), "--help")
    assert told.code == 0 and f"example:\n  awcl {command} " in told.out


def test_help_shows_defaults_but_no_empty_ones_and_lists_come_by_their_flag(awcl):
    told = awcl("pretrain", "--help").out
    assert "(0.1)" in told and "([])" not in told and "({})" not in told
    options = argparse.Namespace(**{"config:anatomy.held_out": "LVOT,4CH"})
    assert configured(TrialConfig, options).anatomy.held_out == ["4CH", "LVOT"]


def test_settings_of_methods_are_flags_of_pretrain_and_its_help_tells_them(awcl):
    told = " ".join(awcl("pretrain", "--help").out.split())
    assert "--method.queue X moco: Keys in the queue;" in told
    assert "--method.background X supcon: Whether" in told and "(False)" in told
    options = argparse.Namespace(**{"config:method.queue": "64", "config:pretrain.method": "moco"})
    assert configured(TrialConfig, options).method.queue == "64"
    refused = awcl("pretrain", "--frames", "f", "--out", "run", "--method.qeue", "64")
    assert refused.code == 2 and "unrecognized arguments: --method.qeue" in refused.err


def test_a_relative_database_is_the_one_in_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = argparse.Namespace(tracking="sqlite:///mlflow.db", storage="results")
    assert studies._tracking(options) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    options = argparse.Namespace(tracking=None, storage="results")
    assert studies._tracking(options) == f"sqlite:///{tmp_path / 'results' / 'mlflow.db'}"
    options = argparse.Namespace(tracking="http://127.0.0.1:5000", storage="results")
    assert studies._tracking(options) == "http://127.0.0.1:5000"


def test_a_file_that_could_not_be_made_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "x.json", tmp_path / "file" / "deeper" / "x.json"):
        with pytest.raises(InputError, match=f"nothing may be written in {tmp_path / 'file'}"):
            new_file(str(out), ".json")
    assert new_file(str(tmp_path / "new" / "x.json"), ".json") == tmp_path / "new" / "x.json"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_commands_of_one_encoder_take_no_flag_that_they_do_not_read(awcl, frames, tmp_path):
    for command in (("evaluate", "random", "--frames", frames), ("export", "random")):
        told = awcl(*command, "--out", tmp_path / "x.onnx", "--pretrain.epochs", 500)
        assert told.code == 2 and "unrecognized arguments: --pretrain.epochs" in told.err


def test_a_run_is_put_in_no_file(awcl, frames, tmp_path):
    (tmp_path / "file").touch()
    told = awcl("pretrain", "--frames", frames, "--out", tmp_path / "file", *flags())
    refused(told, "is a file; give a folder")


def test_a_table_without_paths_takes_the_place_of_no_table(awcl, frames, tmp_path):
    before = Path(frames).read_bytes()
    given = ("pack", frames, "--size", 32, "--packs", tmp_path / "packs", "--without-paths")
    other_spelling = Path(frames).parent / "x" / ".." / Path(frames).name
    (Path(frames).parent / "x").mkdir()
    for name in (frames, other_spelling, tmp_path / "x.csv"):
        assert "--without-paths" in awcl(*given, name)[2]
    assert Path(frames).read_bytes() == before and not (tmp_path / "packs").exists()
