"""Nothing half-written ever stands under its final name."""

import json
import os
from pathlib import Path

import pytest

from awcl import files
from awcl.errors import InputError
from awcl.files import (
    append_line,
    as_path,
    local_copy,
    put_in_place,
    read_json,
    read_json_if_there,
    read_lines,
    remove_folder,
    scratch_folder,
    sizes,
    storage_folder,
    whole_file,
    write_json,
)
from awcl.objects import ObjectPath


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_replaces_what_was_there_only_at_the_end(folder):
    file = folder / "new" / "out.txt"
    with whole_file(file) as part:
        part.write_text("one")
        assert not file.is_file()
    with whole_file(file) as part:
        part.write_text("two")
        assert file.read_text() == "one"
    assert file.read_text() == "two"
    assert names(file.parent) == ["out.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_whole_file_leaves_nothing_behind_where_writing_fails(folder, error):
    file = folder / "out.txt"
    with whole_file(file) as part:
        part.write_text("before")
    with pytest.raises(error), whole_file(file) as part:
        part.write_text("half")
        raise error
    assert file.read_text() == "before"
    assert names(folder) == ["out.txt"]


def test_two_writers_of_one_file_do_not_meet(folder):
    file = folder / "out.txt"
    with whole_file(file) as one, whole_file(file) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert file.read_text() == "one", "the outer one ends last"
    assert names(folder) == ["out.txt"]


def test_a_scratch_folder_is_hidden_and_goes_away(tmp_path):
    with pytest.raises(RuntimeError), scratch_folder(tmp_path / "a") as part:
        (part / "inner").mkdir()
        (part / "inner" / "file").write_text("x")
        assert part.name.startswith(".") and part.parent == tmp_path / "a"
        raise RuntimeError
    assert names(tmp_path / "a") == []


def put(folder, text: str) -> None:
    """A folder `final` of two files, one of them the mark by which it counts."""
    with scratch_folder(folder) as part:
        (part / "file").write_text(text)
        write_json(part / "EVAL.json", {})
        put_in_place(part, folder / "final")


def test_a_scratch_folder_put_in_place_stays(folder):
    put(folder, "x")
    assert names(folder) == ["final"]
    assert names(folder / "final") == ["EVAL.json", "file"]
    assert (folder / "final" / "file").read_text() == "x"


def test_where_the_final_folder_is_there_already_that_one_stays(folder):
    put(folder, "first")
    put(folder, "second")
    assert names(folder) == ["final"]
    assert (folder / "final" / "file").read_text() == "first"


def test_a_neighbour_that_is_done_meanwhile_is_not_disturbed(tmp_path, monkeypatch):
    """Of two that pack the same frames: the first one's pack may be open already."""

    def sync(path):
        monkeypatch.undo()
        put(tmp_path, "neighbour")

    monkeypatch.setattr(files, "_sync", sync)
    put(tmp_path, "late")
    assert (tmp_path / "final" / "file").read_text() == "neighbour"


def test_a_folder_that_lost_its_mark_is_put_anew(folder):
    put(folder, "first")
    (folder / "final" / "EVAL.json").unlink()
    put(folder, "second")
    assert (folder / "final" / "file").read_text() == "second"
    assert names(folder / "final") == ["EVAL.json", "file"]


def test_in_a_store_the_mark_of_a_folder_is_put_last_and_half_a_folder_is_completed(
    bucket, monkeypatch
):
    """A mark is a name in capitals."""
    folder = as_path(bucket) / "exp"
    put_object, done = ObjectPath.put, []

    def breaks(path, data):
        done.append(path.name)
        if path.name == "EVAL.json":
            raise OSError("no more")
        put_object(path, data)

    monkeypatch.setattr(ObjectPath, "put", breaks)
    with pytest.raises(OSError, match="no more"):
        put(folder, "first")
    assert done == ["file", "EVAL.json"] and names(folder / "final") == ["file"]
    monkeypatch.undo()
    put(folder, "second")
    assert (folder / "final" / "file").read_text() == "second"
    assert names(folder / "final") == ["EVAL.json", "file"]


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


def test_json_comes_back_and_nan_is_refused_before_it_is_written(folder):
    file = folder / "a.json"
    write_json(file, {"a": [1, None, "ä"]})
    assert read_json(file) == {"a": [1, None, "ä"]}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(file, {"a": float("nan")})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": [1, None, "ä"]}
    assert names(folder) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"a\.json: No such file or directory$"),
        (b"", r"a\.json: not a JSON file"),
        (b'{"a": [1', r"a\.json: not a JSON file"),
        (b'"\xff"', r"a\.json: not a JSON file"),
    ],
)
def test_what_is_no_json_is_named(folder, content, said):
    file = folder / "a.json"
    if content is not None:
        with whole_file(file) as part:
            part.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_json(file)
    assert "\n" not in str(caught.value)


def test_json_that_is_not_there_is_none_and_json_that_is_none_is_told(folder):
    assert read_json_if_there(folder / "a.json") is None
    with whole_file(folder / "a.json") as part:
        part.write_text("{")
    with pytest.raises(InputError, match=r"a\.json: not a JSON file"):
        read_json_if_there(folder / "a.json")


def test_lines_come_back_in_order(folder):
    file = folder / "new" / "lines.jsonl"
    assert list(read_lines(file)) == []
    for number in range(3):
        append_line(file, {"number": number, "text": "ä\n"})
    assert [line["number"] for line in read_lines(file)] == [0, 1, 2]


def test_of_two_that_append_to_an_object_at_once_one_is_told(bucket, monkeypatch):
    file, read = as_path(bucket) / "lines.jsonl", ObjectPath.read
    append_line(file, {"number": 0})

    def meanwhile(path):
        found = read(path)
        monkeypatch.undo()
        append_line(file, {"number": 1})
        return found

    monkeypatch.setattr(ObjectPath, "read", meanwhile)
    with pytest.raises(InputError, match="another process writes to it"):
        append_line(file, {"number": 2})
    assert [line["number"] for line in read_lines(file)] == [0, 1]


def test_sizes_local_copy_and_removal_of_a_folder(folder):
    put(folder, "x" * 10)
    put(folder.parent / "folder-2", "beside")
    assert sizes(folder / "final")["file"] == 10
    with local_copy(folder / "final") as local:
        assert isinstance(local, Path) and (local / "file").read_text() == "x" * 10
    remove_folder(folder / "final")
    assert not (folder / "final").is_dir()
    assert (folder.parent / "folder-2" / "final").is_dir()


def test_storage_in_a_file_is_refused_and_a_folder_to_be_is_not(tmp_path):
    (tmp_path / "file").write_text("")
    for storage in ("file", "file/below"):
        with pytest.raises(InputError, match=r"^--storage .*: .*file is a file, no folder"):
            storage_folder(tmp_path / storage)
    assert storage_folder(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
