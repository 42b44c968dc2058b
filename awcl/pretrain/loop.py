"""The pre-training loop: the same for all methods, on one process or on many.

Knows torch.distributed, not ray: whoever starts the processes has initialised the group. Every
random draw is a function of the seed and the step, so a run that goes on from a checkpoint, also
from one within an epoch, gives the bits that it would have had, on the same machine with the same
number of threads. On a card, and on three workers or more, it does so to rounding: there some sums
come in another order (DDP puts gradients together anew after the first step of a process).
"""

import math
import statistics
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import nn

from awcl import checkpoints, complete, hashing, warm
from awcl.config import PretrainConfig, RunConfig, TrialConfig
from awcl.data.pack import FramePack
from awcl.data.table import rows_where
from awcl.encoder import Encoder
from awcl.errors import InputError, NotFiniteError
from awcl.files import AnyPath, read_json, write_json
from awcl.pretrain import cached, machine, methods
from awcl.pretrain.card import Card
from awcl.pretrain.feed import Feed
from awcl.pretrain.groups import positives_report
from awcl.pretrain.method import Batch, Method
from awcl.pretrain.reporter import Reporter
from awcl.pretrain.tally import Tally
from awcl.taxonomy import Taxonomy

FINITE_CHECK = 50  # steps between looks at the loss; each look makes the host wait for the device
# Steps between questions for a notice. Each costs 3 ms on two busy cores, a hundredth of ten steps
# of 30 ms; and ten steps of 2 s each still end before the 30 s that clouds give at least.
NOTICE_CHECK = 10


class Evaluator(Protocol):
    def run(self, encoder: Encoder) -> Iterable[tuple[str, float]]: ...


def pretrain(
    config: TrialConfig,
    pack: FramePack,
    taxonomy: Taxonomy,
    reporter: Reporter,
    evaluators: Sequence[Evaluator] = (),
    run: RunConfig | None = None,
    weights: AnyPath | None = None,
) -> list[dict[str, Any]]:
    """Trains to config.pretrain.epochs, from the reporter's checkpoint where it has one.

    weights: the folder in which `awcl.warm.keep` put those of config.model.init.
    Returns the metrics of each epoch: loss, images_per_second (views through the network),
    data_wait (share of the time that the host waits for a batch; a card, which it runs ahead of,
    may have work left meanwhile), grad_norm, positives/*, on a card system/* (awcl.pretrain.card),
    and what the evaluators yield. An untrained trial (0 epochs) has one row, of epoch 0, with the
    evaluators' metrics alone.
    Raises InputError for what frames or machine do not allow, NotFiniteError for such a loss.
    """
    if config.pretrain.epochs == 0:
        return _untrained(config, reporter, evaluators, run or RunConfig(), weights)
    session = Session(config, pack, taxonomy, run or RunConfig(), weights)
    checkpoint = reporter.start()
    if checkpoint is not None:
        session.load(checkpoint)
    while session.epochs_done < config.pretrain.epochs:
        metrics = session.train_epoch(reporter)
        if session.rank == 0:
            for evaluator in evaluators:
                metrics.update(evaluator.run(session.net.encoder))
        session.history.append(metrics)
        reporter.epoch(metrics, session.save)
    return session.history


def _untrained(
    config: TrialConfig,
    reporter: Reporter,
    evaluators: Sequence[Evaluator],
    run: RunConfig,
    weights: AnyPath | None,
) -> list[dict[str, Any]]:
    """The encoder as it was initialised, as a complete checkpoint of epoch 0, and its one row."""
    rank, world = machine.place()
    _check_workers(config, world)
    checkpoint = reporter.start()
    if checkpoint is not None:
        return read_json(checkpoint / checkpoints.HISTORY)["epochs"]
    torch.set_num_threads(run.threads or torch.get_num_threads())
    encoder = initial_encoder(config, weights).to(machine.device(run.device, rank))
    metrics: dict[str, Any] = {"epoch": 0, "time": time.time(), "labels_used": 0}
    for evaluator in evaluators:
        metrics.update(evaluator.run(encoder))

    def save(folder: Path) -> None:
        encoder.save(folder / checkpoints.ENCODER)
        write_json(folder / checkpoints.HISTORY, {"epochs": [metrics]})
        complete.mark(folder)

    reporter.epoch(metrics, save)
    return [metrics]


def initial_encoder(config: TrialConfig, weights: AnyPath | None = None) -> Encoder:
    """What a trial starts from. Draws by the trial's seed, and leaves torch's generator there for
    the head; so an untrained trial is the very start of a trained one of its seed."""
    torch.manual_seed(hashing.uint64("weights", config.seed) % 2**63)
    return warm.start(config.model, config.data.size, weights)


def _check_workers(config: TrialConfig, world: int) -> None:
    if world != config.pretrain.workers:
        raise InputError(
            f"pretrain.workers is {config.pretrain.workers}, but {world} processes run; "
            "the number of workers is part of a trial"
        )


def pretrain_rows(pack: FramePack, config: TrialConfig) -> np.ndarray:
    """Rows of the pack that may be pre-trained on: train, and of it what pretrain_where admits."""
    rows = rows_where(pack.frames, {**config.data.pretrain_where, "split": "train"})
    if not len(rows):
        where = config.data.pretrain_where
        raise InputError(f"split 'train' is empty under data.pretrain_where {where}")
    return rows


class Session:
    """Network, optimizer, data and history of one run, on this worker."""

    def __init__(
        self,
        config: TrialConfig,
        pack: FramePack,
        taxonomy: Taxonomy,
        run: RunConfig,
        weights: AnyPath | None = None,
    ):
        self.config, self.run = config, run
        self.rank, self.world = machine.place()
        _check_workers(config, self.world)
        if pack.size != config.data.size:
            raise InputError(f"data.size is {config.data.size}, the pack's {pack.size}")
        self.device = machine.device(run.device, self.rank)
        self.threads = run.threads or torch.get_num_threads()
        torch.set_num_threads(self.threads)
        self.bfloat16 = machine.bfloat16(config.pretrain.precision, self.device)
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = config.pretrain.precision != "float32"
            torch.backends.cudnn.benchmark = True  # every step has the same shapes
        self.chunks = config.pretrain.chunks

        rows = pretrain_rows(pack, config)
        self.frames = pack.frames.iloc[rows].reset_index(drop=True)
        self.method: Method = methods.build(config, self.frames, taxonomy)
        self.batches = self.method.sampler()
        net = self.method.modules(initial_encoder(config, weights))
        if config.pretrain.sync_batchnorm and self.world > 1:
            net = synchronised(net, self.device)
        self.net = net.to(self.device, memory_format=torch.channels_last)
        self.method.to(self.device)
        self.trained: nn.Module = self.net
        if self.world > 1:
            self.trained = nn.parallel.DistributedDataParallel(self.net)
        self.optimizer = _optimizer(config.pretrain, self.net)
        self.feed = Feed(
            pack,
            rows,
            self.batches,
            self.method.make_views,
            config,
            rank=self.rank,
            world=self.world,
            loader_workers=run.loader_workers,
            pin_memory=self.device.type == "cuda",
            on_device=run.views == "device",
        )
        self.tally = Tally(self.batches.steps, self.device)
        self.card = Card(self.device)
        self.history: list[dict[str, Any]] = []

    @property
    def epochs_done(self) -> int:
        return len(self.history)

    def train_epoch(self, reporter: Reporter) -> dict[str, Any]:
        """One epoch, or what a partial checkpoint left of it; its metrics as plain numbers."""
        epoch, tally = self.epochs_done, self.tally
        self.trained.train()
        began = time.perf_counter() - tally.seconds
        for batch, waited in _timed(self.feed.epoch(epoch, tally.done)):
            batch = batch.to(self.device)
            values = self._step(batch, epoch * tally.steps + tally.done)
            tally.add(values, batch.views.shape[0] * batch.views.shape[1], waited)
            tally.seconds = time.perf_counter() - began
            if tally.done % FINITE_CHECK == 0:
                self._check_finite()
            # Also after the last step: evaluation is to come before the epoch is saved.
            if tally.done % NOTICE_CHECK == 0 or tally.done == tally.steps:
                self.card.look()
                self._save_on_notice(reporter)
        self._check_finite()
        tally.seconds = time.perf_counter() - began
        metrics = self._metrics()
        self.tally = Tally(tally.steps, self.device)
        return metrics

    def _save_on_notice(self, reporter: Reporter) -> None:
        if reporter.notice():
            tally = self.tally.state_dict()  # of all workers: gathered here, since only one saves
            reporter.partial(self.epochs_done, self.tally.done, lambda to: self.save(to, tally))

    def _metrics(self) -> dict[str, Any]:
        """Of the epoch that the tally is full of."""
        epoch, tally = self.epochs_done, self.tally
        items = self.batches.epoch(epoch)
        items = items if items.ndim == 2 else items[:, :, 0]  # an item is named by its first frame
        return {
            "epoch": epoch + 1,
            "time": time.time(),
            **positives_report(items, self.method.groups(), self.frames["patient"].to_numpy()),
            **tally.means(),  # a method whose positives are not those of the batch reports its own
            "lr": self.optimizer.param_groups[0]["lr"],
            "seconds": tally.seconds,
            "images_per_second": tally.views * self.world / tally.seconds,
            "data_wait": tally.waited / tally.seconds,
            **self.card.of_epoch(),
            "frames": len(self.frames),
            "labels_used": self.method.labels_used,
            "bfloat16": int(self.bfloat16),
            "threads": self.threads,
        }

    def _step(self, batch: Batch, number: int) -> dict[str, torch.Tensor]:
        """One optimizer step, by its number from 0; what it gave. The host waits for nothing."""
        seed = hashing.uint64("step", self.config.seed, number, self.rank) % 2**63
        torch.manual_seed(seed)  # dropout and the like: no generator state to keep
        rate = learning_rate(self.config.pretrain, self.batches.steps, number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss, more = self._backward(batch, seed)
        norm = nn.utils.get_total_norm(p.grad for p in self.net.parameters() if p.grad is not None)
        self.optimizer.step()
        self.method.after_step()
        values = {"loss": loss, "grad_norm": norm, **more}
        return {name: value.detach() for name, value in values.items()}

    def _backward(self, batch: Batch, seed: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Gives the weights their gradients; the loss, and what more the method has to report."""
        x = self.method.inputs(batch).contiguous(memory_format=torch.channels_last)
        if self.chunks > 1:
            chunks, loss_of = x.tensor_split(self.chunks), partial(self.method.loss, batch=batch)
            return cached.backward(self.trained, chunks, loss_of, seed, self._forward)
        loss, more = self.method.loss(self._forward(self.trained, x), batch)
        loss.backward()
        return loss, more

    def _forward(self, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            return net(x)

    def _check_finite(self) -> None:
        """Raises on every worker where a loss or gradient of any worker is not finite."""
        done = self.tally.done
        losses, norms = (self.tally.values[name][:done] for name in ("loss", "grad_norm"))
        bad = (~(losses + norms).isfinite()).nonzero()
        first = bad[0, 0] if len(bad) else torch.tensor(done, device=self.device)
        if self.world > 1:
            dist.all_reduce(first, dist.ReduceOp.MIN)  # else the others would wait for this one
        step, config = int(first), self.config.pretrain
        if step < done:
            raise NotFiniteError(
                f"the loss is {float(losses[step])}, its gradient's norm {float(norms[step])}, at "
                f"epoch {self.epochs_done + 1}, step {step + 1}; lower pretrain.lr ({config.lr}) "
                f"or raise pretrain.temperature ({config.temperature})"
            )

    def save(self, folder: Path, tally: dict[str, Any] | None = None) -> None:
        """A complete checkpoint in an empty folder: encoder, state, history, COMPLETE.json last.

        tally: for a partial one, the state of the epoch's.
        """
        self.net.encoder.save(folder / checkpoints.ENCODER)
        state = {
            "head": self.net.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            "machine": self._machine(),
        }
        if tally is not None:
            state["tally"] = tally
        torch.save(state, folder / checkpoints.STATE)
        write_json(folder / checkpoints.HISTORY, {"epochs": self.history})
        complete.mark(folder)

    def load(self, checkpoint: Path) -> None:
        """Goes on from a complete checkpoint of the same trial."""
        # To the cpu: load_state_dict moves each part to where it belongs.
        state = torch.load(checkpoint / checkpoints.STATE, map_location="cpu", weights_only=True)
        made_on = {"views": "cpu", **state["machine"]}  # the only ones that there were once
        for name, value in self._machine().items():
            then = made_on[name]
            if then != value:
                warnings.warn(
                    f"{checkpoint.name} was made with {name} {then}, this run has {value}; "
                    "it goes on, but not to the same bits",
                    stacklevel=2,
                )
        self.net.encoder.restore(checkpoint / checkpoints.ENCODER)
        self.net.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        if "tally" in state:
            self.tally.load_state_dict(state["tally"])
        self.history = read_json(checkpoint / checkpoints.HISTORY)["epochs"]

    def _machine(self) -> dict[str, Any]:
        return {
            "threads": self.threads,
            "device": self.device.type,
            "bfloat16": self.bfloat16,
            "views": self.run.views,
            "torch": str(torch.__version__),
        }


def synchronised(net: nn.Module, device: torch.device) -> nn.Module:
    """The network with every BatchNorm over all workers; its weights keep their names.

    timm's conversion: torch's own would drop the activation of timm's BatchNormAct2d. Raises
    InputError on a processor, where torch has none.
    """
    if device.type != "cuda":
        raise InputError(
            "pretrain.sync_batchnorm runs on cards only; leave it off, or give each worker a card"
        )
    return convert_sync_batchnorm(net)


def seconds_per_step(
    config: TrialConfig, pack: FramePack, taxonomy: Taxonomy, run: RunConfig, steps: int = 5
) -> float:
    """The median of a few steps of a run that is thrown away, data included, after two to warm up.

    Raises InputError as `pretrain` does.
    """
    session = Session(config, pack, taxonomy, run)
    session.trained.train()
    seconds, began = [], time.perf_counter()
    for number, batch in enumerate(islice(session.feed.epoch(0), steps + 2)):
        loss = session._step(batch.to(session.device), number)["loss"]
        float(loss)  # waits for the device
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    return statistics.median(seconds[2:] or seconds)


def learning_rate(config: PretrainConfig, steps: int, number: int) -> float:
    """Linear warm-up, then a cosine to 0. number: the step, from 0; steps: those of an epoch."""
    warmup, total = config.warmup * steps, config.epochs * steps
    if number < warmup:
        return config.rate * (number + 1) / warmup
    return config.rate * 0.5 * (1 + math.cos(math.pi * (number - warmup) / max(1, total - warmup)))


def _optimizer(config: PretrainConfig, net: nn.Module) -> torch.optim.Optimizer:
    """No weight decay on biases and norms, as is usual. Fused: each weight is read once a step."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    kept = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
    options = {"lr": config.rate, "weight_decay": config.weight_decay, "fused": True}
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(groups, **options)
        case "adamw":
            return torch.optim.AdamW(groups, **options)
        case "sgd":
            return torch.optim.SGD(groups, momentum=0.9, **options)


def _timed(items: Iterable) -> Iterator[tuple[Any, float]]:
    """Each item with the seconds it was waited for."""
    iterator = iter(items)
    while True:
        began = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        yield item, time.perf_counter() - began
