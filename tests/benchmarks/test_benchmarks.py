"""The benchmarks: the harness counts right, every row still runs, and the table says what it is."""

import contextlib
import json
import os
import pkgutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from awcl.data.views import Views
from awcl.files import append_line
from awcl.pretrain.loss import group_loss
from awcl.records import StudyFolder
from benchmarks import __main__ as command
from benchmarks import alone, harness, material, published, results, rows
from benchmarks.harness import Missing, Row, Run
from benchmarks.rows import loss, quickstart, trials, views

ROOT = Path(__file__).parents[2]
QUARTER_OF_AN_HOUR = 900


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch) -> None:
    """A drawn one takes a second or two."""
    monkeypatch.setattr(material, "DRAWN", 2)


class Clock:
    """Seconds that pass only when somebody works."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def working(self, name: str, seconds: list[float], log: list[str]):
        left = iter(seconds)

        def work() -> None:
            self.now += next(left)
            log.append(name)

        return work


def test_contenders_take_turns_and_the_first_turn_does_not_count():
    clock, log = Clock(), []
    raced = harness.race(
        {
            "a": clock.working("a", [99, 1, 2, 4], log),
            "b": clock.working("b", [99, 3, 4, 4], log),
        },
        turns=3,
        clock=clock,
    )
    assert raced.seconds == {"a": [1, 2, 4], "b": [3, 4, 4]}
    assert "".join(log) in ("abbaabba", "baabbaab")  # who was last is first
    assert raced.median("a") == 2


def test_a_ratio_is_taken_within_each_turn_and_then_its_median():
    raced = harness.Race({"a": [1.0, 10.0, 4.0], "b": [2.0, 30.0, 4.0]})
    assert raced.ratio("b", "a") == (2, 1, 3)  # of the medians it would be 1


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (harness.lasting(1.234), "1.23 s"),
        (harness.lasting(0.0834), "83.4 ms"),
        (harness.lasting(1.2e-5), "12 us"),
        (harness.size(1.5e9), "1.5 GB"),
        (harness.size(33024), "33 kB"),
        (harness.size(12), "12 B"),
        (harness.rate(2, 12240, "views"), "6,120 views/s"),
        (results.ratio((2.04, 1, 3.5)), "2.04 [1, 3.5]"),
        (results.ratio((1.5, 1.5, 1.5)), "1.5"),
        (results.ratio(None), ""),
    ],
)
def test_figures_have_their_units(told, expected):
    assert told == expected


def test_every_file_of_rows_is_listed_and_the_short_ones_take_a_quarter_of_an_hour():
    assert set(rows.FILES) == {module.name for module in pkgutil.iter_modules(rows.__path__)}
    short = sum(plan.seconds for plan in rows.FILES.values() if not plan.long)
    assert 0 < short <= QUARTER_OF_AN_HOUR


# --- the table -----------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(results, "TABLE", tmp_path / "RESULTS.md")
    monkeypatch.setattr(results, "STORE", tmp_path / "results.json")
    return tmp_path / "RESULTS.md"


def test_rows_are_added_to_those_that_are_there_and_replace_their_own(table):
    results.add("views", [Row("views", "1 v/s", "2 v/s", (0.5, 0.4, 0.6))], 1, busy=0)
    results.add("startup", [Row("start", "1 s", "2 s", (2, 2, 2), ">= 1", True)], 1, busy=0)
    results.add("views", [Row("views", "3 v/s", "2 v/s", (1.5, 1, 2), "2x", False, "LUT")], 1, 0)
    text = table.read_text()
    assert "1 v/s" not in text
    assert "| views | 3 v/s | 2 v/s | 1.5 [1, 2] | 2x | no: LUT |" in text
    assert text.index("| start |") < text.index("| views |")  # in the order of rows.FILES
    assert "Preliminary" not in text
    assert results.machine()["processor"] in text
    assert json.loads((table.parent / "results.json").read_text())["files"]["views"]["rows"]


def test_the_table_tells_what_its_short_rows_took_and_shows_the_quickstart(table):
    results.add("views", [Row("views", "1 v/s")], 60, 0)
    results.add("epoch", [Row("epoch", "1 v/s")], 90, 0)
    results.add("trials_two", [Row("trials", "1 s")], 400, 0)
    assert "took 2.5 minutes in all" in table.read_text()
    assert "quickstart.png" not in table.read_text()
    (table.parent / "quickstart.png").touch()
    results.add("views", [Row("views", "1 v/s")], 60, 0)
    assert "](quickstart.png)" in table.read_text()
    assert "| early_stopping | | | | | not measured yet: make bench-long |" in table.read_text()
    assert "| loss | | | | | not measured yet: make bench |" in table.read_text()


def test_rows_of_another_machine_stand_under_its_name(table, monkeypatch):
    results.add("views", [Row("views", "1 v/s")], 60, 0)
    here = results.told(results.machine())
    assert f"\n{here}\n" in table.read_text()
    elsewhere = results.machine() | {"processor": "Another One"}
    monkeypatch.setattr(results, "machine", lambda: elsewhere)
    results.add("epoch", [Row("epoch", "1 v/s")], 1000, 0)
    text = table.read_text()
    assert f"views: {here}" in text and f"epoch: {results.told(elsewhere)}" in text
    assert "took 17.7 minutes in all, more than the 15 that they may take" in text


def test_what_was_measured_on_a_busy_machine_is_called_preliminary(table):
    results.add("views", [Row("views", "1 v/s")], 1, busy=0.5)
    results.add("startup", [Row("start", "1 s")], 1, busy=0)
    lines = table.read_text().splitlines()
    assert [line.endswith("* |") for line in lines if line.startswith(("| start", "| views"))] == [
        False,
        True,
    ]
    assert any("Preliminary" in line for line in lines)


def test_a_row_that_did_not_run_says_why(table):
    results.add("loss", [harness.without_peer("loss", "lightly")], 1, busy=0)
    told = "not run: lightly is not installed; `make bench-peers`"
    assert f"| loss | | | | | {told} |" in table.read_text()


# --- a process of its own ------------------------------------------------------------------------

SPIN = "import time; end = time.process_time() + 1\nwhile time.process_time() < end: pass"
MEASURED = """
import argparse, json, subprocess, sys
parser = argparse.ArgumentParser()
parser.add_argument("--into")
spin = [sys.executable, "-c", {spin!r}]
daemon = subprocess.Popen(spin, start_new_session=True)
subprocess.run(spin, check=True)
daemon.wait()
print(json.dumps([1.5]), file=open(parser.parse_args().into, "w"))
sys.exit({code})
"""


@pytest.mark.parametrize("code", [0, 3])
def test_a_measurement_gives_what_it_wrote_and_how_it_ended(tmp_path, monkeypatch, code):
    (tmp_path / "measured.py").write_text(MEASURED.format(spin=SPIN, code=code))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = alone.alone("measured")
    assert done.wrote == [1.5] and done.well is (code == 0)
    assert done.seconds > 1


def test_other_work_is_that_of_processes_which_the_measurement_did_not_start(monkeypatch):
    """Of all processes of this machine those two that the test starts, whatever else it does."""
    spin = [sys.executable, "-c", SPIN]
    own = subprocess.Popen(spin, env={**os.environ, alone.MARK: "mine"})
    other = subprocess.Popen(spin)
    both = [psutil.Process(process.pid) for process in (own, other)]
    monkeypatch.setattr(alone.psutil, "process_iter", lambda: both)
    others = alone.Others("mine")
    used, end = 0.0, monotonic() + 60
    while other.poll() is None and monotonic() < end:
        with contextlib.suppress(psutil.NoSuchProcess):
            used = sum(both[1].cpu_times()[:2])
        others.look()
        sleep(0.02)
    assert own.wait(60) == other.wait(60) == 0
    assert 0.5 < others.seconds < 1.5 * max(used, 1.0)


def test_rows_before_one_that_fails_are_written(tmp_path, monkeypatch):
    def measure(run):
        yield Row("first", "1 s")
        raise RuntimeError("late")

    monkeypatch.setattr(rows, "load", lambda name: SimpleNamespace(measure=measure))
    into = tmp_path / "rows.json"
    options = SimpleNamespace(into=str(into), smoke=True, storage="results")
    with pytest.raises(RuntimeError):
        command.measure("loss", options)
    [first] = json.loads(into.read_text())
    assert first["ours"] == "1 s"


def test_what_was_measured_is_stored_with_the_word_that_the_rest_failed(table, monkeypatch):
    wrote = [asdict(Row("loss of 1,024", "1 s"))]
    monkeypatch.setattr(command, "alone", lambda *a: alone.Done(wrote, False, 3.0, 0.0))
    assert not command.run("loss", SimpleNamespace(storage="results", smoke=False))
    text = table.read_text()
    assert "| loss of 1,024 | 1 s |" in text and "| loss, what follows | | | | | failed |" in text


def test_a_file_of_rows_that_failed_at_once_is_not_told_by_what_it_gave_before(table, monkeypatch):
    results.add("loss", [Row("loss of 1,024", "1 s")], 1, busy=0)
    monkeypatch.setattr(command, "alone", lambda *a: alone.Done(None, False, 3.0, 0.0))
    assert not command.run("loss", SimpleNamespace(storage="results", smoke=False))
    assert "1 s" not in table.read_text() and "loss, what follows" in table.read_text()


# --- the command ---------------------------------------------------------------------------------


def benchmarks(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_smoke_run_of_the_command_tells_its_rows_and_stores_nothing():
    before = {file: file.stat().st_mtime_ns for file in (ROOT / "benchmarks").glob("[Rr][Ee]*.*")}
    done = benchmarks("--smoke", "--only", "startup")
    assert done.returncode == 0, done.stderr
    assert "awcl --help: time | " in done.stdout
    assert before == {
        file: file.stat().st_mtime_ns for file in (ROOT / "benchmarks").glob("[Rr][Ee]*.*")
    }


def test_a_row_without_what_it_needs_says_so_and_is_no_failure(tmp_path):
    done = benchmarks("--smoke", "--only", "quickstart", "--storage", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"not run: no run of it is stored in {tmp_path}; `make quickstart`" in done.stdout


def test_rows_that_do_not_exist_are_refused():
    done = benchmarks("--only", "speed")
    assert done.returncode == 2
    assert "invalid choice: 'speed'" in done.stderr


# --- the rows, at tiny sizes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["views", "epoch", "loss", "loss_memory", "probes", "packing", "staging"]
)
def test_its_rows_still_run(name, tmp_path):
    found = list(rows.load(name).measure(Run(tmp_path, smoke=True)))
    assert found
    for row in found:
        assert row.ours or row.why.startswith("not run"), row
        assert row.ratio is None or min(row.ratio) > 0
        json.dumps(asdict(row))


def test_quickstarts_stages_are_summed_over_its_runs_and_drawn(tmp_path):
    for seconds in ({"phantom": 40, "training": 100}, {"training": 60}):
        log = tmp_path / "quickstart" / "timings.jsonl"
        log.parent.mkdir(exist_ok=True)
        append_line(log, {"time": 0, "outcome": "done", "seconds": seconds})
    (row,) = quickstart.measure(Run(tmp_path, smoke=True, storage=tmp_path))
    assert row.ours == "3.3 min: training 80%, phantom 20%"
    assert (tmp_path / "quickstart.png").stat().st_size > 1000


def test_training_is_told_in_the_parts_of_its_trials(tmp_path):
    study = tmp_path / "quickstart"
    for number in range(2):
        short_trial(study, number, start=100 + 20 * number)
    append_line(study / "timings.jsonl", {"time": 0, "seconds": {"pack": 5, "training": 45}})
    found = quickstart.measure(Run(tmp_path, smoke=True, storage=tmp_path))
    assert next(found).details == {
        "pack": 5,
        "starting trials": 2 * 6,
        "epochs": 2 * 6,
        "proxy, checkpoints": pytest.approx(2 * 1),
        "ending trials": pytest.approx(2 * 1),
        "between trials": pytest.approx(6),
        "last trials, judging": pytest.approx(11),
    }


def test_training_that_was_interrupted_is_told_whole(tmp_path):
    """The hours between two runs are no part of a trial."""
    study = tmp_path / "quickstart"
    for number in range(2):
        short_trial(study, number, start=100 + 8 * 3600 * number)
        append_line(study / "timings.jsonl", {"time": 0, "seconds": {"training": 20}})
    (row,) = quickstart.measure(Run(tmp_path, smoke=True, storage=tmp_path))
    assert row.details == {"training": 40}


def short_trial(study: Path, number: int, start: float) -> None:
    """Two epochs of 3 s, after 6 s; marked 14 s after its start."""
    folder = study / "trials" / f"{number:012d}"
    folder.mkdir(parents=True)
    for name in ("TRIAL.json", "DONE.json"):
        about = {"key": folder.name, "config": {}, "outcome": "finished", "epoch": 2}
        (folder / name).write_text(json.dumps(about))
    append_line(folder / "starts.jsonl", {"time": start, "launch": "l", "places": 1})
    for epoch, time in ((1, start + 9), (2, start + 13)):
        append_line(folder / "history.jsonl", {"epoch": epoch, "time": time, "seconds": 3.0})
    os.utime(folder / "DONE.json", (start + 14, start + 14))


def test_the_parts_of_a_trial_add_up_to_the_time_until_the_next(tmp_path):
    for number, start in enumerate((1000.0, 1020.0)):
        short_trial(tmp_path, number, start)
    (first,) = trials.times(StudyFolder(tmp_path))
    assert first == {
        "to the first step": 6,
        "epochs": 6,
        "proxy and checkpoints": 1,
        "from the last epoch to its mark": 1,
        "to the next trial": 6,
    }
    assert trials.lasted(StudyFolder(tmp_path)) == 34


def test_two_at_a_time_a_place_that_is_free_is_taken_by_the_next_to_start(tmp_path):
    for number, start in enumerate((1000.0, 1003.0, 1019.0, 1018.0)):
        short_trial(tmp_path, number, start)
    waits = [span["to the next trial"] for span in trials.times(StudyFolder(tmp_path), places=2)]
    assert waits == [4, 2]  # of those that ended at 1014 and 1017


def test_a_study_that_fails_is_told_and_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("awcl.__main__.main", lambda command: sys.exit(3))
    with pytest.raises(Missing, match="the study of the benchmark failed, exit code 3"):
        trials.study(Run(tmp_path, smoke=True), places=1)


# --- peers do the same work ----------------------------------------------------------------------


def test_the_mask_form_is_our_loss():
    z, groups = loss.made(64)
    ours = group_loss(z, groups[None], 0.2)
    torch.testing.assert_close(published.mask_loss(z, groups, 0.2), ours)


def test_the_view_by_hand_is_one_and_differs_from_view_to_view():
    image = np.random.default_rng(0).integers(0, 256, (192, 256), dtype=np.uint8)
    seeding = Views(views.RECIPE, views.SIZE, seed=0)
    made = [views.view_by_hand(image, seeding.reseed(1, 0, view)) for view in range(8)]
    assert all(view.shape == (views.SIZE, views.SIZE) and view.dtype == np.uint8 for view in made)
    assert len({view.tobytes() for view in made}) == 8
    assert np.array_equal(made[3], views.view_by_hand(image, seeding.reseed(1, 0, 3)))


def test_views_by_hand_are_as_ours_on_average():
    """In brightness, in contrast, and in how much of the picture they show."""
    row, column = np.mgrid[:192, :256]
    image = (row / 192 * 155 + 50 * np.sin(column / 9)).clip(0, 255).astype(np.uint8)
    ours, many = Views(views.RECIPE, views.SIZE, seed=0), 300

    def seen(view: np.ndarray) -> tuple[float, ...]:
        down = view.mean(axis=1)
        return view.mean(), view.std(), abs(down[-1] - down[0])  # which falls with the crop

    hand = [seen(views.view_by_hand(image, ours.reseed(1, 0, view))) for view in range(many)]
    theirs = [seen(ours.of(2, 0).view(image, view)) for view in range(many)]
    for mine, other in zip(np.array(hand).T, np.array(theirs).T, strict=True):
        error = np.sqrt((mine.var() + other.var()) / many)
        assert abs(mine.mean() - other.mean()) < 4 * error
        assert 0.8 < mine.std() / other.std() < 1.25
