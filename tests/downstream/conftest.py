"""Packs made from `tiny_table` with some columns changed, and a very small encoder."""

import pytest
import torch

from awcl.data.packing import find_or_build
from awcl.data.table import FrameTable
from awcl.encoder import Encoder
from awcl.taxonomy import Taxonomy


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    return Taxonomy.load()


class Dull(Encoder):
    """Two features of many: on all of them even an untrained network tells `tiny_table` apart."""

    def forward(self, x):
        return super().forward(x)[:, :2]


@pytest.fixture(scope="session")
def tiny_encoder() -> Encoder:
    """Untrained, 32 px; its BatchNorm has seen something, so that its two modes differ."""
    torch.manual_seed(0)
    encoder = Dull("test_resnet", 32)
    encoder(torch.rand(16, 1, 32, 32))
    return encoder


@pytest.fixture
def repack(tiny_table, taxonomy, tmp_path):
    """repack(anatomy=f): `tiny_table` with columns made by f(frames), packed."""

    def make(**columns):
        frames = tiny_table.frames.copy()
        for name, of in columns.items():
            frames[name] = of(frames)
        table = FrameTable.build(frames.dropna(subset="split"), taxonomy, "changed")
        return find_or_build(table, 32, tmp_path / "packs", workers=1, quiet=True)

    return make
