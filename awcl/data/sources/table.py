"""Own data: a CSV or Parquet table with one row a frame, and a TOML file that says what is what.

`awcl frames table=clinic.toml --out frames.parquet`, with clinic.toml for example

    table = "export/frames.csv"        # relative to this file; .csv (';' or ',') or .parquet
    root = "export/images"             # what image paths are relative to; default: the table's

    [columns]                          # column of the frame table = own column
    path = "file"                      # needed
    patient = "pid"                    # needed
    scan = "exam"                      # one examination; unique within the table
    anatomy = "view"
    machine = "scanner"
    trimester = "trimester"
    pixel_mm = "mm_per_pixel"
    mask = "mask_file"
    # also: frame_id, index, split, operator, site, source, mask_kind, mask_classes

    [anatomy]                          # own label = name of the taxonomy; "" = unknown
    "4-chamber" = "4CH"
    "head, TT" = "trans_thalamic"
    "unsure" = ""

    [constants]                        # the same value for every frame
    source = "clinic"                  # default: this file's name, here also "clinic"
    site = "Leeds"
    mask_kind = "filled"
    mask_classes = "head;abdomen"      # names of the mask's values 1, 2, ... (with a palette: its
                                       # numbers, and not its colours)

What is filled in: `frame_id` is the image's path under `root` without its suffix (and `/index`
where `index` is given: then `path` is a video, .mp4, .avi, .mov or .mkv, and `index` the number of
the frame in it, from 0). `source` goes before frame_id, patient and scan, so that two tables'
patients stay apart. `split` must say train, val or test; without val, a fifth of its train patients
become val; without the column, patients go 60/20/20. Labels that [anatomy] does not list must be
names of the taxonomy. Frames whose image is absent are left out and reported.
"""

import tomllib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from awcl.data.sources import SourceRows, _reading
from awcl.data.table import COLUMNS
from awcl.errors import InputError, nearest
from awcl.taxonomy import Taxonomy

KEYS = ("table", "root", "columns", "anatomy", "constants")
KNOWN = tuple(column for column in COLUMNS if column != "audit_group")  # the audit's to fill
NEEDED = ("path", "patient")


def read(root: Path, taxonomy: Taxonomy) -> SourceRows:
    """Rows of the table that the mapping file `root` describes.

    Raises InputError naming the file, and the key, column or row that is wrong in it.
    """
    mapping = _mapping(Path(root), taxonomy)
    path = mapping["table"]
    own = _own_table(path, mapping["columns"].values())
    rows = pd.DataFrame({column: own[name] for column, name in mapping["columns"].items()})
    for column, value in mapping["constants"].items():
        rows[column] = str(value)
    for column in NEEDED:
        _refuse_empty(rows, column, mapping["columns"].get(column, column), path)
    for row in rows.index[rows["path"].map(lambda name: not Path(name).name)]:
        column, value = mapping["columns"]["path"], rows["path"][row]
        raise _reading.refusal(path, row, column, value, "not the name of a file")
    rows = rows.assign(**_numbers(own, mapping))
    if "anatomy" in rows:
        rows["anatomy"] = _anatomy(rows["anatomy"], mapping, taxonomy)
    rows["frame_id"] = _frame_ids(rows)
    if "source" not in rows:
        rows["source"] = Path(root).stem
    for column in {"frame_id", "patient", "scan"} & set(rows):
        named = rows["source"] + "/" + rows[column]
        rows[column] = named.where(rows[column] != "", None)
    rows["split"], notes = _reading.splits(rows, mapping["columns"].get("split", "split"), path)
    notes += _shared_scans(rows)
    notes += _find_masks(rows, mapping["root"])
    rows["path"] = [_existing(mapping["root"], name) for name in rows["path"]]
    rows, absent = _reading.keep_present(rows, path)
    return SourceRows(rows, absent + notes)


def _mapping(file: Path, taxonomy: Taxonomy) -> dict:
    """The mapping file with its defaults filled in and its names checked."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; give table=MAPPING.toml") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not a TOML file ({error})") from error
    for key in data:
        if key not in KEYS:
            near = nearest(key, KEYS)
            raise InputError(f"{file}: unknown key {key!r}{near} (known: {', '.join(KEYS)})")
    if not isinstance(data.get("table"), str):
        raise InputError(f"{file}: 'table' is missing; it names the CSV or Parquet file")
    table = file.parent / data["table"]
    folder = _root(data, table, file)
    sections = {key: _section(data, key, file) for key in ("columns", "anatomy", "constants")}
    _check_columns(sections, file)
    for label, name in sections["anatomy"].items():
        try:
            if name:
                taxonomy.check(name)
        except InputError as error:
            raise InputError(f"{file}: [anatomy] {label!r}: {error}") from error
    return {"file": file, "table": table, "root": folder.absolute(), **sections}


def _root(data: dict, table: Path, file: Path) -> Path:
    if not isinstance(data.get("root", ""), str):
        raise InputError(f"{file}: 'root' must be text in quotes, the folder of the images")
    folder = file.parent / data["root"] if "root" in data else table.parent
    if not folder.is_dir():
        raise InputError(f"{file}: root {str(folder)!r} is no folder")
    return folder


def _section(data: dict, key: str, file: Path) -> dict[str, str]:
    section = data.get(key, {})
    if not isinstance(section, dict):
        raise InputError(f"{file}: {key!r} must be a section: [{key}]")
    for name, value in section.items():
        if not isinstance(value, str) and (key != "constants" or isinstance(value, dict | list)):
            raise InputError(f"{file}: [{key}] {name!r}: text in quotes is needed")
    return section


def _check_columns(sections: dict[str, dict], file: Path) -> None:
    for key in ("columns", "constants"):
        for column in sections[key]:
            if column not in KNOWN:
                raise InputError(
                    f"{file}: [{key}] {column!r} is no column of the frame table"
                    f"{nearest(column, KNOWN)} (columns: {', '.join(KNOWN)})"
                )
    both = sorted(set(sections["columns"]) & set(sections["constants"]))
    if both:
        raise InputError(f"{file}: {both[0]!r} is in [columns] and in [constants]; keep one")
    given = {*sections["columns"], *sections["constants"]}
    if sections["anatomy"] and "anatomy" not in given:
        raise InputError(f"{file}: [anatomy] names labels, but [columns] lacks 'anatomy'")
    for column in {"mask_kind", "mask_classes"} & given if "mask" not in given else ():
        raise InputError(f"{file}: {column!r} is given, but [columns] lacks 'mask'")
    for column in NEEDED:
        if column not in sections["columns"]:
            raise InputError(
                f"{file}: [columns] lacks {column!r}; name the own column that holds it"
            )


def _own_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """The own table as text ("" = empty), its index counting rows from 2 as in a spreadsheet."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; 'table' in the mapping names it")
    if path.suffix.lower() != ".parquet":
        return _reading.read_csv(path, columns)
    try:
        table = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file") from error
    for column in columns:
        _reading.require_column(map(str, table.columns), column, path)
    if table.empty:
        raise InputError(f"{path}: no rows")
    table.index = range(2, len(table) + 2)
    table = table[list(dict.fromkeys(columns))]
    for name, values in table.items():
        for row in values.index[values.map(pd.api.types.is_list_like)]:
            raise _reading.refusal(path, row, str(name), values[row], "one value is needed")
    return table.apply(_as_text)


def _as_text(values: pd.Series) -> pd.Series:
    """Numbers that a missing value turned into 4.0 are written 4, as in a CSV file."""
    whole = pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all()
    if whole and not (values.abs() >= 2**53).any():
        values = values.astype("Int64")
    return values.astype(object).map(lambda v: "" if pd.isna(v) else str(v).strip())


def _refuse_empty(rows: pd.DataFrame, column: str, name: str, path: Path) -> None:
    for row in rows.index[rows[column] == ""]:
        raise _reading.refusal(path, row, name, "", "every frame needs one")


def _numbers(own: pd.DataFrame, mapping: dict) -> dict[str, pd.Series]:
    """The number columns that the own table has, checked; an empty pixel_mm is unknown."""
    path, columns, found = mapping["table"], mapping["columns"], {}
    if "pixel_mm" in columns:
        given = own[own[columns["pixel_mm"]] != ""]
        found["pixel_mm"] = _reading.numbers(given, columns["pixel_mm"], path).reindex(own.index)
    if "index" in columns:
        found["index"] = own[columns["index"]]
        for row, value in found["index"].items():
            if not value.isdecimal():
                reason = "not a frame number (0, 1, 2, ...)"
                raise _reading.refusal(path, row, columns["index"], value, reason)
    return found


def _anatomy(labels: pd.Series, mapping: dict, taxonomy: Taxonomy) -> pd.Series:
    """Own labels as names of the taxonomy; None = unknown."""
    names = labels.map(lambda label: mapping["anatomy"].get(label, label)).astype(object)
    names = names.where(names != "", None)
    column = mapping["columns"].get("anatomy", "anatomy")
    try:
        _reading.check_anatomy(names, column, mapping["table"], taxonomy)
    except InputError as error:
        raise InputError(f"{error}; or list it under [anatomy] in {mapping['file']}") from error
    return names


def _frame_ids(rows: pd.DataFrame) -> pd.Series:
    default = rows["path"].map(lambda name: Path(name).with_suffix("").as_posix().lstrip("/"))
    if "index" in rows:
        default = default + "/" + rows["index"]
    return (
        rows["frame_id"].where(rows["frame_id"] != "", default) if "frame_id" in rows else default
    )


def _shared_scans(rows: pd.DataFrame) -> list[str]:
    """A scan is of one patient; ids that restart for each patient would tie all patients."""
    if "scan" not in rows:
        return []
    patients = rows.groupby("scan")["patient"].nunique()
    shared = patients[patients > 1]
    if shared.empty:
        return []
    return [
        f"{len(shared)} scan ids belong to several patients, for example {shared.index[0]!r} to "
        f"{shared.iloc[0]}; where they restart for each patient, make them unique or leave them out"
    ]


def _existing(root: Path, name: str) -> str | None:
    path = root / name
    try:
        return str(path) if name and path.is_file() else None
    except OSError:  # a name that is too long for any file
        return None


def _find_masks(rows: pd.DataFrame, root: Path) -> list[str]:
    """Fills the mask columns in `rows`; a frame whose mask is absent stays, and is noted."""
    if "mask" not in rows:
        return []
    found = pd.Series([_existing(root, name) for name in rows["mask"]], rows.index, dtype=object)
    absent = (rows["mask"] != "") & found.isna()
    rows["mask"] = found
    for column in {"mask_kind", "mask_classes"} & set(rows):
        rows[column] = rows[column].where(found.notna(), None)
    names = rows["frame_id"][absent]
    return [_reading.absence(names, "masks of frames")] if absent.any() else []
