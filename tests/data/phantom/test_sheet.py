"""The contact sheet: a row an anatomy, a column a machine and trimester, real frames beside."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from awcl.data.phantom import sheet
from awcl.data.phantom.planes import planes
from awcl.data.table import FrameTable
from awcl.errors import InputError
from awcl.taxonomy import BUILTIN, Taxonomy

COLUMNS = 6  # three machines, two trimesters


def tile(image: np.ndarray, row: int, column: int) -> np.ndarray:
    x = sheet.SIDE + column * (sheet.TILE[0] + sheet.GAP)
    y = sheet.HEAD + row * (sheet.TILE[1] + sheet.GAP)
    return image[y : y + sheet.TILE[1], x : x + sheet.TILE[0]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, tiny_table) -> np.ndarray:
    """With a table beside that has 4CH, LVOT, HCP and FLP, and a file that is no image."""
    broken = tiny_table.frames.iloc[:1].assign(
        frame_id="tiny/broken", anatomy="4CH", path=__file__
    )  # fmt: skip
    table = FrameTable(pd.concat([tiny_table.frames, broken], ignore_index=True))
    file = tmp_path_factory.mktemp("sheet") / "sheet.png"
    sheet.draw(file, 0, table, Taxonomy.load())
    image = Image.open(file)
    assert image.format == "PNG" and image.mode == "L"
    return np.asarray(image)


def test_a_plane_that_a_taxonomy_calls_no_anatomy_is_drawn_too(tmp_path):
    text = BUILTIN.read_text()
    assert '"SOB", ' in text
    (tmp_path / "own.toml").write_text(
        text.replace('"SOB", ', "", 1).replace("names = [", 'names = ["SOB", ', 1)
    )
    own = Taxonomy.load(tmp_path / "own.toml")
    assert own.at("SOB", "coarse") is None
    sheet.draw(tmp_path / "s.png", 0, None, own)
    assert (tmp_path / "s.png").is_file()


def test_a_sheet_has_a_tile_for_each_anatomy_and_column(drawn):
    wide = sheet.SIDE + (COLUMNS + sheet.REAL) * (sheet.TILE[0] + sheet.GAP)
    assert drawn.shape == (sheet.HEAD + len(planes()) * (sheet.TILE[1] + sheet.GAP), wide)
    for row in range(len(planes())):
        for column in range(COLUMNS):
            assert tile(drawn, row, column).std() > 10, "a picture, not an empty tile"


def test_real_frames_stand_beside_their_anatomy_or_its_kind(drawn):
    there = {"4CH", "LVOT", "RVOT", "3VT", "HCP", "SOB", "FLP"}  # by their own name or their kind
    for row, name in enumerate(planes()):
        for column in range(COLUMNS, COLUMNS + sheet.REAL):
            assert tile(drawn, row, column).any() == (name in there), name


def test_a_tile_keeps_the_proportions_of_its_frame():
    wide = sheet._fitted(np.full((20, 100), 255, np.uint8))
    assert wide.shape == sheet.TILE[::-1]
    rows, columns = np.nonzero(wide)
    assert np.ptp(columns) + 1 == sheet.TILE[0] and np.ptp(rows) + 1 == sheet.TILE[0] // 5


def test_a_taxonomy_without_the_planes_is_refused(tmp_path):
    other = Taxonomy("other", {"heart": ("4CH",)}, frozenset())
    with pytest.raises(InputError, match="unknown anatomy name '3VT'"):
        sheet.draw(tmp_path / "s.png", 0, None, other)
    assert not list(tmp_path.iterdir())
