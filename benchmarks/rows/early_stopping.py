"""A search that stops early (ASHA) beside the full grid: what it saves, and what it misses.

Twelve configurations run to the full budget on a phantom: the grid. Then the same search runs with
early stopping. Between the two, the histories of the grid are replayed through the class that
decides (`awcl.study.asha`), in random orders, 1, 2 and 4 trials at a time, whose epochs end in
random order; so are those of every grid that is stored.

A search names the trial with the best proxy of those that it ran to the end, the grid likewise.
What a search misses is told as regret, the difference of the two proxies; it found as good a
configuration where the score of what it named, macro-F1 of the probe on test patients at the full
budget, is within the interval of the grid's best.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from awcl.records import StudyFolder, TrialFolder
from awcl.study.asha import Asha
from benchmarks import material, studies
from benchmarks.harness import Missing, Row, Run, spread

GRACE, REDUCTION = 1, 3
ORDERS, PLACES = 50, (1, 2, 4)
FEWEST = 10  # trials: of fewer, little can be stopped
MOST, OFTEN = 0.4, 0.95  # of the grid's epochs; of the replays in which the best has to be found
TASK, SCORE, LOW = "planes", "macro_f1", "macro_f1/low"


@dataclass(frozen=True)
class Grid:
    """A study whose T trials ran to the full budget of E epochs.

    proxies: (T, E). scores, lows: (T,) macro-F1 at the end, and the lower end of its interval.
    """

    name: str
    keys: list[str]
    proxies: np.ndarray
    scores: np.ndarray
    lows: np.ndarray

    @property
    def best(self) -> int:
        return int(np.argmax(self.proxies[:, -1]))


@dataclass(frozen=True)
class Search:
    """What a search came to: epochs that it spent, number of the trial that it names."""

    epochs: int
    named: int


def measure(run: Run) -> Iterator[Row]:
    from awcl.study.cluster import ray_session
    from awcl.study.stages import Stages

    yield from (row for grid in stored_grids(run.storage) for row in replays(run, grid))
    with ray_session(Stages()):
        grid = read_grid(study(run, "bench-grid"), fewest=2)
        if grid is None:
            raise Missing("no two trials of the grid ended well and were judged; it says why above")
        yield from replays(run, grid)
        search = searched(study(run, "bench-asha", stopping=True), grid)
    yield from told("ASHA, one real run", grid, [search])


# --- the grid --------------------------------------------------------------------------------


def stored_grids(storage: Path) -> Iterator[Grid]:
    """Of the studies that are stored, those that can be replayed."""
    for file in sorted(storage.glob("*/STUDY.json")):
        grid = read_grid(StudyFolder(file.parent))
        if grid is not None:
            yield grid


def read_grid(folder: StudyFolder, fewest: int = FEWEST) -> Grid | None:
    """None for a study that stops early, or has fewer trials of its full budget with a score.

    Trials of other budgets, untrained ones say, are no part of the grid.
    """
    if folder.definition.get("early_stopping"):
        return None
    found = [(trial, _proxies(trial), _judged(trial)) for trial in folder.trials()]
    epochs = max((len(proxies) for _, proxies, _ in found), default=0)
    found = [(trial, p, judged) for trial, p, judged in found if len(p) == epochs and judged]
    if len(found) < fewest:
        return None
    trials, proxies, judged = zip(*found, strict=True)
    return Grid(
        name=folder.path.name,
        keys=[trial.key for trial in trials],
        proxies=np.array(proxies),
        scores=np.array([metrics[SCORE] for metrics in judged]),
        lows=np.array([metrics[LOW] for metrics in judged]),
    )


def _proxies(trial: TrialFolder) -> list[float]:
    """(E,) of a trial that ended by itself; none of any other."""
    finished = trial.outcome == "finished"
    return [row["val/proxy"] for row in trial.history()] if finished else []


def _judged(trial: TrialFolder) -> dict[str, float] | None:
    """What TASK found at the end of a trial, where that has an interval."""
    found = [result["metrics"] for _, result in trial.evaluations() if result["name"] == TASK]
    return next((metrics for metrics in found if LOW in metrics), None)


# --- searches --------------------------------------------------------------------------------


def replays(run: Run, grid: Grid) -> Iterator[Row]:
    orders = run.size(ORDERS, 2)
    rng = np.random.default_rng(0)
    found = [replay(grid, places, rng) for places in PLACES for _ in range(orders)]
    yield from told(f"ASHA, {len(found)} replays of {grid.name}", grid, found)


def replay(grid: Grid, places: int, rng: np.random.Generator) -> Search:
    """The search on stored histories, in an order by chance, so many trials at a time.

    Which of those that run ends its epoch next is by chance, too.
    """
    asha, last = Asha(GRACE, REDUCTION), grid.proxies.shape[1]
    waiting = rng.permutation(len(grid.keys)).tolist()
    running: dict[int, int] = {}  # trial -> epochs that it has run
    ended: list[int] = []
    spent = 0
    while waiting or running:
        while waiting and len(running) < places:
            running[waiting.pop()] = 0
        trial = int(rng.choice(list(running)))
        running[trial] += 1
        spent += 1
        epoch = running[trial]
        made = asha.decide(grid.keys[trial], epoch, grid.proxies[trial, epoch - 1], last)
        if epoch == last:
            ended.append(trial)
        if epoch == last or (made and made.stop):
            del running[trial]
    return Search(spent, max(ended, key=lambda trial: grid.proxies[trial, -1]))


def searched(folder: StudyFolder, grid: Grid) -> Search:
    """What a study with early stopping spent on the grid's trials, and which of them it names."""
    trials = {trial.key: trial for trial in folder.trials()}
    spent = sum(len(trial.history()) for trial in trials.values())
    ended = {key: proxy for key in trials if (proxy := trials[key].last_proxy) is not None}
    if not ended:
        raise Missing("no trial of the search has a proxy: all failed")
    named = max(ended, key=ended.get)
    if named not in grid.keys:
        raise Missing(f"the search names {named}, which failed in the grid")
    return Search(spent, grid.keys.index(named))


# --- what is told ----------------------------------------------------------------------------


def told(what: str, grid: Grid, found: list[Search]) -> Iterator[Row]:
    """Two rows: epochs, and what was found for them."""
    shares = spread([search.epochs / grid.proxies.size for search in found])
    trials, epochs = grid.proxies.shape
    yield Row(
        f"{what}: epochs", f"{shares[0] * grid.proxies.size:.0f}",
        f"{grid.proxies.size}, the grid of {trials} trials of {epochs}", shares,
        f"<= {MOST} of the grid's", shares[0] <= MOST,
        why="the first at a rung go on, whatever they are",
    )  # fmt: skip
    best, named = grid.best, np.array([search.named for search in found])
    same = float(np.mean(named == best))
    within = float(np.mean(grid.scores[named] >= grid.lows[best]))
    regret = grid.proxies[best, -1] - grid.proxies[named, -1]
    yield Row(
        f"{what}: the best configuration",
        f"the grid's best in {same:.0%}, within its interval in {within:.0%}; proxy lower by "
        f"{np.median(regret):.3f} [{regret.min():.3f}, {regret.max():.3f}]",
        f"macro-F1 {grid.scores[best]:.3f}, from {grid.lows[best]:.3f} on, the grid's best", None,
        f"within its interval in {OFTEN:.0%}", within >= OFTEN,
        why="early epochs of these histories do not tell the best",
    )  # fmt: skip


def study(run: Run, name: str, stopping: bool = False) -> StudyFolder:
    """Runs the grid, or the same trials with early stopping."""
    fields = {
        "name": name,
        "base": {
            "model": {"backbone": "test_resnet" if run.smoke else "resnet10t"},
            "data": {"size": run.size(64, 32)},
            "pretrain": {"batch": run.size(64, 8), "epochs": run.size(12, 2)},
        },
        "axes": {"pretrain.temperature": [0.05, 0.2, 1.0], "anatomy.ratio": [0.1, 1.0]},
        "early_stopping": {"grace": GRACE, "reduction": REDUCTION} if stopping else None,
        "tasks": [TASK],
        "resources": {"cpus": 2, "concurrent": 1},
    }
    flags: list[str] = []
    if run.smoke:
        fields["axes"] = {"pretrain.temperature": [0.05] if stopping else [0.05, 1.0]}
        table = run.folder / "frames.parquet"
        if not table.is_file():
            material.table(material.files(run.folder / "images", 40)).write(table)
        flags = ["--frames", str(table)]
    else:
        fields["axes"]["pretrain.lr"] = [1e-4, 1e-3]
        fields["phantom"] = {"scans": 90, "size": 128, "seconds": 3}
    return studies.run(run.folder, fields, run.folder / "results", *flags)
