"""Measures the subjects, each in a process of its own; see the package's docstring."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.alone import alone
from benchmarks.harness import Missing, Run, scratch
from benchmarks.scaling import page

NAMES = ("overhead", "driver-100", "driver-1000", "tracking", "writes", "rungs", "network")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--only", action="append", metavar="SUBJECT", choices=NAMES)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; writes no results")
    parser.add_argument("--write", action="store_true", help="only writes the tables anew")
    parser.add_argument("--into", metavar="FILE", help=argparse.SUPPRESS)  # in a subject's process
    options = parser.parse_args()
    if options.into:
        measure(options.only[0], options)
        return
    wanted = [] if options.write else options.only or NAMES
    failed = [name for name in wanted if not run(name, options.smoke)]
    if not options.smoke:
        page.write()
    if failed:
        sys.exit(f"benchmarks.scaling: failed: {', '.join(failed)}")


def run(name: str, smoke: bool) -> bool:
    """Measures a subject in a process of its own and stores what it gave; whether it did."""
    print(f"{name} ...", flush=True)
    done = alone("benchmarks.scaling", "--only", name, *["--smoke"] * smoke)
    if not done.well:
        return False
    print(
        f"  {done.seconds:.0f} s, other work used {done.busy:.1f} cores\n  {json.dumps(done.wrote)}"
    )
    if not smoke:
        page.add(name, done.wrote, done.seconds, done.busy)
    return True


def measure(name: str, options: argparse.Namespace) -> None:
    """In the process of a subject: measures it, and writes its figures into a file."""
    from benchmarks.scaling.subjects import SUBJECTS

    with scratch() as folder:
        try:
            figures = SUBJECTS[name](Run(folder, options.smoke))
        except Missing as error:
            sys.exit(f"{name}: not run: {error}")
    Path(options.into).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
