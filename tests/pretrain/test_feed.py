"""The feed: the same views whoever makes them, and each worker its slice."""

import numpy as np
import pytest
import torch

from awcl.config import TrialConfig, with_values
from awcl.data.batches import Batches
from awcl.data.views import Views
from awcl.errors import InputError
from awcl.hashing import uint64
from awcl.pretrain.feed import Feed
from awcl.pretrain.method import Batch, Method

SIZE, BATCH = 32, 8
CONFIG = with_values(TrialConfig(), {"data.size": SIZE, "pretrain.batch": BATCH}, "test")


@pytest.fixture(scope="module")
def rows(tiny_pack) -> np.ndarray:
    return np.flatnonzero(tiny_pack.frames["split"] == "train")


def feed(pack, rows, config=CONFIG, batches=None, **options) -> Feed:
    batches = batches or Batches(len(rows), BATCH, config.seed)
    return Feed(pack, rows, batches, Method.make_views, config, **options)


def epoch(of: Feed, number: int) -> list[Batch]:
    return list(of.epoch(number))


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) > 0 and all(
        torch.equal(a.views, b.views) and torch.equal(a.frames, b.frames)
        for a, b in zip(first, second, strict=True)
    )


def test_batches_are_the_frames_of_the_sampler_with_two_views_each(tiny_pack, rows):
    batches = Batches(len(rows), BATCH, 0)
    views = Views(CONFIG.data.recipe, SIZE, CONFIG.seed)
    made = epoch(feed(tiny_pack, rows, batches=batches), 3)
    for batch, frames in zip(made, batches.epoch(3), strict=True):
        assert batch.frames.tolist() == frames.tolist()
        assert batch.views.shape == (BATCH, 2, 1, SIZE, SIZE)
        assert batch.views.dtype == torch.uint8
        for of_frame, frame in zip(batch.views, frames, strict=True):
            row = rows[frame]
            name = uint64(tiny_pack.frames["frame_id"][row])
            for number in range(2):
                view = views.of(name, 3).view(tiny_pack.content(row), number)
                assert np.array_equal(of_frame[number, 0].numpy(), view)


def test_an_epoch_is_the_same_each_time_and_others_differ(tiny_pack, rows):
    one = feed(tiny_pack, rows)
    first, other = epoch(one, 0), epoch(one, 1)
    assert equal(first, epoch(one, 0))
    assert not equal(first, other)
    assert equal(other, epoch(feed(tiny_pack, rows), 1))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_from_a_step_on_is_its_end(tiny_pack, rows, workers):
    whole = epoch(feed(tiny_pack, rows), 1)
    one = feed(tiny_pack, rows, loader_workers=workers)
    for first_step in (1, len(whole) - 1):
        assert equal(list(one.epoch(1, first_step)), whole[first_step:])
    assert list(one.epoch(1, len(whole))) == []
    assert equal(epoch(one, 2), epoch(feed(tiny_pack, rows), 2))


def test_no_view_is_made_of_the_steps_that_are_left_out(tiny_pack, rows):
    made = []

    def make_views(images, views) -> np.ndarray:
        made.append(1)
        return Method.make_views(images, views)

    batches = Batches(len(rows), BATCH, 0)
    list(Feed(tiny_pack, rows, batches, make_views, CONFIG).epoch(0, batches.steps - 1))
    assert len(made) == BATCH


def test_loader_workers_change_nothing(tiny_pack, rows):
    alone = feed(tiny_pack, rows)
    shared = feed(tiny_pack, rows, loader_workers=2)
    for number in (0, 1):  # the same processes serve both epochs
        assert equal(epoch(alone, number), epoch(shared, number))


@pytest.mark.parametrize("world", [2, 4])
def test_the_slices_of_the_workers_make_up_the_batch(tiny_pack, rows, world):
    whole = epoch(feed(tiny_pack, rows), 2)
    shares = [epoch(feed(tiny_pack, rows, rank=rank, world=world), 2) for rank in range(world)]
    together = [
        Batch(torch.cat([p.views for p in parts]), torch.cat([p.frames for p in parts]))
        for parts in zip(*shares, strict=True)
    ]
    assert equal(whole, together)


def test_a_frame_drawn_again_in_an_epoch_gets_other_views(tiny_pack, rows):
    few = Batches(len(rows), BATCH, 0, only=np.array([1, 2, 3]))
    made = epoch(feed(tiny_pack, rows, batches=few), 0)
    frames = torch.cat([batch.frames for batch in made])
    views = torch.cat([batch.views for batch in made])
    of_one = views[frames == 1].flatten(0, 1)
    assert len(of_one) == 16
    assert len({view.numpy().tobytes() for view in of_one}) == len(of_one)


def test_the_views_of_a_draw_do_not_depend_on_which_worker_makes_it(tiny_pack, rows):
    few = Batches(len(rows), BATCH, 0, only=np.array([1, 2, 3]))
    whole = epoch(feed(tiny_pack, rows, batches=few), 0)
    second = epoch(feed(tiny_pack, rows, batches=few, rank=1, world=2), 0)
    halves = [Batch(batch.views[4:], batch.frames[4:]) for batch in whole]
    assert equal(halves, second)


def test_views_follow_the_frame_and_not_its_place_in_the_pack(tiny_pack, rows):
    """A frame keeps its views when other frames come or go."""
    fewer = rows[::2]
    every = Batches(len(rows), len(rows), 0)
    some = Batches(len(fewer), len(fewer), 0)

    def by_name(rows, batches) -> dict:
        (batch,) = epoch(feed(tiny_pack, rows, batches=batches), 0)
        names = tiny_pack.frames["frame_id"].to_numpy()[rows[batch.frames.numpy()]]
        return dict(zip(names, batch.views, strict=True))

    all_views, some_views = by_name(rows, every), by_name(fewer, some)
    assert set(some_views) < set(all_views)
    for name, views in some_views.items():
        assert torch.equal(views, all_views[name])


def test_a_method_may_make_an_item_of_several_frames(tiny_pack, rows):
    class Pairs:
        """Items of two frames; the first one names the item."""

        batch, steps = BATCH, 2

        def epoch(self, epoch: int) -> np.ndarray:
            order = np.random.default_rng(epoch).permutation(len(rows))[:16]
            return np.stack([order, (order + 1) % len(rows)], axis=1).reshape(2, BATCH, 2)

    def mixed(images, views) -> np.ndarray:
        share = views.rng(0).random()
        pair = [views.view(image, number).astype(float) for number, image in enumerate(images)]
        return (share * pair[0] + (1 - share) * pair[1]).astype(np.uint8)[None]

    def make(**options) -> list[Batch]:
        return epoch(Feed(tiny_pack, rows, Pairs(), mixed, CONFIG, **options), 1)

    whole = make()
    assert whole[0].views.shape == (BATCH, 1, 1, SIZE, SIZE)
    assert whole[0].frames.tolist() == Pairs().epoch(1)[0, :, 0].tolist()
    second = make(rank=1, world=2)
    assert equal([Batch(b.views[4:], b.frames[4:]) for b in whole], second)


# --- views that a device makes -------------------------------------------------------------------

PAPER = with_values(CONFIG, {"data.recipe": "paper"}, "test")  # no blur: the same bits


def made(drawn: list) -> list[Batch]:
    return [batch.to(torch.device("cpu")) for batch in drawn]


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_a_device_makes_the_same_batches(tiny_pack, rows, loader_workers):
    here = feed(tiny_pack, rows, PAPER)
    there = feed(tiny_pack, rows, PAPER, on_device=True, loader_workers=loader_workers)
    for number in (0, 2):
        assert equal(epoch(here, number), made(epoch(there, number)))


def test_a_device_makes_other_views_of_a_frame_that_is_drawn_again(tiny_pack, rows):
    few = Batches(len(rows), BATCH, 0, only=np.array([1, 2, 3]))
    here = feed(tiny_pack, rows, PAPER, few)
    there = feed(tiny_pack, rows, PAPER, few, on_device=True, rank=1, world=2)
    halves = [Batch(batch.views[4:], batch.frames[4:]) for batch in epoch(here, 0)]
    assert equal(halves, made(epoch(there, 0)))


def test_frames_go_to_the_device_once_and_not_once_a_view(tiny_pack, rows):
    (batch, *_) = feed(tiny_pack, rows, PAPER, on_device=True).epoch(0)
    assert batch.drawn.squares.shape == (BATCH, *tiny_pack.image(0).shape)


def test_views_of_a_method_s_own_making_are_refused_on_a_device(tiny_pack, rows):
    batches = Batches(len(rows), BATCH, 0)
    with pytest.raises(InputError, match=r"views device: this pretrain\.method makes views of its"):
        Feed(tiny_pack, rows, batches, lambda images, views: None, PAPER, on_device=True)
