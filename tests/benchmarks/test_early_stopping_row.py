"""The row that replays grids: it spends what ASHA spends, names what ASHA leaves, and says so."""

import json

import numpy as np
import pytest

from awcl.files import append_line
from awcl.records import StudyFolder
from benchmarks.harness import Run
from benchmarks.rows import early_stopping
from benchmarks.rows.early_stopping import Grid, read_grid, replay, replays, told

EPOCHS = 9


def grid(proxies: np.ndarray, width: float = 0.01) -> Grid:
    """Scores are the last proxies, their intervals that wide below."""
    scores = proxies[:, -1]
    keys = [f"t{number}" for number in range(len(proxies))]
    return Grid("made", keys, proxies, scores, scores - width)


def steady(trials: int = 12) -> np.ndarray:
    """(trials, EPOCHS): trials learn, and the better is better from the start."""
    return np.arange(trials)[:, None] / trials + np.arange(EPOCHS)[None] / 1000


class InOrder:
    """In place of chance: trials as they are listed, each to its end."""

    def permutation(self, count: int) -> np.ndarray:
        return np.arange(count)[::-1]  # the last is taken first

    def choice(self, running: list[int]) -> int:
        return running[0]


def test_one_after_the_other_from_the_best_on_all_others_stop_at_the_first_rung():
    proxies = steady()[::-1]
    found = replay(grid(proxies), places=1, rng=InOrder())
    assert found.named == 0
    assert found.epochs == EPOCHS + 11  # one epoch each of the others: the first rung is at 1


def test_from_the_worst_on_nothing_stops():
    found = replay(grid(steady()), places=1, rng=InOrder())
    assert (found.named, found.epochs) == (11, 12 * EPOCHS)


@pytest.mark.parametrize("places", [1, 2, 4, 30])
def test_in_any_order_the_best_of_a_steady_grid_is_found_for_less(places):
    proxies, rng = steady(), np.random.default_rng(places)
    found = [replay(grid(proxies), places, rng) for _ in range(30)]
    assert {search.named for search in found} == {11}
    spent = [search.epochs for search in found]
    assert EPOCHS + 11 <= min(spent) < max(spent) <= proxies.size


def test_what_is_told_of_a_steady_grid_and_of_one_that_misleads(tmp_path, monkeypatch):
    monkeypatch.setattr(early_stopping, "ORDERS", 8)
    run = Run(tmp_path)
    epochs, best = replays(run, grid(steady(30)))
    assert epochs.met and best.met
    assert "in 100%, within its interval in 100%; proxy lower by 0.000 [0.000, 0.000]" in best.ours
    assert epochs.what == "ASHA, 24 replays of made: epochs"
    late = steady(30)
    late[:, :-1] = late[::-1, :-1]
    epochs, best = replays(run, grid(late))
    assert epochs.met and not best.met
    (_, wide) = replays(run, grid(late, width=1))
    assert wide.met, "all lie within so wide an interval"


def test_ratios_are_shares_of_the_grids_epochs():
    searches = [early_stopping.Search(epochs, named=11) for epochs in (27, 54, 81)]
    epochs, _ = told("ASHA", grid(steady()), searches)
    assert epochs.ratio == (0.5, 0.25, 0.75)
    assert epochs.against == "108, the grid of 12 trials of 9"
    assert not epochs.met


# --- what is stored ------------------------------------------------------------------------------


def stored(path, proxies, stopping=None, stopped=()) -> StudyFolder:
    """A study whose trials ended as told; those of `stopped` after two epochs."""
    path.mkdir()
    definition = {"name": path.name, "axes": {}, "early_stopping": stopping}
    (path / "STUDY.json").write_text(json.dumps(definition))
    for number, history in enumerate(proxies):
        trial = path / "trials" / f"{number:012d}"
        (trial / "eval" / "planes-1").mkdir(parents=True)
        history = history[:2] if number in stopped else history
        outcome = "stopped" if number in stopped else "finished"
        metrics = {"macro_f1": history[-1], "macro_f1/low": history[-1] - 0.1}
        files = {
            "TRIAL.json": {"key": trial.name, "config": {}},
            "DONE.json": {"outcome": outcome, "epoch": len(history)},
            "eval/planes-1/EVAL.json": {
                "name": "planes", "epoch": len(history), "metrics": metrics
            },
        }  # fmt: skip
        for name, content in files.items():
            (trial / name).write_text(json.dumps(content))
        for epoch, value in enumerate(history, 1):
            append_line(trial / "history.jsonl", {"epoch": epoch, "val/proxy": value})
    return StudyFolder(path)


def test_a_stored_grid_is_read_with_its_histories_and_scores(tmp_path):
    proxies = steady()
    found = read_grid(stored(tmp_path / "a", proxies.tolist()))
    assert np.array_equal(found.proxies, proxies)
    assert np.allclose(found.scores - found.lows, 0.1)
    assert found.best == 11 and found.name == "a"


def test_untrained_trials_are_no_part_of_a_grid(tmp_path):
    found = read_grid(stored(tmp_path / "a", [*steady().tolist(), [0.1]]))
    assert found.proxies.shape == (12, EPOCHS)


def test_only_full_grids_are_replayed(tmp_path):
    proxies = steady().tolist()
    stored(tmp_path / "few", proxies[:3])
    stored(tmp_path / "search", proxies, stopping={"grace": 1, "reduction": 3})
    stored(tmp_path / "whole", proxies)
    assert [grid.name for grid in early_stopping.stored_grids(tmp_path)] == ["whole"]


def test_what_a_real_search_spent_and_names_is_read_from_its_trials(tmp_path):
    proxies = steady(3).tolist()
    whole = read_grid(stored(tmp_path / "grid", proxies), fewest=2)
    search = stored(tmp_path / "asha", proxies, {"grace": 1}, stopped=(1, 2))
    assert early_stopping.searched(search, whole) == early_stopping.Search(EPOCHS + 4, named=0)
