"""The table of trials that a study prints; read from storage alone."""

import textwrap
from typing import Any

from awcl.config import TrialConfig, parse, shown
from awcl.records import StudyFolder, TrialFolder


def render(folder: StudyFolder) -> str:
    """Trials by proxy, best first, with each task's test macro-F1 and its interval.

    Trials that were stopped early stand apart: they had less training, so their test scores are
    not to be compared with the others'. Failed and pending ones come last, with their reason.
    """
    definition = folder.definition
    trials = [_Row(trial, definition) for trial in folder.trials()]
    axes = [*definition["axes"], "seed"]
    tasks = sorted({task for row in trials for task in row.scores})
    head = ["trial", *[axis.rpartition(".")[2] for axis in axes], "epochs", "proxy"]
    head += [f"test {task} macro-F1 [95 %]" for task in tasks]
    parts = []
    for outcome, title in TITLES.items():
        rows = sorted((r for r in trials if r.outcome == outcome), key=lambda r: -r.proxy)
        if rows:
            cells = [[r.key, *r.values(axes), r.epochs, r.shown, *r.tests(tasks)] for r in rows]
            parts.append(f"{title} ({len(rows)})\n{_aligned([head, *cells])}")
            parts += [_wrapped(f"{r.key}: {r.reason}") for r in rows if outcome == "failed"]
    return "\n\n".join(parts)


TITLES = {
    "finished": "finished, by val/proxy",
    "stopped": "stopped early, by val/proxy at that epoch",
    "failed": "failed",
    "pending": "pending",
}


class _Row:
    def __init__(self, trial: TrialFolder, definition: dict[str, Any]):
        done, history = trial.done, trial.history()
        self.key = trial.key
        self.config = parse(TrialConfig, trial.about["config"], trial.key)
        self.outcome = done["outcome"] if done else "pending"
        self.reason = (done or {}).get("reason", "")
        self.proxy = history[-1]["val/proxy"] if history else float("-inf")
        self.shown = f"{self.proxy:.3f}" if history else "-"
        self.epochs = f"{len(history)}/{self.config.pretrain.epochs}"
        self.scores = {found["name"]: found["metrics"] for _, found in trial.evaluations()}

    def values(self, axes: list[str]) -> list[str]:
        config = shown(self.config)
        return [str(config[axis]) for axis in axes]

    def tests(self, tasks: list[str]) -> list[str]:
        return [self._test(self.scores.get(task)) for task in tasks]

    @staticmethod
    def _test(metrics: dict[str, float] | None) -> str:
        if metrics is None:
            return "-"
        low, high = metrics["macro_f1/low"], metrics["macro_f1/high"]
        return f"{metrics['macro_f1']:.3f} [{low:.3f}, {high:.3f}]"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="    ")


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
