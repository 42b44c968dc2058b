"""An evaluation, inside Ray."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from awcl import checkpoints, warm
from awcl.config import TrialConfig
from awcl.data.pack import FramePack
from awcl.downstream import tasks
from awcl.downstream.evaluation import SEEN, evaluate, target_domain_seen, write_evaluation
from awcl.encoder import Encoder
from awcl.files import as_path
from awcl.pretrain.loop import pretrain_rows
from awcl.study.worker import device_for, opened


def evaluate_job(job: dict[str, Any], cpus: int, gpus: float) -> None:
    """Evaluates a checkpoint and writes the result once."""
    torch.set_num_threads(cpus)
    device = device_for(gpus)
    config, pack, taxonomy = opened(job)
    checkpoint = as_path(job["checkpoint"])
    with checkpoints.opened(checkpoint) as local:
        encoder = Encoder.load(local / checkpoints.ENCODER).to(device)
    settings = tasks.settings(job["settings"])
    result, predictions, figures = evaluate(encoder, settings, pack, taxonomy)
    result["checkpoint"] = checkpoints.digest(checkpoint)
    result["epoch"] = checkpoints.epoch_of(checkpoint)
    result["metrics"] |= domain_seen(config, pack, predictions, result["metrics"])
    write_evaluation(as_path(job["folder"]), result, predictions, figures)


def domain_seen(
    config: TrialConfig, pack: FramePack, predictions: pd.DataFrame, metrics: Mapping[str, float]
) -> dict[str, float]:
    """Whether pre-training saw the domain of the test frames, for the metrics of an evaluation.

    Nothing where crossings have said it of theirs, since their predictions are of home, too; nor
    where the trial started from an encoder that may have seen what the trial has not.
    """
    if any(name.endswith(f"/{SEEN}") for name in metrics):
        return {}
    rows = pretrain_rows(pack, config) if config.pretrain.epochs else []
    seen = target_domain_seen(pack, rows, predictions)
    return {SEEN: float(seen)} if seen or warm.saw_no_frames(config.model.init) else {}
