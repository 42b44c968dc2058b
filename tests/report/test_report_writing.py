"""What `awcl study report` writes: whole, self-contained, of any study, from storage alone."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from made_study import DOT, predictions

from awcl import __main__ as program
from awcl.errors import InputError
from awcl.files import read_json, write_json
from awcl.records import StudyFolder
from awcl.report import data
from awcl.report.page import _json
from awcl.report.reading import read
from awcl.report.writing import contents, find, write

NASTY = '"><script>alert(1)</script>&<img src=x onerror=alert(2)>'


class Elements(HTMLParser):
    """Elements of a page with their attributes, and the text outside scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text, self._inside = "", ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data


def page(folder: StudyFolder) -> Elements:
    return Elements(write(folder).read_text(encoding="utf-8"))


def rows(folder: StudyFolder, name: str) -> list[dict[str, str]]:
    text = (folder.path / "tables" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_a_report_is_a_page_its_figures_and_its_tables(ratios):
    made = page(ratios.folder)
    assert {file.stem for file in (ratios.folder.path / "tables").iterdir()} == {
        "arms", "claim", "main", "to_simclr", "to_best_rival", "domains", "trials",
    }  # fmt: skip
    figures = {file.name for file in (ratios.folder.path / "figures").iterdir()}
    assert "ratio-planes-ridge-macro-f1.png" in figures and len(figures) == 6
    named = re.findall(r"(?:figures|tables)/\S+\.(?:png|csv)", made.text)
    assert len(named) == 13 and all((ratios.folder.path / name).is_file() for name in named)


def test_nothing_in_it_is_loaded_from_elsewhere(ratios):
    for tag, attributes in page(ratios.folder).found:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, attributes)
    assert page(ratios.folder).found.count(("script", {})) == 2


def test_names_from_data_are_text_and_no_markup(making):
    arm_of = {f"{number:012d}": NASTY for number in (1, 2, 3)}
    made = making(arm_of=arm_of, axes={}, name=f"demo{NASTY}")
    made.add(table=predictions(0.5, 0).assign(machine=NASTY, source=["a", NASTY] * 36))
    made.add(outcome="failed", reason=NASTY, pretrain__lr=0.5)
    made.add(outcome="stopped", reason=NASTY, pretrain__lr=0.6)
    shown = page(made.folder)
    assert shown.text.count(NASTY) > 5
    tags = [tag for tag, _ in shown.found]
    assert tags.count("script") == 3 and tags.count("img") == 1


def test_figures_as_data_end_no_script_and_stay_what_they_are():
    data = {"a": "</script><b>&", "n": [1.5, None]}
    text = str(_json(data))
    assert not set("<>&") & set(text) and json.loads(text) == data


def test_tables_hold_the_numbers_in_full(ratios):
    write(ratios.folder)
    main = rows(ratios.folder, "main")
    assert len(main) == 5 and main[0]["arm"] == "ratio 0, SimCLR" and main[0]["patients"] == "12"
    seeds = [float(part.partition(":")[2]) for part in main[0]["seeds"].split()]
    assert float(main[0]["mean"]) == pytest.approx(sum(seeds) / 2, abs=1e-15)
    assert len(rows(ratios.folder, "to_simclr")) == 4
    assert len(rows(ratios.folder, "to_best_rival")) == 5
    assert len(rows(ratios.folder, "trials")) == 10


def test_what_was_not_run_keeps_a_row_in_every_table_of_arms(paper):
    page(paper.folder)
    reason = "not run: weights not at hand"
    kept = {
        "arms": ("note", 1), "main": ("note", 3), "to_simclr": ("verdict", 3),
        "to_best_rival": ("verdict", 3), "domains": ("note", 6), "claim": ("verdict", 3),
        "not_compared": ("reason", 1),
    }  # fmt: skip
    for name, (column, number) in kept.items():
        told = [row for row in rows(paper.folder, name) if row[column] == reason]
        assert len(told) == number, name
        for row in told:
            assert not any(row.get(of) for of in ("mean", "difference", "low", "high", "p_holm"))
    found = find(read(paper.folder))
    for section in contents(found).sections:
        for table in section.tables:
            if table.name in kept:
                mine = [row for row in table.rows if row[0].text == "imagenet"]
                assert mine and all(reason in [cell.text for cell in row] for row in mine)


def test_an_axis_of_lists_or_filters_has_a_place_for_each(making):
    none, some = [], ["4CH", "HCP"]
    machines = [{}, {"machine": ["A"]}]
    made = making(axes={"anatomy.held_out": [none, some], "data.pretrain_where": machines})
    for right, names in ((0.3, none), (0.6, some)):
        for where in machines:
            made.add(0, right, anatomy__held_out=names, data__pretrain_where=where)
    found = page(made.folder)
    assert "['4CH', 'HCP']" in found.text and "{'machine': ['A']}" in found.text
    figures = {file.name for file in (made.folder.path / "figures").iterdir()}
    assert any(name.startswith("held_out-planes") for name in figures)


def test_untrained_trials_have_no_epochs(paper):
    page(paper.folder)
    told = {row["arm"]: row["epochs"] for row in rows(paper.folder, "trials")}
    assert told["random"] == "0/0" and told["fine"] == "3/3"


def test_a_report_of_nothing_is_one_too(making):
    made = making()
    shown = page(made.folder)
    assert "0 trials: none." in shown.text and "Nothing can be compared yet" in shown.text
    assert not (made.folder.path / "figures").exists()


@pytest.mark.parametrize("tasks", [(), ("planes", "planes-C")])
def test_one_trial_with_and_without_tasks(making, tasks):
    made = making()
    made.add(right=0.5, tasks=tasks)
    assert page(made.folder).text.count("is the only arm") == len(tasks)


def test_hundreds_of_arms_are_written_at_a_size_that_opens(making):
    made = making(axes={"pretrain.lr": {"low": 0.001, "high": 1, "log": True}})
    for number in range(100):
        made.add(0, 0.5 + number / 1000, pretrain__lr=0.001 * (1 + number))
    shown = page(made.folder)
    assert len(rows(made.folder, "main")) == 100
    assert "the best 40 of 100" in shown.text
    assert made.folder.report.stat().st_size < 10e6


def test_what_an_earlier_report_left_goes(ratios):
    write(ratios.folder)
    for name in ("figures/old.png", "tables/old.csv", "figures/note.txt"):
        (ratios.folder.path / name).write_bytes(b"old")
    write(ratios.folder)
    left = [path.name for path in ratios.folder.path.rglob("*old*")]
    assert not left and (ratios.folder.path / "figures" / "note.txt").is_file()
    assert not list(ratios.folder.path.rglob("*.part"))


def test_pictures_are_of_the_best_arm_and_of_simclr(ratios):
    images = [attributes for tag, attributes in page(ratios.folder).found if tag == "img"]
    assert [image["alt"] for image in images] == [
        "planes, confusion ridge: ratio 1, fine, seed 0",
        "planes, confusion ridge: ratio 0, SimCLR, seed 0",
    ]
    assert all(image["src"].startswith("data:image/png;base64,") for image in images)


def test_pictures_that_would_make_it_too_large_are_named(ratios, monkeypatch):
    monkeypatch.setattr("awcl.report.pictures.MOST_BYTES", len(DOT))
    shown = page(ratios.folder)
    assert [tag for tag, _ in shown.found].count("img") == 1
    assert re.search(
        r"Left out, to keep this file small: trials/\S+/confusion_ridge.png", shown.text
    )


def test_frames_are_counted_and_leaks_are_told(ratios):
    frames = pd.DataFrame(
        {
            "frame_id": list("abcd"), "patient": ["pat-1", "pat-1", "pat-2", "pat-3"],
            "scan": list("stuv"),
            "anatomy": ["4CH", None, "HCP", None], "split": ["train", "test", "test", "val"],
            "source": "made", "machine": ["A", "A", "B", "B"], "audit_group": None,
            "sha256": ["1", "2", "1", "4"],
        }
    )  # fmt: skip
    frames.to_parquet(ratios.folder.path / "frames.parquet")
    shown = page(ratios.folder)
    assert "LEAK: 1 patients are in more than one split." in shown.text
    assert "LEAK: 1 identical pictures are in more than one split." in shown.text
    assert "In more than one split: no examinations." in shown.text
    counted = {(r["domain"], r["value"], r["split"]): r for r in rows(ratios.folder, "data")}
    assert counted["machine", "B", "test"] == {
        "domain": "machine", "value": "B", "split": "test", "frames": "1", "labels_fine": "1",
        "labels_coarse": "1", "patients": "1",
    }  # fmt: skip
    assert "pat-" not in shown.text  # no patient is named


def test_it_is_told_how_many_frames_pre_training_drew_from():
    frames = pd.DataFrame(
        {
            "patient": ["p1", "p1", "p2", "p3"],
            "machine": ["A", "A", "C", "D"],
            "split": ["train", "train", "train", "test"],
        }
    )
    wheres = [{}, {"machine": ["!C"]}, {"machine": ["!B"]}, {"machine": ["A", "C", "D"]}]
    assert list(data.pretrained(frames, wheres)) == [
        "Pre-training drew from 2 of the 3 train frames, of 1 patients: frames where machine is "
        "not C."
    ]


def test_labels_that_no_method_can_use_are_not_counted(ratios):
    """'brain' has finer names below it, BG is no anatomy."""
    frames = pd.DataFrame(
        {
            "frame_id": list("abcd"), "patient": list("pqrs"), "split": "train", "source": "made",
            "anatomy": ["4CH", "brain", "BG", None],
        }
    )  # fmt: skip
    frames.to_parquet(ratios.folder.path / "frames.parquet")
    assert "background and other names of no anatomy are none" in page(ratios.folder).text
    train = next(row for row in rows(ratios.folder, "data") if row["split"] == "train")
    assert [train[name] for name in ("frames", "labels_fine", "labels_coarse")] == ["4", "1", "2"]


def test_without_its_taxonomy_a_study_has_no_labels_counted_and_says_so(making):
    base = {"anatomy": {"taxonomy": "gone.toml"}}
    made = making(base=base)
    frames = pd.DataFrame({"patient": ["p"], "split": "train", "source": "s", "anatomy": "4CH"})
    frames.to_parquet(made.folder.path / "frames.parquet")
    shown = page(made.folder)
    assert "Labels are not counted: " in shown.text and "gone.toml" in shown.text
    assert set(rows(made.folder, "data")[0]) == {"domain", "value", "split", "frames", "patients"}


def test_why_something_is_not_compared_stands_first_beside_its_name(making):
    made = making()
    made.add(outcome="stopped", epochs=1, reason="below the cut")
    write(made.folder)
    [row] = rows(made.folder, "not_compared")
    assert list(row)[:2] == ["arm", "reason"]
    assert row["reason"] == "stopped at epoch 1: below the cut" and row["seed"] == "0"


def test_figures_are_reached_by_keyboard_and_name_the_table_of_their_numbers(ratios):
    made = page(ratios.folder).found
    plots = [at for at, (_, attributes) in enumerate(made) if attributes.get("role") == "img"]
    assert len(plots) == 6
    for at in plots:
        assert made[at][1]["tabindex"] == "0"
        assert made[at][1]["aria-label"].endswith("The numbers are in the table that follows.")
        assert "table" in [tag for tag, _ in made[at : at + 12]]


def test_intervals_are_not_said_to_be_stratified(ratios):
    assert "stratified" not in page(ratios.folder).text


def test_conditions_and_how_to_run_it_again_are_told(making):
    tasks = [{"task": "planes", "name": "planes-C", "where": {"machine": ["C"]}}]
    made = making(
        tasks=tasks, seeds=[3], axes={"pretrain.lr": {"low": 0.1, "high": 1, "log": True}}
    )
    trial = made.add(3, 0.5, tasks=("planes-C",), pretrain__lr=0.5)
    trial.append_start({"time": 1.0, "launch": "l", "places": 1, "code": "0.1.0+abc"})
    file = next(trial.path.glob("eval/*/EVAL.json"))
    result = read_json(file)
    result["about"] = {"level": "fine", "classes": ["4CH", "HCP"]}
    result["metrics"]["target_domain_seen"] = 0.0
    write_json(file, result)
    text = page(made.folder).text
    assert (
        "planes-C: frames where machine is C; 72 test frames of 12 patients; level fine; "
        "2 classes: 4CH, HCP; target domain not seen in pre-training." in text
    )
    assert "awcl study run RECIPE --as demo --frames FRAMES.parquet --storage STORAGE" in text
    for fact in ("0.1.0+abc", "p1 (224 px)", "0.1 to 1, in logarithms"):
        assert fact in text


def test_it_works_in_an_object_store(making, bucket):
    from awcl.files import as_path

    made = making(path=as_path(bucket), axes={"anatomy.ratio": [0, 1]})
    made.add(right=0.3, anatomy__ratio=0)
    made.add(right=0.9, anatomy__ratio=1)
    written = write(made.folder)
    assert str(written) == f"{bucket}/demo/report.html"
    assert "first of 2 arms" in Elements(written.read_text(encoding="utf-8")).text
    assert (made.folder.path / "tables" / "main.csv").is_file()
    assert [file.name for file in made.folder.path.glob("figures/scores*.png")]


def test_damaged_predictions_are_one_line_and_the_old_report_stays(ratios):
    write(ratios.folder)
    before = ratios.folder.report.read_bytes()
    file = next(ratios.folder.path.glob("trials/*/eval/*/predictions.parquet"))
    file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"predictions\.parquet: cannot be read"):
        write(ratios.folder)
    pd.DataFrame({"truth": ["4CH"]}).to_parquet(file)
    with pytest.raises(InputError, match="lacks column 'frame_id'; remove the folder"):
        write(ratios.folder)
    assert ratios.folder.report.read_bytes() == before


def test_the_command_prints_where_it_is(ratios, capsys):
    storage = str(ratios.folder.path.parent)
    with pytest.raises(SystemExit) as ended:
        program.main(["study", "report", "demo", "--storage", storage])
    assert not ended.value.code
    assert capsys.readouterr().out == f"report   {ratios.folder.path}/report.html\n"


def test_a_study_that_is_not_stored_is_refused_in_a_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        program.main(["study", "report", "none", "--storage", str(tmp_path)])
    assert ended.value.code == 2
    assert "no study is stored here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("x.json: damaged; remove it"), "no report was written: x.json: damaged"),
        (OSError(28, "No space left on device"), "no report was written: No space left"),
        (KeyError("slip"), "by a fault of this program (KeyError: 'slip')"),
    ],
)
def test_a_report_that_fails_is_one_line_and_fails_no_study(
    ratios, monkeypatch, capsys, error, said
):
    from awcl.commands import studies

    def fails(folder, has_ended):
        raise error

    monkeypatch.setattr("awcl.report.writing.write", fails)
    assert studies._reported(ratios.folder) is False
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and "awcl study report demo" in told
