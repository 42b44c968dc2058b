"""Commands of one encoder: pretrain, embed, export."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from awcl.commands.shared import (
    configured,
    encoder_of,
    frame_table,
    new_file,
    packs_folder,
    tell_failed,
    where,
)
from awcl.errors import InputError


def pretrain(options: argparse.Namespace) -> int:
    from awcl import warm
    from awcl.config import RunConfig, TrialConfig, with_values
    from awcl.data.packing import find_or_build
    from awcl.downstream.diagnostics import Diagnostics
    from awcl.downstream.proxy import Proxy
    from awcl.pretrain import machine
    from awcl.pretrain.loop import pretrain as run_loop
    from awcl.pretrain.methods import canonical
    from awcl.pretrain.reporter import FolderReporter
    from awcl.pretrain.trial import about
    from awcl.taxonomy import Taxonomy

    if Path(options.out).is_file():
        raise InputError(f"--out {options.out}: is a file; give a folder")
    config, weights = configured(TrialConfig, options), Path(options.out) / "weights"
    model = config.model
    init = warm.keep(
        model.init, model.backbone, config.data.size, weights, options.imagenet_weights
    )
    config = canonical(with_values(config, {"model.init": init}, "the command line"))
    run = configured(RunConfig, options)
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    packed = find_or_build(frame_table(options, taxonomy), config.data.size, packs_folder(options))
    tell_failed(packed)
    evaluators = [
        Proxy(packed, taxonomy, options.proxy_level, config.data.pretrain_where),
        Diagnostics(packed, config.data.recipe),
    ]
    reporter = FolderReporter(
        Path(options.out), about(config, packed), keep=run.keep, log=_epoch_line(config)
    )
    with machine.process_group():
        history = run_loop(config, packed, taxonomy, reporter, evaluators, run, weights)
    last = history[-1]
    if "val/proxy" in last:  # measured by the first of several processes
        print(f"{last['epoch']} epochs, val/proxy {last['val/proxy']:.3f} -> {options.out}")
    return 0


def embed(options: argparse.Namespace) -> int:
    from awcl.config import TrialConfig
    from awcl.data.packing import find_or_build
    from awcl.data.table import rows_where
    from awcl.downstream.features import write_features
    from awcl.taxonomy import Taxonomy

    out = new_file(options.out, ".parquet")
    taxonomy = Taxonomy.load(configured(TrialConfig, options).anatomy.taxonomy)
    encoder, word = encoder_of(options, options.encoder)
    packed = find_or_build(frame_table(options, taxonomy), encoder.size, packs_folder(options))
    tell_failed(packed)
    rows = rows_where(packed.frames, where(options.where))
    if not len(rows):
        raise InputError("--where: no frame is left")
    write_features(out, encoder, packed, rows)
    print(f"{len(rows)} frames, {encoder.width} features of {word} -> {out}")
    return 0


def export(options: argparse.Namespace) -> int:
    from awcl.export import to_onnx, to_safetensors

    out = new_file(options.out, ".safetensors", ".onnx")
    encoder, word = encoder_of(options, options.encoder)
    write = to_onnx if out.suffix == ".onnx" else to_safetensors
    for line in write(encoder, out):
        print(line)
    print(f"{encoder.backbone}, {word} -> {out}")
    return 0


def _epoch_line(config: Any) -> Callable[[dict[str, Any]], None]:
    def log(row: dict[str, Any]) -> None:
        if row["epoch"] == 0:
            print(f"untrained  proxy {row['val/proxy']:.3f}", flush=True)
            return
        print(
            f"epoch {row['epoch']:3d}/{config.pretrain.epochs}  loss {row['loss']:.3f}  "
            f"proxy {row['val/proxy']:.3f}  {row['images_per_second']:.0f} images/s  "
            f"data wait {row['data_wait']:.0%}  positives {row['positives/mean']:.1f}",
            flush=True,
        )

    return log
