"""The table of trials that a study prints; read from storage alone."""

import textwrap
from collections.abc import Iterator

from awcl.downstream.telling import Rows, aligned
from awcl.records import StudyFolder
from awcl.study import arms
from awcl.study.standing import Standing, standings, summary


def render(folder: StudyFolder, details: bool = False) -> str:
    """Trials by proxy, best first, with each task's main test score and its interval.

    Trials that were stopped early stand apart: they had less training, so their test scores are
    not to be compared with the others'. Failed, running and pending ones come last. Where there are
    several seeds, what they give together follows. details: also how far the study is, why trials
    were stopped, their rungs and checkpoints, and what of each is evaluated.
    """
    definition = folder.definition
    trials = standings(folder)
    columns, arm_of = arms.columns(definition), folder.arm_of
    tasks = sorted({found["name"] for trial in trials for found in trial.evaluations})
    mains = [(task, _main(trials, task)) for task in tasks]
    head = [*arms.heads(columns), "epochs", "proxy"]
    parts = [summary(folder, trials)] if details else []
    for outcome, title in TITLES.items():
        rows = sorted((r for r in trials if r.state == outcome), key=lambda r: -r.proxy)
        if rows:
            cells = [_cells(row, columns, arm_of.get(row.key)) for row in rows]
            scores = [
                [f"test {task} {score.replace('_f1', '-F1')} [95 %]"]
                + [_test(row, task, score) for row in rows]
                for task, score in mains
            ]
            tables = _within_width([head, *cells], scores, named=len(columns))
            parts.append("\n".join([f"{title} ({len(rows)})", *tables]))
            told = details or outcome == "failed"
            reasons = [_wrapped(f"{r.key}: {r.reason}") for r in rows if told and r.reason]
            parts += ["\n".join(reasons)] * bool(reasons)
    varied = arms.varied(definition)
    if folder.not_run:
        rows = [[*(row[name] for name in varied), row["reason"]] for row in folder.not_run]
        lines = aligned([[*arms.heads(varied), "reason"], *rows])
        parts.append(f"not run ({len(rows)})\n{lines}")
    together = arms.rows(folder)
    if together:
        scores = ["test macro-F1, mean of seeds [95 %]", "each seed"]
        head = ["task", *arms.heads(varied), *scores]
        parts.append(f"seeds together, full budget\n{aligned([head, *together])}")
    if details:
        parts.append(f"newest checkpoints, under trials/TRIAL/train\n{_whereabouts(trials)}")
    return "\n\n".join(parts)


WIDTH = 100
TITLES = {
    "finished": "finished, by val/proxy",
    "stopped": "stopped early, by val/proxy at that epoch",
    "failed": "failed",
    "running": "running",
    "pending": "pending",
}


def _cells(trial: Standing, columns: list[str], arm: str | None) -> list[str]:
    proxy = f"{trial.proxy:.3f}" if trial.history else "-"
    epochs = f"{trial.epochs}/{trial.config.pretrain.epochs}"
    return [*arms.cells(columns, trial.config, trial.key, arm), epochs, proxy]


def _main(trials: list[Standing], task: str) -> str:
    """The score of a task that the table shows: the first that it yields with an interval, or
    of all where there is none (one patient)."""
    every = [
        name for t in trials for f in t.evaluations if f["name"] == task for name in f["metrics"]
    ]
    return next((name for name in every if f"{name}/low" in every), next(iter(every), ""))


def _test(trial: Standing, task: str, score: str) -> str:
    found = {found["name"]: found["metrics"] for found in trial.evaluations}.get(task, {})
    if score not in found:
        return "-"
    if f"{score}/low" not in found:
        return f"{found[score]:.3f}"
    value, low, high = (found[f"{score}{end}"] for end in ("", "/low", "/high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _whereabouts(trials: list[Standing]) -> str:
    rows = [["trial", "state", "rung", "checkpoint", "evaluated"]]
    for trial in trials:
        judged = ", ".join(sorted(found["name"] for found in trial.evaluations))
        rung = "-" if trial.rung is None else str(trial.rung)
        rows.append([trial.key, trial.state, rung, trial.checkpoint or "-", judged or "-"])
    return aligned(rows)


def _within_width(rows: Rows, columns: Rows, named: int) -> Iterator[str]:
    """Tables of rows and further columns; each begins with the first `named` cells of a row."""
    for column in columns:
        wider = [[*row, cell] for row, cell in zip(rows, column, strict=True)]
        if max(map(len, aligned(wider).splitlines())) > WIDTH:
            yield aligned(rows)
            wider = [[*row[:named], cell] for row, cell in zip(rows, column, strict=True)]
        rows = wider
    yield aligned(rows)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
