"""Runs the rows, each file in a process of its own; see the package's docstring."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks import results, rows
from benchmarks.harness import Missing, Row, Run, scratch

ROOT = Path(__file__).parents[1]


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
    """Measures a file of rows in a process of its own and stores what it gave; whether it did."""
    busy = results.busy_cores()
    print(f"{name} ...", flush=True)
    began = time.perf_counter()
    with tempfile.NamedTemporaryFile(suffix=".json") as into:
        flags = ["--only", name, "--into", into.name, "--storage", options.storage]
        command = [sys.executable, "-m", "benchmarks", *flags, *["--smoke"] * options.smoke]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": ":".join(paths)})
        took = time.perf_counter() - began
        if done.returncode:
            return False
        found = [Row(**row) for row in json.loads(Path(into.name).read_text(encoding="utf-8"))]
    busy = max(busy, results.busy_cores())
    for row in found:
        print(f"  {told(row)}")
    planned = rows.FILES[name].seconds
    print(f"  {took:.0f} s" + f", over the {planned} s that it may take" * (took > planned))
    if busy > results.BUSY:
        print(f"  other work used {busy:.1f} cores: preliminary")
    if not options.smoke:
        results.add(name, found, took, busy)
    return True


def told(row: Row) -> str:
    """A row in a line."""
    why = row.why if not row.ours or row.met is False else ""
    cells = (row.what, row.ours, row.against, results.ratio(row.ratio), row.aim, why)
    return " | ".join(filter(None, cells))


def measure(name: str, options: argparse.Namespace) -> None:
    """In the process of a file of rows: measures it, and writes its rows into a file."""
    found: list[Row] = []
    with scratch() as folder:
        try:
            found.extend(rows.load(name).measure(Run(folder, options.smoke, Path(options.storage))))
        except Missing as error:
            found.append(Row(name, why=f"not run: {error}"))
    Path(options.into).write_text(json.dumps([asdict(row) for row in found]), encoding="utf-8")


if __name__ == "__main__":
    main()
