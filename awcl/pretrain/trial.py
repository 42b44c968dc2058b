"""A trial's key and record: what pre-training reads, and nothing else."""

from pathlib import Path
from typing import Any

from awcl import checkpoints, hashing
from awcl.config import TrialConfig, flat, parse, with_values
from awcl.data.pack import FramePack
from awcl.downstream import tasks
from awcl.errors import InputError
from awcl.files import read_json_if_there
from awcl.pretrain.methods import canonical, defaults
from awcl.taxonomy import Taxonomy


def trial_key(config: TrialConfig, pack_digest: str, taxonomy_digest: str) -> str:
    """12 hex digits over all that pre-training reads.

    Fields at their default are left out, so a field that is added later changes no key.
    """
    values, default = flat(canonical(config)), flat(defaults(config.pretrain.method))
    read = {name: value for name, value in values.items() if value != default[name]}
    read.pop("anatomy.taxonomy", None)  # its digest says what is in it
    return hashing.of_json({"config": read, "pack": pack_digest, "taxonomy": taxonomy_digest})


def about(config: TrialConfig, pack: FramePack) -> dict[str, Any]:
    """TRIAL.json: the configuration in full, and what its key is made of."""
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    return {
        "key": trial_key(config, pack.digest, taxonomy.digest),
        "config": config.model_dump(mode="json"),
        "pack": pack.digest,
        "taxonomy": taxonomy.digest,
    }


def told(
    settings: tasks.TaskSettings, what: str, pack: FramePack, taxonomy: Taxonomy
) -> tasks.TaskSettings:
    """The settings of a task with which anatomy labels pre-training used, as far as is known.

    what: an encoder as the command line names it. 'random' and 'imagenet' used none, and saw none
    of these frames. A run's folder or a checkpoint in it has the run's TRIAL.json; that counts
    where it was trained on this pack. Raises InputError where that was by another taxonomy, so that
    what it calls an anatomy is another thing here.
    """
    if what in ("random", "imagenet"):
        config = with_values(TrialConfig(), {"pretrain.positives": "self"}, what)
        settings = tasks.for_trial(settings, canonical(config))
        elsewhere = settings.pretrained.model_copy(update={"elsewhere": True})
        return settings.model_copy(update={"pretrained": elsewhere})
    config = _config_of(what, pack, taxonomy)
    return settings if config is None else tasks.for_trial(settings, canonical(config))


def trained_on_others(what: str, pack: FramePack) -> bool:
    """Whether an encoder is of a run that is known to have read other frames, or other labels or
    splits of these, so that nothing keeps its training apart from this test."""
    found = _trial_of(what)
    return found is not None and found.get("pack") != pack.digest


def _config_of(what: str, pack: FramePack, taxonomy: Taxonomy) -> TrialConfig | None:
    """Of the run that an encoder is of, where that was trained on this pack."""
    found = _trial_of(what)
    if found is None or found.get("pack") != pack.digest:
        return None
    config = parse(TrialConfig, found["config"], f"TRIAL.json of {what}")
    if found.get("taxonomy", taxonomy.digest) != taxonomy.digest:
        own = config.anatomy.taxonomy
        raise InputError(f"{what}: trained by another taxonomy; give --anatomy.taxonomy {own}")
    return config


def _trial_of(what: str) -> dict[str, Any] | None:
    """TRIAL.json of the run that an encoder is of; None where it is of none, as a weights file in
    any folder may be."""
    path = Path(what).absolute()
    if path.is_file():
        if path.name != checkpoints.ENCODER:
            return None
        path = path.parent
    for folder in (path, *path.parents[:3]):  # a study's: KEY/train/LAUNCH/epoch_0007
        found = read_json_if_there(folder / "TRIAL.json")
        if found is not None:
            return found
    return None
