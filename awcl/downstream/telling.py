"""What `awcl evaluate` prints: the main scores of encoders side by side, and their differences."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it loads all that compares, which a table of a study does not need
    from awcl.downstream.comparing import Difference

WIDTH = 100
DETAILS = {"class", "domain"}  # parts of the names of scores that only files hold
ENDS = ("/low", "/high")
Rows = list[list[str]]


def scores(task: str, results: Mapping[str, dict[str, Any]]) -> str:
    """The table of one task: a row a main score, a column an encoder.

    results: encoder -> EVAL.json. More encoders than are wide enough follow in a table below.
    """
    metrics = {encoder: result["metrics"] for encoder, result in results.items()}
    names = list(dict.fromkeys(name for of in metrics.values() for name in of if is_main(name)))
    left = [["", *names]]
    columns = [[encoder, *(_value(of, name) for name in names)] for encoder, of in metrics.items()]
    return "\n".join([task, *_facts(results), *_side_by_side(left, columns)])


def is_main(name: str) -> bool:
    return not name.endswith(ENDS) and DETAILS.isdisjoint(name.split("/"))


def differences(task: str, first: str, other: str, rows: list["Difference"]) -> str:
    """The table of one task and pair; n is the number of patients."""
    head = ["", "A", "B", "B - A [95 %]", "n"]
    cells = [
        [
            row.score, f"{row.first:.3f}", f"{row.second:.3f}",
            f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]{_star(row)}",
            str(row.units),
        ]
        for row in rows
        if is_main(row.score)
    ]  # fmt: skip
    title = f"{task}: {other} (B) minus {first} (A)"
    return "\n".join([title, *_indented(aligned([head, *cells]))])


def _star(row: "Difference") -> str:
    """A bias has no better side, so that no difference of it is one."""
    return " *" if row.is_clear and "bias" not in row.score else ""


CLEAR = (
    "n patients; * clear of zero: the interval over resamples of patients, 6 or more, holds no "
    "zero.\nBelow about 30 it is too narrow. This is one pair: an arm of a study needs one sign in "
    "every\nseed, too."
)


def aligned(rows: Rows) -> str:
    """Cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _value(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics:
        return "-"
    ends = [metrics.get(name + end) for end in ENDS]
    interval = "" if None in ends else " [{:.3f}, {:.3f}]".format(*ends)
    return f"{metrics[name]:.3f}{interval}"


def _side_by_side(left: Rows, columns: Rows) -> Iterator[str]:
    """Lines of tables, each with the left column and as many others as are within the width."""
    table = list(left)
    for column in columns:
        wider = aligned([list(row) for row in zip(*table, column, strict=True)])
        if len(table) > 1 and max(map(len, wider.splitlines())) > WIDTH - 2:
            yield from _lines(table)
            table = list(left)
        table.append(column)
    yield from _lines(table)


def _lines(columns: Rows) -> list[str]:
    return _indented(aligned([list(row) for row in zip(*columns, strict=True)]))


def _indented(table: str) -> list[str]:
    return [f"  {line}" for line in table.splitlines()]


def _facts(results: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """What `about` says of the task; once where it says the same of all encoders."""
    told: dict[str, list[str]] = {}
    for encoder, result in results.items():
        for line in _flat(result["about"]):
            told.setdefault(line, []).append(encoder)
    for line, encoders in told.items():
        of = "" if len(encoders) == len(results) else f"{', '.join(encoders)}: "
        yield textwrap.fill(of + line, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _flat(about: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """'name: value' for each fact, with values that are empty left out."""
    for name, value in about.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}, ")
        elif isinstance(value, list | tuple):
            if len(value):
                yield f"{prefix}{name}: {', '.join(map(str, value))}"
        elif value not in ("", None):
            yield (
                f"{prefix}{name}: {value:g}"
                if isinstance(value, float)
                else f"{prefix}{name}: {value}"
            )
