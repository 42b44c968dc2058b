"""What status says of machines, cost, speed and logs; from stored files."""

import re
import time
from types import SimpleNamespace

import pytest

from awcl.config import TrialConfig, with_values
from awcl.pretrain.methods import canonical
from awcl.records import CARD_MEMORY, CARD_USE, StudyFolder
from awcl.study import usage
from awcl.study.standing import standings
from awcl.study.table import render


@pytest.fixture
def make(tmp_path):
    """make(prices=...): a stored study without trials."""

    def made(**fields) -> StudyFolder:
        study = StudyFolder(tmp_path / "s")
        study.accept({"name": "s", "axes": {}, "tasks": [], **fields})
        return study

    return made


def add(study, key, state=None, starts=(0,), rows=(), **done):
    trial = study.trial(key)
    config = canonical(with_values(TrialConfig(), {"pretrain.epochs": 4}, "test"))
    trial.write_about({"key": key, "config": config.model_dump(mode="json")})
    for start in starts:
        trial.append_start({"time": start, "launch": "launch-1", "places": 1})
    for epoch, row in enumerate(rows, start=1):
        trial.append_history({"epoch": epoch, "val/proxy": 0.5, **row})
    if state:
        trial.write_done(state, epoch=len(rows), **done)


def look(time: float, run: float = 0, asked=None, **machines) -> dict:
    machines = {name.replace("_", "-"): count for name, count in machines.items()}
    queue = {"running": 1, "waiting": 3}
    return {"time": time, "run": run, "machines": machines, "asked": asked or {}, **queue}


LOOKS = [look(0, head=1, gpu_workers=4), look(5400, head=1)]


def test_hours_of_machines_and_cost_at_the_studys_prices(make):
    study = make(prices={"gpu-workers": 1.5, "head": 0.25})
    for each in LOOKS:
        study.append_machines(each)
    hours, cost = usage.of_machines(study)[0].split("; ")
    assert hours == "hours of machines: 1.5 head, 6.0 gpu-workers"
    assert cost == "cost so far 9.38, in the currency of `prices`"


def test_a_machine_without_a_price_is_named_and_without_prices_there_is_no_cost(make):
    study = make(prices={"gpu-workers": 1.5})
    for each in LOOKS:
        study.append_machines(each)
    assert usage.of_machines(study)[0].endswith(
        "cost so far 9.00, in the currency of `prices` (head without a price)"
    )
    assert usage.of_machines(make()) == ["hours of machines: 1.5 head, 6.0 gpu-workers"]


def test_a_study_that_never_looked_says_nothing(make):
    assert usage.of_machines(make(prices={"head": 1})) == []


def test_while_it_runs_it_says_what_is_there_and_counts_up_to_now(make, monkeypatch):
    study, now = make(prices={"head": 36.0}), time.time()
    monkeypatch.setattr(usage, "time", SimpleNamespace(time=lambda: now))
    study.append_machines(look(now - 3600, run=5, head=1))
    study.append_machines(look(now - 100, run=5, head=1, asked={"gpu-workers": 2}))
    assert len(usage.of_machines(study)) == 1, "nobody runs it"
    with study.only_driver():
        there, hours = usage.of_machines(study)
    assert there == "machines: 1 head; asked for: 2 gpu-workers"
    assert hours.startswith("hours of machines: 1.0 head; cost so far 36.00, ")


def test_of_a_run_that_has_not_looked_yet_nothing_is_taken_from_an_earlier_one(make):
    study = make()
    study.append_machines(look(1000, head=1))
    study.append_machines(look(4600, head=1))
    with study.only_driver():
        assert usage.of_machines(study) == ["hours of machines: 1.0 head"]


SPEED = {"seconds": 30.0, "images_per_second": 1234.5, "data_wait": 0.07}


def test_each_trial_has_its_speed_and_cards_only_where_there_are_some(make):
    study = make()
    add(study, "slow", rows=[{"time": 100, **SPEED}, {"time": 7200, **SPEED}])
    add(study, "none")
    [table] = usage.of_trials(standings(study))
    title, head, row = table.splitlines()
    assert title == "speed, in the newest epoch"
    assert [name.strip() for name in re.split("  +", head)] == [
        "trial", "hours so far", "s an epoch", "views/s", "waits for data",
    ]  # fmt: skip
    assert row.split() == ["slow", "2.00", "30.0", "1234", "7%"]
    used = {CARD_USE: 91.4, CARD_MEMORY: 20480.0}
    add(study, "card", rows=[{"time": 100, **SPEED, **used}])
    [table] = usage.of_trials(standings(study))
    first, second = table.splitlines()[2:]
    assert first.split() == ["card", "0.03", "30.0", "1234", "7%", "91%", "20480", "MB"]
    assert second.split()[-2:] == ["-", "-"]
    assert max(map(len, table.splitlines())) <= 100


def test_hours_are_those_of_every_start_and_not_of_the_time_between(make):
    study = make()
    rows = [{"time": at, **SPEED} for at in (1800, 3600, 91_800)]
    add(study, "twice", "finished", starts=(0, 90_000), rows=rows)
    [table] = usage.of_trials(standings(study))
    assert table.splitlines()[2].split()[1] == "1.50"


def test_a_failed_trial_says_where_the_log_of_its_worker_is(make):
    study = make()
    log = "/tmp/ray/session_2026-11-21_10-18-13_591508_10937/logs/train/" + "w" * 60 + ".log"
    workers = [{"host": "10.0.0.7", "log": log, "actor": "5bc4"}, {"host": "10.0.0.8"}]
    study.trial("broken").write_workers(workers)
    assert study.trial("broken").worker(1) == {"host": "10.0.0.8"}
    assert study.trial("broken").worker(2) is None and study.trial("other").worker(0) is None
    worker = study.trial("broken").worker(0)
    add(study, "broken", "failed", rows=[{"time": 9}], reason="it broke", worker=worker)
    for details in (True, False):
        lines = render(study, details=details).splitlines()
        at = lines.index("  broken: it broke")
        assert lines[at + 1 : at + 4] == [
            "    log, on 10.0.0.7:",
            f"    {log}",
            "    while that Ray runs: ray logs actor --id 5bc4 --err",
        ]
