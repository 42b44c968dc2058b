"""Training a decoder above an encoder, and the masks that it then predicts.

One recipe for all encoders: the same steps, the same learning rates to choose from, the same
frames in the same order, a decoder drawn by the same seed. The rate is chosen on patients that are
held out of train; then the decoder is trained anew on all of train.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from segmentation_models_pytorch.losses import DiceLoss
from torch import Tensor, nn

from awcl import hashing
from awcl.data.batches import in_rounds
from awcl.downstream import overlap
from awcl.downstream.decoder import Decoder, feature_maps
from awcl.downstream.masks import IGNORED, MaskedFrames
from awcl.encoder import Encoder
from awcl.errors import NotFiniteError

BATCH = 16
HELD_OUT = 0.2  # of train's patients, to choose the learning rate on
ENCODER_SHARE = 0.1  # of the decoder's learning rate, for an encoder that is fine-tuned
WEIGHT_DECAY = 1e-2
MEMORY = 2**31  # bytes of feature maps that are kept


@dataclass(frozen=True)
class Recipe:
    """How long to train, and the learning rates of the decoder to choose from."""

    steps: int
    rates: tuple[float, ...]

    def of(self, steps: int | None) -> "Recipe":
        """With another number of steps; None: as it is."""
        return self if steps is None else replace(self, steps=steps)


QUICK = Recipe(steps=160, rates=(3e-3,))
FULL = Recipe(steps=300, rates=(1e-3, 3e-3))


class FrozenMaps:
    """Feature maps of frames by an encoder that stays as it is.

    They are computed once, in fixed blocks of frames (a batch of others may round otherwise), and
    kept in half precision until MEMORY is full; so a step costs the decoder alone. Therefore frames
    are not augmented, and for a fair comparison not in fine-tuning either. Frames that find no room
    are computed when asked for, and rounded to half precision too.
    """

    def __init__(self, encoder: Encoder, masks: MaskedFrames):
        self.encoder, self.masks = encoder, masks
        self.kept: dict[int, list[Tensor]] = {}
        self.room = MEMORY

    def tuned(self) -> nn.Module | None:
        """What is to be trained along with a decoder."""
        return None

    def __call__(self, numbers: np.ndarray) -> list[Tensor]:
        """The maps (B, C, h, w) of frames `numbers`, fine to coarse, channels last in memory."""
        blocks = np.asarray(numbers) // BATCH
        for block in np.unique(blocks):
            self._keep(int(block))
        lacking = np.array([n for n, b in zip(numbers, blocks, strict=True) if b not in self.kept])
        found = {n: [of[n % BATCH] for of in self.kept.get(n // BATCH, ())] for n in numbers}
        if len(lacking):
            found.update(zip(lacking, zip(*self._computed(lacking), strict=True), strict=True))
        return [
            torch.stack(level).float().permute(0, 3, 1, 2)
            for level in zip(*(found[number] for number in numbers), strict=True)
        ]

    def _keep(self, block: int) -> None:
        """Computes the maps of a block of frames, where there is room and they are not there."""
        if block in self.kept or self.room <= 0:
            return
        self.kept[block] = self._computed(
            np.arange(block * BATCH, min((block + 1) * BATCH, len(self.masks.rows)))
        )
        self.room -= sum(2 * level.numel() for level in self.kept[block])

    @torch.no_grad()
    def _computed(self, numbers: np.ndarray) -> list[Tensor]:
        """(B, h, w, C) of each level: as they lie in memory, so that a batch is put together by
        copying whole frames."""
        was_training = self.encoder.training
        self.encoder.eval()
        levels = feature_maps(self.encoder, _images(self.encoder, self.masks, numbers))
        self.encoder.train(was_training)
        if not all(level.isfinite().all() for level in levels):
            raise NotFiniteError(
                "the encoder's feature maps are not finite; its training has diverged"
            )
        return [level.half().permute(0, 2, 3, 1).contiguous() for level in levels]


class TunedMaps:
    """Feature maps of frames by a copy of an encoder, which is trained along with the decoder."""

    def __init__(self, encoder: Encoder, masks: MaskedFrames):
        self.encoder, self.masks = copy.deepcopy(encoder), masks

    def tuned(self) -> nn.Module | None:
        return self.encoder

    def __call__(self, numbers: np.ndarray) -> list[Tensor]:
        return feature_maps(self.encoder, _images(self.encoder, self.masks, numbers))


@dataclass
class Segmenter:
    """A decoder above the maps that it was trained on."""

    maps: FrozenMaps | TunedMaps
    decoder: Decoder

    @torch.inference_mode()
    def predict(self, numbers: np.ndarray) -> np.ndarray:
        """(N, size, size) uint8 masks of frames `numbers`."""
        for module in filter(None, (self.decoder, self.maps.tuned())):
            module.eval()
        parts = []
        with _exact():
            for start in range(0, len(numbers), BATCH):
                logits = self.decoder(self.maps(numbers[start : start + BATCH]))
                parts.append(logits.argmax(1).to(torch.uint8).cpu().numpy())
        return np.concatenate(parts)


class Trainer:
    """Makes segmenters of one encoder, frozen or fine-tuned, for the classes of `masks`.

    Frozen maps are shared by all of them, and the same training frames give the same segmenter.
    """

    def __init__(self, encoder: Encoder, masks: MaskedFrames, recipe: Recipe, tune: bool = False):
        self.encoder, self.masks, self.recipe, self.tune = encoder, masks, recipe, tune
        self.frozen = FrozenMaps(encoder, masks)
        self.made: dict[bytes, tuple[Segmenter, float]] = {}

    def segmenter(self, train: np.ndarray) -> tuple[Segmenter, float]:
        """Trained on frames `train`, and the learning rate that was chosen among them."""
        key = train.tobytes()
        if key not in self.made:
            rate = self._best_rate(train)
            self.made[key] = self._trained(train, rate), rate
        return self.made[key]

    def _best_rate(self, train: np.ndarray) -> float:
        inside, held_out = held_out_patients(self.masks, train)
        if len(self.recipe.rates) == 1 or not len(held_out):
            return self.recipe.rates[0]
        truth = self.masks.truths(held_out)
        found = []
        for rate in self.recipe.rates:
            predicted = self._trained(inside, rate).predict(held_out)
            found.append(np.nanmean(overlap.dice(truth, predicted, len(self.masks.classes))))
        return self.recipe.rates[int(np.argmax(found))]

    def _trained(self, train: np.ndarray, rate: float) -> Segmenter:
        seed = hashing.uint64("segmentation")
        device = next(self.encoder.parameters()).device
        with torch.random.fork_rng(), _exact():
            torch.manual_seed(seed % 2**63)
            maps = TunedMaps(self.encoder, self.masks) if self.tune else self.frozen
            decoder = Decoder(self.encoder, 1 + len(self.masks.classes), self.masks.pack.size)
            segmenter = Segmenter(maps, decoder.to(device, memory_format=torch.channels_last))
            batches = train[in_rounds(len(train), self.recipe.steps, BATCH, seed)]
            _train(segmenter, self.masks, batches, rate)
        return segmenter


def held_out_patients(masks: MaskedFrames, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`train` in two parts without a patient in common; the second is empty for one patient."""
    patients = masks.frames["patient"].to_numpy(str)[train]
    names = np.unique(patients)
    ranked = names[np.argsort(hashing.uint64s(names, "held out"))]
    out = np.isin(patients, ranked[: max(1, round(HELD_OUT * len(names)))])
    return (train, train[:0]) if len(names) == 1 else (train[~out], train[out])


def _train(segmenter: Segmenter, masks: MaskedFrames, batches: np.ndarray, rate: float) -> None:
    """AdamW, one cycle of the learning rate, Dice and cross-entropy; padding does not count."""
    groups = [{"params": list(segmenter.decoder.parameters()), "lr": rate}]
    tuned = segmenter.maps.tuned()
    if tuned is not None:
        tuned.train()
        groups.append({"params": list(tuned.parameters()), "lr": ENCODER_SHARE * rate})
    segmenter.decoder.train()
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)
    highest = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, total_steps=len(batches))
    dice = DiceLoss("multiclass", ignore_index=IGNORED)
    for numbers in batches:
        logits = segmenter.decoder(segmenter.maps(numbers))
        truth = torch.from_numpy(masks.truths(numbers)).to(logits.device, torch.long)
        entropy = nn.functional.cross_entropy(logits, truth, ignore_index=IGNORED)
        optimizer.zero_grad()
        (entropy + dice(logits, truth)).backward()
        optimizer.step()
        schedule.step()


def _images(encoder: Encoder, masks: MaskedFrames, numbers: np.ndarray) -> Tensor:
    device = next(encoder.parameters()).device
    images = torch.from_numpy(masks.images(numbers))
    return images.to(device, memory_format=torch.channels_last)


@contextmanager
def _exact() -> Iterator[None]:
    """float32 throughout (no TF32) and the same algorithms each time, as for frozen features."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
