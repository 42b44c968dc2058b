"""What is said of a card, with a stand-in for one."""

import sys
from types import SimpleNamespace

import pytest
import torch

from awcl.pretrain import card
from awcl.pretrain.card import Card
from awcl.records import CARD_MEMORY, CARD_USE


class NVMLError(Exception):
    pass


@pytest.fixture
def stand_in(monkeypatch):
    """A card with 70, 80 and 0 percent in turn, and 3 GB at its highest."""
    told = SimpleNamespace(percents=iter([70, 80, 0, 55]), peaks=iter([3e9, 1e9]), resets=0)

    def utilization(device):
        percent = next(told.percents)
        if isinstance(percent, Exception):
            raise percent
        return percent

    def reset(device):
        told.resets += 1

    cuda = SimpleNamespace(
        utilization=utilization,
        max_memory_reserved=lambda device: next(told.peaks),
        reset_peak_memory_stats=reset,
    )
    tensors = SimpleNamespace(cuda=cuda, tensor=lambda values, device: torch.tensor(values))
    monkeypatch.setattr(card, "torch", tensors)
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError))
    return told


def test_an_epoch_tells_the_mean_of_its_looks_and_its_highest_memory(stand_in):
    on_card = Card(torch.device("cuda"))
    for _ in range(3):
        on_card.look()
    assert on_card.of_epoch() == {CARD_USE: 50, CARD_MEMORY: 3000}
    on_card.look()
    assert on_card.of_epoch() == {CARD_USE: 55, CARD_MEMORY: 1000}, "of the next epoch alone"
    assert stand_in.resets == 2


def test_of_several_workers_it_tells_the_mean_use_and_the_most_memory(stand_in, monkeypatch):
    other = torch.tensor([30.0, 5000.0])
    monkeypatch.setattr(card.machine, "of_all", lambda mine: torch.stack([mine, other]))
    on_card = Card(torch.device("cuda"))
    on_card.look()
    assert on_card.of_epoch() == {CARD_USE: 50, CARD_MEMORY: 5000}


@pytest.mark.parametrize("error", [NVMLError(), RuntimeError("device 0 is not visible")])
def test_where_the_driver_does_not_tell_the_use_only_memory_is_told(stand_in, error):
    stand_in.percents = iter([error])
    on_card = Card(torch.device("cuda"))
    on_card.look()
    assert on_card.of_epoch() == {CARD_MEMORY: 3000}


def test_on_a_processor_nothing_is_asked_and_nothing_told(monkeypatch):
    monkeypatch.setattr(card, "_utilisation", lambda device: pytest.fail("asked"))
    on_processor = Card(torch.device("cpu"))
    on_processor.look()
    assert on_processor.of_epoch() == {}
