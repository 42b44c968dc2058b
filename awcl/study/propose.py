"""Further points for a study, proposed by Optuna from what it has found so far. No ray in here."""

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from awcl.errors import InputError
from awcl.records import StudyFolder
from awcl.study.growth import stored_study
from awcl.study.results import results
from awcl.study.sampling import Axes, Point, Range
from awcl.study.space import Study, configuration, points, varied

STARTUP = 10  # below so many results the proposals are random draws
TRIES = 200  # in a row, of which none is new


def propose(folder: StudyFolder, count: int) -> tuple[list[Point], int]:
    """Appends so many points to the study that is stored; running it then runs them.

    Learnt from the mean proxy over seeds, of trials that ran to the full budget only: one that was
    stopped early would teach what a smaller budget gives. Returns what was appended, and from how
    many points it was learnt. The caller holds the study. Raises InputError where there is nothing
    to learn from, or nothing left to propose.
    """
    definition = folder.definition
    study = stored_study(definition)
    if count < 1:
        raise InputError(f"{count} proposals: give 1 or more")
    if not study.axes:
        raise InputError(f"study {study.name} has no axes to propose points on")
    found = results(study, folder, study.seeds)
    if not found:
        raise InputError(
            f"study {study.name}: no trial ran to its full budget yet, and proposals are learnt "
            "from those; run it first"
        )
    known = [(result.point, result.proxy) for result in found]
    appended = _new_points(study, known, count)
    folder.accept({**definition, "proposed": [*study.proposed, *appended]})
    return appended, len(known)


def _new_points(study: Study, known: list[tuple[Point, float]], count: int) -> list[Point]:
    """Points that are not there; the same ones from the same study."""
    there = [configuration(study, point, study.seeds[0]) for point in points(study)]
    optimiser = _optimiser(varied(study), known, seed=len(there))
    axes = varied(study)
    space = {name: _distribution(axis) for name, axis in axes.items()}
    appended: list[Point] = []
    tries = 0
    while len(appended) < count and tries < TRIES:
        tries += 1
        # What was asked for counts as running until it is told, and Optuna keeps away from that.
        point = _point(axes, optimiser.ask(space).params)
        config = configuration(study, point, study.seeds[0])
        if config not in there:
            there.append(config)
            appended.append(point)
            tries = 0
    if len(appended) < count:
        raise InputError(
            f"study {study.name}: only {len(appended)} points were found that are not there yet; "
            "propose no more than that, or give its axes more values"
        )
    return appended


def _optimiser(axes: Axes, known: list[tuple[Point, float]], seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)
    optimiser = optuna.create_study(direction="maximize", sampler=sampler)
    space = {name: _distribution(axis) for name, axis in axes.items()}
    for point, proxy in known:
        params = {name: _parameter(axis, point[name]) for name, axis in axes.items()}
        told = optuna.trial.create_trial(params=params, distributions=space, value=proxy)
        optimiser.add_trial(told)
    return optimiser


def _distribution(axis: list | Range) -> BaseDistribution:
    if not isinstance(axis, Range):
        return CategoricalDistribution(range(len(axis)))  # a value may be anything, its place not
    if axis.integer:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _parameter(axis: list | Range, value: object) -> object:
    return value if isinstance(axis, Range) else axis.index(value)


def _point(axes: Axes, params: dict[str, float]) -> Point:
    return {name: _value(axis, params[name]) for name, axis in axes.items()}


def _value(axis: list | Range, parameter: float) -> object:
    if not isinstance(axis, Range):
        return axis[parameter]
    return parameter if axis.integer else axis.rounded(parameter)
