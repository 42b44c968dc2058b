"""The phantom that a study makes for itself."""

import re

import pandas as pd
import pytest

from awcl.data.table import FrameTable
from awcl.study import phantom
from awcl.study.space import Phantom
from awcl.study.stages import Stages
from awcl.taxonomy import Taxonomy

TINY = Phantom(scans=1, size=32, seconds=1, rate=10)


@pytest.fixture
def make(tmp_path, capsys):
    """make(a phantom): its frame table's path, and what was said."""

    def made(of: Phantom):
        frames = phantom.make(of, tmp_path, Taxonomy.load(), Stages())
        return frames, capsys.readouterr().out

    return made


def test_it_lies_in_storage_under_a_name_of_its_settings(make, tmp_path):
    frames, said = make(TINY)
    assert re.fullmatch(r"phantom-32px-[0-9a-f]{8}", frames.parent.name)
    assert frames.parent.parent == tmp_path and frames.name == "frames.parquet"
    assert said == f"phantom: 1 scans of 1 s, 32 px -> {frames.parent}\n"
    table = FrameTable.read(frames, Taxonomy.load(), check_splits=False).frames
    assert table["patient"].nunique() == 1
    other, _ = make(TINY.model_copy(update={"seed": 1}))
    assert other.parent != frames.parent


def test_making_it_again_goes_on_and_says_so(make):
    two = TINY.model_copy(update={"scans": 2})
    frames, _ = make(two)
    images = {file: file.stat().st_mtime_ns for file in frames.parent.glob("images/*/*.png")}
    again, said = make(two)
    assert again == frames and said.endswith("; goes on: 2 of 2 scans there\n")
    assert all(file.stat().st_mtime_ns == time for file, time in images.items())


def test_a_study_of_fewer_scans_leaves_that_of_more_as_it_is(make):
    many, _ = make(TINY.model_copy(update={"scans": 2}))
    few, _ = make(TINY)
    assert few != many
    assert pd.read_parquet(many)["patient"].nunique() == 2
