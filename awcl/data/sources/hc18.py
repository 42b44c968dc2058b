"""HC18: 999 fetal head images with their outline and circumference.

van den Heuvel et al., Automated measurement of fetal head circumference using 2D ultrasound
images, PLoS ONE 13(8):e0200412 (2018). Zenodo 1327317, CC BY 4.0.

    training_set_pixel_size_and_HC.csv   training_set/ 010_2HC.png  010_2HC_Annotation.png

Quirks, and what is done about them:

- `_HC`, `_2HC`, `_3HC`, `_4HC` are repeats of one examination and look alike: the examination is
  the patient and the scan, and goes to one split as a whole. Its number is normalised, so '005'
  and '5' are one. Which examinations are of one woman is not published.
- There is no public split of labelled images: examinations go 60/20/20. The test set of the
  challenge has no annotations and is not read.
- An annotation is a thin outline; some copies hold filled RGB masks under the same names. Which
  one is looked up in each file. Filling is left to the pack (awcl.data.ellipse).
- The circumference of the table holds the annotations to account: the perimeter of each fitted
  ellipse times the pixel size must give it. Frames off by more than 0.5 mm are named, not dropped.
- Unzipping may nest training_set/training_set/. Image sizes differ.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from awcl.data import ellipse
from awcl.data.images import UnreadableImage, read_grey
from awcl.data.sources import SourceRows, _reading
from awcl.data.table import split_by_patient
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TABLE = "training_set_pixel_size_and_HC.csv"
FILE, PIXEL, CIRCUMFERENCE = "filename", "pixel size(mm)", "head circumference (mm)"
NAME = re.compile(r"(\d+)_\d?HC")
FOLDERS = ("training_set", "training_set/training_set", "training", "training/training", ".")
TOLERANCE_MM = 0.5


def read(root: Path, taxonomy: Taxonomy) -> SourceRows:
    """Rows of the training set in, or nested in, `root`; raises InputError where it is not right.

    Reads all annotations, which takes some seconds.
    """
    path = _reading.find_table(root, TABLE)
    table = _reading.read_csv(path, (FILE, PIXEL, CIRCUMFERENCE))
    image = table[FILE].map(_reading.without_png)
    exam = pd.Series([_exam(n, row, path) for row, n in image.items()], index=table.index)
    files = _reading.pngs(*(path.parent / folder for folder in FOLDERS))
    rows = pd.DataFrame(
        {
            "frame_id": "hc18/" + image,
            "path": [str(files[n]) if n in files else None for n in image],
            "source": "hc18",
            "patient": exam,
            "scan": exam,
            "anatomy": "HCP",
            "split": [split_by_patient(e) for e in exam],
            "mask": [str(files.get(f"{n}_Annotation", "")) for n in image],
            "pixel_mm": _reading.numbers(table, PIXEL, path),
        }
    )
    _reading.check_anatomy(rows["anatomy"], FILE, path, taxonomy)
    circumference = _reading.numbers(table, CIRCUMFERENCE, path)
    rows, notes = _reading.keep_present(rows, path)
    masks, mask_notes = _read_masks(rows, circumference)
    return SourceRows(rows.assign(**masks), notes + mask_notes)


def _exam(name: str, row: int, path: Path) -> str:
    match = NAME.fullmatch(name)
    if match is None:
        raise _reading.refusal(path, row, FILE, name, "a name such as 010_2HC.png is needed")
    return f"hc18/{int(match[1]):03d}"


def _read_masks(rows: pd.DataFrame, circumference: pd.Series) -> tuple[dict, list[str]]:
    """The mask columns, and notes on annotations that are absent, unreadable or off."""
    kind = pd.Series(None, index=rows.index, dtype=object)
    off = pd.Series(np.nan, index=rows.index)
    notes = []
    annotated = rows.index[rows["mask"] != ""]
    for row in tqdm(annotated, "hc18: annotations", unit="file", disable=None, delay=2):
        try:
            kind[row], perimeter = _measure(read_grey(rows["mask"][row]))
            off[row] = abs(perimeter * rows["pixel_mm"][row] - circumference[row])
        except (UnreadableImage, InputError) as error:
            notes.append(f"{rows['frame_id'][row]} is kept without its annotation: {error}")
    absent = rows["frame_id"][rows["mask"] == ""]
    if len(absent):
        notes.append(_reading.absence(absent, "annotations of images"))
    masks = {
        "mask": rows["mask"].where(kind.notna(), None),
        "mask_kind": kind,
        "mask_classes": pd.Series("head", index=rows.index, dtype=object).where(kind.notna(), None),
    }
    return masks, notes + _self_check(rows["frame_id"], off)


def _measure(mask: np.ndarray) -> tuple[str, float]:
    """The mask_kind of an annotation, and its ellipse's perimeter in pixels."""
    if ellipse.is_outline(mask):
        return "ellipse_outline", ellipse.fit(mask).perimeter
    return "filled", ellipse.fit_filled(mask).perimeter


def _self_check(frame_id: pd.Series, off: pd.Series) -> list[str]:
    """What the circumferences of the table say about the annotations; off in mm, NaN = none."""
    if not off.notna().any():
        return []
    notes = [
        f"self-check: the ellipses of {off.count()} annotations give the table's head "
        f"circumference to {off.mean():.3f} mm on average and {off.max():.3f} mm at worst"
    ]
    bad = off[off > TOLERANCE_MM].sort_values(ascending=False)
    if len(bad):
        named = ", ".join(f"{frame_id[row]} ({mm:.1f} mm)" for row, mm in bad.items())
        notes.append(f"{len(bad)} annotations are off by more than {TOLERANCE_MM} mm: {named}")
    return notes
