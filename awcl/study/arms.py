"""The table of arms: trials that differ in nothing but the seed, taken together."""

from typing import Any

from awcl.config import TrialConfig, shown
from awcl.records import EQUALLY, StudyFolder
from awcl.report import comparing, reading
from awcl.report.arms import arms, comparable
from awcl.report.comparing import Estimate

SCORE = "ridge/macro_f1"  # by `drawn.score_names`: of tasks that have one ridge probe


def rows(folder: StudyFolder) -> list[list[str]]:
    """A row for each task and arm: task, the arm's name where the study names its arms, axes, mean
    macro-F1 with its interval, every seed's value. What is not run has its row too.

    Else the arms that the report compares, and with its numbers: what was stopped early had less
    training and is not to be compared with the rest. None where these have one seed.
    """
    if len(folder.definition.get("seeds", [0])) < 2:
        return []
    stored = reading.read(folder)
    if len(stored.seeds) < 2:
        return []
    kept, _ = comparable(stored, arms(stored))
    estimates, _ = comparing.estimates(kept, lambda score: score.name == SCORE)
    names, found = varied(stored.definition), []
    for score, each in estimates.items():
        found += [[score.task, *_row(of, names)] for of in each]
        for row in stored.not_run:
            place = [row[name] for name in names]
            found.append([score.task, *place, f"not run: {row['reason']}", ""])
    places = {name: place for place, name in enumerate(stored.definition.get("arms", {}))}
    return sorted(found, key=lambda row: (row[0], places.get(row[1].split(EQUALLY)[0], 0)))


def _row(of: Estimate, names: list[str]) -> list[str]:
    place = cells(names, of.arm.config, key="", arm=of.arm.given)
    each = " ".join(f"{drawn.value:.3f}" for drawn in of.each.values())
    return [*place, f"{of.value:.3f} {of.told}", each]


def varied(definition: dict[str, Any]) -> list[str]:
    """The columns that tell the trials of a stored study apart, seeds aside: arm, axes."""
    return [*(["arm"] if definition.get("arms") else []), *definition["axes"]]


def columns(definition: dict[str, Any]) -> list[str]:
    """Those of a table of trials, the arm first: those of `varied`, the trial's key, the seed."""
    arm, axes = varied(definition), list(definition["axes"])
    return [*arm[: len(arm) - len(axes)], "trial", *axes, "seed"]


def cells(names: list[str], config: TrialConfig, key: str, arm: str | None) -> list[str]:
    """What a trial has in these columns; '-' for a field that it does not have."""
    values = {**shown(config), "trial": key, "arm": arm or "-"}
    return [str(values.get(name, "-")) for name in names]


def heads(names: list[str]) -> list[str]:
    """What stands above columns: the last part of a field's dotted name."""
    return [name.rpartition(".")[2] for name in names]
