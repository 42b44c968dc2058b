"""Batches of views for the loop: which frames, made into views, on this worker."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from awcl import hashing
from awcl.config import TrialConfig
from awcl.data.batches import Batches, occurrences
from awcl.data.pack import FramePack
from awcl.data.views import FrameViews, Views
from awcl.pretrain.method import Batch

VIEWS_APART = 2**16  # view numbers between two draws of a frame in one epoch
_Key = tuple[int, list[int], int]


class Feed:
    """Yields this worker's slice of each batch of an epoch.

    rows: (frames,) rows of the pack that are pre-trained on. The batches are the same whatever the
    number of workers and loader processes; worker `rank` of `world` takes its slice.
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
    ):
        self.keys = _Keys(batches, rank, world)
        data = _Items(pack, rows, make_views, config)
        self.loader = DataLoader(
            data,
            batch_sampler=self.keys,
            num_workers=loader_workers,
            collate_fn=_collate,
            pin_memory=pin_memory,
            persistent_workers=loader_workers > 0,
            multiprocessing_context="forkserver" if loader_workers else None,
            generator=torch.Generator(),  # else it draws from the global one, which training uses
        )

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
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
    def __init__(
        self, pack: FramePack, rows: np.ndarray, make_views: Callable, config: TrialConfig
    ):
        self.pack, self.rows, self.make_views = pack, rows, make_views
        self.recipe = config.data.recipe, config.data.size, config.seed
        self.hashes = hashing.uint64s(pack.frames["frame_id"].iloc[rows])
        self.views = Views(*self.recipe)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "views": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.views = Views(*self.recipe)

    def __getitem__(self, key: _Key) -> tuple[np.ndarray, int]:
        epoch, item, draw = key
        images = [self.pack.content(self.rows[frame]) for frame in item]
        views = self.views.of(int(self.hashes[item[0]]), epoch, first_view=draw * VIEWS_APART)
        return self.make_views(images, views), item[0]


def _collate(items: list[tuple[np.ndarray, int]]) -> Batch:
    views = torch.from_numpy(np.stack([views for views, _ in items])[:, :, None])
    return Batch(views, torch.tensor([frame for _, frame in items]))
