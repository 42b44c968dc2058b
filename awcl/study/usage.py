"""What a study uses, for people: its machines and their cost, how fast each trial is. No ray."""

import time
from typing import Any

from awcl import costs
from awcl.downstream.telling import aligned
from awcl.records import CARD_MEMORY, CARD_USE, StudyFolder
from awcl.study.standing import Standing, trial_seconds


def of_machines(study: StudyFolder) -> list[str]:
    """Lines: the machines that there are while it runs, hours of machines so far, their cost."""
    looks, prices = study.machines(), study.definition.get("prices", {})
    if not looks:
        return []
    lines, newest = [], looks[-1]
    if study.held and time.time() - newest["time"] < 2 * costs.APART:  # else of an earlier run
        there, asked = _listed(newest["machines"]), _listed(newest["asked"])
        lines.append(f"machines: {there or 'none'}" + (f"; asked for: {asked}" if asked else ""))
        looks.append({**newest, "time": time.time()})
    hours = costs.hours_at(looks)[-1]
    line = f"hours of machines: {_listed({kind: round(of, 2) for kind, of in hours.items()})}"
    if prices:
        line += f"; cost so far {costs.cost(hours, prices):.2f}, in the currency of `prices`"
        without = [kind for kind in hours if kind not in prices]
        line += f" ({', '.join(without)} without a price)" if without else ""
    return [*lines, line]


def of_trials(trials: list[Standing]) -> list[str]:
    """A table of each trial's newest epoch; without the columns of cards where there are none."""
    trained = [trial for trial in trials if "seconds" in (trial.history or [{}])[-1]]
    if not trained:
        return []
    rows = [[name, *(_cell(trial) for trial in trained)] for name, _cell in COLUMNS.items()]
    used = [row for row in rows if set(row[1:]) != {"-"}]
    table = aligned([list(row) for row in zip(*used, strict=True)])
    return [f"speed, in the newest epoch\n{table}"]


def _newest(name: str, form: str) -> Any:
    def cell(trial: Standing) -> str:
        row = trial.history[-1]
        return form.format(row[name]) if name in row else "-"

    return cell


COLUMNS = {
    "trial": lambda trial: trial.key,
    "hours so far": lambda trial: f"{trial_seconds(trial) / 3600:.2f}",
    "s an epoch": _newest("seconds", "{:.1f}"),
    "views/s": _newest("images_per_second", "{:.0f}"),
    "waits for data": _newest("data_wait", "{:.0%}"),
    "card in use": _newest(CARD_USE, "{:.0f}%"),
    "card's memory": _newest(CARD_MEMORY, "{:.0f} MB"),
}


def _listed(counts: dict[str, Any]) -> str:
    """'1 head, 3 gpu-workers'."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
