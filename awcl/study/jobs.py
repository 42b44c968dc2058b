"""What the study's process hands to those that do the work: a trial's training, an evaluation.

A job is plain data (JSON), so that no object of this program has to be unpickled elsewhere.
"""

from pathlib import Path
from typing import Any

from awcl.study import packs
from awcl.study.plan import Evaluation, Plan, Trial
from awcl.study.starts import weights_folder

Job = dict[str, Any]


def training_job(trial: Trial, plan: Plan, launch: str) -> Job:
    """All that a trial's driver and workers need. launch: a name for this run of the study."""
    return {
        "key": trial.key,
        "folder": str(trial.folder.path),
        "launch": launch,
        "config": trial.config.model_dump(mode="json"),
        "pack": str(trial.pack.folder),
        "shared_pack": str(packs.shared(trial.pack, plan.folder.path.parent)),
        "node_disk": plan.study.resources.node_disk,
        "weights": str(weights_folder(plan.folder.path.parent)),
        "taxonomy": _absolute(trial.config.anatomy.taxonomy),
        "proxy_level": plan.study.proxy_level,
        "proxy_where": plan.study.proxy_where,
        "resources": plan.study.resources.model_dump(mode="json"),
    }


def evaluation_job(evaluation: Evaluation, plan: Plan) -> Job:
    """All that an evaluation needs."""
    trial = evaluation.trial
    return {
        "key": trial.key,
        "config": trial.config.model_dump(mode="json"),
        "pack": str(trial.pack.folder),
        "shared_pack": str(packs.shared(trial.pack, plan.folder.path.parent)),
        "node_disk": plan.study.evaluations_ask.node_disk,
        "taxonomy": _absolute(trial.config.anatomy.taxonomy),
        "settings": evaluation.settings.model_dump(mode="json"),
        "checkpoint": str(evaluation.checkpoint),
        "folder": str(evaluation.folder),
    }


def _absolute(taxonomy: str) -> str:
    """Ray's workers run in another folder."""
    return str(Path(taxonomy).absolute()) if Path(taxonomy).is_file() else taxonomy
