"""Where a search is over, its best points run on all seeds. No ray in here."""

from awcl.study.plan import Plan, with_confirmed
from awcl.study.results import results
from awcl.study.space import configuration


def confirmed(plan: Plan) -> Plan:
    """The plan with the best points of its search on every seed, chosen and stored now.

    Best by the last proxy, of those that ran to the full budget. The plan as it is where the study
    confirms none, still searches, or has chosen: a choice stands, also where the search grows
    later; raising `confirm` adds the next best. The caller holds the study.
    """
    study = plan.study
    left = study.confirm - len(study.confirmed)
    searching = any(plan.searched(trial) and trial.folder.done is None for trial in plan.trials)
    if left <= 0 or searching:
        return plan
    chosen = [configuration(study, point, study.seeds[0]) for point in study.confirmed]
    found = results(study, plan.folder, study.seeds[:1])
    others = [result for result in found if result.config not in chosen]
    best = sorted(others, key=lambda result: -result.proxy)[:left]
    if not best:
        return plan
    return with_confirmed(plan, [*study.confirmed, *(result.point for result in best)])
