"""The table of arms: trials that differ in nothing but the seed, taken together."""

from collections import defaultdict
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from awcl.config import TrialConfig, parse, shown
from awcl.downstream.seeds import mean_macro_f1
from awcl.records import StudyFolder, TrialFolder

PREDICTIONS = "predictions.parquet"


def rows(folder: StudyFolder) -> list[list[str]]:
    """A row for each task and arm: task, the arm's name where the study names its arms, axes, mean
    macro-F1 with its interval, every seed's value. What is not run has its row too.

    Else only arms of which every seed ran to its full budget and was judged: what was stopped early
    had less training and is not to be compared with the rest. None where the study has one seed.
    """
    definition = folder.definition
    names, seeds = varied(definition), definition.get("seeds", [0])
    if len(seeds) < 2:
        return []
    found = []
    for values, trials in _arms(folder, names).items():
        if set(trials) < set(seeds):
            continue
        judged = [_predictions(trials[seed]) for seed in seeds]
        for task in set.intersection(*map(set, judged)):
            value, low, high = mean_macro_f1([tables[task] for tables in judged])
            each = [f"{mean_macro_f1([tables[task]])[0]:.3f}" for tables in judged]
            ends = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""  # of one patient
            found.append([task, *values, f"{value:.3f}{ends}", " ".join(each)])
    for task in {row[0] for row in found}:
        for row in folder.not_run:
            found.append([task, *(row[name] for name in names), f"not run: {row['reason']}", ""])
    places = {name: place for place, name in enumerate(definition.get("arms", {}))}
    return sorted(found, key=lambda row: (row[0], places.get(row[1].partition(" = ")[0], 0), row))


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


def _arms(folder: StudyFolder, names: list[str]) -> dict[tuple[str, ...], dict[int, TrialFolder]]:
    """Finished trials by their arm and place on the axes, then by seed."""
    arms: dict[tuple[str, ...], dict[int, TrialFolder]] = defaultdict(dict)
    arm_of = folder.arm_of
    for trial in folder.trials():
        if trial.outcome == "finished":
            config = parse(TrialConfig, trial.about["config"], trial.key)
            place = cells(names, config, trial.key, arm_of.get(trial.key))
            arms[tuple(place)][config.seed] = trial
    return arms


def _predictions(trial: TrialFolder) -> dict[str, pd.DataFrame]:
    """Task name -> predictions of the trial's evaluations by tasks that have one ridge probe."""
    every = {
        result["name"]: pd.read_parquet(BytesIO((folder / PREDICTIONS).read_bytes()))
        for folder, result in trial.evaluations()
    }
    return {name: table for name, table in every.items() if "ridge" in table}
