"""Nothing half-written ever stands under its final name."""

import json
import os

import pytest

from awcl.errors import InputError
from awcl.files import put_in_place, read_json, scratch_folder, whole_file, write_json


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_replaces_what_was_there_only_at_the_end(tmp_path):
    file = tmp_path / "new" / "out.txt"
    with whole_file(file) as part:
        part.write_text("one")
        assert not file.exists()
    with whole_file(file) as part:
        part.write_text("two")
        assert file.read_text() == "one"
    assert file.read_text() == "two"
    assert names(file.parent) == ["out.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_whole_file_leaves_nothing_behind_where_writing_fails(tmp_path, error):
    file = tmp_path / "out.txt"
    file.write_text("before")
    with pytest.raises(error), whole_file(file) as part:
        part.write_text("half")
        raise error
    assert file.read_text() == "before"
    assert names(tmp_path) == ["out.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    file = tmp_path / "out.txt"
    with whole_file(file) as one, whole_file(file) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert file.read_text() == "one", "the outer one ends last"
    assert names(tmp_path) == ["out.txt"]


def test_a_scratch_folder_is_hidden_and_goes_away(tmp_path):
    with pytest.raises(RuntimeError), scratch_folder(tmp_path / "a") as part:
        (part / "inner").mkdir()
        (part / "inner" / "file").write_text("x")
        assert part.name.startswith(".") and part.parent == tmp_path / "a"
        raise RuntimeError
    assert names(tmp_path / "a") == []


def test_a_scratch_folder_put_in_place_stays(tmp_path):
    with scratch_folder(tmp_path) as part:
        (part / "file").write_text("x")
        put_in_place(part, tmp_path / "final")
    assert names(tmp_path) == ["final"]
    assert (tmp_path / "final" / "file").read_text() == "x"


def test_where_the_final_folder_is_there_already_that_one_stays(tmp_path):
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "file").write_text("first")
    with scratch_folder(tmp_path) as part:
        (part / "file").write_text("second")
        put_in_place(part, tmp_path / "final")
    assert names(tmp_path) == ["final"]
    assert (tmp_path / "final" / "file").read_text() == "first"


def test_a_file_in_the_place_of_the_folder_is_an_error_and_stays(tmp_path):
    (tmp_path / "final").write_text("a file")
    with pytest.raises(OSError), scratch_folder(tmp_path) as part:
        (part / "file").write_text("x")
        put_in_place(part, tmp_path / "final")
    assert names(tmp_path) == ["final"]
    assert (tmp_path / "final").read_text() == "a file"


def test_bytes_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    """A power cut between the two must not leave a whole name on empty data."""
    done = []
    fsync, replace, rename = os.fsync, os.replace, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (done.append("named"), replace(*a)))
    monkeypatch.setattr(os, "rename", lambda *a: (done.append("named"), rename(*a)))
    write_json(tmp_path / "a.json", {})
    with scratch_folder(tmp_path) as part:
        (part / "one").write_text("1")
        (part / "two").write_text("2")
        put_in_place(part, tmp_path / "final")
    assert done == ["fsync", "named", "fsync", "fsync", "named"]


def test_json_comes_back_and_nan_is_refused_before_it_is_written(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"a": [1, None, "ä"]})
    assert read_json(file) == {"a": [1, None, "ä"]}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text()) == {"a": [1, None, "ä"]}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"a\.json: No such file or directory$"),
        (b"", r"a\.json: not a JSON file"),
        (b'{"a": [1', r"a\.json: not a JSON file"),
        (b'"\xff"', r"a\.json: not a JSON file"),
    ],
)
def test_what_is_no_json_is_named(tmp_path, content, said):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
