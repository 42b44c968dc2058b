"""Tables of Markdown."""

from collections.abc import Iterable

Cells = Iterable[object]


def table(head: Cells, rows: Iterable[Cells]) -> str:
    """Its first column is words, the others are figures."""
    heads = [str(cell) for cell in head]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *([str(c) for c in r] for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
