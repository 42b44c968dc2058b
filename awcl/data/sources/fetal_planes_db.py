"""FETAL_PLANES_DB: 12,400 maternal-fetal screening images of 1,792 patients, six planes.

Burgos-Artizzu et al., Evaluation of deep convolutional neural networks for automatic
classification of common maternal fetal ultrasound planes, Sci Rep 10:10200 (2020),
doi 10.1038/s41598-020-67076-5. Zenodo 3904280, CC BY 4.0.

    FETAL_PLANES_ZENODO/ FETAL_PLANES_DB_data.csv   Images/<Image_name>.png

Quirks, and what is done about them:

- The table is separated by ';' and the header and values of its last column end in a space;
  mirrors use ',' and have no space. Both are read.
- Image_name has no '.png'; where a mirror has one, it is taken off. Mirrors may hold RGB images:
  decoding turns them grey.
- The official split is by patient (896 + 896); a fifth of its train patients become val.
- Brain images are labelled by Brain_plane. 'Other' among them is a brain of no known plane:
  anatomy 'brain'. Plane 'Other' is not one anatomy: 'other', which pairs only with itself.
- There are no examination ids: `scan` is null, the patient is the only grouping.
- Machine and operator go with the plane, and one machine (Voluson S10) is nearly absent from the
  official train half; both are kept as domains.
"""

from pathlib import Path

import pandas as pd

from awcl.data.sources import SourceRows, _reading
from awcl.data.table import split_by_patient
from awcl.taxonomy import Taxonomy

TABLE = "FETAL_PLANES_DB_data.csv"
COLUMNS = (
    "Image_name",
    "Patient_num",
    "Plane",
    "Brain_plane",
    "Operator",
    "US_Machine",
    "Train",
)
PLANES = {
    "Other": "other",
    "Fetal abdomen": "abdomen",
    "Fetal brain": "brain",
    "Fetal femur": "femur",
    "Fetal thorax": "thorax",
    "Maternal cervix": "cervix",
}
BRAIN_PLANES = {
    "Trans-thalamic": "trans_thalamic",
    "Trans-cerebellum": "trans_cerebellum",
    "Trans-ventricular": "trans_ventricular",
    "Other": "brain",
    "Not A Brain": "brain",  # said of a brain it contradicts Plane: a brain of no known plane
}
OFFICIAL = {"1": "train", "0": "test"}


def read(root: Path, taxonomy: Taxonomy) -> SourceRows:
    """Rows of the download in, or nested in, `root`; raises InputError where it is not right."""
    path = _reading.find_table(root, TABLE)
    table = _reading.read_csv(path, COLUMNS)
    _reading.refuse_empty(table, "Patient_num", path)
    plane = _reading.translate(table, "Plane", PLANES, path)
    brain_plane = _reading.translate(table, "Brain_plane", BRAIN_PLANES, path)
    anatomy = plane.where(plane != "brain", brain_plane)
    _reading.check_anatomy(anatomy, "Plane", path, taxonomy)
    official = _reading.translate(table, "Train", OFFICIAL, path)
    image = table["Image_name"].map(_reading.without_png)
    patient = "fetal_planes_db/" + table["Patient_num"].map(_reading.same_number)
    files = _reading.pngs(path.parent / "Images", path.parent / "images", path.parent)
    rows = pd.DataFrame(
        {
            "frame_id": "fetal_planes_db/" + image,
            "path": [str(files[name]) if name in files else None for name in image],
            "source": "fetal_planes_db",
            "patient": patient,
            "anatomy": anatomy,
            "split": [split_by_patient(p, o) for p, o in zip(patient, official, strict=True)],
            "machine": table["US_Machine"],
            "operator": table["Operator"],
        }
    )
    rows, notes = _reading.keep_present(rows, path)
    return SourceRows(rows, notes)
