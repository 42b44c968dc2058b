"""How long a study had machines, and what they cost: from its looks at the cluster.

A look is a line of machines.jsonl (awcl.records). Machines are counted while a run of the study
lasts: from a look to the next one of the same run. What a cluster costs before, between and after
the runs is nobody's here; a run that was killed is counted up to its last look.
"""

from collections.abc import Mapping, Sequence
from typing import Any

APART = 300.0  # seconds: what the looks of a run are apart at most
Look = Mapping[str, Any]
Hours = dict[str, float]


def hours_at(looks: Sequence[Look]) -> list[Hours]:
    """Kind of machine -> hours of all machines of that kind, up to each look."""
    total: Hours = {}
    found, before = [], None
    for look in looks:
        if before is not None and before["run"] == look["run"]:
            for kind, count in before["machines"].items():
                seconds = count * max(0.0, look["time"] - before["time"])
                total[kind] = total.get(kind, 0.0) + seconds / 3600
        found.append(dict(total))
        before = look
    return found


def cost(hours: Hours, prices: Mapping[str, float]) -> float:
    """At these prices an hour, in their currency; a kind without a price costs nothing."""
    return sum(hours[kind] * price for kind, price in prices.items() if kind in hours)
