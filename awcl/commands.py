"""What each command of the command line does; options in, exit code out.

Imports stand inside the functions, so that a command waits for nothing that it does not use.
"""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from awcl.config import Config, flat, with_values
from awcl.errors import InputError

LEAKS, FAILED = 3, 1
C = TypeVar("C", bound=Config)


def frames(options: argparse.Namespace) -> int:
    from awcl.data import sources
    from awcl.taxonomy import Taxonomy

    out = _parquet(options.out)
    folders: list[tuple[str, Path]] = []
    for given in options.sources:
        name, equals, folder = given.partition("=")
        if not equals or not folder:
            raise InputError(
                f"{given!r}: give NAME=DIR, with NAME one of {', '.join(sources.names())}"
            )
        folders.append((name, Path(folder)))
    chosen = {} if options.every is None else {"every": options.every}
    table, notes = sources.frames(folders, Taxonomy.load(options.taxonomy), **chosen)
    if options.private:
        key = out.with_suffix(".key")
        table = table.private(key)
        notes.append(f"patient, scan and frame names are keyed hashes; keep {key} safe and apart")
    table.write(out)
    for note in notes:
        print(note)
    print(_counts(table))
    print(f"{len(table)} frames -> {out}")
    return 0


def audit(options: argparse.Namespace) -> int:
    from awcl.data import audit as auditing
    from awcl.data.table import FrameTable
    from awcl.taxonomy import Taxonomy

    taxonomy = Taxonomy.load(options.taxonomy)
    out = _parquet(options.fix) if options.fix else None
    table = FrameTable.read(options.frames, taxonomy, check_splits=False)
    found = auditing.audit(table, workers=os.cpu_count() or 1, taxonomy=taxonomy)
    if len(found.unreadable) == len(table):
        name, reason = next(iter(found.unreadable.items()))
        raise InputError(f"none of {len(table)} frames could be read; the first, {name}: {reason}")
    fixed = None
    if options.fix:
        try:
            fixed = found.fix(force=options.force)
        except InputError:
            print("\n".join(found.lines()))
            raise
        fixed.write(out)
    print("\n".join(found.lines()))
    if fixed is not None:
        print(f"{len(fixed)} frames -> {options.fix}")
    if found.unreadable:
        share = f"{len(found.unreadable)} of {len(table)} frames could not be read and compared"
        print(f"awcl: warning: {share}", file=sys.stderr)
    return LEAKS if found.leaks else 0


def pack(options: argparse.Namespace) -> int:
    from awcl.data.packing import find_or_build

    made = find_or_build(_table(options), options.size, _packs(options))
    _tell_failed(made)
    print(f"{len(made)} frames at {options.size} px -> {made.folder}")
    return 0


def phantom(options: argparse.Namespace) -> int:
    from awcl.data.phantom import sheet, writing
    from awcl.data.phantom.scan import Settings
    from awcl.data.table import FrameTable
    from awcl.taxonomy import Taxonomy

    if not options.out and not options.sheet:
        raise InputError("phantom: give --out DIR to make one, or --sheet FILE.png to look at one")
    if options.beside and not options.sheet:
        raise InputError("phantom: --beside goes with --sheet FILE.png, which it is drawn on")
    if options.sheet and not options.sheet.lower().endswith(".png"):
        raise InputError(f"--sheet {options.sheet}: it is a PNG; give a name that ends in .png")
    taxonomy = Taxonomy.load(options.taxonomy)
    if options.out:
        given = {f: getattr(options, f) for f in ("size", "rate", "seconds", "labelled", "every")}
        settings = Settings(**given, seed=options.seed)
        table = writing.write(
            Path(options.out), options.scans, settings, taxonomy,
            as_videos=options.videos,
            workers=(os.cpu_count() or 1) if options.workers is None else options.workers,
        )  # fmt: skip
        print(_counts(table))
        print(f"{len(table)} frames -> {Path(options.out) / 'frames.parquet'}")
    if options.sheet:
        beside = FrameTable.read(options.beside, taxonomy) if options.beside else None
        sheet.draw(Path(options.sheet), options.seed, beside, taxonomy)
        print(f"contact sheet -> {options.sheet}")
    return 0


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

    config = canonical(_config(TrialConfig, options))
    run = _config(RunConfig, options)
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    packed = find_or_build(_table(options, taxonomy), config.data.size, _packs(options))
    _tell_failed(packed)
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
    from awcl.encoder import find_encoder
    from awcl.files import write_json
    from awcl.taxonomy import Taxonomy

    config = _config(TrialConfig, options)
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    settings = tasks.settings({"task": options.task, "where": _where(options.where)})
    encoder, name = find_encoder(
        options.encoder, config.model.backbone, config.data.size, config.seed
    )
    packed = find_or_build(_table(options, taxonomy), encoder.size, _packs(options))
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


def study_run(options: argparse.Namespace) -> int:
    from awcl.study.stages import Stages

    with Stages() as stages:
        plan, tracker = _study(options, stages)
        if options.dry_run:
            from awcl.study import dry

            stages.begin("dry run", "nothing is trained, nothing stored but frames and packs")
            for line in dry.tell(plan):
                print(line)
            return 0
        stages.begin("ray")
        from awcl.study import executor  # seconds, so after what can be refused
        from awcl.study.plan import held

        with held(plan), stages.stored(plan.folder):
            executor.execute(plan, tracker, stages)
    return _tell_study(plan, tracker, stages)


def study_evaluate(options: argparse.Namespace) -> int:
    from awcl.study.stages import Stages

    with Stages() as stages:
        plan, tracker = _study(options, stages)
        stages.begin("ray")
        from awcl.study import executor
        from awcl.study.plan import held

        with held(plan), stages.stored(plan.folder):
            executor.evaluate(plan, tracker, stages)
    return _tell_study(plan, tracker, stages)


def study_status(options: argparse.Namespace) -> int:
    from awcl.study.table import render

    print(render(_stored_study(options), details=True))
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

    folder = _stored_study(options)
    tracker = Tracker(_tracking(options), folder)
    with folder.only_driver():  # one writer
        folder.catch_up()
        tracker.sync()
    if tracker.failed:
        return FAILED
    print(f"{tracker.study.path} -> {tracker.uri}")
    return 0


def study_register(options: argparse.Namespace) -> int:
    from awcl.tracking.registry import register

    folder, uri = _stored_study(options), _tracking(options)
    with folder.only_driver():  # one writer
        made = register(uri, folder, options.trial)
    alias = f", models:/{made.name}@best" if made.is_best else ""
    print(f"trial {made.trial} is models:/{made.name}/{made.version}{alias} at {uri}")
    return 0


# --- what commands share -----------------------------------------------------------------------


def _config(kind: type[C], options: argparse.Namespace) -> C:
    """A configuration from its dotted flags, defaults where none is given."""
    known = flat(kind())
    given = {name: getattr(options, f"config:{name}", None) for name in known}
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        if name.endswith("_where"):
            values[name] = _where(value.split(","), f"--{name}")
    return with_values(kind(), values, "the command line")


def _parquet(out: str) -> Path:
    """Only a .parquet is written, so that a slip overwrites no table of labels."""
    if not out.endswith(".parquet"):
        raise InputError(
            f"{out}: a frame table is a Parquet file; give a name that ends in .parquet"
        )
    return Path(out)


def _table(options: argparse.Namespace, taxonomy: Any = None) -> Any:
    from awcl.data.table import FrameTable
    from awcl.taxonomy import Taxonomy

    return FrameTable.read(options.frames, taxonomy or Taxonomy.load(options.taxonomy))


def _counts(table: Any) -> str:
    counts = table.frames.groupby(["source", "split"]).agg(
        frames=("frame_id", "size"), patients=("patient", "nunique")
    )
    return counts.to_string()


def _packs(options: argparse.Namespace) -> Path:
    from awcl.data.packing import user_cache

    return Path(options.packs) if options.packs else user_cache() / "packs"


def _tell_failed(pack: Any) -> None:
    """A line a frame, and one for all frames that a video lacks for one reason."""
    alike: dict[tuple, list[str]] = {}
    for number, frame in enumerate(pack.failed):
        of_video = ("video", frame["video"]) if "video" in frame else ("image", number)
        alike.setdefault((*of_video, frame["error"]), []).append(frame["frame_id"])
    if alike:
        print(f"{len(pack.failed)} frames could not be read and are left out:", file=sys.stderr)
    for (*_, error), names in alike.items():
        more = f" and {len(names) - 1} more of its video" if len(names) > 1 else ""
        print(f"  {names[0]}{more}: {error}", file=sys.stderr)


def _study(options: argparse.Namespace, stages: Any) -> tuple[Any, Any]:
    """The plan of a study and its tracker; its frames are made where none are given."""
    from awcl.study import recipes

    study = recipes.load(options.name)
    if options.rename:
        study = with_values(study, {"name": options.rename}, "--as")
    if not options.frames and study.phantom is None:
        raise InputError("--frames FRAMES.parquet is needed; make one with `awcl frames`")
    from awcl.files import storage_folder
    from awcl.study import packs, phantom, plan
    from awcl.taxonomy import Taxonomy
    from awcl.tracking import Tracker

    storage = storage_folder(options.storage)
    if options.frames:
        frames = Path(options.frames)
    else:
        taxonomy = Taxonomy.load(study.base.anatomy.taxonomy)
        where = packs.local_storage(storage)
        frames = phantom.make(study.phantom, where, taxonomy, stages)
    stages.begin("pack", "frames as the trials read them")
    packs_folder = Path(options.packs) if options.packs else None
    made = plan.make_plan(study, frames, storage, packs_folder)
    _tell_failed(made.trials[0].pack)
    return made, Tracker(_tracking(options), made.folder)


def _stored_study(options: argparse.Namespace) -> Any:
    from awcl.files import storage_folder
    from awcl.records import StudyFolder
    from awcl.study import recipes

    name = recipes.load(options.name).name if options.name.endswith(".py") else options.name
    folder = StudyFolder(storage_folder(options.storage) / name)
    if folder.definition is None:
        raise InputError(f"{folder.path}: no study is stored here; run it, or give --storage")
    return folder


def _tell_study(plan: Any, tracker: Any, stages: Any) -> int:
    from awcl.study.table import render

    print(f"\n{render(plan.folder)}\n")
    print(f"times    {stages.summary()}")
    print(f"storage  {plan.folder.path}")
    print(f"compare  {_program('mlflow')} ui --backend-store-uri {shlex.quote(tracker.uri)}")
    return FAILED if "failed" in {trial.outcome for trial in plan.folder.trials()} else 0


def _program(name: str) -> str:
    """What to type for a program that was installed beside this one."""
    beside = Path(sys.executable).parent / name
    if shutil.which(name) == str(beside) or not beside.is_file():
        return name
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def _tracking(options: argparse.Namespace) -> str:
    beside = "results" if "://" in options.storage else options.storage
    given = options.tracking or f"sqlite:///{Path(beside) / 'mlflow.db'}"
    kind, _, file = given.partition("sqlite:///")  # a relative file would be another one elsewhere
    return given if kind or not file else f"sqlite:///{Path(file).absolute()}"


def _epoch_line(config: Any) -> Callable[[dict[str, Any]], None]:
    def log(row: dict[str, Any]) -> None:
        print(
            f"epoch {row['epoch']:3d}/{config.pretrain.epochs}  loss {row['loss']:.3f}  "
            f"proxy {row['val/proxy']:.3f}  {row['images_per_second']:.0f} images/s  "
            f"data wait {row['data_wait']:.0%}  positives {row['positives/mean']:.1f}",
            flush=True,
        )

    return log


def _where(given: list[str], flag: str = "--where") -> dict[str, list[str]]:
    """`column=value` (or `column=!value`), several times."""
    where: dict[str, list[str]] = {}
    for item in given:
        column, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{flag} {item!r}: give COLUMN=VALUE or COLUMN=!VALUE")
        where.setdefault(column, []).append(value)
    return where
