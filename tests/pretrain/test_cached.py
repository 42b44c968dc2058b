"""A step in chunks has the gradient of one backward through the graphs of all chunks."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from small import TAXONOMY, build, config, frames, random_batch, stepped
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from awcl.config import RunConfig, TrialConfig, with_values
from awcl.errors import InputError
from awcl.pretrain import cached, method, methods
from awcl.pretrain.loop import Session

METHODS = {
    "simclr": {"pretrain__positives": "self"},
    "awcl": {},
    "hierarchical": {"pretrain__positives": "hierarchical"},
    "supcon": {"pretrain__method": "supcon"},
    "uscl": {"pretrain__method": "uscl"},
    "supervised": {"pretrain__method": "supervised"},
    "moco_v2": {"pretrain__method": "moco", "pretrain__positives": "self", "method__queue": 10},
    "moco_awcl": {"pretrain__method": "moco", "method__queue": 10},
}
BATCHES = [
    [0, 3, 9, 4, 1, 23, 14, 17],
    [2, 17, 4, 0, 10, 3, 21, 13],
    [9, 5, 16, 0, 15, 2, 12, 22],
]
WORKERS, EXACT = 2, 1e-12


def twice_the_frames() -> pd.DataFrame:
    """Of 24 frames a batch of 8 may have a queue."""
    return pd.concat([frames(), frames().assign(frame_id=lambda of: "t" + of["frame_id"])])


class Drops(nn.Module):
    """A head behind dropout and drop path: what two forwards in a row would draw differently."""

    def __init__(self, width: int, head: nn.Module):
        super().__init__()
        self.hidden, self.head = nn.Linear(width, width), head
        self.dropout, self.drop_path = nn.Dropout(0.3), DropPath(0.3)

    def forward(self, h: Tensor) -> Tensor:
        return self.head(h + self.drop_path(self.hidden(self.dropout(h))))


class Run:
    """A method and its network (BatchNorm, dropout, drop path) in float64, at their first step."""

    def __init__(self, name: str, world: int = 1, **values):
        of = config(**{"pretrain__batch": 8, "pretrain__workers": world}, **METHODS[name], **values)
        self.method = methods.build(of, twice_the_frames().reset_index(drop=True), TAXONOMY)
        self.net = stepped(self.method)
        self.net.head = Drops(self.net.encoder.width, self.net.head).double()
        self.method.to("cpu")
        self.trained, self.world = self.net, world

    def step(self, batch: method.Batch, number: int) -> dict[str, Tensor]:
        """Plain descent; the loss, the gradients, and all that the step changed."""
        for weight in self.net.parameters():
            weight.grad = None
        chunks = self.method.inputs(batch).tensor_split(self.method.config.pretrain.chunks)
        loss = self.backward(chunks, batch, 100 + number)
        gradient = torch.cat([weight.grad.ravel() for weight in self.net.parameters()])
        with torch.no_grad():
            for weight in self.net.parameters():
                weight -= 0.01 * weight.grad
        self.method.after_step()
        state = {**dict(self.net.named_buffers()), **self.method.state_dict()}
        state |= {f"key_net.{name}": value for name, value in state.pop("key_net", {}).items()}
        found = {"loss": loss.detach(), "gradient": gradient, **state}
        return {name: value.clone() for name, value in found.items()}


class Cached(Run):
    """In chunks, as the loop does it."""

    def backward(self, chunks, batch, seed) -> Tensor:
        return cached.backward(self.trained, chunks, lambda z: self.method.loss(z, batch), seed)[0]


class Whole(Run):
    """The same chunks with the graphs of all of them, one backward, one average over workers.

    Running statistics begin a step as those of the first worker, as they do without chunks: so
    DistributedDataParallel has it.
    """

    def backward(self, chunks, batch, seed) -> Tensor:
        if self.world > 1:
            for buffer in self.net.buffers():
                dist.broadcast(buffer, 0)
        outputs = []
        for number, chunk in enumerate(chunks):
            cached._draw_for(seed, number)
            outputs.append(self.net(chunk))
        loss, _ = self.method.loss(torch.cat(outputs), batch)
        loss.backward()
        if self.world > 1:
            for weight in self.net.parameters():
                dist.all_reduce(weight.grad)
                weight.grad /= self.world
        return loss


def steps(run: Run, rank: int = 0) -> list[dict[str, Tensor]]:
    found = []
    for number, numbers in enumerate(BATCHES):
        share = len(numbers) // run.world
        mine = slice(rank * share, (rank + 1) * share)
        batch = random_batch(numbers, number)
        found.append(run.step(method.Batch(batch.views[mine], batch.frames[mine]), number))
    return found


def assert_alike(found: list[dict[str, Tensor]], expected: list[dict[str, Tensor]]) -> None:
    assert len(found) == len(expected) == len(BATCHES)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            # What is next to nothing, as a bias of the keys' network after two steps, is judged by
            # the gradients that it came from, whose last bits are another sum's.
            largest = value.double().abs().max().clamp_min(1e-6)
            assert float((one[name].double() - value).abs().max() / largest) < EXACT, name
    assert float(expected[-1]["gradient"].abs().max()) > 1e-3
    assert float(expected[-1]["loss"]) > 0.1


@pytest.mark.parametrize("name", METHODS)
def test_each_step_is_that_of_one_backward_through_the_same_chunks(name):
    """Losses, gradients, running statistics, counts of batches, queue and network of the keys."""
    one, other = (steps(kind(name, pretrain__chunk=2)) for kind in (Cached, Whole))
    assert_alike(one, other)


def test_running_statistics_count_each_chunk_once():
    found = steps(Cached("awcl", pretrain__chunk=2))
    counts = [value for name, value in found[-1].items() if name.endswith("num_batches_tracked")]
    assert counts and all(int(count) == 4 * len(BATCHES) for count in counts)


def test_chunks_that_are_not_all_as_large_change_nothing():
    runs = [kind("moco_awcl", pretrain__chunk=3) for kind in (Cached, Whole)]
    assert runs[0].method.config.pretrain.chunks == 3  # of 3, 3 and 2 frames
    assert_alike(*map(steps, runs))


# --- several workers -----------------------------------------------------------------------------


def exchanged(run: Cached) -> list[int]:
    """Filled with the gradients in each exchange between the workers."""
    sent: list[int] = []

    def hook(group, bucket) -> torch.futures.Future[Tensor]:
        sent.append(bucket.buffer().numel())
        averaged = bucket.buffer() / WORKERS
        done = dist.all_reduce(averaged, group=group, async_op=True).get_future()
        return done.then(lambda future: future.value()[0])

    run.trained.register_comm_hook(None, hook)
    return sent


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=WORKERS, timeout=timedelta(seconds=60)
    )
    found = {}
    for name in METHODS:
        run = Cached(name, WORKERS, pretrain__chunk=2)
        run.trained = DistributedDataParallel(run.net)
        sent = exchanged(run)
        whole = steps(Whole(name, WORKERS, pretrain__chunk=2), rank)
        weights = sum(weight.numel() for weight in run.net.parameters())
        found[name] = {"ours": steps(run, rank), "whole": whole, "sent": sent, "weights": weights}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def on_workers(tmp_path_factory) -> list[dict]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("workers")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=WORKERS)
    files = [Path(folder, f"{rank}.pt") for rank in range(WORKERS)]
    return [torch.load(file, weights_only=True) for file in files]


@pytest.mark.parametrize("name", METHODS)
def test_on_two_workers_each_step_is_that_of_one_backward(on_workers, name):
    for found in on_workers:
        assert_alike(found[name]["ours"], found[name]["whole"])
    first, second = (found[name]["ours"][-1] for found in on_workers)
    assert torch.equal(first["gradient"], second["gradient"])
    assert not torch.equal(first["loss"], second["loss"]), "each sees its own anchors"


@pytest.mark.parametrize("name", METHODS)
def test_workers_exchange_each_gradient_once_a_step(on_workers, name):
    for found in on_workers:
        assert sum(found[name]["sent"]) == len(BATCHES) * found[name]["weights"]


# --- in the loop ---------------------------------------------------------------------------------


def session(pack, **values) -> Session:
    small = {"pretrain__batch": 8, "pretrain__precision": "float32", "pretrain__optimizer": "sgd"}
    return Session(config(**small, **values), pack, TAXONOMY, RunConfig(device="cpu"))


def stepped_once(made: Session, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    made.net.to(dtype)
    made.trained.train()
    numbers = made.batches.epoch(0)[0].tolist()
    return made._step(random_batch(numbers, 0, dtype), 0)


def test_without_batch_statistics_it_is_the_gradient_of_the_whole_batch(tiny_pack):
    """So the loss has all 16 views of the batch beside each other, whatever the chunk."""
    runs = [session(tiny_pack, model__backbone="test_vit", pretrain__chunk=c) for c in (0, 1, 3)]
    values = [stepped_once(run, torch.float64) for run in runs]
    whole = torch.cat([weight.grad.ravel() for weight in runs[0].net.parameters()])
    for run, value in zip(runs[1:], values[1:], strict=True):
        gradient = torch.cat([weight.grad.ravel() for weight in run.net.parameters()])
        assert float((gradient - whole).abs().max() / whole.abs().max()) < EXACT
        assert float(value["loss"]) == pytest.approx(float(values[0]["loss"]), rel=EXACT)


@pytest.mark.parametrize("name", ["awcl", "moco_awcl"])
def test_bfloat16_leaves_no_weight_without_gradient(tiny_pack, name):
    """Autocast keeps the weights that it has cast, also those that it cast without a graph."""
    values = {**METHODS[name], "model__backbone": "test_vit", "method__queue": 8}
    values = {key: v for key, v in values.items() if name == "moco_awcl" or key != "method__queue"}
    gradients = []
    for precision in ("float32", "bfloat16"):
        made = session(tiny_pack, **values, **{"pretrain__chunk": 2})
        made.bfloat16 = precision == "bfloat16"
        if name == "moco_awcl":  # a queue that is empty has no loss
            made.method.queue_frames[:] = torch.arange(8) + 8
            made.method.queue[:] = nn.functional.normalize(torch.randn(8, 16), dim=1)
        stepped_once(made)
        gradients.append([weight.grad for weight in made.net.parameters()])
    for exact, found in zip(*gradients, strict=True):
        assert found is not None
        if exact.abs().max() > 1e-3:
            assert nn.functional.cosine_similarity(exact.ravel(), found.ravel(), dim=0) > 0.9


@contextmanager
def saved() -> Iterator[dict[str, int]]:
    """Bytes that graphs hold, and the most that they held at a time; weights do not count."""
    held = {"now": 0, "most": 0}

    class Held:
        def __init__(self, tensor: Tensor):
            self.tensor = tensor
            self.size = 0 if tensor.is_leaf else tensor.numel() * tensor.element_size()
            held["now"] += self.size
            held["most"] = max(held["most"], held["now"])

        def __del__(self):
            held["now"] -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda of: of.tensor):
        yield held


@pytest.mark.parametrize("name", ["awcl", "moco_awcl", "supervised"])
def test_the_graph_of_one_chunk_is_held_at_a_time(tiny_pack, name):
    most = {}
    queue = {"method__queue": 8} if name == "moco_awcl" else {}
    for chunk in (0, 4, 2):
        made = session(tiny_pack, **{**METHODS[name], **queue}, pretrain__chunk=chunk)
        with saved() as held:
            stepped_once(made)
        assert held["now"] == 0
        most[chunk] = held["most"]
    assert most[0] > 100_000
    assert most[4] / most[0] == pytest.approx(1 / 2, abs=0.03)
    assert most[2] / most[0] == pytest.approx(1 / 4, abs=0.03)


def test_keys_of_a_queue_are_made_in_chunks():
    made = Cached("moco_awcl", pretrain__chunk=2)
    seen = []
    made.method.key_net.register_forward_hook(lambda net, x, out: seen.append(len(out)))
    steps(made)
    assert seen == [2, 2, 2, 2] * len(BATCHES)


# --- its field -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "workers", "chunk", "chunks", "same_as"),
    [
        (64, 1, 0, 1, 0),
        (64, 1, 64, 1, 0),
        (64, 1, 100, 1, 0),
        (64, 2, 32, 1, 0),
        (64, 1, 32, 2, 32),
        (64, 1, 40, 2, 32),
        (64, 1, 31, 3, 22),
        (64, 2, 31, 2, 16),
        (7, 1, 1, 7, 1),
    ],
)
def test_what_makes_the_same_chunks_is_the_same_trial(batch, workers, chunk, chunks, same_as):
    made = build(pretrain__batch=batch, pretrain__workers=workers, pretrain__chunk=chunk)
    assert made.config.pretrain.chunks == chunks
    assert made.config.pretrain.chunk == same_as
    again = with_values(TrialConfig(), {"pretrain.batch": batch, "pretrain.chunk": chunk}, "here")
    assert workers > 1 or again.pretrain.chunks == chunks


def test_a_chunk_of_one_view_is_refused_where_there_is_batchnorm(tiny_pack):
    of = {**METHODS["moco_awcl"], "method__queue": 8, "pretrain__chunk": 1}
    with pytest.raises(InputError, match=r"pretrain\.chunk leaves a chunk of one view"):
        stepped_once(session(tiny_pack, **of))
    stepped_once(session(tiny_pack, **of, model__backbone="test_vit"))
    stepped_once(session(tiny_pack, pretrain__chunk=1))
