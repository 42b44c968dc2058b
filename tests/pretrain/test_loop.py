"""The loop: it learns, reports what it promises, and goes on to the same bits."""

import math
import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from awcl import checkpoints
from awcl.config import RunConfig, TrialConfig, with_values
from awcl.data.pack import FramePack
from awcl.encoder import Encoder, features
from awcl.errors import InputError, NotFiniteError
from awcl.files import read_json
from awcl.pretrain import loop, machine, methods
from awcl.pretrain.loop import learning_rate, pretrain
from awcl.pretrain.reporter import FolderReporter
from awcl.pretrain.trial import about
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
EPOCHS = 3
TIMES = {"time", "seconds", "images_per_second", "data_wait"}
RUN = RunConfig(device="cpu", threads=1)

STATEFUL = '''
"""A method whose loss depends on dropout and on what it has seen: all that a resume may forget."""
import torch
from torch import nn
from awcl.pretrain.method import Net
from awcl.pretrain.methods import groups

class Method(groups.Method):
    def __init__(self, *args):
        super().__init__(*args)
        self.seen = torch.zeros(())
    def modules(self, encoder):
        net = super().modules(encoder)
        return Net(net.encoder, nn.Sequential(nn.Dropout(0.3), net.head))
    def loss(self, outputs, batch):
        loss, more = super().loss(outputs, batch)
        return loss * (1 + self.seen), {"train/seen": self.seen.clone()}
    def after_step(self):
        self.seen += 0.1
    def state_dict(self):
        return {"seen": self.seen}
    def load_state_dict(self, state):
        self.seen.copy_(state["seen"])
'''


@pytest.fixture(autouse=True)
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def stateful_method(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    (folder / "stateful.py").write_text(STATEFUL)
    before = list(methods.__path__)
    methods.__path__.append(str(folder))
    yield
    methods.__path__[:] = before


class Bystander:
    """An evaluator without manners: draws random numbers, leaves the encoder in evaluation mode.

    It may stop the run.
    """

    def __init__(self, pack: FramePack, stop_in: int | None = None):
        self.pack, self.stop_in, self.calls = pack, stop_in, 0

    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        torch.rand(7)
        np.random.rand(7)
        found = features(encoder, self.pack, np.arange(4))
        encoder.eval()
        yield "val/spread", float(found.std())
        self.calls += 1
        if self.calls == self.stop_in:
            raise KeyboardInterrupt


def config(**values) -> TrialConfig:
    """A small one; `pretrain__lr=1` sets pretrain.lr."""
    small = {
        "model.backbone": "test_resnet",
        "model.projection": 16,
        "data.size": 32,
        "pretrain.epochs": EPOCHS,
        "pretrain.batch": 8,
        "pretrain.precision": "float32",
    }
    given = {name.replace("__", "."): value for name, value in values.items()}
    return with_values(TrialConfig(), {**small, **given}, "test")


def train(of: TrialConfig, pack: FramePack, folder: Path, *, stop_in=None, run=RUN) -> list[dict]:
    """All epochs; or a run that is stopped in epoch `stop_in`, before its checkpoint."""
    reporter = FolderReporter(folder, about(of, pack), keep=run.keep)
    evaluator = Bystander(pack, stop_in)
    if stop_in is None:
        return pretrain(of, pack, TAXONOMY, reporter, [evaluator], run)
    with pytest.raises(KeyboardInterrupt):
        pretrain(of, pack, TAXONOMY, reporter, [evaluator], run)
    return []


def without_times(history: list[dict]) -> list[dict]:
    return [{name: v for name, v in row.items() if name not in TIMES} for row in history]


def equal(first, second) -> bool:
    """Bit for bit, through dictionaries and lists."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(v, second[k]) for k, v in first.items())
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return type(first) is type(second) and first == second


def assert_same_end(first: Path, second: Path) -> None:
    """The newest checkpoints of two runs hold the same bits, times apart."""
    one, other = checkpoints.newest(first), checkpoints.newest(second)
    assert one.name == other.name == f"epoch_{EPOCHS:04d}"
    assert (one / checkpoints.ENCODER).read_bytes() == (other / checkpoints.ENCODER).read_bytes()
    states = [torch.load(run / checkpoints.STATE, weights_only=True) for run in (one, other)]
    assert states[0]["optimizer"]["state"]
    assert equal(*states)
    histories = [read_json(run / checkpoints.HISTORY)["epochs"] for run in (one, other)]
    assert [row["epoch"] for row in histories[0]] == list(range(1, EPOCHS + 1))
    assert without_times(histories[0]) == without_times(histories[1])


# --- what a run gives ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["groups", "supervised"])
def test_it_learns_what_can_be_memorised(tiny_pack, tmp_path, method):
    of = config(pretrain__method=method, pretrain__epochs=12, pretrain__lr=3e-3)
    history = train(of, tiny_pack, tmp_path)
    loss = [row["loss"] for row in history]
    assert np.mean(loss[-3:]) < np.mean(loss[:3]) - 0.2
    if method == "supervised":
        assert history[-1]["train/accuracy"] > history[0]["train/accuracy"]


PROMISED = {"epoch", "loss", "images_per_second", "data_wait", "grad_norm", "lr", "val/spread"} | {
    f"positives/{name}" for name in ("beyond_own", "mean", "other_patient")
}


def test_each_epoch_has_all_promised_metrics(tiny_pack, tmp_path):
    history = train(config(), tiny_pack, tmp_path)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row in history:
        assert row.keys() >= PROMISED
        assert all(math.isfinite(value) for value in row.values())
        assert row["frames"] == 24
        assert row["labels_used"] == 16
        assert 0 < row["data_wait"] < 1
        assert row["images_per_second"] == pytest.approx(2 * 24 / row["seconds"])
        assert row["grad_norm"] > 0
        assert row["positives/mean"] >= 1
    stored = read_json(checkpoints.newest(tmp_path) / checkpoints.HISTORY)["epochs"]
    assert stored == history


@pytest.mark.parametrize("method", methods.names())
def test_every_method_reports_what_is_promised(tiny_pack, tmp_path, method):
    of = config(pretrain__method=method, pretrain__epochs=2)
    labels = {"uscl": 0}.get(method, 16)
    for row in train(of, tiny_pack, tmp_path):
        assert row.keys() >= PROMISED
        assert all(math.isfinite(value) for value in row.values())
        assert row["labels_used"] == labels and row["grad_norm"] > 0
        assert row["positives/mean"] > 1 and row["positives/beyond_own"] > 0


def test_the_positives_of_a_queue_are_those_in_the_queue(tiny_pack, tmp_path):
    """24 frames in three batches of 8, and the last 12 keys."""
    of = config(pretrain__method="moco", pretrain__positives="patient", pretrain__epochs=1)
    (row,) = train(of, tiny_pack, tmp_path)
    rows = loop.pretrain_rows(tiny_pack, of)
    frames = tiny_pack.frames.iloc[rows].reset_index(drop=True)
    order = methods.build(of, frames, TAXONOMY).sampler().epoch(0)
    patients = frames["patient"].to_numpy()[order]
    before = [[], patients[0], patients[:2].ravel()[-12:]]
    found = [sum(patients[step][:, None] == np.array(before[step])) for step in range(3)]
    assert row["positives/mean"] == pytest.approx(1 + sum(map(np.sum, found)) / 24)


def test_the_positives_are_those_of_the_method(tiny_pack, tmp_path):
    (alone,) = train(
        config(pretrain__positives="self", pretrain__epochs=1), tiny_pack, tmp_path / "a"
    )
    assert (alone["positives/beyond_own"], alone["positives/mean"]) == (0, 1)
    of = config(pretrain__positives="patient", data__sampler="partners", pretrain__epochs=1)
    (patient,) = train(of, tiny_pack, tmp_path / "b")
    assert patient["positives/beyond_own"] == 1
    assert patient["positives/other_patient"] == 0


def test_the_same_trial_gives_the_same_bits_and_another_seed_others(tiny_pack, tmp_path):
    of = config(pretrain__epochs=1)
    torch.manual_seed(1)
    train(of, tiny_pack, tmp_path / "a")
    torch.manual_seed(2)
    train(of, tiny_pack, tmp_path / "b")
    train(config(pretrain__epochs=1, seed=1), tiny_pack, tmp_path / "c")
    weights = [
        (tmp_path / run / "epoch_0001" / checkpoints.ENCODER).read_bytes()
        for run in ("a", "b", "c")
    ]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_the_learning_rate_rises_over_the_warm_up_and_falls_to_0_as_a_cosine():
    of = config(pretrain__epochs=5, pretrain__warmup=2, pretrain__lr=0.1).pretrain
    rates = [learning_rate(of, 10, step) for step in range(50)]
    assert rates[:20] == pytest.approx([0.1 * (step + 1) / 20 for step in range(20)])
    assert rates[20] == pytest.approx(0.1)
    assert rates[35] == pytest.approx(0.05)
    assert 0 < rates[49] < 0.001
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_without_warm_up_the_first_step_has_the_full_rate():
    of = config(pretrain__warmup=0, pretrain__lr=0.1).pretrain
    assert learning_rate(of, 10, 0) == 0.1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_a_step_in_one_pass_is_that_of_weight_after_weight(tiny_pack, backbone, optimizer):
    """Torch's kernel for all weights reads a gradient of another layout than its weight's wrongly,
    in silence; channels_last is one that could come to differ."""
    of = config(model__backbone=backbone, pretrain__optimizer=optimizer, pretrain__lr=0.01)
    session = loop.Session(of, tiny_pack, TAXONOMY, RUN)
    weights = list(session.net.parameters())
    alike = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    places = {weight: place for place, weight in enumerate(weights)}
    groups = [
        {**group, "params": [alike[places[weight]] for weight in group["params"]], "fused": False}
        for group in session.optimizer.param_groups
    ]
    plain = type(session.optimizer)(groups, foreach=False)
    for number, batch in enumerate(islice(session.feed.epoch(0), 2)):
        session._step(batch, number)
        for group in plain.param_groups:
            group["lr"] = session.optimizer.param_groups[0]["lr"]
        for weight, other in zip(weights, alike, strict=True):
            other.grad = weight.grad.detach().clone()
        plain.step()
    for weight, other in zip(weights, alike, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-6)


def test_only_train_frames_that_pretrain_where_admits_are_used(tiny_pack, tmp_path):
    where = {"machine": "A"}
    of = config(data__pretrain_where=where, pretrain__epochs=1)
    (row,) = train(of, tiny_pack, tmp_path)
    frames = tiny_pack.frames
    assert row["frames"] == ((frames["split"] == "train") & (frames["machine"] == "A")).sum() == 12


# --- going on --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(tiny_pack, tmp_path_factory):
    """The folder of a whole run, made once a method."""
    made: dict[str, Path] = {}

    def of(method: str) -> Path:
        if method not in made:
            made[method] = tmp_path_factory.mktemp(f"whole_{method}")
            train(config(pretrain__method=method), tiny_pack, made[method])
        return made[method]

    return of


@pytest.mark.parametrize("stopped_in", range(1, EPOCHS + 1))
@pytest.mark.parametrize("method", ["groups", "supervised", "stateful", "moco"])
def test_a_run_stopped_in_any_epoch_goes_on_to_the_same_bits(
    tiny_pack, tmp_path, uninterrupted, method, stopped_in
):
    of = config(pretrain__method=method)
    train(of, tiny_pack, tmp_path, stop_in=stopped_in)
    before = checkpoints.newest(tmp_path)
    assert (before.name if before else None) == (
        checkpoints.folder_name(stopped_in - 1) if stopped_in > 1 else None
    )
    torch.manual_seed(99)
    train(of, tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted(method))


def test_a_run_stopped_in_every_epoch_goes_on_to_the_same_bits(tiny_pack, tmp_path, uninterrupted):
    of = config(pretrain__method="stateful")
    for _ in range(EPOCHS - 1):
        train(of, tiny_pack, tmp_path, stop_in=2)  # one checkpoint each time
    train(of, tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted("stateful"))


def test_a_finished_run_trains_no_more(tiny_pack, tmp_path, uninterrupted):
    of = config()
    history = train(of, tiny_pack, tmp_path)
    files = {file: file.stat().st_mtime_ns for file in tmp_path.glob("epoch_*/*")}
    assert train(of, tiny_pack, tmp_path) == history
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("epoch_*/*")} == files
    assert_same_end(tmp_path, uninterrupted("groups"))


@pytest.mark.parametrize("broken", [1, 2], ids=["the newest", "both that are kept"])
def test_from_broken_checkpoints_it_goes_back_to_the_same_bits(
    tiny_pack, tmp_path, uninterrupted, broken
):
    of = config()
    train(of, tiny_pack, tmp_path, stop_in=3)
    for epoch in range(2, 2 - broken, -1):
        os.truncate(tmp_path / f"epoch_000{epoch}" / checkpoints.STATE, 1000)
    with pytest.warns(UserWarning, match=r"is set aside: state\.pt has 1000 bytes") as said:
        train(of, tiny_pack, tmp_path)
    assert ["epoch_0002" in str(one.message) for one in said] == [True, False][:broken]
    assert_same_end(tmp_path, uninterrupted("groups"))


def test_loader_workers_and_kept_checkpoints_change_no_bit(tiny_pack, tmp_path, uninterrupted):
    other = RunConfig(device="cpu", threads=1, loader_workers=1, keep=1)
    train(config(), tiny_pack, tmp_path, run=other)
    assert_same_end(tmp_path, uninterrupted("groups"))
    assert len(list(tmp_path.glob("epoch_*"))) == 1


def test_views_that_the_device_made_change_no_bit_without_blur(tiny_pack, tmp_path):
    of = config(data__recipe="paper", pretrain__epochs=2)
    there = RUN.model_copy(update={"views": "device"})
    here = train(of, tiny_pack, tmp_path / "here")
    train(of, tiny_pack, tmp_path / "there", stop_in=2, run=there)
    with pytest.warns(UserWarning, match="made with views device, this run has cpu"):
        history = train(of, tiny_pack, tmp_path / "there")
    assert without_times(history) == without_times(here)


def test_another_number_of_threads_on_resume_warns_and_goes_on(tiny_pack, tmp_path):
    of, other = config(pretrain__epochs=2), RunConfig(device="cpu", threads=2)
    train(of, tiny_pack, tmp_path, stop_in=2)
    with pytest.warns(UserWarning, match="epoch_0001 was made with threads 1, this run has 2"):
        history = train(of, tiny_pack, tmp_path, run=other)
    assert len(history) == 2


# --- going on within an epoch ----------------------------------------------------------------


class GoneOnNotice(FolderReporter):
    """Gets its notice at a question by number, and is gone once the checkpoint is there."""

    def __init__(self, *args, at: int | None, **options):
        super().__init__(*args, notice=self.asked, **options)
        self.left = at

    def asked(self) -> bool:
        if self.left is not None:
            self.left -= 1
        return self.left == 0

    def partial(self, epochs, steps, save) -> None:
        super().partial(epochs, steps, save)
        machine.barrier()
        raise KeyboardInterrupt


def train_until_notice(of: TrialConfig, pack: FramePack, folder: Path, at: int, run=RUN) -> str:
    """The name of the checkpoint that was made on a notice after so many steps of this run."""
    reporter = GoneOnNotice(folder, about(of, pack), at=at)
    with pytest.raises(KeyboardInterrupt):
        pretrain(of, pack, TAXONOMY, reporter, [Bystander(pack)], run)
    return checkpoints.newest(folder, partial=True).name


@pytest.fixture
def asked_each_step(monkeypatch):
    monkeypatch.setattr(loop, "NOTICE_CHECK", 1)


@pytest.mark.parametrize("step", range(1, 3 * EPOCHS + 1))
def test_a_run_with_notice_at_any_step_goes_on_to_the_same_bits(
    tiny_pack, tmp_path, uninterrupted, asked_each_step, step
):
    """An epoch has three steps: in the first one, in the middle, after the last one."""
    of = config(pretrain__method="stateful")
    made = train_until_notice(of, tiny_pack, tmp_path, at=step)
    assert made == checkpoints.folder_name((step - 1) // 3, (step - 1) % 3 + 1)
    torch.manual_seed(99)
    train(of, tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted("stateful"))
    assert not list(tmp_path.glob("*_step_*"))


@pytest.mark.parametrize("step", [1, 5])
def test_a_queue_goes_on_to_the_same_bits_within_an_epoch(
    tiny_pack, tmp_path, uninterrupted, asked_each_step, step
):
    """Network of the keys, queue and its place are part of what `assert_same_end` compares."""
    of = config(pretrain__method="moco")
    train_until_notice(of, tiny_pack, tmp_path, at=step)
    train(of, tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted("moco"))
    state = torch.load(checkpoints.newest(tmp_path) / checkpoints.STATE, weights_only=True)
    assert int(state["method"]["steps_done"]) == 3 * EPOCHS
    assert (state["method"]["queue_frames"] >= 0).all()


def test_what_loader_workers_made_beyond_a_notice_changes_no_bit(
    tiny_pack, tmp_path, uninterrupted, asked_each_step
):
    of, other = config(), RunConfig(device="cpu", threads=1, loader_workers=1)
    assert train_until_notice(of, tiny_pack, tmp_path, 4, run=other) == "epoch_0001_step_00001"
    train(of, tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted("groups"))


@pytest.mark.parametrize("method", ["stateful", "moco"])
def test_a_run_in_chunks_goes_on_to_the_same_bits_with_any_loader(
    tiny_pack, tmp_path, asked_each_step, method
):
    of = config(pretrain__method=method, pretrain__chunk=3)
    train(of, tiny_pack, tmp_path / "whole")
    other = RunConfig(device="cpu", threads=1, loader_workers=1)
    train_until_notice(of, tiny_pack, tmp_path / "parts", 5, run=other)
    torch.manual_seed(99)
    train(of, tiny_pack, tmp_path / "parts")
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


def test_a_run_with_notice_at_every_step_goes_on_to_the_same_bits(
    tiny_pack, tmp_path, uninterrupted, asked_each_step
):
    of = config(pretrain__method="stateful")
    for _ in range(3 * EPOCHS):
        train_until_notice(of, tiny_pack, tmp_path, at=1)
    train(of, tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted("stateful"))


def test_from_a_broken_partial_checkpoint_it_goes_back_to_the_same_bits(
    tiny_pack, tmp_path, uninterrupted, asked_each_step
):
    made = train_until_notice(config(), tiny_pack, tmp_path, at=5)
    os.truncate(tmp_path / made / checkpoints.STATE, 1000)
    with pytest.warns(UserWarning, match=rf"{made} is set aside: state\.pt has 1000 bytes"):
        train(config(), tiny_pack, tmp_path)
    assert_same_end(tmp_path, uninterrupted("groups"))


def test_what_an_epoch_took_before_a_notice_counts_after_it(tiny_pack, tmp_path, asked_each_step):
    """Also where nothing is left of the epoch but its evaluation."""
    of = config(pretrain__epochs=1)
    train_until_notice(of, tiny_pack, tmp_path, at=3)
    (row,) = train(of, tiny_pack, tmp_path)
    assert row["images_per_second"] == pytest.approx(2 * 24 / row["seconds"])
    assert 0 < row["data_wait"] < 1


def test_a_notice_is_asked_for_every_so_many_steps_and_after_the_last(
    tiny_pack, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "NOTICE_CHECK", 5)
    asked = []
    of = config(pretrain__batch=2, pretrain__epochs=1)  # 12 steps
    reporter = FolderReporter(tmp_path, about(of, tiny_pack), notice=lambda: bool(asked.append(0)))
    pretrain(of, tiny_pack, TAXONOMY, reporter, run=RUN)
    assert len(asked) == 3


# --- what is refused -------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_named_by_epoch_step_and_rate(tiny_pack, tmp_path):
    of = config(pretrain__optimizer="sgd", pretrain__lr=1e25, pretrain__warmup=0)
    said = (
        r"the loss is \S+, its gradient's norm (nan|inf), at epoch 1, step [123]; "
        r"lower pretrain\.lr \(1e\+25\) .* \(0\.1\)"
    )
    with pytest.raises(NotFiniteError, match=said):
        train(of, tiny_pack, tmp_path)
    assert checkpoints.newest(tmp_path) is None


def test_another_number_of_processes_than_workers_is_refused(tiny_pack, tmp_path):
    with pytest.raises(InputError, match=r"pretrain\.workers is 2, but 1 processes run"):
        train(config(pretrain__workers=2), tiny_pack, tmp_path)


def test_an_empty_train_split_is_refused(tiny_pack, tmp_path):
    with pytest.raises(InputError, match="no frame has machine 'Z'; there is A, B"):
        train(config(data__pretrain_where={"machine": "Z"}), tiny_pack, tmp_path)


def test_a_pack_of_another_size_is_refused(tiny_pack, tmp_path):
    with pytest.raises(InputError, match=r"data\.size is 48, the pack's 32"):
        train(config(data__size=48), tiny_pack, tmp_path)


def test_a_batch_larger_than_the_train_frames_is_refused(tiny_pack, tmp_path):
    with pytest.raises(InputError, match=r"pretrain\.batch 26 is larger than the 24 frames"):
        train(config(pretrain__batch=26), tiny_pack, tmp_path)


# --- two processes ---------------------------------------------------------------------------


class KeepsWeights(FolderReporter):
    """Also keeps each worker's own weights, which a checkpoint of rank 0 would not show."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.epochs = 0

    def epoch(self, metrics, save) -> None:
        net = save.__self__.net
        torch.save(
            [p.detach() for p in net.parameters()], self.run / f"weights_{dist.get_rank()}.pt"
        )
        super().epoch(metrics, save)
        self.epochs += 1
        if self.epochs == self.stop_after:
            raise KeyboardInterrupt

    stop_after = None


def work(rank: int, pack: FramePack, folder: str, method: str) -> None:
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    of = config(pretrain__workers=2, pretrain__method=method)
    loop.NOTICE_CHECK = 1
    for notice in (1, 4, None):
        reporter = GoneOnNotice(Path(folder, "noticed"), about(of, pack), at=notice)
        try:
            pretrain(of, pack, TAXONOMY, reporter, [Bystander(pack)], RUN)
        except KeyboardInterrupt:
            assert notice
    for name, stops in (("whole", [None]), ("resumed", [1, None])):
        for stop in stops:
            reporter = KeepsWeights(Path(folder, name), about(of, pack))
            reporter.stop_after = stop
            try:
                pretrain(of, pack, TAXONOMY, reporter, [Bystander(pack)], RUN)
            except KeyboardInterrupt:
                assert stop
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["groups", "moco"])
def test_two_workers_end_with_equal_weights_and_go_on_to_the_same_bits(tiny_pack, tmp_path, method):
    torch.multiprocessing.spawn(work, (tiny_pack, str(tmp_path), method), nprocs=2)
    for run in ("whole", "resumed"):
        each = [torch.load(tmp_path / run / f"weights_{rank}.pt") for rank in range(2)]
        assert equal(*each)
    assert_same_end(tmp_path / "whole", tmp_path / "resumed")
    assert_same_end(tmp_path / "whole", tmp_path / "noticed")
    history = read_json(tmp_path / "whole" / f"epoch_{EPOCHS:04d}" / checkpoints.HISTORY)["epochs"]
    assert all(row.keys() >= PROMISED for row in history)
