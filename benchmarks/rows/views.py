"""Two views of a frame at 224 px on one core: the published recipe, and what OpenCV alone does.

All make 224 px views by the recipe of the paper, from frames of 800 x 600. Ours come from the pack;
each view has random numbers of its own, a function of (seed, epoch, frame, view). The published
recipe starts from PNG files, or from a cache of decoded RGB images in memory, which is kind to it.
The limit does by hand the least that gives such a view, each part the fastest way that we know: the
same generator put to its place, one resize of the crop by OpenCV, a flip, one lookup table for
brightness, contrast and gamma (by albucore, whose lookup takes a third of the time of OpenCV's).
"""

import time
from collections.abc import Iterator

import cv2
import numpy as np
from albucore import sz_lut

from awcl import hashing
from awcl.data.pack import FramePack
from awcl.data.views import Views
from benchmarks import material, published
from benchmarks.harness import Row, Run, rate, threads

SIZE, RECIPE = 224, "paper"
GREYS = np.arange(256, dtype=np.float32) / 255


def measure(run: Run) -> Iterator[Row]:
    paths = material.files(run.folder / "images", run.size(64, 4))
    pack = material.pack(paths, SIZE, run.folder / "packs")
    epochs, few = run.size(8, 1), run.size(32, 2)
    cache = [published.opened(path) for path in paths[:few]]
    for image in cache:
        image.load()
    two = published.view(SIZE)
    with threads(1):
        found = run.race(
            {
                "ours": lambda: from_pack(pack, epochs),
                "limit": lambda: by_hand(pack, epochs),
                "files": lambda: [[two(i), two(i)] for i in map(published.opened, paths[:few])],
                "cache": lambda: [[two(image), two(image)] for image in cache],
            },
            clock=time.process_time,
        )
    many = len(pack) * epochs  # frames of ours and the limit, few those of the others
    share = many / few
    ours = rate(found.median("ours"), 2 * many, "views")
    for name, what, aim in (("files", "from PNG files", 15), ("cache", "from decoded images", 10)):
        ratio = tuple(value * share for value in found.ratio(name, "ours"))
        peer = f"{rate(found.median(name), 2 * few, 'views')}, the published recipe {what}"
        yield Row("two views at 224 px, one core", ours, peer, ratio, f">= {aim}x", ratio[0] >= aim)
    ratio = found.ratio("ours", "limit")
    limit = f"{rate(found.median('limit'), 2 * many, 'views')}, crop and table by hand, the limit"
    yield Row(
        "two views at 224 px, one core: time", ours, limit, ratio, "<= 1.3x its time",
        ratio[0] <= 1.3, why="drawing by albumentations' methods, LOG.md",
    )  # fmt: skip


def from_pack(pack: FramePack, epochs: int) -> None:
    """As the feed makes them."""
    views = Views(RECIPE, SIZE, seed=0)
    hashes = hashing.uint64s(pack.frames["frame_id"])
    for epoch in range(epochs):
        for row, frame in enumerate(hashes.tolist()):
            of_frame, image = views.of(frame, epoch), pack.content(row)
            np.stack([of_frame.view(image, 0), of_frame.view(image, 1)])


def by_hand(pack: FramePack, epochs: int) -> None:
    seeding = Views(RECIPE, SIZE, seed=0)
    hashes = hashing.uint64s(pack.frames["frame_id"])
    for epoch in range(epochs):
        for row, frame in enumerate(hashes.tolist()):
            image = pack.content(row)
            np.stack([view_by_hand(image, seeding.reseed(frame, epoch, view)) for view in range(2)])


def view_by_hand(image: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE) uint8, by the ranges of the recipe `paper`."""
    u = draw.random(9).tolist()
    height, width = image.shape
    area, aspect = height * width * (0.08 + 0.92 * u[0]), (4 / 3) ** (2 * u[1] - 1)
    w, h = min(width, round((area * aspect) ** 0.5)), min(height, round((area / aspect) ** 0.5))
    x, y = int(u[2] * (width - w + 1)), int(u[3] * (height - h + 1))
    out = cv2.resize(image[y : y + h, x : x + w], (SIZE, SIZE))
    if u[4] < 0.5:
        out = cv2.flip(out, 1)
    table = GREYS
    if u[5] < 0.8:
        brightness, contrast = 0.6 + 0.8 * u[6], 0.6 + 0.8 * u[7]
        mean = cv2.sumElems(out)[0] / out.size / 255
        table = np.clip((table * brightness - mean) * contrast + mean, 0, 1)
    table = (table ** (0.75 + 0.5 * u[8]) * 255).astype(np.uint8)
    return sz_lut(out, table, inplace=False)
