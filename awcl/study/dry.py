"""What a study would run, what it would ask for, and about how long it would take. No ray."""

import json
import os
from collections.abc import Iterator

import torch

from awcl.config import RunConfig, TrialConfig, with_values
from awcl.downstream.telling import aligned
from awcl.pretrain.loop import pretrain_rows, seconds_per_step
from awcl.study import arms
from awcl.study.plan import Plan, Trial
from awcl.study.space import arms_of
from awcl.study.stages import duration
from awcl.taxonomy import Taxonomy


def tell(plan: Plan) -> Iterator[str]:
    """Lines for people. Times a few steps of each kind of trial on this machine; stores nothing."""
    definition = plan.study.model_dump(mode="json")
    columns, arm_of = arms.columns(definition), arms_of(plan.study)
    rows = [[*arms.heads(columns), "epochs", "state"]]
    for trial in plan.trials:
        arm = arm_of.get(trial.config.model_dump_json())
        rows.append([
            *arms.cells(columns, trial.config, trial.key, arm),
            f"{trial.folder.epochs_done}/{trial.config.pretrain.epochs}",
            trial.folder.outcome or "to run",
        ])  # fmt: skip
    for row in plan.not_run:
        cells = [row.get(name, "-") for name in columns]
        rows.append([*cells, "-", f"not run: {row['reason']}"])
    yield aligned(rows)
    for name, reason in plan.tasks_not_run.items():
        yield f"task {name} is not run: {reason}"
    points = plan.study.confirm + bool(plan.study.baseline)
    further = points * (len(plan.study.seeds) - 1) - sum(
        not plan.searched(trial) for trial in plan.trials
    )
    if plan.study.confirm and further > 0:
        yield f"up to {further} more, not counted below: the best of these on the other seeds"
    yield ""
    yield from _resources(plan)
    yield from _times(plan)


def _resources(plan: Plan) -> Iterator[str]:
    asked, judged = plan.study.resources, plan.study.evaluations_ask
    workers = sorted({trial.config.pretrain.workers for trial in plan.trials})
    each = " or ".join(map(str, workers))
    yield f"a trial asks for {each} x ({asked.cpus} CPU, {asked.gpus:g} GPU)"
    missing = len(plan.pending) * len(plan.judged_by) + len(list(plan.missing_evaluations()))
    yield f"{missing} evaluations to do, each asks for {judged.cpus} CPU, {judged.gpus:g} GPU"


def _times(plan: Plan) -> Iterator[str]:
    """The epochs to come, at the pace of a few steps timed here."""
    pending = plan.pending
    if not pending:
        yield "every trial is done"
        return
    epochs: dict[str, float] = {}  # seconds of one, by kind of trial
    total = 0.0
    for trial in pending:
        if trial.config.pretrain.epochs == 0:
            continue
        kind, batch = _kind(trial), trial.config.pretrain.batch
        if kind not in epochs:
            step = _step(trial, plan.study.resources.cpus)
            steps = len(pretrain_rows(trial.pack, trial.config)) // batch
            epochs[kind] = steps * step
            yield (
                f"a step of {trial.key} took {step:.3g} s here; "
                f"an epoch has {steps}, for {batch} frames each"
            )
        left = trial.config.pretrain.epochs - trial.folder.epochs_done
        total += left * epochs[kind]
    cores = plan.study.resources.cpus * max(trial.config.pretrain.workers for trial in pending)
    here = os.cpu_count() or 1
    if cores > here:
        yield f"a trial does not fit this machine: it asks for {cores} CPU, here are {here}"
    if plan.study.resources.gpus and not torch.cuda.is_available():
        yield f"a trial does not fit this machine: it asks for {plan.study.resources.gpus:g} GPU"
    places = max(1, here // cores)
    yield (
        f"the steps of {len(pending)} trials: {duration(total)} one after the other, "
        f"{duration(total / places)} at {places} at a time"
    )
    early = "; early stopping takes off" if plan.study.early_stopping else ""
    yield f"(starts, proxies and evaluations come on top{early})"


def _kind(trial: Trial) -> str:
    """Trials whose steps take as long: alike in all but what costs no time."""
    config = trial.config.model_dump(mode="json", exclude={"anatomy", "seed"})
    for free in ("lr", "temperature", "epochs", "warmup"):
        config["pretrain"].pop(free)
    return json.dumps(config)


def _step(trial: Trial, threads: int) -> float:
    """Seconds of one worker's share of a step."""
    pretrain = trial.config.pretrain
    share = {"pretrain.workers": 1, "pretrain.batch": pretrain.batch // pretrain.workers}
    share["model.init"] = "random"  # as fast as any weights
    config: TrialConfig = with_values(trial.config, share, "dry run")
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    run = RunConfig(threads=min(threads, os.cpu_count() or 1))
    return seconds_per_step(config, trial.pack, taxonomy, run)
