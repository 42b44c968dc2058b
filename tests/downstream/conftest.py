"""Packs made from `tiny_table` with some columns changed, and a very small encoder."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from awcl.data.pack import FramePack
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


@pytest.fixture(scope="session")
def masked_pack(taxonomy, tmp_path_factory) -> FramePack:
    """72 frames of 24 patients with masks: a bright ellipse is a head, a grey square a body.

    64 x 48 px packed for views of 32, so they are padded. A third of the patients each: second
    trimester on machines A and B; first trimester on A and B; second trimester on C.
    """
    folder = tmp_path_factory.mktemp("masked")
    rng = np.random.default_rng(0)
    rows = []
    for patient in range(24):
        for number in range(3):
            name = f"p{patient:02d}_{number}"
            mask = draw_shapes(rng, head=number > 0, body=number < 2)
            image = np.array([60, 220, 140], np.uint8)[mask] + rng.integers(0, 30, mask.shape)
            Image.fromarray(image.astype(np.uint8)).save(folder / f"{name}.png")
            Image.fromarray(mask).save(folder / f"{name}_mask.png")
            rows.append(
                {
                    "frame_id": f"masked/{name}",
                    "path": str(folder / f"{name}.png"),
                    "source": "phantom",
                    "patient": f"masked/p{patient:02d}",
                    "anatomy": "HCP" if number else "ACP",
                    "split": ("train", "test", "train", "val")[patient // 3 % 4],
                    "machine": "C" if patient % 3 == 2 else "AB"[patient // 3 % 2],
                    "trimester": "first" if patient % 3 == 1 else "second",
                    "mask": str(folder / f"{name}_mask.png"),
                    "mask_kind": "filled",
                    "mask_classes": "head;body",
                    "pixel_mm": 0.5,
                }
            )
    table = FrameTable.build(pd.DataFrame(rows), taxonomy, "masked")
    packs = tmp_path_factory.mktemp("masked_packs")
    return find_or_build(table, 32, packs, workers=1, quiet=True)


def draw_shapes(rng: np.random.Generator, head: bool, body: bool) -> np.ndarray:
    """A (48, 64) mask: 1 in an ellipse on the left, 2 in a square on the right."""
    y, x = np.mgrid[:48, :64]
    mask = np.zeros((48, 64), np.uint8)
    if head:
        a, b = rng.uniform(9, 13, 2)
        cx, cy = rng.uniform(16, 20), rng.uniform(18, 30)
        mask[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1] = 1
    if body:
        left, top, side = rng.integers(36, 42), rng.integers(8, 20), rng.integers(12, 20)
        mask[top : top + side, left : left + side] = 2
    return mask
