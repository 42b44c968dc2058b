"""Fine-tuning of a whole encoder under a linear head: one recipe for all encoders.

AdamW, a fixed number of steps, views of the recipe that pre-training uses by default, drawn in the
padded square since whole frames are judged with their padding; classes weigh the same in the loss.
The learning rate is one of a few, chosen by macro-F1 on training patients that were held out; then
a copy is trained anew on all of train. Nothing is drawn but from fixed seeds, so the same encoder
on the same processor gives the same predictions; on a card its scores may differ in rounding.

What BatchNorm knows of the mean and spread of its input is in the end that of whole frames of train
(Wu & Johnson 2021, "precise BatchNorm"): with that of views, a network that tells all training
frames apart was seen to guess in evaluation mode.

The head begins at 0, behind a BatchNorm without weights (He et al. 2022, MAE): encoders differ in
the scale of their features, and a learning rate should mean the same to each.
"""

import copy
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from awcl import hashing
from awcl.data.batches import in_rounds
from awcl.data.pack import FramePack
from awcl.data.views import Views
from awcl.downstream.classification import Problem
from awcl.downstream.probes import patient_folds
from awcl.downstream.scores import confusions, macro_f1
from awcl.encoder import Encoder, features

RATES = (1e-4, 3e-4, 1e-3)
BATCH = 32
WARMUP = 0.1  # share of the steps
WEIGHT_DECAY = 0.01
RECIPE = "ultrasound"


class Tuned(nn.Module):
    """A copy of an encoder under a new linear head of `classes` outputs."""

    def __init__(self, encoder: Encoder, classes: int):
        super().__init__()
        self.encoder = copy.deepcopy(encoder)
        device = next(encoder.parameters()).device
        linear = nn.Linear(encoder.width, classes)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.head = nn.Sequential(nn.BatchNorm1d(encoder.width, affine=False), linear).to(device)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))

    @torch.inference_mode()
    def predict(self, pack: FramePack, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) class numbers of whole frames."""
        h = torch.from_numpy(features(self.encoder, pack, rows))
        return self.head.eval().cpu()(h).argmax(1).numpy()


def fine_tune(encoder: Encoder, problem: Problem, steps: int) -> tuple[np.ndarray, float]:
    """(M,) class numbers of the judged frames, and the learning rate that was chosen."""
    everything = np.arange(len(problem.rows))
    rate = _best_rate(encoder, problem, steps)
    return _tuned(encoder, problem, everything, rate, steps).predict(
        problem.pack, problem.judged_rows
    ), rate


def _best_rate(encoder: Encoder, problem: Problem, steps: int) -> float:
    folds = patient_folds(problem.patients)
    if not folds:
        return RATES[len(RATES) // 2]  # one patient: nothing to choose by
    inside, held_out = folds[0]
    truth, found = problem.labels[held_out], []
    for rate in RATES:
        tuned = _tuned(encoder, problem, inside, rate, steps)
        predicted = tuned.predict(problem.pack, problem.rows[held_out])
        found.append(macro_f1(confusions(truth, predicted, len(problem.classes))))
    return RATES[int(np.argmax(found))]


def _tuned(
    encoder: Encoder, problem: Problem, places: np.ndarray, rate: float, steps: int
) -> Tuned:
    """Trained on the training frames at these places."""
    device = next(encoder.parameters()).device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)  # for backbones that drop units or paths
        tuned = Tuned(encoder, len(problem.classes)).train()
        optimizer = torch.optim.AdamW(
            tuned.parameters(), lr=rate, weight_decay=WEIGHT_DECAY, fused=True
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share(step, steps))
        loss_of = nn.CrossEntropyLoss(_weights(problem.labels[places], len(problem.classes)))
        loss_of.to(device)
        maker = Views(RECIPE, problem.pack.size, seed=0)
        for step, drawn in enumerate(in_rounds(len(places), steps, BATCH, seed=0)):
            batch = places[drawn]
            x = torch.from_numpy(_views(maker, problem, batch, step))
            y = torch.from_numpy(problem.labels[batch])
            loss = loss_of(tuned(x.to(device, memory_format=torch.channels_last)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        update_bn(_whole_frames(problem, places, device), tuned)
    return tuned


def _whole_frames(problem: Problem, places: np.ndarray, device: torch.device) -> Iterator[Tensor]:
    """Batches of evaluation views of the training frames, all batches of one size."""
    rounded = math.ceil(len(places) / BATCH) * BATCH
    for batch in np.resize(places, rounded).reshape(-1, BATCH):
        views = [problem.pack.evaluation_view(problem.rows[place]) for place in batch]
        yield torch.from_numpy(np.stack(views))[:, None].to(device)


def _views(maker: Views, problem: Problem, places: np.ndarray, step: int) -> np.ndarray:
    """(B, 1, S, S) uint8, one view a frame; a function of step, frame and place in the batch."""
    views = np.empty((len(places), 1, problem.pack.size, problem.pack.size), np.uint8)
    for number, place in enumerate(places):
        row = problem.rows[place]
        frame = hashing.uint64(problem.pack.frames["frame_id"].iloc[row])
        views[number, 0] = maker.of(frame, epoch=step).view(problem.pack.image(row), number)
    return views


def _weights(labels: np.ndarray, classes: int) -> Tensor:
    """One a class, so that all that are there weigh the same."""
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return torch.from_numpy(len(labels) / (present * np.maximum(counts, 1))).float()


def _share(step: int, steps: int) -> float:
    """Of the learning rate: linear warm-up, then a cosine to 0."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
