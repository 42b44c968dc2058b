"""The table of arms: trials that differ in nothing but the seed, taken together."""

from collections import defaultdict
from io import BytesIO

import pandas as pd

from awcl.config import TrialConfig, parse, shown
from awcl.downstream.seeds import mean_macro_f1
from awcl.records import StudyFolder, TrialFolder

PREDICTIONS = "predictions.parquet"


def rows(folder: StudyFolder) -> list[list[str]]:
    """A row for each task and arm: task, axes, mean macro-F1 with its interval, every seed's value.

    Only arms of which every seed ran to its full budget and was judged: what was stopped early had
    less training and is not to be compared with the rest. None where the study has one seed.
    """
    definition = folder.definition
    axes, seeds = list(definition["axes"]), definition.get("seeds", [0])
    if len(seeds) < 2:
        return []
    found = []
    for values, trials in _arms(folder, axes).items():
        if set(trials) < set(seeds):
            continue
        judged = [_predictions(trials[seed]) for seed in seeds]
        for task in set.intersection(*map(set, judged)):
            value, low, high = mean_macro_f1([tables[task] for tables in judged])
            each = [f"{mean_macro_f1([tables[task]])[0]:.3f}" for tables in judged]
            found.append([task, *values, f"{value:.3f} [{low:.3f}, {high:.3f}]", " ".join(each)])
    return sorted(found)


def _arms(folder: StudyFolder, axes: list[str]) -> dict[tuple[str, ...], dict[int, TrialFolder]]:
    """Finished trials by their place on the axes, then by seed."""
    arms: dict[tuple[str, ...], dict[int, TrialFolder]] = defaultdict(dict)
    for trial in folder.trials():
        if trial.outcome == "finished":
            values = shown(parse(TrialConfig, trial.about["config"], trial.key))
            arms[tuple(str(values[axis]) for axis in axes)][values["seed"]] = trial
    return arms


def _predictions(trial: TrialFolder) -> dict[str, pd.DataFrame]:
    """Task name -> predictions of the trial's evaluations by tasks that have one ridge probe."""
    every = {
        result["name"]: pd.read_parquet(BytesIO((folder / PREDICTIONS).read_bytes()))
        for folder, result in trial.evaluations()
    }
    return {name: table for name, table in every.items() if "ridge" in table}
