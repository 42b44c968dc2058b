"""Batches of views for the loop: which frames, made into views, on this worker."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from awcl import hashing
from awcl.config import TrialConfig
from awcl.data import device_views
from awcl.data.batches import Batches, occurrences
from awcl.data.device_views import Draws
from awcl.data.pack import FramePack
from awcl.data.views import FrameViews, Views
from awcl.errors import InputError
from awcl.pretrain.method import Batch, Method

VIEWS_APART = 2**16  # view numbers between two draws of a frame in one epoch
_Key = tuple[int, list[int], int]


class Feed:
    """Yields this worker's slice of each batch of an epoch.

    rows: (frames,) rows of the pack that are pre-trained on. The batches are the same whatever the
    number of workers and loader processes; worker `rank` of `world` takes its slice.

    on_device: views are only drawn here; batches are DrawnBatch, and `to` makes the views. Raises
    InputError for a method or recipe whose views have no form there.
    """

    def __init__(
        self,
        pack: FramePack,
        rows: np.ndarray,
        batches: Batches,
        make_views: Callable[[list[np.ndarray], FrameViews], np.ndarray],
        config: TrialConfig,
        *,
        rank: int = 0,
        world: int = 1,
        loader_workers: int = 0,
        pin_memory: bool = False,
        on_device: bool = False,
    ):
        self.keys = _Keys(batches, rank, world)
        items = _DrawnItems if on_device else _Items
        data = items(pack, rows, make_views, config)
        self.loader = DataLoader(
            data,
            batch_sampler=self.keys,
            num_workers=loader_workers,
            collate_fn=data.collate,
            pin_memory=pin_memory,
            persistent_workers=loader_workers > 0,
            multiprocessing_context="forkserver" if loader_workers else None,
            generator=torch.Generator(),  # else it draws from the global one, which training uses
        )

    def epoch(self, epoch: int, first_step: int = 0) -> "Iterator[Batch | DrawnBatch]":
        """The batches from a step on; no view of the steps before it is made."""
        self.keys.epoch, self.keys.first_step = epoch, first_step
        yield from self.loader


class _Keys:
    """Lists of keys (epoch, frame numbers, draw): all that a view depends on travels in the key."""

    def __init__(self, batches: Batches, rank: int, world: int):
        self.batches, self.epoch, self.first_step = batches, 0, 0
        share = batches.batch // world
        self.slice = slice(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        return self.batches.steps - self.first_step

    def __iter__(self) -> Iterator[list[_Key]]:
        frames = self.batches.epoch(self.epoch)
        if frames.ndim == 2:
            frames = frames[:, :, None]
        draws = occurrences(frames[:, :, 0])
        for step in range(self.first_step, len(frames)):
            mine = zip(frames[step, self.slice].tolist(), draws[step, self.slice], strict=True)
            yield [(self.epoch, item, int(draw)) for item, draw in mine]


class _Items(Dataset):
    """Views by key."""

    def __init__(
        self, pack: FramePack, rows: np.ndarray, make_views: Callable, config: TrialConfig
    ):
        self.pack, self.rows, self.make_views = pack, rows, make_views
        self.recipe = config.data.recipe, config.data.size, config.seed
        self.hashes = hashing.uint64s(pack.frames["frame_id"].iloc[rows])
        self.maker = self._maker()

    def _maker(self) -> Views | Draws:
        return Views(*self.recipe)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "maker": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.maker = self._maker()

    def __getitem__(self, key: _Key) -> tuple[np.ndarray, int]:
        epoch, item, draw = key
        images = [self.pack.content(self.rows[frame]) for frame in item]
        views = self.maker.of(int(self.hashes[item[0]]), epoch, first_view=draw * VIEWS_APART)
        return self.make_views(images, views), item[0]

    @staticmethod
    def collate(items: list[tuple[np.ndarray, int]]) -> Batch:
        views = torch.from_numpy(np.stack([views for views, _ in items])[:, :, None])
        return Batch(views, torch.tensor([frame for _, frame in items]))


class _DrawnItems(_Items):
    """By key, what views are made of: the two of a frame, as `Method.make_views` makes them."""

    def _maker(self) -> Draws:
        return draws(self.make_views, *self.recipe)

    def __getitem__(self, key: _Key) -> tuple[np.ndarray, np.ndarray, int]:
        epoch, item, draw = key
        frame, row = item[0], self.rows[item[0]]
        name, box = int(self.hashes[frame]), self.pack.boxes[row]
        return self.pack.image(row), self.maker.of(name, epoch, draw * VIEWS_APART, 2, box), frame

    def collate(self, items: list[tuple[np.ndarray, np.ndarray, int]]) -> "DrawnBatch":
        squares, rows, frames = zip(*items, strict=True)
        _, size, _ = self.recipe
        return DrawnBatch(device_views.together(squares, rows), torch.tensor(frames), size)


def draws(make_views: Callable, recipe: str, size: int, seed: int) -> Draws:
    """What draws the views of a method with this `make_views`, for a device that makes them.

    Raises InputError for a method or recipe whose views have no form there.
    """
    if make_views is not Method.make_views:
        raise InputError(
            "views device: this pretrain.method makes views of its own, which have no form on a "
            "device; use views cpu"
        )
    return Draws(Views(recipe, size, seed))


@dataclass
class DrawnBatch:
    """A batch whose views are drawn and yet to be made. size: their side in pixels."""

    drawn: device_views.Drawn
    frames: torch.Tensor
    size: int

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, which makes its views."""
        drawn, frames = self.drawn.to(device), self.frames.to(device, non_blocking=True)
        return Batch(device_views.made(drawn, self.size), frames)

    def pin_memory(self) -> "DrawnBatch":
        return DrawnBatch(self.drawn.pin_memory(), self.frames.pin_memory(), self.size)
