"""Commands of studies: `awcl study ACTION`."""

import argparse
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from awcl.commands.shared import tell_failed
from awcl.config import with_values
from awcl.errors import EvaluationError, InputError

FAILED = 1


def study_run(options: argparse.Namespace) -> int:
    from awcl.study.stages import Stages

    with Stages() as stages:
        plan, tracker = _study(options, stages)
        if options.dry_run:
            from awcl.study import dry

            stages.begin(
                "dry run",
                "nothing is trained; frames and packs stay in storage, results there are none",
            )
            for line in dry.tell(plan):
                print(line)
            return 0
        stages.begin("ray")
        from awcl.study import executor  # seconds, so after what can be refused

        failed = _carried_out(executor.execute, plan, tracker, stages)
    return _tell_study(plan, tracker, stages, failed)


def study_evaluate(options: argparse.Namespace) -> int:
    from awcl.study.stages import Stages

    with Stages() as stages:
        plan, tracker = _study(options, stages, stored=True)
        failed = _carried_out(_evaluate, plan, tracker, stages)
    return _tell_study(plan, tracker, stages, failed)


def _evaluate(plan: Any, tracker: Any, stages: Any) -> None:
    """Evaluates what is missing; starts Ray only where something is."""
    if next(plan.missing_evaluations(), None) is None and not plan.lost:
        if not {"finished", "stopped"} & {trial.folder.outcome for trial in plan.trials}:
            raise InputError(
                f"study {plan.study.name}: nothing to evaluate, no trial has ended; "
                "`awcl study run` trains them"
            )
        print("nothing to evaluate: every task has judged every trial that has ended")
        return
    stages.begin("ray")
    from awcl.study import executor

    executor.evaluate(plan, tracker, stages)


def _carried_out(work: Callable, plan: Any, tracker: Any, stages: Any) -> str:
    """Does the work in the study's folder; returns what to say of evaluations that failed."""
    from awcl.study.plan import held

    failed = ""
    with held(plan):
        try:
            with stages.stored(plan.folder):
                work(plan, tracker, stages)
        except EvaluationError as error:
            failed = str(error)
        stages.begin("report")
        if _reported(plan.folder):
            tracker.report()
        stages.end()
    return failed


def _reported(folder: Any) -> bool:
    """Writes the report of a study that has run; whether it could.

    What hours of training gave is stored by then, so nothing here may fail the study: neither a
    damaged file or a full disk, nor a mistake of ours in drawing a figure. That one is named as
    such, and `awcl study report`, which hides nothing, shows where it is.
    """
    from awcl.report.writing import write

    again = f"`awcl study report {folder.path.name}` tries again"
    try:
        write(folder, has_ended=True)
    except InputError as error:
        print(f"awcl: no report was written: {error}; {again}", file=sys.stderr)
    except OSError as error:
        print(f"awcl: no report was written: {error.strerror or error}; {again}", file=sys.stderr)
    except Exception as error:  # noqa: BLE001 - the study is done, whatever its report comes to
        told = f"{type(error).__name__}: {error}"
        print(
            f"awcl: no report was written, by a fault of this program ({told}); "
            f"`awcl study report {folder.path.name}` shows where",
            file=sys.stderr,
        )
    else:
        return True
    return False


def study_status(options: argparse.Namespace) -> int:
    from awcl.study.table import render

    print(render(_stored_study(options), details=True))
    return 0


def study_report(options: argparse.Namespace) -> int:
    from awcl.report.writing import write

    print(f"report   {write(_stored_study(options))}")
    return 0


def study_propose(options: argparse.Namespace) -> int:
    import pandas as pd

    from awcl.study.propose import STARTUP, propose

    folder = _stored_study(options)
    with folder.only_driver():
        points, learnt_from = propose(folder, options.count)
    print(pd.DataFrame(points).to_string(index=False))
    at_random = f"; below {STARTUP} they are random draws" if learnt_from < STARTUP else ""
    print(f"{len(points)} configurations appended, learnt from {learnt_from} finished{at_random}")
    print(f"`awcl study run {options.name}` trains them")
    return 0


def study_sync(options: argparse.Namespace) -> int:
    from awcl.tracking import Tracker
    from awcl.tracking.client import shown

    folder = _stored_study(options)
    tracker = Tracker(_tracking(options), folder, goes_on=False)
    with folder.only_driver():  # one writer
        folder.catch_up()
        tracker.sync()
    if tracker.failed:
        print(f"awcl: MLflow at {shown(tracker.uri)}: {tracker.failed}", file=sys.stderr)
        return FAILED
    print(f"{tracker.study.path} -> {shown(tracker.uri)}")
    return 0


def study_register(options: argparse.Namespace) -> int:
    from awcl.tracking.client import shown
    from awcl.tracking.registry import register

    folder, uri = _stored_study(options), _tracking(options)
    with folder.only_driver():  # one writer
        made = register(uri, folder, options.trial)
    alias = f", models:/{made.name}@best" if made.is_best else ""
    print(f"trial {made.trial} is models:/{made.name}/{made.version}{alias} at {shown(uri)}")
    return 0


def _study(options: argparse.Namespace, stages: Any, stored: bool = False) -> tuple[Any, Any]:
    """The plan of a study and its tracker; its frames are made where none are given.

    stored: only of a study that was run before.
    """
    from awcl.study import recipes, smoke

    study, smoked = recipes.load(options.name), getattr(options, "smoke", False)
    if options.rename is not None:
        study = with_values(study, {"name": options.rename}, "--as")
    if smoked:
        study = smoke.smaller(study, _stored_smoke(options, study))
    if not options.frames and study.phantom is None:
        raise InputError("--frames FRAMES.parquet is needed; make one with `awcl frames`")
    from awcl.data.table import FrameTable
    from awcl.files import storage_folder
    from awcl.study import packs, phantom, plan
    from awcl.taxonomy import Taxonomy
    from awcl.tracking import Tracker

    storage, uri = storage_folder(options.storage), _tracking(options)
    if stored:
        _found(storage / study.name)
    taxonomy = Taxonomy.load(study.base.anatomy.taxonomy)
    if options.frames:
        frames = Path(options.frames)
    else:
        where = packs.local_storage(storage)
        frames = phantom.make(study.phantom, where, taxonomy, stages)
    table = FrameTable.read(frames, taxonomy)
    if smoked:
        table = smoke.fewer(table)
    stages.begin("pack", "frames as the trials read them")
    packs_folder = Path(options.packs) if options.packs else None
    made = plan.make_plan(
        study, table, storage, packs_folder, options.imagenet_weights, _command(options)
    )
    tell_failed(made.trials[0].pack)
    return made, Tracker(uri, made.folder)


def _stored_smoke(options: argparse.Namespace, study: Any) -> Any:
    """The smoke study that was run before of this one; None where there is none."""
    from awcl.files import storage_folder
    from awcl.records import StudyFolder
    from awcl.study.growth import stored_study
    from awcl.study.smoke import name_of

    there = StudyFolder(storage_folder(options.storage) / name_of(study)).definition
    return stored_study(there) if there else None


def _command(options: argparse.Namespace) -> Any:
    """What says which study it is; a recipe's file as seen from here, where it lies below."""
    from awcl.records import Command

    recipe, here = Path(options.name), Path.cwd()
    if recipe.is_absolute() and recipe.is_relative_to(here):
        recipe = recipe.relative_to(here)
    smoke = getattr(options, "smoke", False)
    frames = bool(options.frames)
    return Command(recipe=str(recipe), rename=options.rename, smoke=smoke, frames=frames)


def _stored_study(options: argparse.Namespace) -> Any:
    from awcl.files import storage_folder
    from awcl.study import recipes

    name = recipes.load(options.name).name if options.name.endswith(".py") else options.name
    return _found(storage_folder(options.storage) / name)


def _found(path: Any) -> Any:
    """The study in a folder. Raises InputError where none is stored there."""
    from awcl.records import StudyFolder

    folder = StudyFolder(path)
    if folder.definition is None:
        raise InputError(f"{path}: no study is stored here; run it, or give --storage")
    return folder


def _tell_study(plan: Any, tracker: Any, stages: Any, failed: str) -> int:
    """The table of a study, and last what failed."""
    from awcl.study.table import render
    from awcl.tracking.client import where_to_look

    print(f"\n{render(plan.folder)}\n")
    print(_times(stages.summary()))
    print(f"storage  {plan.folder.path}")
    if plan.folder.report.is_file():
        print(f"report   {plan.folder.report}")
    print(f"compare  {where_to_look(tracker.uri, _program('mlflow'))}")
    if failed:
        print(f"awcl: {failed}", file=sys.stderr)
    outcomes = {trial.outcome for trial in plan.folder.trials()}
    return FAILED if failed or "failed" in outcomes else 0


def _times(summary: str) -> str:
    """Within the table's width; a line never ends between a stage and its time."""
    from awcl.study.table import WIDTH

    parts = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in summary.split(", "))
    lines = textwrap.fill(parts, WIDTH, initial_indent="times    ", subsequent_indent=" " * 9)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def _program(name: str) -> str:
    """What to type for a program that was installed beside this one."""
    beside = Path(sys.executable).parent / name
    if shutil.which(name) == str(beside) or not beside.is_file():
        return name
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def _tracking(options: argparse.Namespace) -> str:
    from awcl.tracking.client import checked

    beside = "results" if "://" in options.storage else options.storage
    given = checked(options.tracking or f"sqlite:///{Path(beside) / 'mlflow.db'}")
    kind, _, file = given.partition("sqlite:///")  # a relative file would be another one elsewhere
    return given if kind or not file else f"sqlite:///{Path(file).absolute()}"
