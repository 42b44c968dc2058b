"""The command `awcl evaluate`: encoders judged on downstream tasks, side by side."""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awcl.commands.shared import (
    check_writable,
    configured,
    encoder_of,
    frame_table,
    new_file,
    packs_folder,
    tell_failed,
    where,
)
from awcl.errors import InputError


@dataclass
class Subject:
    """One X of the command line. encoder: None where its results are stored: then none is loaded.

    what: X without a name. results: task -> EVAL.json and predictions.
    """

    word: str
    what: str
    encoder: Any
    results: dict[str, tuple[dict[str, Any], Any]]


def evaluate(options: argparse.Namespace) -> int:
    from awcl.downstream import comparing, suite, telling

    if options.compare and len(options.encoders) < 2:
        raise InputError("--compare: give two encoders or more; each is compared with the first")
    file = new_file(options.out, ".json") if (options.out or "").endswith(".json") else None
    if file and (len(options.encoders) > 1 or len(options.task) != 1):
        raise InputError(f"--out {file}: one encoder and one --task go in a file; give a folder")
    subjects = [_subject(given, options) for given in options.encoders]
    suite.check_names([subject.word for subject in subjects])
    if any(subject.encoder for subject in subjects):
        _judge(subjects, options, None if file or not options.out else Path(options.out))
    results = {subject.word: subject.results for subject in subjects}
    for task in dict.fromkeys(task for of in results.values() for task in of):
        told = {word: of[task][0] for word, of in results.items() if task in of}
        print(f"{telling.scores(task, told)}\n")
    if options.compare:
        for found in comparing.pairs(results):
            print(f"{telling.differences(*found)}\n")
        print(telling.CLEAR)
    if file:
        from awcl.files import write_json

        write_json(file, next(iter(subjects[0].results.values()))[0])
    if options.out:
        print(f"-> {options.out}")
    return 0


def _subject(given: str, options: argparse.Namespace) -> Subject:
    """What NAME=X or X names. With --compare, a folder that holds results is not judged again."""
    from awcl.downstream.comparing import stored

    name, equals, what = given.partition("=")
    if not equals or Path(given).exists():
        name, what = "", given
    results = stored(what) if options.compare else {}
    if results:
        names = [asked.get("name") or asked["task"] for asked in _asked(options)]
        chosen = {task: results[task] for task in names or results if task in results}
        return Subject(name or Path(what).resolve().name, what, None, chosen)
    encoder, word = encoder_of(options, what)
    return Subject(name if equals and what != given else word, what, encoder, {})


def _asked(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What each --task names: a task, or settings as a study's recipe holds them, in JSON."""
    asked = []
    for given in options.task:
        try:
            settings = json.loads(given) if given.lstrip().startswith("{") else {"task": given}
        except json.JSONDecodeError as error:
            raise InputError(f"--task {given}: no JSON ({error})") from error
        if "task" not in settings:
            raise InputError(f'--task {given}: which? give "task"')
        asked.append(settings)
    names = [settings.get("name") or settings["task"] for settings in asked]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'--task: two are called {name!r}; give one of them a "name"')
    return asked


def _tell_others(subjects: list[Subject], packs: dict[int, Any]) -> None:
    """A line for each encoder of which is not known which of these patients it has seen."""
    from awcl.pretrain.trial import trained_on_others

    for subject in subjects:
        if trained_on_others(subject.what, packs[subject.encoder.size]):
            print(
                f"{subject.word}: pre-trained on another table of frames; whether it saw test "
                "patients of this one is not known",
                file=sys.stderr,
            )


def _judge(subjects: list[Subject], options: argparse.Namespace, out: Path | None) -> None:
    """Fills in the results of all that have an encoder; what cannot be is told before any is."""
    import torch
    from tqdm import tqdm

    from awcl.config import TrialConfig
    from awcl.data.packing import find_or_build
    from awcl.downstream import suite, tasks
    from awcl.pretrain.trial import told
    from awcl.taxonomy import Taxonomy

    if not options.frames:
        raise InputError("--frames FRAMES.parquet is needed; make one with `awcl frames`")
    given = {"quick": options.quick}
    if options.where:
        given["where"] = where(options.where)
    chosen = [tasks.settings({**given, **asked}) for asked in _asked(options)]
    taxonomy = Taxonomy.load(configured(TrialConfig, options).anatomy.taxonomy)
    table, packs, judged = frame_table(options, taxonomy), {}, [s for s in subjects if s.encoder]
    for size in dict.fromkeys(subject.encoder.size for subject in judged):
        packs[size] = find_or_build(table, size, packs_folder(options))
    pack = next(iter(packs.values()))
    tell_failed(pack)
    _tell_others(judged, packs)
    if not chosen:
        chosen, reasons = suite.allowed(given, pack, taxonomy)
        for name, reason in reasons.items():
            print(f"{name} is not run: {reason}", file=sys.stderr)
    jobs = [
        (subject, told(settings, subject.what, packs[subject.encoder.size], taxonomy))
        for subject in judged
        for settings in chosen
    ]
    for subject, settings in jobs:
        packed = packs[subject.encoder.size]
        there = suite.kept(subject.encoder, subject.word, settings, packed, taxonomy, out)
        if there:
            print(f"{there}: kept as it is")
    if out is not None:
        check_writable(out)
    for subject, settings in (bar := tqdm(jobs, disable=None, leave=False)):
        bar.set_description(f"{settings.name} of {subject.word}")
        encoder = subject.encoder.cuda() if torch.cuda.is_available() else subject.encoder
        packed = packs[encoder.size]
        subject.results[settings.name] = suite.judge(
            encoder, subject.word, settings, packed, taxonomy, out
        )
