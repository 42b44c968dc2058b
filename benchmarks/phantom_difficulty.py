"""Is the phantom neither trivial nor impossible?

    python benchmarks/phantom_difficulty.py [--scans 400] [--seconds 2.4] [--epochs 24]

Macro-F1 over its 13 anatomies, patients held out, of a ridge probe on raw pixels at 16 x 16, on a
randomly initialised encoder and on a supervised one. All are trained on the second trimester of
machines A and B, and tested there, on the unseen machine C, and on the first trimester. Aim: pixels
and random under 0.5 at home, supervised over 0.9, and a visible step to machine C.

Writes its phantom, pack and encoder under --out, and uses them again. About 9 minutes on 2 cores.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from awcl import checkpoints
from awcl.config import DataConfig, ModelConfig, PretrainConfig, RunConfig, TrialConfig
from awcl.data.pack import FramePack
from awcl.data.packing import find_or_build
from awcl.data.phantom.scan import Settings
from awcl.data.phantom.writing import write
from awcl.data.table import rows_where
from awcl.downstream import scores
from awcl.downstream.probes import ridge
from awcl.encoder import Encoder, features
from awcl.pretrain.loop import pretrain
from awcl.pretrain.methods import canonical
from awcl.pretrain.reporter import FolderReporter
from awcl.pretrain.trial import about
from awcl.taxonomy import Taxonomy

HOME = {"trimester": ["second"], "machine": ["A", "B"]}
FEWEST = 45  # scans; with fewer, machine C or the first trimester has no test patient
TESTS = {
    "machines A, B": HOME,
    "machine C": {"trimester": ["second"], "machine": ["C"]},
    "first trimester": {"trimester": ["first"], "machine": ["A", "B"]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/phantom_difficulty"))
    parser.add_argument("--scans", type=int, default=400, help="45 at least, for all tests")
    parser.add_argument("--seconds", type=float, default=2.4, help="length of a scan")
    parser.add_argument("--size", type=int, default=96, help="view size in pixels")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--backbone", default="resnet10t")
    options = parser.parse_args()
    if options.scans < FEWEST:
        parser.error(f"--scans {options.scans}: the tests need {FEWEST}, for test patients in each")
    taxonomy = Taxonomy.load()
    settings = Settings(size=128, seconds=options.seconds)
    table = write(
        options.out / "phantom", options.scans, settings, taxonomy,
        workers=os.cpu_count() or 1,
    )  # fmt: skip
    pack = find_or_build(table, options.size, options.out / "packs")
    torch.manual_seed(0)
    encoders = {
        "pixels 16 x 16": pixels,
        "random": partial(features, Encoder(options.backbone, options.size)),
        "supervised": partial(features, supervised(options, pack, taxonomy)),
    }
    print(f"macro-F1 [95 % over patients], {options.scans} scans, {options.backbone} at "
          f"{options.size} px, {options.epochs} epochs")  # fmt: skip
    print(f"{'':16s}" + "".join(f"{name:24s}" for name in TESTS))
    for name, encoder in encoders.items():
        cells = judge(encoder, pack, taxonomy)
        print(f"{name:16s}" + "".join(f"{cell:24s}" for cell in cells))


def supervised(options: argparse.Namespace, pack: FramePack, taxonomy: Taxonomy) -> Encoder:
    """Trained on every label of the train patients at home."""
    config = canonical(
        TrialConfig(
            model=ModelConfig(backbone=options.backbone),
            pretrain=PretrainConfig(method="supervised", epochs=options.epochs, warmup=2),
            data=DataConfig(size=options.size, pretrain_where=HOME),
        )
    )
    trial = about(config, pack)
    run = options.out / f"supervised-{trial['key']}"
    pretrain(
        config, pack, taxonomy, FolderReporter(run, trial, keep=1, log=print_epoch), (), RunConfig()
    )
    return Encoder.load(checkpoints.newest(run) / "encoder.safetensors")


def print_epoch(row: dict) -> None:
    print(f"  supervised: epoch {row['epoch']}, loss {row['loss']:.3f}", flush=True)


def pixels(pack: FramePack, rows: np.ndarray) -> np.ndarray:
    """(N, 256) grey values."""
    small = [
        cv2.resize(pack.evaluation_view(r), (16, 16), interpolation=cv2.INTER_AREA) for r in rows
    ]
    return np.stack(small).reshape(len(rows), -1).astype(np.float32)


def judge(
    of: Callable[[FramePack, np.ndarray], np.ndarray], pack: FramePack, taxonomy: Taxonomy
) -> list[str]:
    """A probe trained at home, and its macro-F1 on each test. of: features of rows of a pack."""
    train, names = labelled(pack, taxonomy, {**HOME, "split": ["train"]})
    classes, labels = np.unique(names, return_inverse=True)
    known = of(pack, train)
    patients = pack.frames["patient"].to_numpy(str)
    cells = []
    for where in TESTS.values():
        rows, truth = labelled(pack, taxonomy, {**where, "split": ["test"]})
        truth = np.searchsorted(classes, truth)
        found = ridge(known, labels, patients[train], of(pack, rows))
        score = {"f1": scores.macro_f1}
        low, high = scores.intervals(truth, found, patients[rows], len(classes), score)["f1"]
        value = scores.macro_f1(scores.confusions(truth, found, len(classes)))
        cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
    return cells


def labelled(pack: FramePack, taxonomy: Taxonomy, where: dict) -> tuple[np.ndarray, np.ndarray]:
    """Rows with an anatomy, and its name."""
    rows = rows_where(pack.frames, where)
    names = pack.frames["anatomy"].iloc[rows].map(lambda name: taxonomy.at(name, "fine"))
    known = names.notna().to_numpy()
    return rows[known], names[known].to_numpy(str)


if __name__ == "__main__":
    main()
