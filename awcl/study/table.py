"""The table of trials that a study prints; read from storage alone."""

import textwrap
from collections.abc import Iterator

from awcl.downstream.telling import Rows, aligned
from awcl.records import StudyFolder
from awcl.study import arms, usage
from awcl.study.standing import Standing, standings, summary


def render(folder: StudyFolder, details: bool = False) -> str:
    """Trials by proxy, best first, with each task's main test score and its interval.

    Trials that were stopped early stand apart: they had less training, so their test scores are
    not to be compared with the others'. Failed, running and pending ones come last. Where there are
    several seeds, what they give together follows. details: also how far the study is, its machines
    and their cost, why trials were stopped, their speed, their rungs and checkpoints, and what of
    each is evaluated.
    """
    definition = folder.definition
    trials = standings(folder)
    columns, arm_of = arms.columns(definition), folder.arm_of
    tasks = sorted({found["name"] for trial in trials for found in trial.evaluations})
    mains = [(task, _main(trials, task)) for task in tasks]
    head = [*arms.heads(columns), "epochs", "proxy"]
    parts = []
    if details:
        lines = [summary(folder, trials), *usage.of_machines(folder)]
        parts.append("\n".join(_wrapped(line, indent="") for line in lines))
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
            reasons = [_reason(row) for row in rows if told and row.reason]
            parts += ["\n".join(reasons)] * bool(reasons)
    varied = arms.varied(definition)
    if folder.not_run:
        rows = [[*(row[name] for name in varied), row["reason"]] for row in folder.not_run]
        lines = aligned([[*arms.heads(varied), "reason"], *rows])
        parts.append(f"not run ({len(rows)})\n{lines}")
    lines = [f"task {name}: {reason}" for name, reason in folder.tasks_not_run.items()]
    if lines:
        parts.append("\n".join(["tasks not run", *map(_wrapped, lines)]))
    together = arms.rows(folder)
    if together:
        scores = ["test macro-F1, mean of seeds [95 %]", "each seed"]
        head = ["task", *arms.heads(varied), *scores]
        parts.append(f"seeds together, full budget\n{aligned([head, *together])}")
    if details:
        parts += usage.of_trials(trials)
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


def _reason(trial: Standing) -> str:
    """Why it ended, and where its worker's log is. A path stays whole, however long it is."""
    lines = [_wrapped(f"{trial.key}: {trial.reason}")]
    if trial.worker:
        there = trial.worker
        lines += [f"    log, on {there['host']}:", f"    {there['log']}"]
        lines += [f"    while that Ray runs: ray logs actor --id {there['actor']} --err"]
    return "\n".join(lines)


def _wrapped(line: str, indent: str = "  ") -> str:
    return textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")
