"""The encoders that a study's trials start from: looked up once, kept in its storage. No ray."""

import warnings

from awcl import warm
from awcl.config import with_values
from awcl.encoder import check_backbone
from awcl.errors import InputError, NotAtHandError
from awcl.files import AnyPath
from awcl.study.space import Study, expand, not_run, runnable, started_from


def weights_folder(storage: AnyPath) -> AnyPath:
    """Where all studies of a storage keep the weights that trials start from."""
    return storage / "weights"


def with_weights(study: Study, storage: AnyPath, imagenet: str | None = None) -> Study:
    """The study with every `model.init` that it names looked up, and the weights kept in storage.

    study: with what an earlier run found, which stands where an encoder is no longer where it was.
    imagenet: a file of those weights, where the cache lacks them; without either, the trials that
    start from them are not run, and a warning says what to do. Raises InputError where there is no
    such encoder, where it has changed since the earlier run, and where no trial is left.
    """
    folder, before = weights_folder(storage), study.weights
    study = with_values(study, {"weights": {}}, f"study {study.name}")
    found: dict[str, str] = {}
    for config in expand(study):
        name, model = started_from(config), config.model
        if model.init == warm.RANDOM or name in found:
            continue
        check_backbone(model.backbone)
        try:
            found[name] = warm.keep(model.init, model.backbone, config.data.size, folder, imagenet)
        except InputError as error:
            if name in before:
                found[name] = warm.keep(before[name], model.backbone, config.data.size, folder)
            elif not isinstance(error, NotAtHandError):
                raise InputError(f"study {study.name}: {error}") from error
            else:
                warnings.warn(f"{error}; trials that start from it are not run", stacklevel=2)
        if name in found and before.get(name, found[name]) != found[name]:
            raise InputError(
                f"study {study.name}: model.init {model.init} was {before[name]} when the study "
                f"first ran, and is {found[name]} now; run it under another name (--as NEWNAME)"
            )
    study = with_values(study, {"weights": found}, f"study {study.name}")
    if not_run(study) and not runnable(study):
        raise InputError(f"study {study.name}: {not_run(study)[0]['reason']} for any of its trials")
    return study
