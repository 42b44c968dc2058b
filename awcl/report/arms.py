"""Arms: trials that differ in nothing but the seed; which of them may be compared, and why not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from awcl.config import TrialConfig, flat, parse, shown, with_values
from awcl.pretrain import methods
from awcl.records import EQUALLY
from awcl.report.reading import Stored, Trial

SIMCLR = "simclr"  # what an arm is called where a study names its arms
NO_TRIAL = "not run: no trial of it is stored"

ANATOMY, CONTRASTIVE, IMAGENET, SUPERVISED = "anatomy", "contrastive", "imagenet", "supervised"
RIVALS = (CONTRASTIVE, IMAGENET, SUPERVISED)
"""Kinds of arm that the best of kind ANATOMY is held against."""


@dataclass(frozen=True)
class Arm:
    """One configuration under its seeds.

    name: unique in the study. given: what the study calls it, or the arms that it is EQUALLY; ''
    in a study without arms. values: axis -> value as people read it. config: of its first seed.
    not_run: why it has no trials, 'not run: ...'; '' where it has.
    """

    name: str
    given: str
    config: TrialConfig
    values: Mapping[str, Any]
    trials: Mapping[int, Trial]
    not_run: str = ""

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Its configuration by dotted names; asked for as often as there are other arms."""
        return flat(self.config)

    @property
    def is_simclr(self) -> bool:
        """By its name, or because each frame is positive to itself only and there is no queue."""
        pretrain = self.config.pretrain
        own_views = pretrain.positives == "self" or self._without_labels
        by_config = pretrain.method == "groups" and own_views and pretrain.epochs > 0
        return SIMCLR in self.given.lower().split(EQUALLY) or by_config

    @property
    def kind(self) -> str:
        """What it is in the paper's comparison, whatever its name. ANATOMY: AWCL in any form.
        CONTRASTIVE: pairs, or pairs and a queue, for which no label is read. IMAGENET: its weights,
        not trained further. SUPERVISED: by cross-entropy. '' for all else: an untrained encoder;
        SupCon, which pairs by labels and has no other frames.
        """
        pretrain = self.config.pretrain
        if pretrain.epochs == 0:
            return IMAGENET if self.config.model.init.startswith("imagenet") else ""
        by_labels = pretrain.positives in ("anatomy", "hierarchical") and not self._without_labels
        method = methods.find(pretrain.method)
        if method.kind == "pairs":
            return ANATOMY if by_labels and not method.own_pairs else CONTRASTIVE
        return SUPERVISED if method.kind == "supervised" else ""

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
    """Every arm that has a trial: in the order in which the study names them, then by the values
    on the axes."""
    grouped: dict[str, dict[int, Trial]] = {}
    for trial in stored.trials:
        same = trial.config.model_copy(update={"seed": 0}).model_dump_json()
        grouped.setdefault(same, {})[trial.config.seed] = trial
    found = [_arm(stored, dict(sorted(trials.items()))) for trials in grouped.values()]
    found = in_order(stored, found)
    count = Counter(arm.name for arm in found)
    return [arm if count[arm.name] == 1 else _with_key(arm) for arm in found]


def in_order(stored: Stored, found: Sequence[Arm]) -> list[Arm]:
    """As the study names them, then by the values on the axes."""
    place = {name: at for at, name in enumerate(stored.definition.get("arms", {}))}

    def key(arm: Arm) -> tuple[int, list[tuple[bool, Any]]]:
        return place.get(arm.given.split(EQUALLY)[0], -1), _order(arm.values)

    return sorted(found, key=key)


def absent(stored: Stored) -> list[Arm]:
    """Arms without trials: what is not run, and what is gone from storage."""
    there = {trial.key for trial in stored.trials}
    arms = dict.fromkeys(stored.arm_of.values())
    gone = set(arms) - {arm for key, arm in stored.arm_of.items() if key in there}
    return [
        *(_absent(stored, row, f"not run: {row['reason']}") for row in stored.not_run),
        *(_absent(stored, {"arm": arm}, NO_TRIAL) for arm in arms if arm in gone),
    ]


def _absent(stored: Stored, row: Mapping[str, str], reason: str) -> Arm:
    """row: as `not_run` has it. Lists and filters among its values, which it has as text, are no
    part of the arm's configuration here."""
    given = row.get("arm", "")
    of_arm = stored.definition.get("arms", {}).get(given.split(EQUALLY)[0], {})
    there = {axis: row[axis] for axis in stored.definition["axes"] if row.get(axis, "-") != "-"}
    texts = {axis: value for axis, value in there.items() if value.startswith(("[", "{"))}
    on_axes = {axis: value for axis, value in there.items() if axis not in texts}
    base = parse(TrialConfig, stored.definition.get("base", {}), "STUDY.json")
    config = with_values(base, {**of_arm, **on_axes}, f"STUDY.json, arm {given}")
    values = {axis: texts.get(axis, value) for axis, value in _on_axes(stored, config).items()}
    return Arm(_place(row, stored.axes), given, config, values, {}, reason)


def _arm(stored: Stored, trials: Mapping[int, Trial]) -> Arm:
    first = next(iter(trials.values()))
    values = _on_axes(stored, first.config)
    given = stored.arm_of.get(first.key, "")
    return Arm(_name(given, values, first.config), given, first.config, values, trials)


def _on_axes(stored: Stored, config: TrialConfig) -> dict[str, Any]:
    """Axis -> the value as people read it; a list or a filter as text, as `not_run` has it."""
    there = shown(config)
    values = {axis: there.get(axis, "-") for axis in stored.axes}
    return {a: str(v) if isinstance(v, list | dict) else v for a, v in values.items()}


def _with_key(arm: Arm) -> Arm:
    """For arms that differ in what no axis says, as after a study has grown."""
    return replace(arm, name=f"{arm.name}, {next(iter(arm.trials.values())).key}")


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
    apart += [Apart(arm.name, None, arm.not_run) for arm in absent(stored)]
    return kept, apart


def nearest(arm: Arm, others: list[Arm]) -> Arm | None:
    """The other arm that differs from it in the fewest fields: its fellow at the same temperature,
    batch and so on; the first of several. A setting that only one of their methods has differs."""
    values = arm.fields

    def differing(other: Arm) -> int:
        theirs = other.fields
        return sum(values.get(name) != theirs.get(name) for name in {*values, *theirs})

    return min(others, key=differing, default=None)


def _lacking(stored: Stored, arm: Arm) -> str:
    """Which seeds an arm lacks, or ''."""
    there = {seed for seed, trial in arm.trials.items() if trial.is_finished}
    missing = [str(seed) for seed in stored.seeds if seed not in there]
    if len(missing) > 1:
        return f"seeds {', '.join(missing)} have not"
    return f"seed {missing[0]} has not" if missing else ""


def _told(trial: Trial) -> str:
    """Why a trial is no part of comparisons; '' where it finished."""
    if trial.is_finished:
        return ""
    if trial.outcome == "stopped":
        return f"stopped at epoch {trial.epoch}: {trial.reason}"
    if trial.outcome:
        return f"{trial.outcome.replace('_', ' ')}: {trial.reason or 'no reason stored'}"
    epochs = trial.config.pretrain.epochs
    done = f"at epoch {trial.epoch} of {epochs}" if trial.history else "not started"
    return f"not finished, {done}"


def _place(row: Mapping[str, str], axes: Sequence[str]) -> str:
    """Where a row of `not_run` stands: its arm, its values on the axes."""
    told = {axis: row[axis] for axis in axes if row.get(axis, "-") != "-"}
    values = [f"{axis.rpartition('.')[2]} {value}" for axis, value in told.items()]
    return ", ".join([*filter(None, [row.get("arm")]), *values]) or "the study's base"


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
