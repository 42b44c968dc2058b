"""Where a search is over, its best points run on all seeds. No ray in here."""

from awcl.study.plan import Plan, with_confirmed
from awcl.study.results import Result, results
from awcl.study.sampling import Point
from awcl.study.space import baselines, configuration


def confirmed(plan: Plan) -> Plan:
    """The plan with the best points of its search on every seed, chosen and stored now.

    Best by the last proxy, of those that ran to the full budget; of a study with a baseline so many
    others, then the best that has its values. The plan as it is where the study confirms none,
    still searches, or has chosen: a choice stands, also where the search grows later; raising
    `confirm` adds the next best. The caller holds the study.
    """
    if _searches(plan) or not plan.study.confirm:
        return plan
    best = _best(plan, plan.study.confirm, baseline=False)
    if plan.study.baseline:
        best += _best(plan, 1, baseline=True)
    if not best:
        return plan
    return with_confirmed(plan, [*plan.study.confirmed, *best])


def without_baseline(plan: Plan) -> bool:
    """Whether the search is over, and no trial of its baseline ran to the full budget."""
    if not plan.study.baseline or _searches(plan):
        return False
    known = baselines(plan.study)
    found = results(plan.study, plan.folder, plan.study.seeds[:1])
    return not any(result.config.model_dump_json() in known for result in found)


def _searches(plan: Plan) -> bool:
    return any(plan.searched(trial) and trial.folder.done is None for trial in plan.trials)


def _best(plan: Plan, count: int, baseline: bool) -> list[Point]:
    """What is still to be confirmed of the baseline's points, or of all others; best first."""
    study, known = plan.study, baselines(plan.study)
    given = [configuration(study, point, study.seeds[0]) for point in study.confirmed]
    chosen = [one for one in given if (one.model_dump_json() in known) == baseline]

    def is_candidate(result: Result) -> bool:
        of_kind = (result.config.model_dump_json() in known) == baseline
        return of_kind and result.config not in chosen

    found = filter(is_candidate, results(study, plan.folder, study.seeds[:1]))
    ranked = sorted(found, key=lambda result: -result.proxy)
    return [result.point for result in ranked[: max(0, count - len(chosen))]]
