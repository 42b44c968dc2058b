"""Features that are kept: the same values, extracted once, and found again only where they fit."""

import os

import numpy as np
import pytest
import torch

from awcl.downstream import features as module
from awcl.downstream.features import cached_features, weights_digest
from awcl.encoder import Encoder, features

SIZE = 32


@pytest.fixture
def pack(repack):
    """A pack beside which nothing is kept yet."""
    return repack()


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder("test_resnet", SIZE)


@pytest.fixture
def extracted(monkeypatch) -> list[list[int]]:
    """Which rows were extracted, call by call."""
    calls: list[list[int]] = []

    def spy(encoder, pack, rows):
        calls.append(list(map(int, rows)))
        return features(encoder, pack, rows)

    monkeypatch.setattr(module, "features", spy)
    return calls


def kept(pack) -> list:
    return sorted((pack.folder.parent / "features").rglob("*.npz"))


def test_they_are_what_the_encoder_gives_in_the_order_asked_for(pack, encoder):
    for rows in ([5, 0, 17], [3, 5, 5, 40, 0]):
        rows = np.array(rows)
        found = cached_features(encoder, pack, rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, features(encoder, pack, rows), rtol=1e-4, atol=1e-5)


def test_nothing_is_extracted_twice_in_this_process_or_a_later_one(pack, encoder, extracted):
    first = cached_features(encoder, pack, np.arange(10))
    assert np.array_equal(cached_features(encoder, pack, np.arange(10)), first)
    assert np.array_equal(cached_features(encoder, pack, np.array([9, 2])), first[[9, 2]])
    cached_features(encoder, pack, np.arange(8, 13))
    assert extracted == [list(range(10)), [10, 11, 12]]
    torch.manual_seed(0)
    assert np.array_equal(
        cached_features(Encoder("test_resnet", SIZE), pack, np.arange(5)), first[:5]
    )
    assert len(extracted) == 2 and len(kept(pack)) == 1


def test_the_encoder_is_left_as_it_was(pack, encoder):
    before = {name: t.clone() for name, t in encoder.state_dict().items()}
    cached_features(encoder.train(), pack, np.arange(5))
    assert encoder.training
    assert all(torch.equal(t, before[name]) for name, t in encoder.state_dict().items())


def test_another_weight_buffer_or_input_is_another_entry(pack, encoder, extracted):
    first = cached_features(encoder, pack, np.arange(5))
    digests = {weights_digest(encoder)}
    with torch.no_grad():
        encoder.model.bn1.weight[0] += 0.5
    assert not np.allclose(cached_features(encoder, pack, np.arange(5)), first)
    digests.add(weights_digest(encoder))
    encoder.model.bn1.running_mean[0] += 0.5
    digests.add(weights_digest(encoder))
    encoder.mean += 0.1
    digests.add(weights_digest(encoder))
    assert len(digests) == 4
    assert len(extracted) == 2 == len(kept(pack))


def test_another_pack_is_another_entry(pack, tiny_table, encoder, extracted, tmp_path):
    from awcl.data.packing import find_or_build

    smaller = find_or_build(tiny_table, 16, tmp_path / "packs", workers=1, quiet=True)
    cached_features(encoder, pack, np.arange(5))
    cached_features(encoder, smaller, np.arange(5))
    assert len(extracted) == 2 and len({file.parent for file in kept(pack)}) == 2


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_a_file_that_was_cut_off_is_warned_of_and_made_anew(pack, encoder, extracted, keep):
    first = cached_features(encoder, pack, np.arange(10))
    (file,) = kept(pack)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole)) if keep == 0.5 else keep])
    with pytest.warns(UserWarning, match=r"\.npz: cut off or damaged \(.*\); it is made anew"):
        again = cached_features(encoder, pack, np.arange(10))
    assert np.array_equal(again, first)
    assert len(extracted) == 2 and file.read_bytes() == whole


def test_pickled_code_in_a_file_is_not_read(pack, encoder):
    cached_features(encoder, pack, np.arange(3))
    (file,) = kept(pack)
    np.savez(file, rows=np.arange(3), features=np.array([{}, {}, {}], dtype=object))
    with pytest.warns(UserWarning, match="damaged"):
        assert cached_features(encoder, pack, np.arange(3)).dtype == np.float32


def test_the_encoder_that_was_least_recently_asked_for_goes_first(pack, encoder, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    digests = []
    for number in range(3):
        with torch.no_grad():
            encoder.model.bn1.weight[0] = number
        digests.append(weights_digest(encoder))
        cached_features(encoder, pack, np.arange(2))
        for age, digest in enumerate(reversed(digests)):  # written a minute after one another
            file = kept(pack)[0].with_name(f"{digest}.npz")
            if file.exists():
                os.utime(file, (0, 10**9 - 60 * age))
        if number == 1:  # the first is asked for again, so the second is the older one now
            with torch.no_grad():
                encoder.model.bn1.weight[0] = 0
            cached_features(encoder, pack, np.arange(2))
    assert {file.stem for file in kept(pack)} == {digests[0], digests[2]}
