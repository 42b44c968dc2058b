"""Early stopping on what a study has stored: rungs rebuilt, decisions kept, ends marked. No ray."""

from awcl import checkpoints
from awcl.records import StudyFolder
from awcl.study.asha import Asha, Decision
from awcl.study.plan import Plan, Trial
from awcl.study.space import never_stopped


def restored(plan: Plan) -> Asha | None:
    """Rungs as the study left them: from the decisions, each with the value it was made on.

    Epochs that were stored but not decided (the driver died in between) are decided now, in the
    order in which they came. Baselines, and trials that confirm what a search found, are never
    stopped and move no rung. None where the study stops nothing early.
    """
    stopping = plan.study.early_stopping
    if stopping is None:
        return None
    is_exempt = never_stopped(plan.study)
    exempt = frozenset(trial.key for trial in plan.trials if is_exempt(trial.config))
    asha = Asha(stopping.grace, stopping.reduction, exempt=exempt)
    for made in plan.folder.decisions():
        if made["key"] not in exempt:  # else it was made before the study had a baseline
            asha.restore(Decision.stored(made))
    rows = [(row, trial) for trial in plan.trials for row in trial.folder.history()]
    for row, trial in sorted(rows, key=lambda pair: pair[0]["time"]):
        decide(asha, plan.folder, trial, row["epoch"], row["val/proxy"])
    return asha


def decide(
    asha: Asha, folder: StudyFolder, trial: Trial, epoch: int, value: float
) -> Decision | None:
    """Stores a new decision before it is acted on."""
    decided_before = (trial.key, epoch) in asha.decisions
    decision = asha.decide(trial.key, epoch, value, trial.config.pretrain.epochs)
    if decision is not None and not decided_before:
        folder.append_decision(decision.as_dict())
    return decision


def close_what_ended(plan: Plan) -> None:
    """Trials whose driver died between their end and its mark: nothing is left to train."""
    asha = restored(plan)
    for trial in plan.pending:
        checkpoint = trial.folder.checkpoint()
        if checkpoint is None:
            continue
        epoch = checkpoints.epoch_of(checkpoint)
        if epoch == trial.config.pretrain.epochs:
            trial.folder.write_done("finished", epoch=epoch)
        else:
            mark_stopped(trial, asha)


def mark_stopped(trial: Trial, asha: Asha | None) -> None:
    """Stores that the trial was stopped, where a decision says so."""
    made = asha.decisions.values() if asha else ()
    decision = next((d for d in made if d.key == trial.key and d.stop), None)
    if decision:
        trial.folder.write_done("stopped", epoch=decision.epoch, reason=decision.reason)
