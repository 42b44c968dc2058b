"""Several tasks on an encoder: which of them the frames allow, and each result written once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from awcl.data.pack import FramePack
from awcl.downstream import tasks
from awcl.downstream.comparing import read_predictions
from awcl.downstream.evaluation import evaluate, write_evaluation
from awcl.downstream.features import weights_digest
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.files import read_json, read_json_if_there
from awcl.taxonomy import Taxonomy

Result = tuple[dict[str, Any], pd.DataFrame]


def allowed(
    given: dict[str, Any], pack: FramePack, taxonomy: Taxonomy
) -> tuple[list[tasks.TaskSettings], dict[str, str]]:
    """Settings of every task that these frames allow, and why the others are not run, by name.

    given: settings of all of them; with quick, only tasks that are cheap enough for it. Tasks that
    are to be asked for are not among them. Raises InputError where they allow none.
    """
    able, reasons = [], {}
    for name in tasks.names():
        try:
            settings = tasks.settings({"task": name, **given})
            if settings.runs_in not in (("quick",) if given.get("quick") else ("quick", "full")):
                continue
            tasks.build(settings, pack, taxonomy)
            able.append(settings)
        except InputError as error:
            reasons[name] = str(error)
    if not able:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise InputError(f"these frames allow no task; {why}")
    return able, reasons


def judge(
    encoder: Encoder,
    word: str,
    settings: tasks.TaskSettings,
    pack: FramePack,
    taxonomy: Taxonomy,
    out: Path | None = None,
) -> Result:
    """EVAL.json and predictions of one task, written to out/<word>/<task> where `out` is given.

    A result that is there is kept, and not evaluated again. Raises InputError where that is of
    other weights, settings, frames or taxonomy; `kept` tells so beforehand.
    """
    there = kept(encoder, word, settings, pack, taxonomy, out)
    if there is not None:
        return read_json(there / "EVAL.json"), read_predictions(there)
    result, predictions, figures = evaluate(encoder, settings, pack, taxonomy)
    result = {"encoder": word, "weights": weights_digest(encoder), **result}
    if out is not None:
        write_evaluation(out / word / settings.name, result, predictions, figures)
    return result, predictions


def kept(
    encoder: Encoder,
    word: str,
    settings: tasks.TaskSettings,
    pack: FramePack,
    taxonomy: Taxonomy,
    out: Path | None,
) -> Path | None:
    """The folder where this very result is stored; None where there is none.

    Raises InputError where another one has its name.
    """
    folder = None if out is None else out / word / settings.name
    result = None if folder is None else read_json_if_there(folder / "EVAL.json")
    if result is None:
        return None
    asked = {
        "weights": weights_digest(encoder),
        "settings": settings.model_dump(mode="json"),
        "pack": pack.digest,
        "taxonomy": taxonomy.digest,
    }
    result.setdefault("taxonomy", taxonomy.digest)  # results of before did not say
    for what, value in asked.items():
        if result.get(what) != value:
            told = _changed(result.get(what), value) if what == "settings" else what
            told = "frames" if what == "pack" else told
            raise InputError(f"{folder}: holds a result of other {told}; give another --out")
    return folder


def _changed(there: Any, asked: dict[str, Any]) -> str:
    """Settings that differ."""
    there = there if isinstance(there, dict) else {}
    names = [name for name in asked if there.get(name) != asked[name]]
    first = f"{names[0]} {there.get(names[0])!r}, now {asked[names[0]]!r}" if names else "not known"
    return f"settings ({first})"


def check_names(words: Sequence[str]) -> None:
    """Raises InputError where two encoders have one name, or one cannot be that of a folder."""
    for word in words:
        if word in ("", ".", "..") or "/" in word or "\\" in word:
            raise InputError(f"an encoder called {word!r}: choose a NAME that a folder can have")
        if words.count(word) > 1:
            raise InputError(f"two encoders are called {word!r}; tell them apart as NAME=X")
