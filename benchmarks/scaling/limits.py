"""How many trials one driver can look after: computed from what was measured.

A driver does one thing at a time: each epoch that a trial tells of is stored, decided on and
written to MLflow before the next one. So trials at a time times the seconds that an epoch's event
takes must stay below the seconds of an epoch; beyond, events wait, and so do trials that end.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.scaling.markdown import table

STORE = 0.03  # seconds a request to an object store of the same region, assumed
EPOCHS = (10, 60, 600)  # seconds of an epoch

Figures = Mapping[str, Any]


def events(of: Figures) -> float:
    """That a trial tells of: its start, its epochs, its end, its evaluation."""
    return of["epochs"] + 3


def of_a_trial(of: Figures) -> float:
    """Seconds of the driver's processor that a stub trial takes, all of its events together."""
    return sum(part["processor"] for part in of["parts"].values()) / of["trials"]


def of_an_event(of: Figures, without: str = "") -> float:
    """Seconds of the driver's processor an event; without: a part that is left out."""
    parts = sum(p["processor"] for name, p in of["parts"].items() if name != without)
    return parts / of["trials"] / events(of)


def memory_of_a_trial(of: Figures) -> float:
    """Bytes by which the driver grows a trial, over the second half of a run."""
    seen = of["memory"][len(of["memory"]) // 2 :]
    (first, before, _), (last, after, _) = seen[0], seen[-1]
    return (after - before) / max(1, last - first)


def seconds_a_call(of: Figures) -> dict[str, float]:
    """Of MLflow's client, on the wall: the driver waits for each."""
    return {where: one["wall"] / sum(one["calls"].values()) for where, one in of["of"].items()}


def requests_an_epoch(of: Figures) -> float:
    """To an object store, of the driver.

    Those of a kind that became fewer with more epochs, as what it writes on the clock, are no gain.
    """
    few, many = sorted(of["of"], key=int)
    less, more = (of["of"][epochs]["of_the_driver"] for epochs in (few, many))
    grown = sum(max(0, count - less.get(kind, 0)) for kind, count in more.items())
    return grown / (int(many) - int(few))


def settings(driver: Figures, mlflow: Figures, writes: Figures) -> dict[str, float]:
    """Where storage and MLflow are -> seconds that the driver takes for an epoch's event."""
    here = of_an_event(driver)
    calls = sum(driver["mlflow_calls"].values()) / driver["trials"] / events(driver)
    served = of_an_event(driver, without="MLflow") + calls * seconds_a_call(mlflow)["server"]
    store = requests_an_epoch(writes) * STORE
    return {
        "folder, SQLite": here,
        "folder, MLflow server": served,
        "object store, SQLite": here + store,
        "object store, MLflow server": served + store,
    }


def table_of(driver: Figures, mlflow: Figures, writes: Figures) -> str:
    rows = [
        [name, f"{1000 * seconds:.0f}", f"{1 / seconds:.0f}",
         *(f"{epoch / seconds:,.0f}" for epoch in EPOCHS)]
        for name, seconds in settings(driver, mlflow, writes).items()
    ]  # fmt: skip
    head = ["storage and MLflow", "ms an epoch's event", "events a second at most"]
    return table([*head, *(f"trials at a time, epochs of {e} s" for e in EPOCHS)], rows)
