"""The figures, cluster/scaling.json, and the tables of cluster/SCALING.md that are made from them.

A table stands there between `<!-- NAME -->` and `<!-- end -->`; all else is written by hand. What
was not measured yet is said to be so.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.harness import lasting, size
from benchmarks.scaling import limits, network, staging
from benchmarks.scaling.markdown import table

HERE = Path(__file__).parents[2] / "cluster"
PAGE, STORE = HERE / "SCALING.md", HERE / "scaling.json"
COMPUTED = "(`python -m benchmarks.scaling --write`: computed, not measured.)"
BLOCK = re.compile(r"(<!-- ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Figures = dict[str, Any]


def add(name: str, figures: Figures, took: float, busy: float) -> None:
    """Puts what a subject gave in place of what it gave before."""
    stored = load()
    stored[name] = {
        "date": time.strftime("%Y-%m-%d"),
        "command": f"python -m benchmarks.scaling --only {name}",
        "machine": results.machine(),
        "seconds": round(took, 1),
        "busy_cores": round(busy, 2),
        "figures": figures,
    }
    STORE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def load() -> Figures:
    """Subject -> what `add` stored."""
    return json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {}


def write() -> None:
    """Makes every table of the page anew."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), load()), encoding="utf-8")


def rendered(text: str, stored: Figures) -> str:
    """The page with the tables of these figures. Raises KeyError for a mark of no table."""

    def block(found: re.Match[str]) -> str:
        subjects, table = TABLES[found[2]]
        missing = [name for name in subjects if name not in stored]
        if missing:
            told = ", ".join(f"`--only {name}`" for name in missing)
            return f"{found[1]}Not measured yet: {told}.\n{found[3]}"
        told = table(*(stored[name]["figures"] for name in subjects))
        conditions = [condition(stored[name]) for name in subjects] or [COMPUTED]
        return f"{found[1]}{told}\n\n{' '.join(dict.fromkeys(conditions))}\n{found[3]}"

    return BLOCK.sub(block, text)


def condition(of: Figures) -> str:
    """Where, when and by which command something was measured."""
    about = of["machine"]
    shared = of["busy_cores"] > results.BUSY
    neighbours = f", of which other work used {of['busy_cores']:.1f}" if shared else ""
    return (
        f"(`{of['command']}`, {of['date']}, {about['cores']} cores of {about['processor']}"
        f"{neighbours}.)"
    )


# --- the tables ------------------------------------------------------------------------------


def _time_per_trial(of: Figures) -> str:
    rows = [[name, f"{seconds:.1f}"] for name, seconds in of["parts"].items()]
    rows.append(["**overhead: all but the epochs**, median", f"{of['overhead']:.1f}"])
    rows.append(["an empty trial of Train within Tune, median", f"{of['empty']:.1f}"])
    return table(["seconds of a trial", "mean"], rows)


def _trials_per_hour(of: Figures) -> str:
    overhead = of["overhead"]
    rows = []
    for training in (10, 60, 600, 3600):
        each = 3600 / (overhead + training)
        share = overhead / (overhead + training)
        rows.append([f"{training} s", *(f"{each * n:,.0f}" for n in (1, 8, 64)), f"{share:.0%}"])
    head = ["training and evaluation of a trial", *(f"{n} at a time" for n in (1, 8, 64))]
    return table([*head, "share of overhead"], rows)


def _stages(few: Figures, many: Figures) -> str:
    head = ["seconds of processor (of the wall)"]
    head += [f"{of['trials']:,} trials" for of in (few, many)] + ["grows by"]
    rows = []
    for name, (wall, processor) in many["stages"].items():
        before = few["stages"][name]
        growth = processor / before[1] if before[1] else float("nan")
        rows.append([name, *(f"{p:.1f} ({w:.1f})" for w, p in (before, (wall, processor))),
                     f"{growth:.1f}"])  # fmt: skip
    return table(head, rows)


def _parts(few: Figures, many: Figures) -> str:
    head = ["ms of the driver's processor a trial"]
    head += [f"{of['trials']:,} trials" for of in (few, many)]
    rows = [
        [name, *(f"{1000 * of['parts'][name]['processor'] / of['trials']:.1f}"
                 for of in (few, many))]
        for name in many["parts"]
    ]  # fmt: skip
    rows.append(["**together**", *(f"{1000 * limits.of_a_trial(of):.1f}" for of in (few, many))])
    events = [limits.events(of) for of in (few, many)]
    rows.append(["events a trial", *(f"{n:.1f}" for n in events)])
    return table(head, rows)


def _memory(many: Figures) -> str:
    rows = [[f"{ended:,}", size(driver), size(state)] for ended, driver, state in many["memory"]]
    each = limits.memory_of_a_trial(many)
    rows.append(["**each further trial**", size(max(0.0, each)), ""])
    look = lasting(many["look_at_groups"])
    peaks = ", ".join(f"{name} {size(many['peaks'][name])}" for name in ("table", "report"))
    return (
        table(["trials ended", "driver", "Ray's GCS"], rows)
        + f"\n\nThe most until the end of later stages: {peaks}. A look at Ray's placement groups, "
        f"twice a second, takes {look} at the end."
    )


def _calls(many: Figures, of_mlflow: Figures) -> str:
    rows = []
    for name, count in sorted(many["mlflow_calls"].items(), key=lambda pair: -pair[1]):
        rows.append([f"`{name}`", f"{count / many['trials']:.2f}"])
    per = limits.seconds_a_call(of_mlflow)
    rows += [[f"ms a call, {where}", f"{1000 * seconds:.0f}"] for where, seconds in per.items()]
    return table(["calls of MLflow's client", "a trial"], rows)


def _writes(of: Figures) -> str:
    few, many = sorted(of["of"], key=int)
    more = int(many) - int(few)
    rows = []
    for what, where in (("all processes", "requests"), ("the driver", "of_the_driver")):
        for kind in sorted(of["of"][many][where]):
            counts = [of["of"][epochs][where].get(kind, 0) for epochs in (few, many)]
            rows.append([f"{what}: {kind}", *counts, f"{(counts[1] - counts[0]) / more:.1f}"])
    again = [sum(of["of"][epochs]["run_again"].values()) for epochs in (few, many)]
    rows.append(["run again, nothing to do: the driver", *again, ""])
    head = ["requests of a study of one trial", f"{few} epochs", f"{many} epochs", "an epoch"]
    return table(head, rows)


def _objects(of: Figures) -> str:
    few, many = sorted(of["of"], key=int)
    names = sorted({*of["of"][few]["writes"], *of["of"][many]["writes"]})
    rows = [[f"`{n}`", *(of["of"][e]["writes"].get(n, 0) for e in (few, many))] for n in names]
    return table(["writes by object", f"{few} epochs", f"{many} epochs"], rows)


def _rungs(of: Figures) -> str:
    rows = [
        [f"{int(trials):,}", f"{one['decisions']:,}", lasting(one["seconds"]),
         lasting(one["longest"]), size(one["bytes"]),
         size(one["bytes"] * one["decisions"] / 2)]
        for trials, one in of.items()
    ]  # fmt: skip
    return table(
        ["trials", "decisions", "all of them", "the longest", "decisions.jsonl",
         "rewritten on an object store"],
        rows,
    )  # fmt: skip


def _network(of: Figures) -> str:
    names = list(of["gradients"])
    head = ["GPUs", "loss, received a GPU and step", *(f"gradients of {n}" for n in names)]
    head += [f"{names[0]} at {band}" for band in network.BANDWIDTHS]
    rows = []
    for world in map(int, of["loss"]):
        loss = of["loss"][str(world)]
        weights = [network.averaged(of["gradients"][name], world) for name in names]
        times = [(loss + weights[0]) / speed for speed in network.BANDWIDTHS.values()]
        counted = " (counted)" if str(world) in of["measured"] else ""
        rows.append([world, f"{size(loss)}{counted}", *map(size, weights), *map(lasting, times)])
    return table(head, rows)


TABLES: dict[str, tuple[tuple[str, ...], Callable[..., str]]] = {
    "time per trial": (("overhead",), _time_per_trial),
    "trials per hour": (("overhead",), _trials_per_hour),
    "stages": (("driver-100", "driver-1000"), _stages),
    "parts": (("driver-100", "driver-1000"), _parts),
    "memory": (("driver-1000",), _memory),
    "calls": (("driver-1000", "tracking"), _calls),
    "writes": (("writes",), _writes),
    "objects": (("writes",), _objects),
    "rungs": (("rungs",), _rungs),
    "network": (("network",), _network),
    "limits": (("driver-1000", "tracking", "writes"), limits.table_of),
    "staging": ((), staging.table_of),
}
"""Mark in the page -> the subjects that a table is made of, and what makes it. One without subjects
is computed from assumptions alone."""
