"""A trial's key and record: what pre-training reads, and nothing else."""

from typing import Any

from awcl import hashing
from awcl.config import TrialConfig, flat
from awcl.data.pack import FramePack
from awcl.pretrain.methods import canonical
from awcl.taxonomy import Taxonomy


def trial_key(config: TrialConfig, pack_digest: str, taxonomy_digest: str) -> str:
    """12 hex digits over all that pre-training reads.

    Fields at their default are left out, so a field that is added later changes no key.
    """
    values, defaults = flat(canonical(config)), flat(TrialConfig())
    read = {name: value for name, value in values.items() if value != defaults[name]}
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
