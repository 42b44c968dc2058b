"""One evaluation: an encoder, a task, and the folder that its result is written to once."""

import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from awcl.data.pack import FramePack
from awcl.data.table import DOMAINS
from awcl.downstream import tasks
from awcl.downstream.pretrained import Pretrained
from awcl.encoder import Encoder
from awcl.files import AnyPath, put_in_place, scratch_folder, write_json
from awcl.taxonomy import Taxonomy
from awcl.version import code_version

LOOKS = [name for name in DOMAINS if name != "operator"]
"""What makes frames look different; one more operator of a clinic is no new domain there."""
SEEN = "target_domain_seen"
"""The score that tells it: of a whole task, or CROSSING/target_domain_seen of one crossing."""


def evaluate(
    encoder: Encoder, settings: tasks.TaskSettings, pack: FramePack, taxonomy: Taxonomy
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Figure]]:
    """The result of a task, ready for EVAL.json, its predictions, and its figures by their names.

    The encoder is left as it was. Raises InputError where the frames do not allow the task.
    """
    task = tasks.build(settings, pack, taxonomy)
    metrics = dict(task.run(encoder))
    result = {
        "task": settings.task,
        "name": settings.name,
        "settings": settings.model_dump(mode="json"),
        "pack": pack.digest,
        "taxonomy": taxonomy.digest,
        "backbone": encoder.backbone,
        "code": code_version(),
        "time": time.time(),
        "about": task.about,
        "metrics": metrics,
    }
    return result, task.predictions, task.figures


def write_evaluation(
    folder: AnyPath,
    result: dict[str, Any],
    predictions: pd.DataFrame,
    figures: Mapping[str, Figure] = MappingProxyType({}),
) -> None:
    """EVAL.json, predictions.parquet and a PNG a figure, whole or not at all."""
    with scratch_folder(folder.parent) as part:
        predictions.to_parquet(part / "predictions.parquet", index=False)
        for name, figure in figures.items():
            figure.savefig(part / f"{name}.png", dpi=120, bbox_inches="tight")
        write_json(part / "EVAL.json", result)
        put_in_place(part, folder)


def target_domain_seen(pack: FramePack, pretrained: np.ndarray, predictions: pd.DataFrame) -> bool:
    """Whether pre-training saw frames (unlabelled or not) of a domain that the test frames are of.

    pretrained: rows of the pack. A domain is a combination of source, machine, site, trimester.
    """
    seen = _domains(pack.frames.iloc[pretrained])
    tested = _domains(pack.frames[pack.frames["frame_id"].isin(predictions["frame_id"])])
    return not seen.isdisjoint(tested)


def away_seen(
    crossing: str, pretrained: Pretrained | None, pack: FramePack, away: pd.DataFrame
) -> Iterator[tuple[str, float]]:
    """CROSSING/target_domain_seen, over the test frames away; nothing where it is not known what
    pre-training saw."""
    if pretrained is not None:
        seen = target_domain_seen(pack, pretrained.seen(pack), away)
        yield f"{crossing}/{SEEN}", float(seen)


def _domains(frames: pd.DataFrame) -> set[tuple]:
    return set(frames[LOOKS].astype(str).itertuples(index=False, name=None))
