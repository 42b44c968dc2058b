"""The phantom that a study makes for itself where it is given no frames. No ray."""

import os
from dataclasses import asdict
from pathlib import Path

from awcl import hashing
from awcl.data.phantom import writing
from awcl.data.phantom.planes import planes
from awcl.study.space import Phantom
from awcl.study.stages import Stages
from awcl.taxonomy import Taxonomy


def make(phantom: Phantom, storage: Path, taxonomy: Taxonomy, stages: Stages) -> Path:
    """Makes what is missing of it, and returns its frame table.

    Its folder in storage is named by all that it is made of, so that studies that want the same
    share it, and another drawing or number of scans gets a folder of its own.
    """
    settings = phantom.settings
    made_of = [writing.FORMAT, asdict(settings), phantom.scans, list(planes())]
    named = hashing.of_json(made_of, digits=8)
    folder = storage / f"phantom-{settings.size}px-{named}"

    def there() -> int:
        return min(len(list(folder.glob("images/*"))), phantom.scans)

    what = f"{phantom.scans} scans of {settings.seconds:g} s, {settings.size} px -> {folder}"
    if folder.is_dir():
        what += f"; goes on: {there()} of {phantom.scans} scans there"
    stages.begin("phantom", what, lambda: f"{there()} of {phantom.scans} scans there")
    writing.write(folder, phantom.scans, settings, taxonomy, workers=os.cpu_count() or 1)
    return folder / "frames.parquet"
