"""The table of trials that a study prints; read from storage alone."""

import textwrap
from collections.abc import Iterator
from typing import Any

from awcl.config import TrialConfig, parse, shown
from awcl.records import StudyFolder, TrialFolder
from awcl.study import arms

Rows = list[list[str]]


def render(folder: StudyFolder) -> str:
    """Trials by proxy, best first, with each task's test macro-F1 and its interval.

    Trials that were stopped early stand apart: they had less training, so their test scores are
    not to be compared with the others'. Failed and pending ones come last, with their reason.
    Where there are several seeds, what they give together ends it.
    """
    definition = folder.definition
    trials = [_Row(trial, definition) for trial in folder.trials()]
    axes = [*definition["axes"], "seed"]
    tasks = sorted({task for row in trials for task in row.scores})
    head = ["trial", *[axis.rpartition(".")[2] for axis in axes], "epochs", "proxy"]
    parts = []
    for outcome, title in TITLES.items():
        rows = sorted((r for r in trials if r.outcome == outcome), key=lambda r: -r.proxy)
        if rows:
            cells = [[r.key, *r.values(axes), r.epochs, r.shown] for r in rows]
            scores = [[f"test {t} macro-F1 [95 %]", *(r.test(t) for r in rows)] for t in tasks]
            tables = _within_width([head, *cells], scores, named=1 + len(axes))
            parts.append("\n".join([f"{title} ({len(rows)})", *tables]))
            parts += [_wrapped(f"{r.key}: {r.reason}") for r in rows if outcome == "failed"]
    together = arms.rows(folder)
    if together:
        head = ["task", *head[1 : len(axes)], "test macro-F1, mean of seeds [95 %]", "each seed"]
        parts.append(f"seeds together, full budget\n{_aligned([head, *together])}")
    return "\n\n".join(parts)


WIDTH = 100
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

    def test(self, task: str) -> str:
        metrics = self.scores.get(task)
        if metrics is None:
            return "-"
        low, high = metrics["macro_f1/low"], metrics["macro_f1/high"]
        return f"{metrics['macro_f1']:.3f} [{low:.3f}, {high:.3f}]"


def _within_width(rows: Rows, columns: Rows, named: int) -> Iterator[str]:
    """Tables of rows and further columns; each begins with the first `named` cells of a row."""
    for column in columns:
        wider = [[*row, cell] for row, cell in zip(rows, column, strict=True)]
        if max(map(len, _aligned(wider).splitlines())) > WIDTH:
            yield _aligned(rows)
            wider = [[*row[:named], cell] for row, cell in zip(rows, column, strict=True)]
        rows = wider
    yield _aligned(rows)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _aligned(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
