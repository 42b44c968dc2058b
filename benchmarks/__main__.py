"""Runs the rows, each file in a process of its own; see the package's docstring."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import results, rows
from benchmarks.alone import alone
from benchmarks.harness import Missing, Row, Run, scratch


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=rows.__doc__)
    parser.add_argument("--only", action="append", metavar="ROW", choices=rows.FILES)
    parser.add_argument("--long", action="store_true", help="the long rows, and no others")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; writes no results")
    parser.add_argument("--storage", default="results", help="where studies are (results)")
    parser.add_argument("--into", metavar="FILE", help=argparse.SUPPRESS)  # in the row's process
    options = parser.parse_args()
    if options.into:
        measure(options.only[0], options)
        return
    failed = [name for name in wanted(options) if not run(name, options)]
    if failed:
        sys.exit(f"benchmarks: failed: {', '.join(failed)}")


def wanted(options: argparse.Namespace) -> list[str]:
    """Names of files of rows."""
    if options.only:
        return options.only
    return [name for name, plan in rows.FILES.items() if options.smoke or plan.long == options.long]


def run(name: str, options: argparse.Namespace) -> bool:
    """Measures a file of rows in a process of its own and stores what it gave; whether all did."""
    print(f"{name} ...", flush=True)
    flags = ["--only", name, "--storage", options.storage, *["--smoke"] * options.smoke]
    done = alone("benchmarks", *flags)
    found = [Row(**row) for row in done.wrote or []]
    if not done.well:
        found.append(Row(f"{name}, what follows", why="failed"))
    for row in found:
        print(f"  {told(row)}")
    planned = rows.FILES[name].seconds
    over = f", over the {planned} s that it may take" * (done.seconds > planned)
    print(f"  {done.seconds:.0f} s{over}")
    if done.busy > results.BUSY:
        print(f"  other work used {done.busy:.1f} cores: preliminary")
    if not options.smoke:
        results.add(name, found, done.seconds, done.busy)
    return done.well


def told(row: Row) -> str:
    """A row in a line."""
    why = row.why if not row.ours or row.met is False else ""
    cells = (row.what, row.ours, row.against, results.ratio(row.ratio), row.aim, why)
    return " | ".join(filter(None, cells))


def measure(name: str, options: argparse.Namespace) -> None:
    """In the process of a file of rows: measures it, and writes each row into a file as it comes.

    So what was measured before a row that fails is not lost.
    """
    found: list[Row] = []
    with scratch() as folder:
        try:
            for row in rows.load(name).measure(Run(folder, options.smoke, Path(options.storage))):
                found.append(row)
                write(found, options.into)
        except Missing as error:
            found.append(Row(name, why=f"not run: {error}"))
    write(found, options.into)


def write(found: list[Row], into: str) -> None:
    Path(into).write_text(json.dumps([asdict(row) for row in found]), encoding="utf-8")


if __name__ == "__main__":
    main()
