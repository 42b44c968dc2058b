"""How the features lie, apart from any label: alignment, uniformity, effective rank.

On h and not on z, in evaluation mode, on fixed views of fixed val frames, so that methods and
temperatures can be compared.
"""

from collections.abc import Iterator

import numpy as np
import torch

from awcl import hashing
from awcl.data.pack import FramePack
from awcl.data.views import Views
from awcl.encoder import Encoder

FRAMES = 64  # twice as many cost a tenth of an epoch of a few hundred frames


class Diagnostics:
    """Yields alignment, uniformity and effective_rank of two views of each of up to 64 frames."""

    def __init__(self, pack: FramePack, recipe: str):
        rows = np.flatnonzero((pack.frames["split"] == "val").to_numpy())
        names = pack.frames["frame_id"].iloc[rows]
        rows = rows[np.argsort(hashing.uint64s(names, "diagnostics"))[:FRAMES]]
        maker = Views(recipe, pack.size, seed=0)
        views = np.zeros((len(rows), 2, 1, pack.size, pack.size), np.uint8)
        for pair, row in zip(views, rows, strict=True):
            of = maker.of(hashing.uint64(pack.frames["frame_id"].iloc[row]), epoch=0)
            pair[:, 0] = [of.view(pack.content(row), number) for number in (0, 1)]
        self.views = torch.from_numpy(views)

    @torch.inference_mode()
    def run(self, encoder: Encoder) -> Iterator[tuple[str, float]]:
        if not len(self.views):
            return
        device = next(encoder.parameters()).device
        training = encoder.training
        encoder.eval()
        h = encoder(self.views.flatten(0, 1).to(device)).float().cpu().double()
        encoder.train(training)
        unit = torch.nn.functional.normalize(h, dim=1)
        yield "alignment", alignment(unit[0::2], unit[1::2])
        yield "uniformity", uniformity(unit[0::2])
        yield "effective_rank", effective_rank(h)


def alignment(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean squared distance of positive pairs (N, D), (N, D) on the sphere (Wang & Isola 2020)."""
    return float((x - y).square().sum(1).mean())


def uniformity(x: torch.Tensor) -> float:
    """log mean exp(-2 |x_i - x_j|^2) over i < j, x (N, D) on the sphere (Wang & Isola 2020)."""
    if len(x) < 2:
        return 0.0
    return float(torch.pdist(x).square().mul(-2).exp().mean().log())


def effective_rank(h: torch.Tensor) -> float:
    """exp of the entropy of the normalised singular values of h (N, D), centred (Roy 2007)."""
    values = torch.linalg.svdvals(h - h.mean(0))
    share = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-torch.xlogy(share, share).sum()))
