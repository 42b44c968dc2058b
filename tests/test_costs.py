"""Hours of machines and their cost, against counting second by second."""

import numpy as np
import pytest

from awcl.costs import cost, hours_at


def look(time: float, run: float = 0, **machines: int) -> dict:
    return {"time": time, "run": run, "machines": machines}


def test_machines_count_from_a_look_to_the_next_of_the_same_run():
    looks = [look(0, head=1), look(1800, head=1, card=4), look(3600, head=1, card=2), look(7200)]
    found = hours_at(looks)
    assert found[0] == {}
    assert found[1] == {"head": 0.5}
    assert found[2] == {"head": 1.0, "card": 2.0}
    assert found[3] == {"head": 2.0, "card": 4.0}


def test_the_time_between_two_runs_counts_for_nothing():
    looks = [look(0, head=1), look(3600, head=1), look(90_000, run=90_000, head=1)]
    assert hours_at(looks)[-1] == {"head": 1.0}
    assert hours_at([*looks, look(93_600, run=90_000)])[-1] == {"head": 2.0}


def test_it_is_what_counting_every_second_gives():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.integers(1, 50, 20))
    looks = [look(int(t), run=int(t > times[9]), card=int(rng.integers(0, 5))) for t in times]
    seconds = 0
    for second in range(int(times[-1])):
        before = [made for made in looks if made["time"] <= second]
        after = [made for made in looks if made["time"] > second]
        if before and after and before[-1]["run"] == after[0]["run"]:
            seconds += before[-1]["machines"]["card"]
    assert hours_at(looks)[-1]["card"] == pytest.approx(seconds / 3600)


def test_a_cost_is_hours_times_prices_and_what_has_no_price_costs_nothing():
    hours = {"head": 10.0, "card": 4.0}
    assert cost(hours, {"head": 0.25, "card": 1.5, "other": 9.0}) == 10 * 0.25 + 4 * 1.5
    assert cost(hours, {"card": 1.5}) == 6.0
    assert cost({}, {"card": 1.5}) == 0


def test_a_clock_that_was_set_back_takes_no_hours_away():
    assert hours_at([look(3600, card=1), look(0, card=1), look(3600, card=1)])[-1] == {"card": 1.0}
