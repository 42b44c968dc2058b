"""African planes: 450 images of five countries' low-cost machines, four planes.

Sendra-Balcells et al., Generalisability of fetal ultrasound deep learning models to low-resource
imaging settings in five African countries, Sci Rep 13:2728 (2023). Zenodo 7540448, CC BY 4.0.

    Zenodo_dataset/ African_planes_database.csv   <Center>/<Filename>.png

Quirks, and what is done about them:

- Patient_num restarts in every country: the patient is '<Center>-<Patient_num>'.
- `Train` 1 is taken as train, by analogy with FETAL_PLANES_DB of the same group. Nothing published
  says so, and one public loader reads it the other way round. A fifth of its train patients
  become val.
- **47 of the 450 images are pixel-identical to an image of another patient id, and 22 official
  test images to a train image.** A few ids (Malawi 14 and 15, 20 and 30) look like one patient
  split in two. The split is handed on as it is published: run `awcl audit --fix` before use.
- Every country has one image size, so the size alone gives the country away; Egypt's are RGB and
  become grey when decoded. Ghana and Uganda have no thorax.
- There are no examination ids (`scan` is null) and no brain planes: a brain is 'brain', known at
  the coarse level only. The country is the site.
"""

from pathlib import Path

import pandas as pd

from awcl.data.sources import SourceRows, _reading
from awcl.data.table import split_by_patient
from awcl.taxonomy import Taxonomy

TABLE = "African_planes_database.csv"
COLUMNS = ("Patient_num", "Plane", "Train", "Center", "Filename")
PLANES = {
    "Fetal abdomen": "abdomen",
    "Fetal brain": "brain",
    "Fetal femur": "femur",
    "Fetal thorax": "thorax",
}
OFFICIAL = {"1": "train", "0": "test"}


def read(root: Path, taxonomy: Taxonomy) -> SourceRows:
    """Rows of the download in, or nested in, `root`; raises InputError where it is not right."""
    path = _reading.find_table(root, TABLE)
    table = _reading.read_csv(path, COLUMNS)
    _reading.refuse_empty(table, "Patient_num", path)
    anatomy = _reading.translate(table, "Plane", PLANES, path)
    _reading.check_anatomy(anatomy, "Plane", path, taxonomy)
    official = _reading.translate(table, "Train", OFFICIAL, path)
    center, image = table["Center"], table["Filename"].map(_reading.without_png)
    patient = "african_planes/" + center + "-" + table["Patient_num"].map(_reading.same_number)
    files = {name: _reading.pngs(path.parent / name) for name in center.unique()}
    paths = [files[c].get(name) for c, name in zip(center, image, strict=True)]
    rows = pd.DataFrame(
        {
            "frame_id": "african_planes/" + center + "/" + image,
            "path": [None if p is None else str(p) for p in paths],
            "source": "african_planes",
            "patient": patient,
            "anatomy": anatomy,
            "split": [split_by_patient(p, o) for p, o in zip(patient, official, strict=True)],
            "site": center,
        }
    )
    rows, notes = _reading.keep_present(rows, path)
    return SourceRows(rows, notes)
