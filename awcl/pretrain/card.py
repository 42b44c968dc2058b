"""How an epoch uses the card that it trains on."""

import math

import torch

from awcl.pretrain import machine
from awcl.records import CARD_MEMORY, CARD_USE


class Card:
    """Looked at between steps, for nothing on a processor.

    Utilisation is the whole card's, whoever uses it: the share of the last moments (a sixth of a
    second to one) in which some kernel ran. Memory is what torch held for this process at most, its
    cache included: what a share of a card (`resources.gpus`) must have room for.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self._percents: list[float] = []

    def look(self) -> None:
        """The host waits for nothing."""
        if self.device.type == "cuda":
            self._percents.append(_utilisation(self.device))

    def of_epoch(self) -> dict[str, float]:
        """Since the last call: utilisation on average over looks and workers, the memory of the
        worker with most. Every worker must ask. Empty on a processor."""
        if self.device.type != "cuda":
            return {}
        percent = sum(self._percents) / len(self._percents) if self._percents else math.nan
        megabytes = torch.cuda.max_memory_reserved(self.device) / 1e6
        self._percents = []
        torch.cuda.reset_peak_memory_stats(self.device)
        of_all = machine.of_all(torch.tensor([percent, megabytes], device=self.device)).cpu()
        used = {CARD_USE: of_all[:, 0].mean().item(), CARD_MEMORY: of_all[:, 1].max().item()}
        return {name: value for name, value in used.items() if math.isfinite(value)}


def _utilisation(device: torch.device) -> float:
    """In percent; nan where the driver does not tell, as of a part of a card (MIG)."""
    from pynvml import NVMLError  # only where there is a card

    try:
        return float(torch.cuda.utilization(device))
    except (NVMLError, RuntimeError):  # torch's own, where it finds no whole card of that name
        return math.nan
