"""USCL: mixtures of three frames of a scan, pairs of the same scan, batches even over scans."""

import numpy as np
import pandas as pd
import pytest
import torch
from small import TAXONOMY, batch_of, build, config
from test_supcon import slow_supcon
from torch.nn.functional import normalize

from awcl.config import TrialConfig, with_values
from awcl.data.views import Views
from awcl.hashing import uint64
from awcl.pretrain import methods
from awcl.pretrain.feed import Feed
from awcl.pretrain.method import Batch
from awcl.pretrain.methods.uscl import Method, three_of
from awcl.pretrain.trial import trial_key

TINY = {"pretrain.method": "uscl", "data.size": 32, "pretrain.batch": 8, "seed": 5}


def over_scans(scans: list[int], batch: int, seed: int = 0) -> Method:
    """A method over frames of the scans with these numbers."""
    some = pd.DataFrame(
        {
            "frame_id": [f"s/{i}" for i in range(len(scans))],
            "patient": [f"s/p{scan}" for scan in scans],
            "scan": [f"s/e{scan}" for scan in scans],
            "anatomy": None,
        }
    )
    return methods.build(
        config(pretrain__method="uscl", pretrain__batch=batch, seed=seed), some, TAXONOMY
    )


# --- views -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tiny_pack) -> tuple[TrialConfig, np.ndarray, Method]:
    of = methods.canonical(with_values(TrialConfig(), TINY, "test"))
    rows = np.flatnonzero(tiny_pack.frames["split"] == "train")
    of_rows = tiny_pack.frames.iloc[rows].reset_index(drop=True)
    return of, rows, methods.build(of, of_rows, TAXONOMY)


def batches(pack, made, epoch: int, **options) -> list[Batch]:
    of, rows, method = made
    return list(Feed(pack, rows, method.sampler(), method.make_views, of, **options).epoch(epoch))


def test_views_are_the_two_mixtures_of_the_paper(tiny_pack, made):
    of, rows, method = made
    views = Views(of.data.recipe, 32, of.seed)
    draws: dict[int, int] = {}
    shares = []
    for batch, items in zip(batches(tiny_pack, made, 2), method.sampler().epoch(2), strict=True):
        for pair, (f2, f1, f3) in zip(batch.views.numpy(), items, strict=True):
            first = draws.setdefault(int(f2), 0) * 2**16
            draws[int(f2)] += 1
            name = uint64(tiny_pack.frames["frame_id"][rows[f2]])
            of_anchor = views.of(name, 2, first)
            images = [tiny_pack.content(rows[frame]) for frame in (f2, f1, f3)]
            anchor, one, other = (
                of_anchor.view(image, number).astype(float) for number, image in enumerate(images)
            )
            lam = of_anchor.rng(0).beta(0.5, 0.5)
            shares.append(lam)
            for found, frame in ((pair[0, 0], one), (pair[1, 0], other)):
                mixed = lam * frame + (1 - lam) * anchor
                assert np.abs(found - mixed).max() < 0.501  # rounded, not cut off
    assert len(set(shares)) == len(shares) == 24


def test_loader_processes_and_workers_change_no_view(tiny_pack, made):
    whole = batches(tiny_pack, made, 1)
    shared = batches(tiny_pack, made, 1, loader_workers=1)
    halves = [batches(tiny_pack, made, 1, rank=rank, world=2) for rank in range(2)]
    for batch, again, one, two in zip(whole, shared, *halves, strict=True):
        assert torch.equal(batch.views, again.views)
        assert torch.equal(batch.views, torch.cat([one.views, two.views]))
        assert torch.equal(batch.frames, torch.cat([one.frames, two.frames]))


# --- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("scans", "batch"), [(12, 12), (12, 5), (5, 12), (7, 4)])
def test_a_batch_and_an_epoch_have_each_scan_as_often_give_or_take_one(scans, batch, seed):
    """Where there are as many scans as the batch is large, each once."""
    numbers = np.random.default_rng(seed).permutation(np.repeat(np.arange(scans), 9))
    epoch = over_scans(numbers.tolist(), batch, seed).sampler().epoch(seed)
    assert epoch.shape == (scans * 9 // batch, batch, 3)
    drawn = numbers[epoch]
    assert (drawn == drawn[:, :, :1]).all(), "an item is of one scan"
    for part in (*drawn[:, :, 0], drawn[:, :, 0].ravel()):
        counts = np.bincount(part, minlength=scans)
        assert counts.max() - counts.min() <= 1


def test_the_frames_of_an_item_are_different_where_there_are_three():
    epoch = over_scans([0] * 3 + [1] * 2 + [2] + [3] * 6, 4).sampler().epoch(0)
    for item in epoch.reshape(-1, 3):
        if item[0] < 3 or item[0] >= 6:
            assert len(set(item.tolist())) == 3
        else:
            assert set(item.tolist()) <= ({3, 4} if item[0] < 5 else {5})
    rng = np.random.default_rng(0)
    anchors = [three_of([0, 1, 2, 3], rng)[0] for _ in range(400)]
    assert min(np.bincount(anchors)) > 60, "each frame is the anchor as often"


def test_an_epoch_depends_on_seed_and_epoch_only():
    one, two = (over_scans([i % 6 for i in range(48)], 8).sampler() for _ in range(2))
    one.epoch(4)
    assert np.array_equal(one.epoch(1), two.epoch(1))
    assert not np.array_equal(one.epoch(1), two.epoch(2))
    other = over_scans([i % 6 for i in range(48)], 8, seed=1).sampler()
    assert not np.array_equal(other.epoch(1), two.epoch(1))


# --- loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [[0, 3, 7, 11], [0, 1, 3, 7, 8, 10]])
def test_pairs_of_the_same_scan_are_positives_and_all_others_negatives(numbers):
    """NT-Xent where each scan comes once."""
    made = build(pretrain__method="uscl", pretrain__temperature=0.5)
    outputs = 3 * torch.randn(2 * len(numbers), 16, dtype=torch.float64)
    scans = [str(number // 3) for number in numbers for _ in range(2)]
    found, _ = made.loss(outputs, batch_of(numbers))
    expected = slow_supcon(normalize(outputs, dim=1), scans, 0.5)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_it_reads_no_label_and_no_sampler():
    def key(**values) -> str:
        return trial_key(config(pretrain__method="uscl", **values), "pack", "taxonomy")

    unread = [
        {"anatomy__ratio": 0.5},
        {"anatomy__granularity": "coarse"},
        {"anatomy__held_out": ["4CH"]},
        {"pretrain__positives": "self"},
        {"data__sampler": "partners"},
    ]
    assert len({key(), *(key(**values) for values in unread)}) == 1
    assert key(pretrain__temperature=0.5) != key()
    assert build(pretrain__method="uscl").labels_used == 0
