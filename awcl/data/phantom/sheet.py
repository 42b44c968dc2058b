"""A contact sheet: what the phantom looks like, anatomy by anatomy, beside real frames if given."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from awcl import hashing
from awcl.data import decoding
from awcl.data.phantom.machines import MACHINES
from awcl.data.phantom.planes import planes
from awcl.data.phantom.scan import Settings, check_planes, scan
from awcl.data.table import FrameTable
from awcl.files import whole_file
from awcl.taxonomy import Taxonomy

TILE, GAP, HEAD, SIDE = (200, 150), 4, 22, 150  # pixels; TILE is (width, height)
REAL = 2  # real frames an anatomy
MOST_SCANS = 60  # looked through for a frame of each kind


def draw(file: Path, seed: int, beside: FrameTable | None, taxonomy: Taxonomy) -> None:
    """Writes a PNG: a row an anatomy, a column for each machine and trimester, then real frames.

    beside: a table whose frames are shown where they are of the same anatomy, or of its kind.
    """
    check_planes(taxonomy)
    columns = [(m, t) for t in ("second", "first") for m in MACHINES]
    names = [f"{machine}, {trimester}" for machine, trimester in columns]
    rows = _made(seed, columns)
    if beside is not None:
        names += ["real"] * REAL
        for name, tiles in rows.items():
            tiles += _real(name, beside, taxonomy)
    with whole_file(file) as part:
        _laid_out(names, rows, taxonomy).save(part, format="png")


def _made(seed: int, columns: list[tuple[str, str]]) -> dict[str, list[np.ndarray]]:
    """For each anatomy the phantom's first frame in each column, from the middle of its stretch."""
    rows = {name: [np.zeros(TILE[::-1], np.uint8) for _ in columns] for name in planes()}
    wanted = {(name, column) for name in rows for column in columns}
    for number in range(MOST_SCANS):
        of = scan(number, Settings(size=TILE[0], seed=seed))
        column = of.machine.name, of.trimester
        for name in rows:
            if (name, column) in wanted and name in of.anatomy:
                shown = [k for k, label in enumerate(of.anatomy) if label == name]
                rows[name][columns.index(column)] = of.frame(shown[len(shown) // 2])
                wanted.remove((name, column))
        if not wanted:
            break
    return rows


def _real(anatomy: str, table: FrameTable, taxonomy: Taxonomy) -> list[np.ndarray]:
    """REAL frames of the anatomy; of its kind where there are none; black where none either."""
    known = table.frames[table.frames["anatomy"].notna()]
    kind = known["anatomy"].map(lambda name: taxonomy.at(name, "coarse"))
    found = known[known["anatomy"] == anatomy]
    found = found if len(found) else known[kind == taxonomy.at(anatomy, "coarse")]
    order = np.argsort(hashing.uint64s(found["frame_id"], anatomy))
    tiles = []
    for path, number in zip(found["path"].iloc[order], found["index"].iloc[order], strict=True):
        if len(tiles) == REAL:
            break
        (grey,) = decoding.greys(path, [number])
        if not isinstance(grey, str):  # else why it cannot be read; another will do
            tiles.append(_fitted(grey))
    return tiles + [np.zeros(TILE[::-1], np.uint8)] * (REAL - len(tiles))


def _fitted(image: np.ndarray) -> np.ndarray:
    """Scaled into a tile, centred on black."""
    scale = min(TILE[0] / image.shape[1], TILE[1] / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = small[: TILE[1], : TILE[0]]
    tile = np.zeros(TILE[::-1], np.uint8)
    y, x = (TILE[1] - small.shape[0]) // 2, (TILE[0] - small.shape[1]) // 2
    tile[y : y + small.shape[0], x : x + small.shape[1]] = small
    return tile


def _laid_out(
    names: list[str], rows: dict[str, list[np.ndarray]], taxonomy: Taxonomy
) -> Image.Image:
    step = TILE[0] + GAP, TILE[1] + GAP
    sheet = Image.new("L", (SIDE + len(names) * step[0], HEAD + len(rows) * step[1]), 24)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, name in enumerate(names):
        pen.text((SIDE + column * step[0] + 4, 3), name, 220, font)
    for row, (anatomy, tiles) in enumerate(rows.items()):
        y = HEAD + row * step[1]
        pen.text((6, y + 4), anatomy.replace("_", " "), 220, font)
        pen.text((6, y + 22), taxonomy.at(anatomy, "coarse") or "", 140, font)
        for column, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (SIDE + column * step[0], y))
    return sheet
