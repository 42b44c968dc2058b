"""The benchmark of a card, on a processor and at tiny sizes: that it runs, and what it counts."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusing import refusing
from torch import nn

from benchmarks import gpu, material
from benchmarks.harness import Row
from benchmarks.on_card import card, loss, training

CPU = torch.device("cpu")
NAME = card.card(CPU)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def noise_for_pictures(monkeypatch) -> None:
    """A drawn one takes a second or two."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    monkeypatch.setattr(material, "picture", lambda number: noise + np.uint8(number))
    monkeypatch.setattr(material, "DRAWN", 2)


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", *arguments])
    gpu.main()


def test_a_smoke_run_gives_every_row_and_a_table(monkeypatch, tmp_path, capsys):
    run(monkeypatch, "--smoke", "--device", "cpu", "--out", str(tmp_path))
    ((name, parts),) = json.loads((tmp_path / "gpu.json").read_text())["cards"].items()
    rows = [found["row"] for found in parts.values()]
    assert all(row["ours"] and row["against"] and min(row["ratio"]) > 0 for row in rows)
    whats = "\n".join(row["what"] for row in rows)
    for mode in training.MODES:
        for where in ("0 loader processes", "the card"):
            assert f"{mode}, views by {where}\n" in whats
    assert sum("loss, forward and backward" in row["what"] for row in rows) == 6
    assert sum("views, recipe" in row["what"] for row in rows) == 4
    table = (tmp_path / "GPU.md").read_text()
    assert table.count("\n| ") == len(rows) + 2
    assert f"## {name}\n" in table
    assert capsys.readouterr().out.count("\n") == len(rows) + 1


def rows_of(folder: Path, name: str = NAME) -> dict[str, dict]:
    stored = json.loads((folder / "gpu.json").read_text())["cards"][name]
    return {what: found["row"] for what, found in stored.items()}


def test_what_fails_is_told_and_the_rest_still_runs_and_stays(monkeypatch, tmp_path):
    """Also an error that no one thought of; a later run takes the place of what failed alone."""

    def in_mode(net, mode, device):
        assert mode != "compiled", "no compiler\nat all"
        return net

    flags = ["--smoke", "--device", "cpu", "--only", "training", "--out", str(tmp_path)]
    with monkeypatch.context() as broken, pytest.raises(SystemExit, match="some rows failed"):
        broken.setattr(training, "in_mode", in_mode)
        run(broken, *flags, "--modes", "compiled", "eager")
    first, *others = rows_of(tmp_path).values()
    assert first["what"].endswith(", compiled, views by")
    assert first["why"] == "failed: AssertionError: no compiler"
    assert len(others) == 2 and all(row["ours"] for row in others)
    run(monkeypatch, *flags, "--modes", "compiled")
    now = rows_of(tmp_path)
    assert list(now.values())[:2] == others
    assert len(now) == 4 and all(row["ours"] for row in now.values())


@pytest.mark.parametrize(
    ("part", "what"), [("views paper", "views paper"), ("loss 4096", "loss 4096")]
)
def test_a_row_takes_the_place_of_its_parts_failure(tmp_path, part, what):
    options = SimpleNamespace(date="2026-11-22")
    gpu.add(tmp_path, CPU, options, part, Row(what, why=f"{card.FAILED}: Error: no"))
    gpu.add(tmp_path, CPU, options, "another part", Row("another row", "1 s"))
    assert list(rows_of(tmp_path)) == [what, "another row"]
    gpu.add(tmp_path, CPU, options, part, Row("a row of another name", "1 s"))
    assert list(rows_of(tmp_path)) == ["another row", "a row of another name"]


def test_modes_are_torchs():
    known = torch._inductor.list_mode_options()
    assert all(mode is None or mode in known for mode in training.MODES.values())


def test_a_slice_of_a_card_has_no_peak_of_its_own():
    assert card.peak("NVIDIA H200, 141 GiB") == pytest.approx(989e12, rel=0.01)
    assert card.peak("NVIDIA H200 MIG 1g.18gb, 16 GiB") is None


def test_what_a_subject_cannot_begin_is_told(monkeypatch, tmp_path):
    def session(*_):
        raise TypeError("no network")

    monkeypatch.setattr(training, "session", session)
    flags = ["--smoke", "--device", "cpu", "--only", "training", "--only", "loss"]
    with pytest.raises(SystemExit, match="some rows failed"):
        run(monkeypatch, *flags, "--out", str(tmp_path))
    first, *others = rows_of(tmp_path).values()
    assert (first["what"], first["why"]) == (
        "training test_resnet",
        "failed: TypeError: no network",
    )
    assert len(others) == 6


def test_a_row_is_written_beside_what_the_card_gave_before_and_in_place_of_its_own(
    monkeypatch, tmp_path
):
    flags = ["--smoke", "--device", "cpu", "--out", str(tmp_path)]
    run(monkeypatch, *flags, "--only", "loss")
    before = json.loads((tmp_path / "gpu.json").read_text())
    names = list(before["cards"][NAME])
    before["cards"] |= {"another card": {names[0]: before["cards"][NAME][names[0]]}}
    (tmp_path / "gpu.json").write_text(json.dumps(before))
    run(monkeypatch, *flags, "--only", "views")
    run(monkeypatch, *flags, "--only", "views")
    assert list(rows_of(tmp_path))[:6] == names and len(rows_of(tmp_path)) == 6 + 4
    assert list(rows_of(tmp_path, "another card")) == names[:1]
    table = (tmp_path / "GPU.md").read_text()
    assert table.count("## ") == 2 and table.count("| what |") == 2


def test_a_card_needs_no_package_but_the_librarys(tmp_path):
    """Not ray or mlflow, nor what only the tests have."""
    refused = refusing("ray", "mlflow", "psutil")
    code = f"{refused}\nfrom benchmarks import gpu, material\nmaterial.DRAWN = 2\ngpu.main()"
    flags = ["--smoke", "--device", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "GPU.md").is_file()


def test_without_a_card_it_says_what_does_run(monkeypatch):
    with pytest.raises(SystemExit, match="no CUDA device here; --smoke shows"):
        run(monkeypatch, "--device", "cpu")


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA L4, 22 GiB", 121),
        ("NVIDIA L40S, 44 GiB", 362),
        ("NVIDIA A100-SXM4-80GB, 79 GiB", 312),
        ("NVIDIA H100 PCIe, 79 GiB", 756),
        ("NVIDIA H100 80GB HBM3, 79 GiB", 989),
        ("NVIDIA GeForce RTX 4090, 24 GiB", 165),
    ],
)
def test_the_peak_of_a_card_is_found_by_its_name(name, tera):
    assert card.peak(name) == tera * 1e12


def test_a_card_that_is_not_listed_has_no_share_of_a_peak():
    assert card.peak("NVIDIA RTX A400") is None
    assert card.peak_share(CPU, 1e12) == ""


def test_flops_are_two_a_multiplication_forward_and_twice_that_backward():
    """Of the first layer backward once: nothing asks for the gradient of the views."""
    net = nn.Sequential(nn.Flatten(), _Float(), nn.Linear(64, 10), nn.Linear(10, 3))
    of = SimpleNamespace(net=net, device=CPU, bfloat16=False)
    views = 2 * 5
    assert training.counted_flops(of, 5, 8) == 2 * views * (2 * 64 * 10 + 3 * 10 * 3)


class _Float(nn.Module):
    def forward(self, x):
        return x.float()


def test_a_chunk_is_that_of_the_loss_meanwhile_and_not_after(monkeypatch):
    before, seen = loss.loss_module.CHUNK_BYTES, []
    monkeypatch.setattr(
        loss, "group_loss", lambda z, *_: seen.append(loss.loss_module.CHUNK_BYTES) or z.sum()
    )
    z, groups = loss.loss_rows.made(64)
    loss.in_chunks(z, groups, 2**10)()
    assert seen == [2**10]
    assert before == loss.loss_module.CHUNK_BYTES
