"""Arms: trials that differ in nothing but the seed; which of them may be compared, and why not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from awcl.config import TrialConfig, flat, parse, shown, with_values
from awcl.errors import InputError
from awcl.pretrain.methods import canonical
from awcl.report.reading import Stored, Trial

SIMCLR = "simclr"  # what an arm is called where a study names its arms
GROUPED = ("groups", "moco")  # methods that may pair by anatomy


@dataclass(frozen=True)
class Arm:
    """One configuration under its seeds.

    name: unique in the study. values: axis -> value as people read it. config: of its first seed.
    """

    name: str
    config: TrialConfig
    values: Mapping[str, Any]
    trials: Mapping[int, Trial]

    @property
    def is_simclr(self) -> bool:
        """By its name, or because each frame is positive to itself only and there is no queue."""
        pretrain = self.config.pretrain
        own_views = pretrain.positives == "self" or self._without_labels
        by_config = pretrain.method == "groups" and own_views and pretrain.epochs > 0
        return self.name.lower() == SIMCLR or by_config

    @property
    def pairs_by_anatomy(self) -> bool:
        """Whether it is AWCL in any form."""
        pretrain = self.config.pretrain
        anatomy = pretrain.positives in ("anatomy", "hierarchical") and not self._without_labels
        return pretrain.method in GROUPED and anatomy and pretrain.epochs > 0

    @property
    def _without_labels(self) -> bool:
        positives = self.config.pretrain.positives
        return positives in ("anatomy", "hierarchical") and self.config.anatomy.ratio == 0


@dataclass(frozen=True)
class Apart:
    """A trial, or a named arm without one, that no comparison holds, and why."""

    arm: str
    seed: int | None
    reason: str
    trial: Trial | None = None


def arms(stored: Stored) -> list[Arm]:
    """Every arm that has a trial: in the order of the definition where it names them, then by the
    values on the axes."""
    grouped: dict[str, dict[int, Trial]] = {}
    for trial in stored.trials:
        same = trial.config.model_copy(update={"seed": 0}).model_dump_json()
        grouped.setdefault(same, {})[trial.config.seed] = trial
    known = ["", *stored.definition.get("arms", {})]
    made = [_arm(stored, dict(sorted(trials.items()))) for trials in grouped.values()]
    made.sort(key=lambda pair: (known.index(pair[0]), _order(pair[1].values)))
    found = [arm for _, arm in made]
    count = Counter(arm.name for arm in found)
    return [arm if count[arm.name] == 1 else _with_key(arm) for arm in found]


def _arm(stored: Stored, trials: Mapping[int, Trial]) -> tuple[str, Arm]:
    """An arm, and the name that the definition has for it."""
    config = next(iter(trials.values())).config
    values = {axis: shown(config).get(axis, "-") for axis in stored.axes}
    name = named(stored.definition, config)
    return name, Arm(_name(name, values, config), config, values, trials)


def _with_key(arm: Arm) -> Arm:
    """For arms that differ in what no axis says, as after a study has grown."""
    return replace(arm, name=f"{arm.name}, {next(iter(arm.trials.values())).key}")


def named(definition: Mapping[str, Any], config: TrialConfig) -> str:
    """The first name in a definition's `arms` that gives this configuration; '' where none does."""
    values = flat(config)
    axes = {axis: values[axis] for axis in definition["axes"] if axis in values}
    for name, fields in definition.get("arms", {}).items():
        base = parse(TrialConfig, definition["base"], "STUDY.json: base")
        try:
            made = with_values(base, {**fields, **axes, "seed": config.seed}, f"arm {name}")
            if canonical(made) == config:
                return name
        except InputError:  # an arm that these values of the axes do not allow
            continue
    return ""


def comparable(stored: Stored, every: list[Arm]) -> tuple[list[Arm], list[Apart]]:
    """Arms of equal epochs of which every seed has finished; and all else, with the reason.

    Equal: what most arms were trained for. An untrained encoder (0 epochs) is compared with all.
    """
    whole = [arm for arm in every if not _lacking(stored, arm)]
    budgets = Counter(arm.config.pretrain.epochs for arm in whole if arm.config.pretrain.epochs)
    epochs = max(budgets, key=lambda e: (budgets[e], e), default=0)
    kept, apart = [], []
    for arm in every:
        lacking, of_arm = _lacking(stored, arm), arm.config.pretrain.epochs
        if not lacking and of_arm in (0, epochs):
            kept.append(arm)
            continue
        for seed, trial in arm.trials.items():
            other = f"trained for {of_arm} epochs, others for {epochs}"
            reason = _told(trial) or (f"finished, but {lacking}" if lacking else other)
            apart.append(Apart(arm.name, seed, reason, trial))
    return kept, [*apart, *_without_trials(stored, every)]


def nearest(arm: Arm, others: list[Arm]) -> Arm | None:
    """The other arm that differs from it in the fewest fields: its fellow at the same temperature,
    batch and so on; the first of several."""
    values = flat(arm.config)
    differing = [
        sum(value != values[name] for name, value in flat(other.config).items()) for other in others
    ]
    return others[differing.index(min(differing))] if others else None


def _lacking(stored: Stored, arm: Arm) -> str:
    """Which seeds an arm lacks, or ''."""
    there = {seed for seed, trial in arm.trials.items() if trial.is_finished}
    missing = [str(seed) for seed in stored.seeds if seed not in there]
    return f"seed {', '.join(missing)} has not" if missing else ""


def _told(trial: Trial) -> str:
    """Why a trial is no part of comparisons; '' where it finished."""
    if trial.is_finished:
        return ""
    if trial.outcome == "stopped":
        return f"stopped at epoch {trial.epoch}: {trial.reason}"
    if trial.outcome:
        return f"{trial.outcome.replace('_', ' ')}: {trial.reason or 'no reason stored'}"
    epochs = trial.config.pretrain.epochs
    done = f"at epoch {len(trial.history)} of {epochs}" if trial.history else "not started"
    return f"not finished, {done}"


def _without_trials(stored: Stored, every: list[Arm]) -> list[Apart]:
    there = {named(stored.definition, arm.config) for arm in every}
    names = [name for name in stored.definition.get("arms", {}) if name not in there]
    return [Apart(name, None, "not run: no trial of it is stored") for name in names]


def _order(values: Mapping[str, Any]) -> list[tuple[bool, Any]]:
    """Numbers by size before words."""
    numbers = [isinstance(value, int | float) for value in values.values()]
    return [
        (not number, value if number else str(value))
        for number, value in zip(numbers, values.values(), strict=True)
    ]


def _name(arm: str, values: Mapping[str, Any], config: TrialConfig) -> str:
    parts = [arm] if arm else []
    for axis, value in values.items():
        short = axis.rpartition(".")[2]
        if value == "-":
            continue
        told = f"{value:.3g}" if isinstance(value, float) else str(value)
        parts.append(told if isinstance(value, str) else f"{short} {told}")
    own_views = config.pretrain.method == "groups" and config.pretrain.positives == "self"
    if not arm and own_views and config.anatomy.ratio == 0:
        parts.append("SimCLR")
    return ", ".join(parts) or "the study's base"
