"""Commands that make and judge one encoder: pretrain, evaluate."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from awcl.commands.shared import configured, frame_table, packs_folder, tell_failed, where


def pretrain(options: argparse.Namespace) -> int:
    from awcl.config import RunConfig, TrialConfig
    from awcl.data.packing import find_or_build
    from awcl.downstream.diagnostics import Diagnostics
    from awcl.downstream.proxy import Proxy
    from awcl.pretrain import machine
    from awcl.pretrain.loop import pretrain as run_loop
    from awcl.pretrain.methods import canonical
    from awcl.pretrain.reporter import FolderReporter
    from awcl.pretrain.trial import about
    from awcl.taxonomy import Taxonomy

    config = canonical(configured(TrialConfig, options))
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
        history = run_loop(config, packed, taxonomy, reporter, evaluators, run)
    if "val/proxy" in history[-1]:  # measured by the first of several processes
        print(f"{len(history)} epochs, val/proxy {history[-1]['val/proxy']:.3f} -> {options.out}")
    return 0


def evaluate(options: argparse.Namespace) -> int:
    from awcl.config import TrialConfig
    from awcl.data.packing import find_or_build
    from awcl.downstream import tasks
    from awcl.downstream.evaluation import evaluate as judge
    from awcl.files import write_json
    from awcl.taxonomy import Taxonomy
    from awcl.weights import find_encoder

    config = configured(TrialConfig, options)
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    settings = tasks.settings({"task": options.task, "where": where(options.where)})
    encoder, name = find_encoder(
        options.encoder, config.model.backbone, config.data.size, config.seed
    )
    packed = find_or_build(frame_table(options, taxonomy), encoder.size, packs_folder(options))
    result, _, _ = judge(encoder, settings, packed, taxonomy)
    if options.out:
        write_json(Path(options.out), {"encoder": name, **result})
    classes = ", ".join(result["about"]["classes"])
    print(f"{options.task} of {name}, level {result['about']['level']}: {classes}")
    metrics = result["metrics"]
    for metric, value in metrics.items():
        if not metric.endswith(("/low", "/high")):
            low, high = metrics.get(f"{metric}/low"), metrics.get(f"{metric}/high")
            interval = "" if low is None else f"  [{low:.3f}, {high:.3f}]"
            print(f"  {metric:40s} {value:.3f}{interval}")
    return 0


def _epoch_line(config: Any) -> Callable[[dict[str, Any]], None]:
    def log(row: dict[str, Any]) -> None:
        print(
            f"epoch {row['epoch']:3d}/{config.pretrain.epochs}  loss {row['loss']:.3f}  "
            f"proxy {row['val/proxy']:.3f}  {row['images_per_second']:.0f} images/s  "
            f"data wait {row['data_wait']:.0%}  positives {row['positives/mean']:.1f}",
            flush=True,
        )

    return log
