"""How fast on one card, and how near to its limit: `python -m benchmarks.gpu`.

    python -m benchmarks.gpu                     all of it, an hour perhaps: GPU.md and gpu.json
    python -m benchmarks.gpu --only loss         training, loss or views alone
    python -m benchmarks.gpu --smoke             tiny sizes, on a processor too; writes no results

Needs what the library itself imports (torch, torchvision, timm, albumentations, numpy, pandas and
their like, at the pins of requirements.txt), but neither ray nor mlflow. A row is written as soon
as it is there, in place of what the same card gave for it before, so that --only, --backbones and
--modes measure all of it bit by bit, and what fails takes nothing with it. A subject is a file of
on_card/, which tells what is measured and how.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from awcl.pretrain import machine
from benchmarks import results
from benchmarks.harness import Row, Run, scratch
from benchmarks.on_card import loss, training, views
from benchmarks.on_card.card import FAILED, Parts, card, failing

HERE = Path(__file__).parent
HEAD = """# Results on a card

Made by `python -m benchmarks.gpu`; what each row measures is told in `on_card/`. A ratio is the
median over turns in which both were measured, with the lowest and the highest turn: how many times
as fast as the other ours is. A figure of timm's is of another card, and has a ratio on that card
only.

"""

SUBJECTS: dict[str, Callable[[Run, torch.device, argparse.Namespace], Parts]] = {
    "training": training.rows,
    "loss": loss.rows,
    "views": views.rows,
}


def main() -> None:
    options = _options()
    device = machine.device(options.device, 0)
    if device.type == "cpu" and not options.smoke:
        sys.exit("benchmarks.gpu: no CUDA device here; --smoke shows on a processor that all runs")
    print(card(device), flush=True)
    failed = False
    with scratch() as folder:
        for subject in options.only or SUBJECTS:
            run = Run(folder / subject, options.smoke)
            for part, rows in SUBJECTS[subject](run, device, options):
                for row in failing(f"{subject} {part}", rows):
                    print("  " + results.line(asdict(row), options.date), flush=True)
                    failed |= row.why.startswith(FAILED)
                    if options.out:
                        add(Path(options.out), device, options, f"{subject} {part}", row)
    if failed:
        sys.exit("benchmarks.gpu: some rows failed")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; writes only with --out")
    parser.add_argument("--only", action="append", metavar="SUBJECT", choices=SUBJECTS)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--backbones", nargs="+", metavar="NAME", help="resnet18 resnet50")
    parser.add_argument(
        "--modes", nargs="+", metavar="MODE", choices=training.MODES, help=", ".join(training.MODES)
    )
    parser.add_argument("--size", type=int, help="side of a view in pixels (224)")
    parser.add_argument("--batch", type=int, help="frames a step, two views of each (256)")
    parser.add_argument("--steps", type=int, help="of an epoch, which is a turn (100)")
    parser.add_argument("--loader-workers", type=int, help="all cores but one, at most 8")
    parser.add_argument("--turns", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--out", metavar="DIR", help="where GPU.md and gpu.json go (benchmarks)")
    options = parser.parse_args()
    smoke, cores = options.smoke, len(os.sched_getaffinity(0))
    options.backbones = options.backbones or (["test_resnet"] if smoke else list(training.TIMM))
    options.modes = options.modes or list(training.MODES)
    options.size = options.size or (32 if smoke else 224)
    options.batch = options.batch or (4 if smoke else 256)
    options.steps = options.steps or (2 if smoke else 100)
    if options.loader_workers is None:
        options.loader_workers = 0 if smoke else min(8, cores - 1)
    options.out = options.out or (None if smoke else HERE)
    options.date = time.strftime("%Y-%m-%d")
    return options


def add(
    folder: Path, device: torch.device, options: argparse.Namespace, part: str, row: Row
) -> None:
    """Puts a row in place of what this card gave for it before, and writes GPU.md.

    What failed of it is gone then, too: all of its part, or what its name begins as.
    """
    about = results.machine() | {"card": card(device), "cuda": torch.version.cuda}
    store = folder / "gpu.json"
    stored = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {"cards": {}}
    there = stored["cards"].get(about["card"], {})
    kept = {name: of for name, of in there.items() if not _is_failure_of(of, part, row)}
    kept[row.what] = {
        "machine": about,
        "date": options.date,
        "part": part,
        "options": vars(options) | {"out": str(folder)},
        "row": asdict(row),
    }
    stored["cards"][about["card"]] = kept
    store.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    (folder / "GPU.md").write_text(table(stored["cards"]), encoding="utf-8")


def _is_failure_of(stored: dict[str, Any], part: str, row: Row) -> bool:
    before = stored["row"]
    whole = stored["part"] == before["what"] == part
    failed = before["why"].startswith(FAILED)
    return failed and (whole or row.what.startswith(before["what"]))


def table(cards: dict[str, dict[str, Any]]) -> str:
    """GPU.md: a table for each card, with a line for each of its machines or sets of versions."""
    lines = []
    for name, rows in cards.items():
        lines += [f"## {name}\n", *results.machines(rows), *results.COLUMNS]
        lines += [results.line(found["row"], found["date"]) for found in rows.values()]
        lines.append("")
    return HEAD + "\n".join(lines)


if __name__ == "__main__":
    main()
