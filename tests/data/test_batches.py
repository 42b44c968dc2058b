"""Batches: a function of (seed, epoch), each frame once, partners where there are some."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awcl.data.batches import Batches, in_rounds, occurrences
from awcl.errors import InputError

SEEDS, EPOCHS = st.integers(0, 2**31), st.integers(0, 1000)


@st.composite
def sizes(draw) -> tuple[int, int]:
    """Frames, and a batch that they fill."""
    frames = draw(st.integers(2, 40))
    return frames, draw(st.integers(2, frames))


@st.composite
def grouped(draw) -> tuple[np.ndarray, int]:
    """Group ids, and a batch that they fill."""
    groups = np.array(draw(st.lists(st.integers(0, 5), min_size=2, max_size=30)))
    return groups, draw(st.integers(2, len(groups)))


@given(sizes(), SEEDS, EPOCHS)
def test_an_epoch_depends_on_seed_and_epoch_only(size, seed, epoch):
    fresh, used = Batches(*size, seed), Batches(*size, seed)
    used.epoch(epoch + 1)
    used.epoch(0)
    assert np.array_equal(fresh.epoch(epoch), used.epoch(epoch))


def test_another_seed_or_epoch_gives_other_batches():
    first = Batches(40, 8, 0).epoch(0)
    assert not np.array_equal(first, Batches(40, 8, 0).epoch(1))
    assert not np.array_equal(first, Batches(40, 8, 1).epoch(0))


def test_nothing_else_that_draws_numbers_changes_an_epoch():
    np.random.seed(1)
    first = Batches(40, 8, 0, groups=np.arange(40) // 4).epoch(0)
    np.random.seed(2)
    assert np.array_equal(first, Batches(40, 8, 0, groups=np.arange(40) // 4).epoch(0))


@given(sizes(), SEEDS, EPOCHS)
def test_a_uniform_epoch_has_every_frame_at_most_once_and_leaves_less_than_a_batch(
    size, seed, epoch
):
    frames, batch = size
    drawn = Batches(frames, batch, seed).epoch(epoch)
    assert drawn.shape == (frames // batch, batch)
    assert len(np.unique(drawn)) == drawn.size
    assert drawn.min() >= 0
    assert drawn.max() < frames


def test_the_frames_that_an_epoch_leaves_out_change():
    batches = Batches(10, 8, 0)
    seen = np.unique([batches.epoch(epoch) for epoch in range(12)])
    assert len(seen) == 10


@given(grouped(), SEEDS, EPOCHS)
def test_with_partners_no_frame_is_twice_in_a_batch(grouping, seed, epoch):
    groups, batch = grouping
    drawn = Batches(len(groups), batch, seed, groups=groups).epoch(epoch)
    assert drawn.shape == Batches(len(groups), batch, seed).epoch(epoch).shape
    for row in drawn:
        assert len(set(row.tolist())) == batch


@given(grouped(), SEEDS, EPOCHS)
def test_each_frame_drawn_with_partners_has_one_where_its_group_has_another(grouping, seed, epoch):
    groups, batch = grouping
    for row in Batches(len(groups), batch, seed, groups=groups).epoch(epoch):
        for place, frame in enumerate(row):
            others = (groups[row] == groups[frame]).sum() - 1
            could = (groups == groups[frame]).sum() > 1
            # Only the last place of a batch may have no room left for its partner.
            assert others or not could or place == batch - 1


def test_partners_are_chosen_anew_each_epoch():
    groups = np.arange(40) // 20
    batches = Batches(40, 4, 0, groups=groups)
    partners = {(int(row[0]), int(row[1])) for epoch in range(30) for row in batches.epoch(epoch)}
    of_zero = {partner for first, partner in partners if first == 0}
    assert len(of_zero) > 5


def test_partners_meet_more_often_than_by_chance():
    groups = np.arange(200) // 2
    meets = [
        np.mean([len(np.unique(groups[row])) for row in Batches(200, 20, 0, groups=of).epoch(0)])
        for of in (None, groups)
    ]
    assert meets[0] > 17
    assert meets[1] == 10


@given(sizes(), st.data(), SEEDS, EPOCHS)
def test_only_the_chosen_frames_are_drawn_equally_often_for_as_many_steps(size, data, seed, epoch):
    frames, batch = size
    only = np.array(data.draw(st.lists(st.integers(0, frames - 1), min_size=1, unique=True)))
    drawn = Batches(frames, batch, seed, only=only).epoch(epoch)
    assert drawn.shape == (frames // batch, batch)
    assert set(drawn.ravel().tolist()) <= set(only.tolist())
    counts = [(drawn == frame).sum() for frame in only]
    assert max(counts) - min(counts) <= 1


def test_a_batch_larger_than_the_frames_is_refused_with_both_numbers():
    with pytest.raises(InputError, match=r"pretrain\.batch 65 .* the 64 frames"):
        Batches(64, 65, 0)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=6))
def test_occurrences_count_earlier_draws_of_the_same_frame(rows):
    flat = [frame for row in rows for frame in row]
    slow = [flat[:place].count(frame) for place, frame in enumerate(flat)]
    assert occurrences(np.array(rows)).ravel().tolist() == slow


def test_in_rounds_every_frame_is_drawn_once_before_any_is_drawn_again():
    batches = in_rounds(40, steps=6, batch=16, seed=0)
    drawn = batches.ravel()
    assert batches.shape == (6, 16)
    assert set(drawn[:40]) == set(drawn[40:80]) == set(range(40))
    assert list(drawn[:40]) != list(drawn[40:80])
    (few,) = in_rounds(3, steps=1, batch=16, seed=0)
    assert len(few) == 16 and set(few) == {0, 1, 2}
