"""Packs: named by content, whole or absent, geometry kept, and no image can bring one down."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from awcl.data import decoding, packing, squares, videos
from awcl.data import pack as pack_module
from awcl.data.images import UnreadableImage
from awcl.data.pack import FramePack, side
from awcl.data.packing import build, find_or_build
from awcl.data.table import FrameTable
from awcl.errors import InputError
from awcl.files import write_json
from awcl.taxonomy import Taxonomy

SIZE = 28  # views; frames are stored at 32
LONG = 32


def picture(seed: int, shape: tuple[int, int] = (20, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, shape, dtype=np.uint8)


def save(folder: Path, images: dict[str, np.ndarray]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        Image.fromarray(image).save(folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in images]


def table_of(paths: list, **columns) -> FrameTable:
    """One frame a path, one patient a frame; `columns` adds or replaces."""
    n = range(len(paths))
    base = {
        "frame_id": [f"s/{i:03d}" for i in n],
        "path": [str(path) for path in paths],
        "source": "s",
        "patient": [f"s/p{i:03d}" for i in n],
        "split": "train",
        "anatomy": "4CH",
    }
    return FrameTable.build(pd.DataFrame({**base, **columns}), Taxonomy.load(), "t")


def packed(table: FrameTable, packs: Path, size: int = SIZE, **options) -> FramePack:
    return build(table, size, packs, **{"workers": 1, "quiet": True, **options})


def three(folder: Path, **columns) -> FrameTable:
    return table_of(save(folder, {f"i{n}": picture(n) for n in range(3)}), **columns)


def in_sight(folder: Path) -> list[Path]:
    """What does not count as unfinished."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


# --- what names a pack -----------------------------------------------------------------------


def test_order_and_folder_of_the_images_do_not_name_a_pack(tmp_path):
    here = three(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    there = here.frames.iloc[::-1].assign(
        path=[str(tmp_path / "there" / Path(path).name) for path in here.frames["path"][::-1]]
    )
    there = FrameTable.build(there, Taxonomy.load(), "there")
    first, again = packed(here, tmp_path / "a"), packed(there, tmp_path / "b")
    assert first.digest == again.digest
    for row in range(3):
        assert np.array_equal(first.image(row), again.image(row))


def test_the_file_format_of_equal_pixels_does_not_name_a_pack(tmp_path):
    table = three(tmp_path / "png")
    bitmaps = []
    for path in table.frames["path"]:
        bitmaps.append(path.replace(".png", ".bmp"))
        Image.open(path).save(bitmaps[-1])
    assert packed(table_of(bitmaps), tmp_path / "b").digest == packed(table, tmp_path / "a").digest


@pytest.mark.parametrize(
    "columns",
    [
        {"anatomy": ["4CH", "LVOT", "4CH"]},
        {"anatomy": ["4CH", None, "4CH"]},
        {"split": ["train", "val", "train"]},
        {"patient": ["s/p0", "s/p0", "s/p2"]},
        {"scan": ["s/e0", "s/e1", "s/e2"]},
        {"machine": "A"},
        {"pixel_mm": 0.1},
        {"frame_id": ["s/0", "s/1", "s/2"]},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_labels_split_and_domains_name_a_pack(tmp_path, columns):
    plain = packed(three(tmp_path / "i"), tmp_path / "a")
    assert packed(three(tmp_path / "i", **columns), tmp_path / "b").digest != plain.digest


def test_a_pixel_and_the_size_name_a_pack(tmp_path):
    plain = packed(three(tmp_path / "i"), tmp_path / "a")
    assert packed(three(tmp_path / "i"), tmp_path / "a", size=29).digest != plain.digest
    changed = picture(1)
    changed[0, 0] ^= 1
    save(tmp_path / "i", {"i1": changed})
    again = packed(table_of(sorted((tmp_path / "i").iterdir())), tmp_path / "b")
    assert again.digest != plain.digest


# --- geometry --------------------------------------------------------------------------------


@given(st.integers(16, 2000))
def test_the_stored_side_is_eight_sevenths_of_the_view_rounded_up(size):
    assert 7 * (side(size) - 1) < 8 * size <= 7 * side(size)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90))
def test_the_content_box_keeps_the_aspect_and_fills_the_long_side(height, width):
    image, (x, y, w, h), scale = squares.square(picture(0, (height, width)), LONG, cv2.INTER_AREA)
    assert max(w, h) == LONG
    assert scale == LONG / max(height, width)
    assert abs(w - max(1, width * scale)) <= 0.5
    assert abs(h - max(1, height * scale)) <= 0.5
    assert abs((LONG - w) / 2 - x) <= 0.5
    assert abs((LONG - h) / 2 - y) <= 0.5
    outside = image.copy()
    outside[y : y + h, x : x + w] = 0
    assert not outside.any()


def test_halving_takes_the_mean_of_two_by_two_pixels(tmp_path):
    image = picture(3, (32, 64))
    made = packed(table_of(save(tmp_path / "i", {"a": image})), tmp_path / "p")
    means = image.reshape(16, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(made.content(0) - means).max() <= 0.5
    assert made.content(0).shape == (16, 32)
    assert made.frames["scale"][0] == 0.5
    assert made.image(0).shape == (LONG, LONG)


def test_an_evaluation_view_shows_the_whole_frame(tmp_path):
    image = np.full((20, 40), 200, np.uint8)
    made = packed(table_of(save(tmp_path / "i", {"a": image})), tmp_path / "p")
    view = made.evaluation_view(0)
    assert view.shape == (SIZE, SIZE)
    assert (view[:, [0, -1]].max(axis=0) == 200).all()
    assert (view[[0, -1]] == 0).all()


def test_rows_are_sorted_by_frame_and_each_shows_its_own_pixels(tmp_path):
    images = {f"i{n}": np.full((32, 32), 10 * n, np.uint8) for n in (1, 2, 3)}
    table = table_of(save(tmp_path / "i", images), frame_id=["c", "a", "b"])
    made = packed(table, tmp_path / "p")
    assert list(made.frames["frame_id"]) == ["a", "b", "c"]
    assert [int(made.image(row)[9, 9]) for row in range(3)] == [20, 30, 10]


# --- masks -----------------------------------------------------------------------------------


def outline(shape: tuple[int, int], centre: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    r = np.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1])
    return np.where(np.abs(r - 1) < 0.06, 255, 0).astype(np.uint8)


def with_mask(tmp_path: Path, mask: np.ndarray, kind: str, classes: str = "head") -> FrameTable:
    paths = save(tmp_path / "i", {"a": picture(0, (64, 64)), "b": picture(1, (64, 64))})
    masks = save(tmp_path / "m", {"b": mask})
    return table_of(
        paths, mask=[None, *masks], mask_kind=[None, kind], mask_classes=[None, classes]
    )


def test_an_outlined_mask_is_filled(tmp_path):
    drawn = outline((64, 64), (30, 34), (24, 16))
    made = packed(with_mask(tmp_path, drawn, "ellipse_outline"), tmp_path / "p")
    y, x = np.mgrid[:LONG, :LONG] * 2 + 0.5
    inside = np.hypot((x - 30) / 24, (y - 34) / 16) < 1
    mask = made.mask(1)
    assert set(np.unique(mask)) == {0, 1}
    assert (mask.astype(bool) != inside).mean() < 0.04
    assert mask[17, 15] == 1  # the middle, which the outline leaves open


def test_a_filled_mask_of_one_class_becomes_0_and_1(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 8:40] = 255
    made = packed(with_mask(tmp_path, mask, "filled"), tmp_path / "p")
    expected = np.zeros((LONG, LONG), np.uint8)
    expected[8:24, 4:20] = 1
    assert np.array_equal(made.mask(1), expected)
    assert list(made.frames["mask_row"]) == [-1, 0]
    with pytest.raises(InputError, match="frame s/000 has no mask"):
        made.mask(0)


@pytest.mark.parametrize("classes", ["head", "head;heart"])
def test_a_mask_with_a_palette_is_its_numbers_and_not_its_colours(tmp_path, classes):
    values = np.zeros((64, 64), np.uint8)
    values[16:48, 8:40] = len(classes.split(";"))
    table = with_mask(tmp_path, values, "filled", classes)
    plain = packed(table, tmp_path / "plain").mask(1)
    coloured = Image.fromarray(values).convert("P")
    coloured.putdata(values.ravel().tolist())
    coloured.putpalette([255, 255, 255, 0, 0, 0, 128, 0, 0])  # the background is white
    coloured.save(tmp_path / "m" / "b.png")
    assert np.array_equal(packed(table, tmp_path / "p").mask(1), plain)


def test_classes_of_a_mask_are_not_mixed_when_it_shrinks(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 21:], mask[:, 41:] = 2, 1  # each edge within a pixel of the smaller mask
    made = packed(with_mask(tmp_path, mask, "filled", "head;heart"), tmp_path / "p")
    row = made.mask(1)[5]
    assert [int(v) for v in row[np.flatnonzero(np.diff(row, prepend=9))]] == [0, 2, 1]


@pytest.mark.parametrize(
    ("mask", "classes", "said"),
    [
        (np.zeros((64, 32), np.uint8), "head", "mask is (64, 32), image (64, 64)"),
        (np.full((64, 64), 3, np.uint8), "head;heart", "mask value 3, but mask_classes names 2"),
    ],
    ids=["size", "value"],
)
def test_a_mask_that_does_not_fit_leaves_its_frame_out(tmp_path, mask, classes, said):
    made = packed(with_mask(tmp_path, mask, "filled", classes), tmp_path / "p")
    assert list(made.frames["frame_id"]) == ["s/000"]
    (failed,) = made.failed
    assert failed["frame_id"] == "s/001"
    assert said in failed["error"]


def test_a_mask_names_a_pack(tmp_path):
    plain, other = np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8)
    first = packed(with_mask(tmp_path, plain, "filled"), tmp_path / "p")
    assert packed(with_mask(tmp_path, other, "filled"), tmp_path / "p").digest != first.digest


# --- images that cannot be read --------------------------------------------------------------


def spoiled(folder: Path) -> dict[Path, str]:
    """Files that give no image, and a part of why."""
    folder.mkdir()
    whole = Image.fromarray(picture(0, (200, 200)))
    for form in ("png", "jpg", "bmp"):
        whole.save(folder / f"whole.{form}")
    files = {"cut.png": "", "cut.jpg": "truncated", "head.png": "not an image"}
    for name in files:
        data = (folder / f"whole.{name[-3:]}").read_bytes()
        (folder / name).write_bytes(data[: 10 if name == "head.png" else len(data) // 2])
    wrong = bytearray((folder / "whole.png").read_bytes())
    wrong[len(wrong) // 2] ^= 0xFF
    (folder / "flipped.png").write_bytes(wrong)
    vast = bytearray((folder / "whole.bmp").read_bytes())
    vast[18:26] = (10**6).to_bytes(4, "little") * 2  # its header: a million pixels wide and high
    (folder / "vast.bmp").write_bytes(vast)
    (folder / "words.png").write_text("no image")
    (folder / "empty.png").touch()
    (folder / "folder.png").mkdir()
    Image.fromarray(np.full((9, 9), 3000, np.uint16)).save(folder / "deep.png")
    files |= {"flipped.png": "", "vast.bmp": "exceeds limit", "words.png": "not an image"}
    files |= {"empty.png": "not an image", "folder.png": "directory", "gone.png": "no such file"}
    files |= {"deep.png": "not 8-bit"}
    return {folder / name: why for name, why in files.items()}


def test_images_that_cannot_be_read_are_left_out_and_named_with_their_error(tmp_path):
    bad = spoiled(tmp_path / "bad")
    good = save(tmp_path / "good", {"a": picture(1), "b": picture(2)})
    made = packed(table_of([good[0], *bad, good[1]]), tmp_path / "p")
    assert list(made.frames["frame_id"]) == ["s/000", f"s/{len(bad) + 1:03d}"]
    assert [row["frame_id"] for row in made.failed] == [f"s/{n + 1:03d}" for n in range(len(bad))]
    for row, why in zip(made.failed, bad.values(), strict=True):
        assert row["error"]
        assert why in row["error"]
    last = squares.square(picture(2), LONG, cv2.INTER_AREA)[0]
    assert np.array_equal(made.image(1), last)


def test_where_no_image_can_be_read_there_is_no_pack(tmp_path):
    with pytest.raises(InputError, match="none of 2 frames could be read; the first, s/000: no su"):
        packed(table_of([tmp_path / "a.png", tmp_path / "b.png"]), tmp_path / "p")
    assert list((tmp_path / "p").iterdir()) == []


def test_no_path_of_an_image_is_in_any_file_of_a_pack(tmp_path):
    secret = tmp_path / "SECRETFOLDER"
    bad = spoiled(secret)
    good = save(secret, {"SECRETNAME": picture(1), "SECRETMASKED": picture(2)})
    masks = save(secret / "masks", {"SECRETMASK": picture(2)})
    table = table_of(
        [*good, *bad],
        mask=[None, *masks, *[None] * len(bad)],
        mask_kind=[None, "filled", *[None] * len(bad)],
        mask_classes=[None, "head", *[None] * len(bad)],
    )
    made = packed(table, tmp_path / "p")
    assert len(made) == 2
    for file in made.folder.iterdir():
        content = file.read_bytes()
        for word in (b"SECRET", str(tmp_path).encode(), b"words.png", b"flipped"):
            assert word not in content, file.name
    assert not {"path", "mask", "index"} & set(made.frames.columns)


# --- shards, processes, and packs that are not whole -----------------------------------------


def test_several_shards_hold_what_one_holds(tmp_path, monkeypatch):
    table = table_of(save(tmp_path / "i", {f"i{n}": picture(n) for n in range(7)}))
    one = packed(table, tmp_path / "one")
    monkeypatch.setattr(pack_module, "SHARD_BYTES", 3 * LONG**2 + 5)
    several = packed(table, tmp_path / "several")
    assert several.digest == one.digest
    shards = sorted(several.folder.glob("shard-*.npy"))
    assert [len(np.load(shard)) for shard in shards] == [3, 3, 1]
    assert len(list(one.folder.glob("shard-*.npy"))) == 1
    for row in range(7):
        assert np.array_equal(one.image(row), several.image(row))


def test_parallel_packing_gives_the_same_bytes_as_serial(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "PARALLEL_FROM", 2)
    monkeypatch.setattr(packing, "BLOCK", 2)
    paths = save(tmp_path / "i", {f"i{n}": picture(n) for n in range(5)})
    table = table_of([*paths, tmp_path / "gone.png"])
    serial = packed(table, tmp_path / "serial", workers=1)
    parallel = packed(table, tmp_path / "parallel", workers=2)
    assert parallel.failed == serial.failed
    assert [file.name for file in sorted(serial.folder.iterdir())] == [
        file.name for file in sorted(parallel.folder.iterdir())
    ]
    for file in serial.folder.iterdir():
        assert file.read_bytes() == (parallel.folder / file.name).read_bytes(), file.name


def test_what_was_packed_is_found_and_not_packed_again(tmp_path, monkeypatch):
    table = three(tmp_path / "i")
    first = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)

    def refuse(*args, **options):
        raise AssertionError("packed again")

    with monkeypatch.context() as patched:
        patched.setattr(packing, "build", refuse)
        again = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
        assert (again.digest, again.folder) == (first.digest, first.folder)
        with pytest.raises(AssertionError, match="packed again"):
            find_or_build(table, SIZE + 1, tmp_path / "p", workers=1, quiet=True)
    shutil.rmtree(first.folder)
    again = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    assert again.digest == first.digest


def test_an_image_that_changed_in_its_place_is_packed_anew(tmp_path):
    table = three(tmp_path / "i")
    first = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    save(tmp_path / "i", {"i1": picture(99)})
    again = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    assert again.digest != first.digest
    assert np.array_equal(again.image(1), squares.square(picture(99), LONG, cv2.INTER_AREA)[0])


def test_a_shard_that_was_cut_off_or_lost_is_refused(tmp_path):
    made = packed(three(tmp_path / "i"), tmp_path / "p")
    shard = made.folder / "shard-00000.npy"
    os.truncate(shard, shard.stat().st_size - 1)
    with pytest.raises(InputError, match=r"shard-00000\.npy: missing or cut off; remove the"):
        FramePack(made.folder)
    shard.unlink()
    with pytest.raises(InputError, match=r"shard-00000\.npy: missing or cut off"):
        FramePack(made.folder)


def test_a_folder_without_its_description_is_no_pack(tmp_path):
    made = packed(three(tmp_path / "i"), tmp_path / "p")
    (made.folder / "PACK.json").unlink()
    with pytest.raises(InputError, match=r"PACK\.json: No such file"):
        FramePack(made.folder)


def test_what_could_not_be_read_is_told_of_the_table_that_was_asked_for(tmp_path):
    """Two tables may give one pack: that of the frames which both have."""
    good = three(tmp_path / "i")
    (tmp_path / "bad.png").write_text("no image")
    both = table_of([*good.frames["path"], tmp_path / "bad.png"])
    for first, second in ((good, both), (both, good)):
        packs = tmp_path / f"p{len(first.frames)}"
        for _ in range(2):  # the second time from what is remembered
            made = [find_or_build(of, SIZE, packs, workers=1, quiet=True) for of in (first, second)]
            assert made[0].digest == made[1].digest
            told = {len(of.frames): [one["frame_id"] for one in pack.failed]
                    for of, pack in zip((first, second), made, strict=True)}  # fmt: skip
            assert told == {3: [], 4: ["s/003"]}


def test_a_note_that_does_not_say_what_failed_is_no_word_that_nothing_did(tmp_path):
    table = table_of([*three(tmp_path / "i").frames["path"], tmp_path / "absent.png"])
    pack = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    for note in (tmp_path / "p" / "seen").iterdir():
        write_json(note, {"digest": pack.digest})
    again = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    assert again.failed == pack.failed != []


def test_a_frame_that_can_be_read_again_is_packed_where_that_is_asked_for(tmp_path, monkeypatch):
    """A disk that fails for a moment alters neither size nor time of a file."""
    table = three(tmp_path / "i")
    sick, read = table.frames["path"][1], decoding.read_grey

    def fails(path, **options):
        if path == sick:
            raise UnreadableImage("Input/output error")
        return read(path, **options)

    monkeypatch.setattr(decoding, "read_grey", fails)
    for _ in range(2):
        pack = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
        assert len(pack) == 2 and pack.failed[0]["error"] == "Input/output error"
    monkeypatch.setattr(decoding, "read_grey", read)
    with pytest.warns(UserWarning, match="can be now; `awcl pack FRAMES --size"):  # and goes on
        same = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    assert same.digest == pack.digest and same.failed == pack.failed
    pack = find_or_build(table, SIZE, tmp_path / "p", again=True, workers=1, quiet=True)
    assert len(pack) == 3 and pack.failed == []


def test_a_pack_of_another_format_is_refused(tmp_path):
    made = packed(three(tmp_path / "i"), tmp_path / "p")
    about = made.folder / "PACK.json"
    about.write_text(about.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(InputError, match="pack format 2, need 1"):
        FramePack(made.folder)


def run_python(code: str, *args: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


PACK_IN_A_PROCESS = """
import sys, time
from pathlib import Path
from awcl.data import packing
from awcl.data.table import FrameTable
from awcl.taxonomy import Taxonomy

table = FrameTable.read(Path(sys.argv[1]), Taxonomy.load())
packs = Path(sys.argv[2])
"""


def test_a_disk_that_fills_up_leaves_nothing_and_is_reported(tmp_path):
    """Here a file may not grow over 3 kB, which a write meets as it meets a full disk."""
    table = table_of(save(tmp_path / "i", {f"i{n}": picture(n) for n in range(8)}))
    table.write(tmp_path / "t.parquet")
    limit = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    packing.build(table, 28, packs, workers=1, quiet=True)
except OSError as error:
    print("OSError", error)
"""
    process = run_python(PACK_IN_A_PROCESS + limit, tmp_path / "t.parquet", tmp_path / "p")
    said, trouble = process.communicate(timeout=60)
    assert said.startswith("OSError"), trouble
    assert process.returncode == 0
    assert in_sight(tmp_path / "p") == []
    assert find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True).failed == []


def test_a_kill_in_the_middle_leaves_no_whole_pack_and_the_next_run_makes_one(tmp_path):
    table = table_of(save(tmp_path / "i", {f"i{n}": picture(n) for n in range(8)}))
    table.write(tmp_path / "t.parquet")
    stuck = """
decode, done = packing.decode, []
def slow(job):
    done.append(job)
    if len(done) == 5:
        print("in the middle", flush=True)
        time.sleep(60)
    return decode(job)
packing.decode = slow
packing.build(table, 28, packs, workers=1, quiet=True)
"""
    process = run_python(PACK_IN_A_PROCESS + stuck, tmp_path / "t.parquet", tmp_path / "p")
    assert process.stdout.readline() == "in the middle\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert list((tmp_path / "p").rglob("shard-*.npy"))  # it was at work
    assert in_sight(tmp_path / "p") == []
    made = find_or_build(table, SIZE, tmp_path / "p", workers=1, quiet=True)
    assert len(made) == 8
    assert np.array_equal(made.image(7), squares.square(picture(7), LONG, cv2.INTER_AREA)[0])


def test_a_mask_lies_where_its_image_does(tmp_path):
    """A centred square keeps its centre when it is scaled, in the mask as in the image."""
    square = np.zeros((256, 256), np.uint8)
    square[64:192, 64:192] = 255
    for name in ("image.png", "mask.png"):
        Image.fromarray(square).save(tmp_path / name)
    found = squares.decode(
        (str(tmp_path / "image.png"), str(tmp_path / "mask.png"), "filled", "head", side(64))
    )
    for pixels in (found.image > 127, found.mask > 0):
        assert np.argwhere(pixels).mean(0) == pytest.approx([36.5, 36.5], abs=0.51)
    wide = np.argwhere(found.mask > 0)
    assert wide.min(0).tolist() == (found.mask.shape - wide.max(0) - 1).tolist(), "centred"


def test_an_outline_that_is_no_ellipse_is_named_and_left_out(tmp_path):
    Image.fromarray(np.full((30, 40), 9, np.uint8)).save(tmp_path / "image.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "mask.png")
    found = squares.decode(
        (str(tmp_path / "image.png"), str(tmp_path / "mask.png"), "ellipse_outline", "head", 32)
    )
    assert found.startswith("mask: an annotation with 0 nonzero pixels")


def test_a_pack_serves_where_the_images_are_not(tiny_table, tmp_path):
    """Packed on one machine, trained on another that has the pack and the table only."""
    made = packing.find_or_build(tiny_table, 32, tmp_path / "packs", workers=1, quiet=True)
    gone = tiny_table.frames.assign(path="/elsewhere/" + tiny_table.frames["frame_id"])
    there = packing.find_or_build(FrameTable(gone), 32, tmp_path / "packs", workers=1, quiet=True)
    assert there.digest == made.digest


# --- frames of videos ------------------------------------------------------------------------


def filmed(folder: Path, scans: int = 3, frames: int = 8) -> tuple[FrameTable, FrameTable]:
    """The same frames as images and as videos, in an order of names that is not that of frames."""
    folder.mkdir()
    shown = {f"v{scan}": [picture(10 * scan + n) for n in range(frames)] for scan in range(scans)}
    for name, pictures in shown.items():
        videos.write(folder / f"{name}.avi", pictures)
    where = [(name, n) for n in range(frames) for name in shown]
    stills = {f"{name}_{n}": shown[name][n] for name, n in where}
    named = {"frame_id": [f"s/{(7 * k) % len(where):03d}" for k in range(len(where))]}
    paths, numbers = [folder / f"{name}.avi" for name, _ in where], [n for _, n in where]
    return (
        table_of(save(folder / "images", stills), **named),
        table_of(paths, index=numbers, **named),
    )


def same_files(one: FramePack, other: FramePack) -> bool:
    names = {file.name for pack in (one, other) for file in pack.folder.iterdir()}
    return all(
        (one.folder / name).read_bytes() == (other.folder / name).read_bytes() for name in names
    )


def test_images_and_videos_of_the_same_frames_are_the_same_pack(tmp_path):
    stills, films = filmed(tmp_path / "i")
    one, other = packed(stills, tmp_path / "one"), packed(films, tmp_path / "other")
    assert one.digest == other.digest
    assert same_files(one, other)
    both = FrameTable(pd.concat([stills.frames[::2], films.frames[1::2]], ignore_index=True))
    assert packed(both, tmp_path / "both").digest == one.digest
    assert in_sight(tmp_path / "other") == [other.folder], "nothing is left of what waited"


def test_videos_packed_in_parallel_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "PARALLEL_FROM", 2)
    monkeypatch.setattr(packing, "BLOCK", 5)
    stills, films = filmed(tmp_path / "i")
    cut_off(Path(films.frames["path"][0]))
    both = FrameTable(pd.concat([stills.frames[::2], films.frames[1::2]], ignore_index=True))
    one, two = (packed(both, tmp_path / str(n), workers=n) for n in (1, 2))
    assert one.failed
    assert same_files(one, two)


def test_a_video_is_opened_and_decoded_once(tmp_path, monkeypatch):
    _, films = filmed(tmp_path / "i")
    opened, decoded = [], []
    open_file, grey = videos.av.open, videos._grey
    monkeypatch.setattr(
        videos.av, "open", lambda path, **k: opened.append(path) or open_file(path, **k)
    )
    monkeypatch.setattr(videos, "_grey", lambda frame: decoded.append(frame.pts) or grey(frame))
    packed(films, tmp_path / "p")
    assert sorted(opened) == sorted(set(films.frames["path"]))
    assert decoded == list(range(8)) * 3


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_video_that_breaks_off_gives_its_good_frames_and_one_reason(tmp_path):
    stills, films = filmed(tmp_path / "i")
    whole = packed(stills, tmp_path / "whole")
    broken = Path(films.frames["path"][0])
    cut_off(broken)
    held, _ = videos.count(broken)
    made = packed(films, tmp_path / "p")
    lost = films.frames.query("path == @broken.as_posix() and index >= @held")["frame_id"]
    assert 0 < len(lost) == 24 - len(made) < 8
    said = f"the video breaks off after frame {held - 1}"
    assert made.failed == [{"frame_id": n, "error": said, "video": 0} for n in sorted(lost)]
    rows = {name: row for row, name in enumerate(whole.frames["frame_id"])}
    for row, name in enumerate(made.frames["frame_id"]):
        assert np.array_equal(made.image(row), whole.image(rows[name]))
    for file in made.folder.iterdir():
        assert b"v0.avi" not in file.read_bytes()


def test_frames_of_a_video_have_masks_of_their_own(tmp_path):
    stills, films = filmed(tmp_path / "i", scans=1, frames=3)
    square = np.zeros((20, 40), np.uint8)
    square[5:15, 5:15] = 1
    bad = np.zeros((4, 4), np.uint8)
    masks = save(tmp_path / "m", {"a": square, "b": bad})
    columns = {"mask": [None, *masks], "mask_kind": "filled", "mask_classes": "head"}
    still, film = (
        packed(FrameTable(table.frames.assign(**columns)), tmp_path / name)
        for table, name in ((stills, "stills"), (films, "films"))
    )
    assert still.digest == film.digest
    assert len(film) == 2 and "mask is (4, 4), image (20, 40)" in film.failed[0]["error"]
    (row,) = np.flatnonzero(film.frames["mask_row"] >= 0)
    assert film.mask(row).max() == 1


def test_a_video_that_changed_in_its_place_is_packed_anew(tmp_path):
    _, films = filmed(tmp_path / "i", scans=1)
    first = find_or_build(films, SIZE, tmp_path / "p", workers=1, quiet=True)
    videos.write(tmp_path / "i" / "v0.avi", [picture(99 + n) for n in range(8)])
    again = find_or_build(films, SIZE, tmp_path / "p", workers=1, quiet=True)
    assert again.digest != first.digest
