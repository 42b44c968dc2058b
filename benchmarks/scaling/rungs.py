"""What decisions of early stopping cost, by how many trials have come to a rung. No Ray."""

import json
import time
from typing import Any

import numpy as np

from benchmarks.harness import Run

TRIALS = (100, 1000, 3000)
GRACE, REDUCTION, EPOCHS = 1, 3, 27


def measure(run: Run) -> dict[str, Any]:
    return {str(trials): _of(trials) for trials in TRIALS[: run.size(3, 1)]}


def _of(trials: int) -> dict[str, float]:
    """Every trial one after the other to its end: a random value at each rung."""
    from awcl.study.asha import Asha

    asha, values = Asha(GRACE, REDUCTION), np.random.default_rng(0).random((trials, EPOCHS))
    written, decided, longest, began = 0, 0, 0.0, time.process_time()
    for number in range(trials):
        for epoch in asha.rungs(EPOCHS):
            before = time.process_time()
            made = asha.decide(f"{number:012d}", epoch, float(values[number, epoch]), EPOCHS)
            longest, decided = max(longest, time.process_time() - before), decided + 1
            written += len(json.dumps(made.as_dict())) + 1
            if made.stop:
                break
    took = time.process_time() - began
    return {"decisions": decided, "seconds": round(took, 3), "longest": round(longest, 5),
            "bytes": written}  # fmt: skip
