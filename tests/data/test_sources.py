"""The sources: what each reads from a small download of its layout, what it says of bad ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from awcl.data import ellipse, sources
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
PLANES_HEADER = "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "
PLANES_ROWS = (
    "Patient00004_Plane1_1_of_2;4;Other;Not A Brain;Op. 1;Aloka;1 ",
    "Patient00004_Plane3_2_of_2;4;Fetal brain;Trans-cerebellum;Op. 1;Aloka;1 ",
    "Patient00007_Plane3_1_of_1;7;Fetal brain;Other;Op. 2;Voluson E6;0 ",
)


def image(path: Path, grey: np.ndarray | int = 0, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((40, 60), grey, np.uint8) if isinstance(grey, int) else grey
    Image.fromarray(pixels).convert(mode).save(path)


def fetal_planes(root: Path, header=PLANES_HEADER, rows=PLANES_ROWS, mode="L") -> Path:
    """A download with an image for each of PLANES_ROWS."""
    for n, row in enumerate(PLANES_ROWS):
        image(root / "Images" / f"{row.split(';')[0]}.png", n, mode)
    table = root / "FETAL_PLANES_DB_data.csv"
    table.write_bytes("\r\n".join([header, *rows, ""]).encode())
    return root


def african(root: Path, rows: tuple[str, ...]) -> Path:
    for row in rows:
        _, _, _, center, name = row.split(",")
        image(root / center / f"{name}.png")
    table = root / "African_planes_database.csv"
    table.write_text("\n".join(["Patient_num,Plane,Train,Center,Filename", *rows]))
    return root


def hc18(
    root: Path, filled: bool = False, scale: float = 1.0, images: str = "training_set"
) -> Path:
    """Three images of two examinations, the second written '5' once and '005' once."""
    head = ellipse.Ellipse((150, 100), (80, 50), 0.3)
    inner = ellipse.Ellipse((150, 100), (78, 48), 0.3)
    mask = head.inside((200, 300)) * np.uint8(255)
    if not filled:
        mask -= inner.inside((200, 300)) * np.uint8(255)
    ring_mm = ellipse.Ellipse((150, 100), (79, 49), 0.3).perimeter * 0.1
    circumference = (head.perimeter * 0.1 if filled else ring_mm) * scale
    lines = ["filename,pixel size(mm),head circumference (mm)"]
    for name in ("004_HC", "005_HC", "5_2HC"):
        image(root / images / f"{name}.png", 7)
        image(root / images / f"{name}_Annotation.png", mask, "RGB" if filled else "L")
        lines.append(f"{name}.png,0.1,{circumference}")
    (root / "training_set_pixel_size_and_HC.csv").write_bytes("\r\n".join(lines).encode())
    return root


def test_an_unknown_source_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"unknown source 'hc-18'; did you mean 'hc18'.*known: af"):
        sources.read("hc-18", tmp_path, TAXONOMY)


def test_no_source_is_refused():
    with pytest.raises(InputError, match="no source given; known: african_planes, fetal_planes_db"):
        sources.frames({}, TAXONOMY)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("fetal_planes_db", "FETAL_PLANES_DB_data.csv"),
        ("african_planes", "African_planes_database.csv"),
        ("hc18", "training_set_pixel_size_and_HC.csv"),
    ],
)
def test_a_folder_without_the_table_is_refused_with_what_was_looked_for(tmp_path, name, table):
    with pytest.raises(InputError, match=f"{tmp_path}: no {table} in it"):
        sources.read(name, tmp_path, TAXONOMY)
    with pytest.raises(InputError, match=f"no such folder; give the one that holds {table}"):
        sources.read(name, tmp_path / "absent", TAXONOMY)


def test_fetal_planes_are_read_with_their_labels_and_domains(tmp_path):
    table, notes = sources.frames({"fetal_planes_db": fetal_planes(tmp_path)}, TAXONOMY)
    frames = table.frames
    assert notes == []
    assert list(frames["anatomy"]) == ["other", "trans_cerebellum", "brain"]
    assert list(frames["patient"]) == ["fetal_planes_db/4"] * 2 + ["fetal_planes_db/7"]
    assert frames["frame_id"][0] == "fetal_planes_db/Patient00004_Plane1_1_of_2"
    assert list(frames["split"][:2]) in (["train"] * 2, ["val"] * 2)
    assert frames["split"][2] == "test"
    assert list(frames["machine"]) == ["Aloka", "Aloka", "Voluson E6"]
    assert list(frames["operator"]) == ["Op. 1", "Op. 1", "Op. 2"]
    assert frames["scan"].isna().all()


def test_mirrors_with_commas_a_byte_order_mark_suffixes_and_rgb_read_the_same(tmp_path):
    plain, _ = sources.frames({"fetal_planes_db": fetal_planes(tmp_path / "plain")}, TAXONOMY)
    rows = tuple(r.strip().replace(";", ".png;", 1).replace(";", ",") for r in PLANES_ROWS)
    header = "\ufeff" + PLANES_HEADER.strip().replace(";", ",")
    folder = fetal_planes(tmp_path / "up" / "FETAL_PLANES_ZENODO", header, rows, "RGB")
    mirror, _ = sources.frames({"fetal_planes_db": folder.parent}, TAXONOMY)
    pd.testing.assert_frame_equal(
        plain.frames.drop(columns="path"), mirror.frames.drop(columns="path")
    )


def test_a_missing_column_is_named_with_its_file(tmp_path):
    fetal_planes(tmp_path, header=PLANES_HEADER.replace("Plane;", "Plan;", 1))
    said = r"FETAL_PLANES_DB_data\.csv: column 'Plane' is missing; did you mean 'Plan'"
    with pytest.raises(InputError, match=said):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)


def test_an_unknown_label_is_named_with_its_row_and_the_known_ones(tmp_path):
    rows = (PLANES_ROWS[0], PLANES_ROWS[1].replace("Fetal brain", "Fetal head"))
    fetal_planes(tmp_path, rows=rows)
    said = r"data\.csv: row 3, column 'Plane', value 'Fetal head': known: Other, Fetal abdomen"
    with pytest.raises(InputError, match=said):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)


def test_a_row_with_too_few_values_is_named(tmp_path):
    fetal_planes(tmp_path, rows=(PLANES_ROWS[0], "Patient00004_Plane3_2_of_2;4"))
    with pytest.raises(InputError, match="row 3: 2 values under 7 column names"):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)


def test_an_empty_table_and_one_in_another_encoding_are_refused(tmp_path):
    fetal_planes(tmp_path, rows=())
    with pytest.raises(InputError, match="no rows below the header"):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)
    (tmp_path / "FETAL_PLANES_DB_data.csv").write_bytes(b"Image\xff\xfe")
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)


def test_a_taxonomy_without_the_sources_names_is_refused(tmp_path):
    (tmp_path / "own.toml").write_text("[coarse]\nheart = ['4CH']")
    own = Taxonomy.load(tmp_path / "own.toml")
    with pytest.raises(InputError, match="row 2, column 'Plane', value 'other': unknown anatomy"):
        sources.read("fetal_planes_db", fetal_planes(tmp_path), own)


def test_absent_images_are_left_out_and_reported_unless_all_are(tmp_path):
    fetal_planes(tmp_path)
    (tmp_path / "Images" / "Patient00004_Plane3_2_of_2.png").unlink()
    found = sources.read("fetal_planes_db", tmp_path, TAXONOMY)
    absent = "fetal_planes_db/Patient00004_Plane3_2_of_2"
    assert len(found.rows) == 2
    assert found.notes == [f"1 images named in the table are absent: {absent}"]
    for file in (tmp_path / "Images").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="none of its 3 images is there, for example"):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)


def test_two_copies_of_a_table_are_refused(tmp_path):
    fetal_planes(tmp_path / "a")
    fetal_planes(tmp_path / "b")
    with pytest.raises(InputError, match="twice"):
        sources.read("fetal_planes_db", tmp_path, TAXONOMY)


def test_african_patients_of_one_number_are_told_apart_by_country(tmp_path):
    rows = (
        "1,Fetal brain,1,Algeria,patient001_DZA_plane1",
        "1,Fetal thorax,0,Egypt,patient001_EGY_plane3",
    )
    african(tmp_path / "Zenodo_dataset", rows)
    frames = sources.frames({"african_planes": tmp_path}, TAXONOMY)[0].frames
    assert list(frames["patient"]) == ["african_planes/Algeria-1", "african_planes/Egypt-1"]
    assert frames["frame_id"][1] == "african_planes/Egypt/patient001_EGY_plane3"
    assert list(frames["anatomy"]) == ["brain", "thorax"]
    assert list(frames["site"]) == ["Algeria", "Egypt"]
    assert frames["split"][0] in ("train", "val") and frames["split"][1] == "test"


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("images", ["training_set", "training_set/training_set"])
def test_hc18_outlines_and_filled_copies_are_told_apart_and_checked(tmp_path, filled, images):
    table, notes = sources.frames({"hc18": hc18(tmp_path, filled, images=images)}, TAXONOMY)
    frames = table.frames
    assert list(frames["patient"]) == ["hc18/004", "hc18/005", "hc18/005"]
    assert list(frames["scan"]) == list(frames["patient"])
    assert frames["split"][1] == frames["split"][2]
    assert set(frames["mask_kind"]) == {"filled" if filled else "ellipse_outline"}
    assert set(frames["mask_classes"]) == {"head"}
    assert list(frames["pixel_mm"]) == [0.1] * 3
    assert len(notes) == 1 and "the ellipses of 3 annotations" in notes[0]


def test_hc18_annotations_that_miss_the_circumference_are_named_and_kept(tmp_path):
    found = sources.read("hc18", hc18(tmp_path, scale=1.1), TAXONOMY)
    assert len(found.rows) == 3
    assert found.notes[1].startswith("3 annotations are off by more than 0.5 mm: hc18/004_HC (4.")


def test_hc18_frames_without_a_usable_annotation_are_kept_and_named(tmp_path):
    folder = hc18(tmp_path) / "training_set"
    (folder / "004_HC_Annotation.png").unlink()
    image(folder / "005_HC_Annotation.png", 0)
    (folder / "5_2HC_Annotation.png").write_bytes(b"no image")
    table, notes = sources.frames({"hc18": tmp_path}, TAXONOMY)
    assert table.frames[["mask", "mask_kind", "mask_classes"]].isna().all(axis=None)
    assert notes == [
        "hc18: hc18/005_HC is kept without its annotation: an annotation with 0 nonzero pixels "
        "has no ellipse; 5 are needed",
        "hc18: hc18/5_2HC is kept without its annotation: not an image file",
        "hc18: 1 annotations of images named in the table are absent: hc18/004_HC",
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("head5.png,0.1,100", "row 2, column 'filename', value 'head5.png': a name such as"),
        ("005_HC.png,0,100", r"row 2, column 'pixel size\(mm\)', value '0': a number above 0"),
        ("005_HC.png,0.1,", r"row 2, column 'head circumference \(mm\)', value ''"),
    ],
)
def test_hc18_values_that_are_wrong_are_refused(tmp_path, row, said):
    hc18(tmp_path)
    table = tmp_path / "training_set_pixel_size_and_HC.csv"
    table.write_text(f"filename,pixel size(mm),head circumference (mm)\n{row}\n")
    with pytest.raises(InputError, match=said.replace("head5.png':", "head5':")):
        sources.read("hc18", tmp_path, TAXONOMY)


def test_several_sources_make_one_table(tmp_path):
    roots = {"fetal_planes_db": fetal_planes(tmp_path / "f"), "hc18": hc18(tmp_path / "h")}
    table, notes = sources.frames(roots, TAXONOMY)
    assert table.frames["source"].value_counts().to_dict() == {"fetal_planes_db": 3, "hc18": 3}
    assert notes[0].startswith("hc18: self-check")


MAPPING = """
table = "export/frames.csv"
root = "images"
[columns]
path = "file"
patient = "pid"
scan = "exam"
anatomy = "view"
pixel_mm = "mm"
mask = "mask"
[anatomy]
"4-chamber" = "4CH"
"unsure" = ""
[constants]
mask_kind = "filled"
mask_classes = "heart"
site = "Leeds"
"""
TWO_COLUMNS = """
table = "export/frames.csv"
root = "images"
[columns]
path = "file"
patient = "pid"
"""
OWN_ROWS = (
    "file;pid;exam;view;mm;mask;half",
    "one/a.png;11;e1;4-chamber;0.1;a_mask.png;train",
    "one/b.png;11;e1;unsure;;;train",
    "c.png;12;e2;femur;0.2;;test",
)


def own(root: Path, mapping: str = MAPPING, rows: tuple[str, ...] = OWN_ROWS) -> Path:
    """A clinic's folder: clinic.toml, export/frames.csv, images/; returns the mapping file."""
    for name in ("one/a.png", "one/b.png", "c.png", "a_mask.png"):
        image(root / "images" / name)
    (root / "export").mkdir(exist_ok=True)
    (root / "export" / "frames.csv").write_text("\n".join(rows))
    (root / "clinic.toml").write_text(mapping)
    return root / "clinic.toml"


def test_an_own_table_is_read_by_its_mapping(tmp_path):
    table, notes = sources.frames({"table": own(tmp_path)}, TAXONOMY)
    frames = table.frames
    assert list(frames["frame_id"]) == ["clinic/one/a", "clinic/one/b", "clinic/c"]
    assert list(frames["patient"]) == ["clinic/11", "clinic/11", "clinic/12"]
    assert list(frames["scan"]) == ["clinic/e1", "clinic/e1", "clinic/e2"]
    assert [a if isinstance(a, str) else None for a in frames["anatomy"]] == ["4CH", None, "femur"]
    assert set(frames["site"]) == {"Leeds"} and set(frames["source"]) == {"clinic"}
    assert frames["mask"][0] == str(tmp_path / "images" / "a_mask.png")
    assert list(frames["mask_kind"].isna()) == [False, True, True]
    assert frames["pixel_mm"].isna()[1] and frames["pixel_mm"][2] == 0.2
    assert notes == ["table: patients were split 60/20/20"]


def test_an_own_split_is_taken_and_lacks_only_val(tmp_path):
    mapping = MAPPING.replace("[anatomy]", 'split = "half"\n[anatomy]')
    found = sources.read("table", own(tmp_path, mapping), TAXONOMY)
    assert found.rows["split"].iloc[2] == "test"
    assert found.rows["split"].iloc[0] in ("train", "val")
    assert found.notes == ["a fifth of the train patients became val"]
    whole = (*OWN_ROWS, "d.png;13;e3;femur;0.2;;val")
    image(tmp_path / "images" / "d.png")
    found = sources.read("table", own(tmp_path, mapping, whole), TAXONOMY)
    assert list(found.rows["split"]) == ["train", "train", "test", "val"]
    assert found.notes == []


def test_a_name_that_is_too_long_for_a_file_is_one_that_is_absent(tmp_path):
    rows = (*OWN_ROWS, f"{'x' * 300}.png;13;e3;femur;0.2;{'y' * 300}.png;test")
    found, notes = sources.frames({"table": own(tmp_path, rows=rows)}, TAXONOMY)
    assert len(found.frames) == 3 and any("xxx" in note for note in notes)


def test_a_number_that_is_no_number_of_anything_is_text(tmp_path):
    mapping = own(tmp_path, MAPPING.replace("frames.csv", "frames.parquet"))
    typed = pd.read_csv(tmp_path / "export" / "frames.csv", sep=";")
    typed["mm"] = [1e300, 1e300, 1e300]
    typed.to_parquet(tmp_path / "export" / "frames.parquet")
    assert sources.frames({"table": mapping}, TAXONOMY)[0].frames["pixel_mm"].max() == 1e300


def test_an_own_parquet_table_reads_like_csv(tmp_path):
    read = sources.frames({"table": own(tmp_path)}, TAXONOMY)[0].frames
    typed = pd.read_csv(tmp_path / "export" / "frames.csv", sep=";")
    typed["pid"] = [11.0, 11.0, 12.0]
    typed.to_parquet(tmp_path / "export" / "frames.parquet")
    mapping = own(tmp_path, MAPPING.replace("frames.csv", "frames.parquet"))
    again = sources.frames({"table": mapping}, TAXONOMY)[0].frames
    pd.testing.assert_frame_equal(read, again)


def test_frames_of_a_video_are_told_apart_by_index(tmp_path):
    mapping = 'table = "export/frames.csv"\nroot = "images"\n[columns]\n'
    mapping += 'path = "file"\npatient = "pid"\nindex = "n"\n'
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "c.avi").touch()
    rows = ("file,pid,n", "c.avi,1,0", "c.avi,1,25")
    frames = sources.frames({"table": own(tmp_path, mapping, rows)}, TAXONOMY)[0].frames
    assert list(frames["frame_id"]) == ["clinic/c/0", "clinic/c/25"]
    assert list(frames["index"]) == [0, 25]
    with pytest.raises(InputError, match="row 3, column 'n', value 'x': not a frame number"):
        sources.read("table", own(tmp_path, mapping, (*rows[:2], "c.avi,1,x")), TAXONOMY)
    with pytest.raises(InputError, match=r"row 3, column 'index': only a video .* has frames"):
        rows = (*rows[:2], "c.png,1,25")
        sources.frames({"table": own(tmp_path, mapping, rows)}, TAXONOMY)


def test_absent_masks_and_shared_scan_ids_are_reported(tmp_path):
    rows = tuple(r.replace("a_mask", "no_mask").replace("e2", "e1") for r in OWN_ROWS)
    found = sources.read("table", own(tmp_path, rows=rows), TAXONOMY)
    assert "1 scan ids belong to several patients, for example 'clinic/e1' to 2" in found.notes[1]
    assert found.notes[2] == "1 masks of frames named in the table are absent: clinic/one/a"
    assert found.rows["mask_kind"].isna().all()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("root", "rot", r"clinic\.toml: unknown key 'rot'; did you mean 'root'"),
        ('table = "export/frames.csv"', "", "'table' is missing; it names the CSV"),
        ("frames.csv", "none.csv", r"none\.csv: no such file; 'table' in the mapping names it"),
        ('"images"', '"pictures"', "pictures' is no folder"),
        ('"images"', "5", "'root' must be text in quotes"),
        ("[columns]", "[columns", "not a TOML file"),
        ('patient = "pid"', "", r"\[columns\] lacks 'patient'"),
        ('anatomy = "view"', 'anatmy = "view"', "'anatmy' is no column .* mean 'anatomy'"),
        ('anatomy = "view"', 'anatomy = "vie"', r"frames\.csv: column 'vie' is missing; .*'view'"),
        ('anatomy = "view"', "anatomy = 3", r"\[columns\] 'anatomy': text in quotes is needed"),
        ('anatomy = "view"', "", r"\[anatomy\] names labels, but \[columns\] lacks 'anatomy'"),
        ('mask = "mask"', "", r"'mask_\w+' is given, but \[columns\] lacks 'mask'"),
        ('site = "Leeds"', 'scan = "x"', r"'scan' is in \[columns\] and in \[constants\]"),
        ('"4CH"', '"4HC"', r"clinic\.toml: \[anatomy\] '4-chamber': unknown anatomy name '4HC'"),
        (
            '"unsure" = ""',
            "",
            r"frames\.csv: row 3, column 'view', value 'unsure': .*list it under",
        ),
        ("[anatomy]", 'split = "mm"\n[anatomy]', "row 2, column 'mm', value '0.1': write train"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused(tmp_path, old, new, said):
    assert old in MAPPING
    with pytest.raises(InputError, match=said):
        sources.read("table", own(tmp_path, MAPPING.replace(old, new, 1)), TAXONOMY)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("c.png", '"c.png', r"frames\.csv: line 4: .*; a quote that opens a value must close it"),
        ("c.png", '"c"x.png', r"frames\.csv: line 4: .*; a quote that opens a value must close it"),
        ("c.png", ".", r"row 4, column 'file', value '\.': not the name of a file"),
        (";0.2;", ";inf;", "row 4, column 'mm', value 'inf': a number above 0 is needed"),
        (";12;", "; ;", "row 4, column 'pid', value '': every frame needs one"),
        (";0.2;", ";wide;", "row 4, column 'mm', value 'wide': a number above 0 is needed"),
    ],
)
def test_a_value_that_is_wrong_is_refused_with_its_row(tmp_path, old, new, said):
    rows = (*OWN_ROWS[:3], OWN_ROWS[3].replace(old, new))
    with pytest.raises(InputError, match=said):
        sources.read("table", own(tmp_path, rows=rows), TAXONOMY)


def test_a_quote_never_takes_rows_into_a_value(tmp_path):
    rows = ["file,pid,note", 'one/a.png,1,"x', "one/b.png,2,", 'c.png,3,y"']
    with pytest.raises(InputError, match="a quote that opens a value must close it"):
        sources.read("table", own(tmp_path, TWO_COLUMNS, tuple(rows)), TAXONOMY)
    swallowed = (rows[0], '"one/a.png,1,', "one/b.png,2,", 'c.png",3,y')
    with pytest.raises(InputError, match="a quote that opens a value must close it"):
        sources.read("table", own(tmp_path, TWO_COLUMNS, swallowed), TAXONOMY)


@pytest.mark.parametrize("report", ['x, ""y""\nz', "normal:\nhead, abdomen, femur seen.\n\nAll."])
def test_a_report_of_several_lines_is_a_value(tmp_path, report):
    """Also where one of its lines has as many commas as a row."""
    quoted = ("file,pid,note", f'one/a.png,1,"{report}"', "one/b.png,2,", 'c.png,3,"y"')
    found = sources.read("table", own(tmp_path, TWO_COLUMNS, quoted), TAXONOMY).rows
    assert list(found["patient"]) == ["clinic/1", "clinic/2", "clinic/3"]


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    rows = ("file,pid,pid", "one/a.png,1,2")
    with pytest.raises(InputError, match=r"frames\.csv: column 'pid' is there 2 times"):
        sources.read("table", own(tmp_path, TWO_COLUMNS, rows), TAXONOMY)


def test_a_parquet_table_of_lists_or_of_no_rows_is_refused(tmp_path):
    mapping = own(tmp_path, TWO_COLUMNS.replace("frames.csv", "frames.parquet"))
    file = tmp_path / "export" / "frames.parquet"
    pd.DataFrame({"file": ["one/a.png"], "pid": [[1, 2]]}).to_parquet(file)
    with pytest.raises(InputError, match=r"row 2, column 'pid', .*: one value is needed"):
        sources.read("table", mapping, TAXONOMY)
    pd.DataFrame({"file": [], "pid": []}).to_parquet(file)
    with pytest.raises(InputError, match=r"frames\.parquet: no rows"):
        sources.read("table", mapping, TAXONOMY)


def test_a_missing_mapping_and_a_broken_parquet_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"clinic\.toml: No such file .*give table=MAPPING\.toml"):
        sources.read("table", tmp_path / "clinic.toml", TAXONOMY)
    mapping = own(tmp_path, MAPPING.replace("frames.csv", "frames.parquet"))
    (tmp_path / "export" / "frames.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"frames\.parquet: not a Parquet file"):
        sources.read("table", mapping, TAXONOMY)


def test_the_real_downloads_are_read_whole(real_data):
    names = ("fetal_planes_db", "african_planes", "hc18")
    table, notes = sources.frames({name: real_data / name for name in names}, TAXONOMY)
    counts = table.frames["source"].value_counts()
    assert [counts[name] for name in names] == [120, 300, 312]
    assert len(notes) == 1
    assert "312 annotations" in notes[0]
    worst = float(notes[0].split(" mm at worst")[0].split()[-1])
    assert worst <= 0.05
