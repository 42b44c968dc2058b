"""What the sources share: finding a download's table and images, reading the table, refusing it.

A table is read as text, with its index counting rows as a spreadsheet does (the header is row 1),
so a message names the row that its reader sees.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from awcl.data.table import SPLITS, split_by_patient
from awcl.errors import InputError, nearest
from awcl.taxonomy import Taxonomy

DEPTH = 2  # a table lies in the folder given, or in one nested at most this deep by unzipping
SUFFIX = re.compile(r"\.[A-Za-z]\w*$")  # of a file's name
NAMED = 3  # so many absent images are named in a note


def find_table(root: Path, name: str) -> Path:
    """The file `name` in `root` or nested in it; the least nested one.

    Raises InputError where it is absent, or where two copies are equally near.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the one that holds {name}")
    for depth in range(DEPTH + 1):
        found = sorted(root.glob("*/" * depth + name))
        if len(found) > 1:
            raise InputError(f"{root}: holds {name} twice: {found[0]} and {found[1]}; give one")
        if found:
            return found[0]
    raise InputError(f"{root}: no {name} in it, nor up to {DEPTH} folders deep in it")


def read_csv(path: Path, columns: Iterable[str], further: Iterable[str] = ()) -> pd.DataFrame:
    """A table separated by ';' or ',', as text without outer spaces; `columns` must be in it,
    `further` ones may be, none of them twice.

    A byte order mark, either line end, and blank lines are accepted.
    Raises InputError where the file is no such table, or naming the column that is missing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error.reason})") from error
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    cells = _cells(text, delimiter, path)
    header = cells[0] if cells else []
    for column in columns:
        require_column(header, column, path)
    for column in (*columns, *further):
        if header.count(column) > 1:
            raise InputError(f"{path}: column {column!r} is there {header.count(column)} times")
    body = {row: line for row, line in enumerate(cells[1:], start=2) if any(line)}
    for row, line in body.items():
        if len(line) != len(header):
            raise InputError(
                f"{path}: row {row}: {len(line)} values under {len(header)} column names"
            )
    if not body:
        raise InputError(f"{path}: no rows below the header")
    return pd.DataFrame(list(body.values()), index=list(body), columns=header, dtype=object)


def _cells(text: str, delimiter: str, path: Path) -> list[list[str]]:
    """Rows of values. Refuses what would take rows into one value: a quote that is not closed, and
    two stray ones, by a line between them that looks like a row."""
    rows, reader = [], csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for line in reader:
            rows.append([cell.strip() for cell in line])
            inner = [text.split(delimiter) for cell in line for text in cell.splitlines()[1:]]
            if any(len(one) == len(rows[0]) > 1 and _is_like(one, rows[-1]) for one in inner):
                raise csv.Error("a value goes over several lines, one of which looks like a row")
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num}: {error}; a quote that opens a value must close it"
        ) from error
    return rows


def _is_like(parts: list[str], row: list[str]) -> bool:
    """Whether the parts of a line name a file where the row does, as `b.png` where it has `a.png`.
    A line of a report may have as many commas, and names none. Beside a row without files, each
    line is like it."""
    named = [[bool(SUFFIX.search(value.strip())) for value in of] for of in (row, parts)]
    return not any(named[0]) or any(own and other for own, other in zip(*named, strict=False))


def require_column(header: Iterable[str], column: str, path: Path) -> None:
    """Raises InputError, with the nearest name there is, where a table lacks a column."""
    header = list(header)
    if column not in header:
        raise InputError(
            f"{path}: column {column!r} is missing{nearest(column, header)}"
            f" (columns: {', '.join(header) or 'none'})"
        )


def translate(table: pd.DataFrame, column: str, known: Mapping[str, str], path: Path) -> pd.Series:
    """A column's values by `known`; raises InputError with the row of a value that it lacks."""
    for row, value in table[column].items():
        if value not in known:
            raise refusal(path, row, column, value, f"known: {', '.join(known)}")
    return table[column].map(known).astype(object)


def numbers(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """A column as float64; raises InputError with the row of a value that is none above 0."""
    values = pd.to_numeric(table[column], errors="coerce").astype(float)
    for row in values.index[~((values > 0) & (values < math.inf))]:
        raise refusal(path, row, column, table[column][row], "a number above 0 is needed")
    return values


def check_anatomy(anatomy: pd.Series, column: str, path: Path, taxonomy: Taxonomy) -> None:
    """Raises InputError with the row of a label that is not in the taxonomy; None is unknown."""
    for name in anatomy.dropna().unique():
        try:
            taxonomy.check(name)
        except InputError as error:
            row = anatomy.index[anatomy == name][0]
            raise refusal(path, row, column, name, str(error)) from error


def refusal(path: Path, row: int, column: str, value: object, reason: str) -> InputError:
    """The error for one value of a table."""
    return InputError(f"{path}: row {row}, column {column!r}, value {str(value)!r}: {reason}")


def refuse_empty(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raises InputError with the row where a column that every row needs is empty."""
    for row in table.index[table[column] == ""]:
        raise refusal(path, row, column, "", "empty; every row needs one")


def same_number(text: str) -> str:
    """'005' and '5' are one patient; other names stay as they are."""
    return str(int(text)) if text.isdecimal() else text


def without_png(name: str) -> str:
    """An image's name without its suffix, which some copies of a table give and some do not."""
    return name[:-4] if name.lower().endswith(".png") else name


def pngs(*folders: Path) -> dict[str, Path]:
    """PNG files of the folders that exist, by name without suffix; earlier folders win.

    A folder is listed once, since asking for each of thousands of files is slow on a network disk.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() == ".png":
                    found.setdefault(path.stem, path.absolute())
    return found


def splits(rows: pd.DataFrame, column: str, path: Path) -> tuple[list[str], list[str]]:
    """The split of each row of an own table, and a note where a part of it is ours."""
    if "split" not in rows:
        return [split_by_patient(p) for p in rows["patient"]], ["patients were split 60/20/20"]
    for row, value in rows["split"].items():
        if value not in SPLITS:
            reason = f"write {', '.join(SPLITS)} (numbers are not guessed at)"
            raise refusal(path, row, column, value, reason)
    if (rows["split"] == "val").any():
        return list(rows["split"]), []
    pairs = zip(rows["patient"], rows["split"], strict=True)
    return [split_by_patient(*pair) for pair in pairs], ["a fifth of the train patients became val"]


def keep_present(
    rows: pd.DataFrame, path: Path, what: str = "images"
) -> tuple[pd.DataFrame, list[str]]:
    """The rows that have a `path`, and a note that names the first of the others.

    Raises InputError where none is there at all: then the folder is the wrong one.
    """
    absent = rows["path"].isna()
    if absent.all():
        raise InputError(
            f"{path}: none of its {len(rows)} {what} is there, for example "
            f"{rows['frame_id'].iloc[0]!r}; is the download whole?"
        )
    notes = [absence(rows["frame_id"][absent], what)] if absent.any() else []
    return rows[~absent], notes


def absence(names: pd.Series, what: str) -> str:
    """The note on files that a table names and the folder lacks."""
    more = ", ..." if len(names) > NAMED else ""
    first = ", ".join(names.iloc[:NAMED])
    return f"{len(names)} {what} named in the table are absent: {first}{more}"
