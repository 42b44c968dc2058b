"""What cluster/SCALING.md tells: its tables are what was measured, and sums are right."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.harness import Run
from benchmarks.scaling import clock, limits, network, page, rungs, staging
from benchmarks.scaling.driver import Counted
from benchmarks.scaling.writes import kind_of

ROOT = Path(__file__).parents[2]


# --- the page ------------------------------------------------------------------------------------


def test_the_tables_of_the_page_are_those_of_the_stored_figures():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.rendered(text, page.load()) == text, "python -m benchmarks.scaling --write"


def test_every_table_has_its_place_in_the_page():
    marks = [found[2] for found in page.BLOCK.finditer(page.PAGE.read_text(encoding="utf-8"))]
    assert sorted(marks) == sorted(page.TABLES)


def test_a_figure_is_told_with_its_command_day_and_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "STORE", tmp_path / "scaling.json")
    text = "before\n<!-- rungs -->\nold\n<!-- end -->\nafter\n"
    assert "Not measured yet: `--only rungs`." in page.rendered(text, page.load())
    page.add("rungs", rungs.measure(Run(tmp_path, smoke=True)), took=1, busy=1.5)
    told = page.rendered(text, page.load())
    assert told.startswith("before\n") and told.endswith("<!-- end -->\nafter\n")
    assert "old" not in told and "| 100 |" in told
    about = page.load()["rungs"]["machine"]
    assert "python -m benchmarks.scaling --only rungs" in told
    assert f"{about['cores']} cores of {about['processor']}, of which other work used 1.5" in told
    assert re.search(r"20\d\d-\d\d-\d\d", told)


# --- sums ----------------------------------------------------------------------------------------

DRIVER = {
    "trials": 10,
    "epochs": 2,
    "parts": {
        "MLflow": {"calls": 50, "wall": 9.0, "processor": 1.0},
        "Tune, Ray": {"calls": 1, "wall": 9.0, "processor": 4.0},
    },
    "memory": [[2, 900, 1], [4, 1000, 1], [6, 1040, 1], [10, 1120, 1]],
    "mlflow_calls": {"log_batch": 90, "create_run": 10},
}
MLFLOW = {
    "of": {"SQLite": {"wall": 1, "calls": {"a": 5}}, "server": {"wall": 3, "calls": {"a": 6}}}
}
FEW, MANY = {"put": 12}, {"put": 10, "get": 8}  # on the clock some are written less often
WRITES = {"of": {"2": {"of_the_driver": FEW}, "4": {"of_the_driver": MANY}}}


def test_an_event_costs_what_its_parts_cost_and_what_the_driver_waits_for():
    """5 events a trial; on a server 2 calls an event, of 0.5 s; 4 requests an epoch to a store."""
    told = limits.settings(DRIVER, MLFLOW, WRITES)
    assert told["folder, SQLite"] == pytest.approx(5 / 10 / 5)
    assert told["folder, MLflow server"] == pytest.approx(4 / 10 / 5 + 2 * 0.5)
    assert told["object store, SQLite"] == pytest.approx(0.1 + 4 * limits.STORE)
    table = limits.table_of(DRIVER, MLFLOW, WRITES)
    assert "| folder, SQLite | 100 | 10 | 100 | 600 | 6,000 |" in table


def test_memory_is_that_of_the_second_half():
    assert limits.memory_of_a_trial(DRIVER) == pytest.approx(80 / 4)


def test_what_is_computed_of_the_loss_is_what_two_processes_send(tmp_path):
    """`measure` refuses figures that differ."""
    found = network.measure(Run(tmp_path, smoke=True))
    assert found["measured"] == {1: 0, 2: found["loss"][2]}
    assert network.averaged(1000, 4) == 1500  # each quarter comes from three others, twice


def test_decisions_at_a_rung_are_counted_with_all_that_they_store(tmp_path):
    (hundred,) = rungs.measure(Run(tmp_path, smoke=True)).values()
    assert hundred["decisions"] >= 100
    assert 50 < hundred["bytes"] / hundred["decisions"] < 200  # a line, however many came before


def test_a_pack_on_its_way_takes_what_a_sum_by_hand_gives():
    """2 million frames of 256 x 256; 16,384 of them a shard, so 122 shards and 1,152 frames more.
    A whole shard and its header are 64 pieces of 16 MiB and one of 128 bytes; the last shard, 5."""
    assert staging.pack_bytes() == 131_072_000_000
    assert len(staging.shards()) == 123
    assert staging.gets() == 8 * (122 * 65 + 5) == 63_480
    told = [staging.minutes(rate) for rate in staging.rates().values()]
    assert told == pytest.approx([17.48, 5.0, 3.64, 15.89], abs=0.01)
    home = [staging.minutes(rate) for rate in staging.FROM_HOME.values()]
    assert home == pytest.approx([174.76, 17.48], abs=0.01)
    assert staging.waiting(staging.GP3) == pytest.approx(8 * 0.50 * 17.476 / 60, abs=0.001)
    assert staging.gets() / staging.GETS_A_DOLLAR == pytest.approx(0.0254, abs=1e-4)


def test_the_page_tells_what_staging_takes():
    text = page.PAGE.read_text(encoding="utf-8")
    assert f"<!-- staging -->\n{staging.table_of()}\n" in text, "benchmarks.scaling --write"
    assert "131 GB in 123 shards" in text and "| 125 MB/s | 17.5 | $1.17 |" in text


def test_seconds_within_another_name_are_that_ones_alone(monkeypatch):
    now = Counter()
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(clock.time, "thread_time", lambda: now["processor"])

    class Worker:
        def outer(self):
            now["wall"] += 5
            self.inner()
            self.inner()
            now["processor"] += 2

        def inner(self):
            now["wall"] += 10
            now["processor"] += 1

    made = clock.Clock()
    with made.on(Worker, "outer", "outer"), made.on(Worker, "inner", "inner"):
        Worker().outer()
    assert made.spent["outer"] == clock.Spent(1, 5, 2)
    assert made.spent["inner"] == clock.Spent(2, 20, 2)


def test_calls_are_counted_by_their_names():
    calls = Counter()
    text = Counted("a text", calls)
    assert text.upper() == "A TEXT" and text.upper() and text.strip()
    assert calls == {"upper": 2, "strip": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("counted-2/trials/0123456789ab/history.jsonl", "trials/KEY/history.jsonl"),
        ("counted-2/trials/0123456789ab/train/launch-20261121-101112/epoch_0002/state.pt",
         "trials/KEY/train/LAUNCH/epoch_N/state.pt"),
        ("counted-2/trials/0123456789ab/eval/planes-0a1b/EVAL.json",
         "trials/KEY/eval/planes/EVAL.json"),
        ("counted-2/tune/launch-1/x.json", "tune/*"),
        ("packs/0123abc/shard-00000.npy", "packs/DIGEST/*"),
        ("", ""),
    ],
)  # fmt: skip
def test_objects_of_a_kind_are_counted_together(name, kind):
    assert kind_of(name) == kind


# --- the command ---------------------------------------------------------------------------------


def smoke(subject: str) -> dict:
    """What a subject gives at a tiny size."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--smoke", "--only", subject]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_command_tells_a_subject_and_a_smoke_run_stores_nothing():
    before = page.PAGE.read_bytes(), page.load()
    assert set(smoke("rungs")) == {"100"}
    assert (page.PAGE.read_bytes(), page.load()) == before


@pytest.mark.slow
def test_real_trials_and_empty_ones_are_timed():
    found = smoke("overhead")
    assert found["parts"]["epochs"] > 0
    assert found["overhead"] > 0 and found["empty"] > 0


@pytest.mark.slow
def test_mlflow_is_timed_in_a_file_and_through_a_server():
    found = smoke("tracking")
    assert {where: of["calls"]["create_run"] for where, of in found["of"].items()} == {
        "SQLite": found["trials"] + 1,
        "server": found["trials"] + 1,
    }


@pytest.mark.slow
def test_requests_of_a_real_trial_are_counted_where_they_arrive():
    (found,) = smoke("writes")["of"].values()
    assert found["writes"]["trials/KEY/DONE.json"] == 1
    assert found["writes"]["trials/KEY/history.jsonl"] == 2
    assert found["writes"]["trials/KEY/eval/planes/EVAL.json"] == 1
    assert sum(found["of_the_driver"].values()) < sum(found["requests"].values())
