"""The phantom that a study makes for itself where it is given no frames. No ray."""

import os
from dataclasses import asdict
from pathlib import Path

from awcl import hashing
from awcl.data.phantom import writing
from awcl.study.space import Phantom
from awcl.study.stages import Stages
from awcl.taxonomy import Taxonomy


def make(phantom: Phantom, storage: Path, taxonomy: Taxonomy, stages: Stages) -> Path:
    """Makes what is missing of it, and returns its frame table.

    Its folder in storage is named by its settings, so that studies share it and other settings get
    a folder of their own; more scans are added to those there.
    """
    settings = phantom.settings
    named = hashing.of_json([writing.FORMAT, asdict(settings)], digits=8)
    folder = storage / f"phantom-{settings.size}px-{named}"

    def there() -> int:
        return min(len(list(folder.glob("images/*"))), phantom.scans)

    what = f"{phantom.scans} scans of {settings.seconds:g} s, {settings.size} px -> {folder}"
    if folder.is_dir():
        what += f"; goes on: {there()} of {phantom.scans} scans there"
    stages.begin("phantom", what, lambda: f"{there()} of {phantom.scans} scans there")
    writing.write(folder, phantom.scans, settings, taxonomy, workers=os.cpu_count() or 1)
    return folder / "frames.parquet"
