"""Commands that make and check data: frames, audit, pack, phantom."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from awcl.commands.shared import frame_table, packs_folder, tell_failed
from awcl.errors import InputError

LEAKS = 3


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

    table = frame_table(options)
    copy = options.without_paths and Path(options.without_paths)
    if copy and (copy.suffix != ".parquet" or copy.resolve() == Path(options.frames).resolve()):
        raise InputError(f"--without-paths {copy}: give another name, that ends in .parquet")
    whole = table
    if options.smoke:
        from awcl.study import smoke

        table = smoke.fewer(table)
    made = find_or_build(table, options.size, packs_folder(options), again=True)
    tell_failed(made)
    if copy:
        whole.without_paths().write(copy)
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


def _parquet(out: str) -> Path:
    """Only a .parquet is written, so that a slip overwrites no table of labels."""
    if not out.endswith(".parquet"):
        raise InputError(
            f"{out}: a frame table is a Parquet file; give a name that ends in .parquet"
        )
    return Path(out)


def _counts(table: Any) -> str:
    counts = table.frames.groupby(["source", "split"]).agg(
        frames=("frame_id", "size"), patients=("patient", "nunique")
    )
    return counts.to_string()
