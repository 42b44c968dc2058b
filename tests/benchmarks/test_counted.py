"""What must not grow, counted: calls, bytes, imports. No seconds, so nothing here is by chance."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from awcl.config import RunConfig, TrialConfig, with_values
from awcl.data import decoding, greys, packing
from awcl.data.device_views import Draws, made, together
from awcl.data.pack import FramePack
from awcl.data.views import Views
from awcl.pretrain import loss as loss_module
from awcl.pretrain.loop import Session
from awcl.pretrain.tally import Tally
from awcl.taxonomy import Taxonomy
from benchmarks.harness import Row, Run
from benchmarks.rows import loss, workers

# --- what the loss sends -------------------------------------------------------------------------


VIEWS = 64


@pytest.fixture(scope="module")
def rows_of_workers(tmp_path_factory) -> list[Row]:
    """What the benchmark finds on two real processes."""
    return list(workers.measure(Run(tmp_path_factory.mktemp("workers"), smoke=True)))


@pytest.fixture(scope="module")
def traffic(rows_of_workers) -> dict[str, list]:
    """The collectives of one loss, forward and backward: ours, and with a full gather."""
    (told,) = (row.details for row in rows_of_workers if row.details)
    return {"ours": told["calls"], "full": told["full"]}


def test_two_processes_have_the_gradient_of_one(rows_of_workers):
    exact = [row for row in rows_of_workers if row.what.startswith("gradient of z on 2")]
    assert len(exact) == len(workers.PRECISE)
    assert all(row.met for row in exact)


def test_the_loss_sends_each_z_once_and_each_gradient_once(traffic):
    """And 8 bytes a view to say who is positive to whom."""
    of_z, of_groups = VIEWS * workers.WIDTH * 4 // 2, VIEWS * 8 // 2  # half comes from the other
    assert sorted(traffic["ours"]) == sorted(
        [("all_gather", of_z), ("allgather", of_groups), ("reduce_scatter", of_z)]
    )


def test_a_gather_whose_gradient_is_all_reduced_sends_half_as_much_again(traffic):
    ours, full = (sum(amount for _, amount in traffic[name]) for name in ("ours", "full"))
    assert 1.45 < full / ours < 1.5


# --- what the loss holds -------------------------------------------------------------------------


class Seen(TorchDispatchMode):
    """Operations by name, and the bytes of the largest tensor that one of them made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.calls[function._schema.name] += 1
        if function._schema.name.startswith("aten::index"):
            self.calls["index by a mask"] += any(_is_mask(x) for x in _flat(args))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel() * tensor.element_size())
        return out


def _flat(things: object) -> Iterator[object]:
    if isinstance(things, tuple | list):
        for thing in things:
            yield from _flat(thing)
    else:
        yield things


def _is_mask(thing: object) -> bool:
    return isinstance(thing, torch.Tensor) and thing.dtype == torch.bool


@pytest.mark.parametrize("views", [512, 2048])
def test_no_tensor_of_the_loss_is_larger_than_a_chunk_or_than_z(views, monkeypatch):
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", 2**19)
    z, groups = loss.made(views)
    with Seen() as seen:
        loss.step(z, lambda z: loss_module.group_loss(z, groups[None], 0.1))()
    assert seen.calls["aten::logsumexp"] == len(loss_module._chunks(views, z)) > 1
    assert seen.largest <= max(2**19, z.numel() * z.element_size()) < 4 * views**2


# --- what a step waits for -----------------------------------------------------------------------

WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::_unique2", "aten::unique_dim",
         "aten::unique_consecutive", "aten::bincount", "aten::repeat_interleave",
         "aten::masked_select", "aten::is_nonzero", "aten::equal", "index by a mask",
         "tolist", "numpy", "cpu", "to the host")  # fmt: skip
"""Whose result the host has to know, so that it waits for the device."""


@pytest.fixture
def seen(monkeypatch) -> Seen:
    """Operations, and what fetches a tensor without being one where the host is the device."""
    of = Seen()

    def counted(name: str, where: Callable[..., bool] = lambda *a, **k: True) -> Callable:
        plain = getattr(torch.Tensor, name)

        def call(self, *args, **kwargs):
            of.calls["to the host" if name == "to" else name] += where(*args, **kwargs)
            return plain(self, *args, **kwargs)

        return call

    for name in ("tolist", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, counted(name))
    monkeypatch.setattr(torch.Tensor, "to", counted("to", _names_the_host))
    return of


def _names_the_host(*args: object, **kwargs: object) -> bool:
    """Of `Tensor.to`'s arguments: the word cpu, which no code means that means a device."""
    return "cpu" in (*args, kwargs.get("device"))


def test_a_step_asks_the_device_for_nothing(tiny_pack, seen):
    values = {
        "model.backbone": "test_resnet",
        "data.size": 32,
        "pretrain.batch": 8,
        "pretrain.positives": "hierarchical",
    }
    config = with_values(TrialConfig(), values, "test")
    session = Session(config, tiny_pack, Taxonomy.load(), RunConfig(device="cpu"))
    batch = next(iter(session.feed.epoch(0)))
    tally = Tally(1, session.device)
    with seen:
        tally.add(session._step(batch, 0), 16, 0.0)
    assert seen.calls["aten::convolution"] == _convolutions(session.net), "one forward"
    assert seen.calls["aten::_fused_adamw_"] == len(session.optimizer.param_groups), "one pass"
    assert not {name: seen.calls[name] for name in WAITS if seen.calls[name]}


def _convolutions(net: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in net.modules())


def test_the_device_makes_views_without_an_answer_to_the_host(seen):
    draws = Draws(Views("ultrasound", 32, seed=0))
    square = np.random.default_rng(0).integers(0, 256, (37, 37), dtype=np.uint8)
    rows = [draws.of(frame, 0, 0, 2, np.array([0, 3, 37, 30])) for frame in range(4)]
    drawn = together([square] * 4, rows)
    seen.calls.clear()
    with seen:
        made(drawn, 32)
    assert seen.calls["aten::gather"] > 0
    assert not {name: seen.calls[name] for name in WAITS if seen.calls[name]}


@pytest.mark.parametrize(
    ("waits", "name"),
    [
        (lambda x: float(x[0]), "aten::_local_scalar_dense"),
        (lambda x: x[x > 1], "index by a mask"),
        (lambda x: x.unique(), "aten::_unique2"),
        (lambda x: x.repeat_interleave(x.long()), "aten::repeat_interleave"),
        (lambda x: x.long().bincount(), "aten::bincount"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.cpu(), "cpu"),
        (lambda x: x.numpy(), "numpy"),
        (lambda x: x.to("cpu"), "to the host"),
        (lambda x: x.to(device="cpu"), "to the host"),
    ],
)
def test_what_would_wait_is_seen(seen, waits, name):
    x = torch.arange(4.0)
    with seen:
        waits(x)
    assert name in WAITS and seen.calls[name]


def test_what_does_not_wait_is_not(seen):
    x = torch.arange(4.0)
    with seen:
        x.to(torch.device("cpu")).to(torch.float64).to(x.device).sum()
    assert not {name for name in WAITS if seen.calls[name]}


# --- decoding ------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The images that are decoded from here on."""
    found: list[str] = []
    plain = decoding.read_grey

    def counted(path) -> np.ndarray:
        found.append(str(path))
        return plain(path)

    monkeypatch.setattr(decoding, "read_grey", counted)
    return found


def test_packing_decodes_each_image_once_and_the_pack_none(tiny_table, tmp_path, decoded):
    made = packing.find_or_build(tiny_table, 32, tmp_path, workers=1, quiet=True)
    assert sorted(decoded) == sorted(tiny_table.frames["path"])
    decoded.clear()
    again = packing.find_or_build(tiny_table, 32, tmp_path, workers=1, quiet=True)
    for pack in (made, again, FramePack(made.folder)):
        for row in range(len(pack)):
            pack.content(row), pack.evaluation_view(row)
    assert not decoded


# --- views ---------------------------------------------------------------------------------------

CALLS = {"paper": 175, "ultrasound": 195}
"""Python functions that a view may call, on average: a tenth more than it does."""


@pytest.mark.parametrize("recipe", CALLS)
def test_a_view_takes_no_more_calls(recipe):
    views = Views(recipe, 32, seed=0)
    image = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
    views.of(0, 0).view(image, 0)  # what is set up once
    called, many = 0, 100

    def count(frame, event, argument) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        for frame in range(many):
            views.of(frame, 0).view(image, 0)
    finally:
        sys.setprofile(None)
    assert 0 < called / many <= CALLS[recipe]


@pytest.mark.parametrize("recipe", CALLS)
def test_a_picture_is_looked_up_in_two_tables_at_most(recipe, monkeypatch):
    """Once for what comes before a contrast, which needs the mean, and once for all the rest."""
    passes: list[int] = []
    plain = greys.sz_lut

    def counted(image: np.ndarray, table: np.ndarray, inplace: bool) -> np.ndarray:
        passes[-1] += 1
        return plain(image, table, inplace=inplace)

    monkeypatch.setattr(greys, "sz_lut", counted)
    views = Views(recipe, 32, seed=0)
    image = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
    for frame in range(200):
        passes.append(0)
        views.of(frame, 0).view(image, 0)
    assert max(passes) == 2
    assert np.mean(passes) < 1.5


# --- imports -------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
NOT_LOADED = {
    "awcl.pretrain.loop": {"ray", "mlflow", "sklearn", "matplotlib", "onnx", "optuna"},
    "awcl.data.squares": {
        "pandas",
        "scipy",
        "torch",
        "pyarrow",
    },  # each worker of packing begins so
    "benchmarks.gpu": {"ray", "mlflow", "sklearn", "matplotlib", "psutil"},
    "awcl.data.packing": {"torch", "scipy", "ray", "mlflow", "sklearn", "matplotlib"},
}


@pytest.mark.parametrize("module", NOT_LOADED)
def test_what_is_not_needed_is_not_loaded(module):
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "awcl" in loaded
    assert not NOT_LOADED[module] & loaded
