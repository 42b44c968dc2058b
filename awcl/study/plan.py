"""From a study and a frame table to what has to run, with everything checked beforehand. No ray."""

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from awcl import checkpoints, hashing
from awcl.config import TrialConfig, shown, with_values
from awcl.data.pack import FramePack
from awcl.data.packing import find_or_build
from awcl.data.table import FrameTable
from awcl.data.views import Views
from awcl.downstream import tasks
from awcl.downstream.proxy import Proxy
from awcl.encoder import check_backbone
from awcl.errors import InputError, NoFramesError
from awcl.files import AnyPath, storage_folder, whole_file
from awcl.pretrain import methods
from awcl.pretrain.feed import draws
from awcl.pretrain.loop import pretrain_rows
from awcl.pretrain.trial import about, trial_key
from awcl.records import NOT_AT_HAND, Command, StudyFolder, TrialFolder
from awcl.study.growth import check_growth, with_stored_points
from awcl.study.packs import local_storage, share
from awcl.study.sampling import Point
from awcl.study.space import Study, arms_of, confirms, not_run, runnable
from awcl.study.starts import with_weights
from awcl.taxonomy import Taxonomy


@dataclass(frozen=True)
class Trial:
    """One pre-training to run: where it is stored, what it reads."""

    folder: TrialFolder
    config: TrialConfig
    pack: FramePack

    @property
    def key(self) -> str:
        return self.folder.key


@dataclass(frozen=True)
class Evaluation:
    """One evaluation to do: of a trial's last complete checkpoint, by a task."""

    trial: Trial
    settings: tasks.TaskSettings
    checkpoint: AnyPath
    folder: AnyPath


@dataclass(frozen=True)
class Plan:
    """A study on its frames.

    packs: view size -> pack. trials: those that the frames allow. refused: the others'
    configuration in JSON -> what the frames lack for them. judged_by: tasks that the frames allow.
    tasks_not_run: the others, by name, and what the frames lack. command: what the study is run by,
    where that is known.
    """

    study: Study
    folder: StudyFolder
    packs: dict[int, FramePack]
    trials: list[Trial]
    refused: dict[str, str]
    judged_by: list[tasks.TaskSettings]
    tasks_not_run: dict[str, str]
    command: Command | None = None

    @property
    def not_run(self) -> list[dict[str, str]]:
        """Points that cannot be run, as awcl.study.space.not_run has them."""
        return not_run(self.study, self.refused)

    @property
    def pending(self) -> list[Trial]:
        """Neither finished nor stopped, or lost; a failed trial is tried again."""
        return [trial for trial in self.trials if not _ended_well(trial) or self._is_lost(trial)]

    @property
    def lost(self) -> list[Trial]:
        """Ended well, but not judged by every task, and their checkpoint is gone or broken."""
        return [trial for trial in self.trials if _ended_well(trial) and self._is_lost(trial)]

    @property
    def done(self) -> bool:
        """Every trial ended well, and is evaluated."""
        return not self.pending and next(self.missing_evaluations(), None) is None

    def searched(self, trial: Trial) -> bool:
        """Whether it belongs to the search, and does not only confirm what that found."""
        return not confirms(self.study, trial.config)

    def missing_evaluations(self) -> Iterator[Evaluation]:
        """Over finished and stopped trials alike, what is not evaluated yet."""
        for trial in self.trials:
            yield from self.missing_of(trial)

    def missing_of(self, trial: Trial) -> Iterator[Evaluation]:
        """What is not evaluated yet of a trial; nothing of one that has not ended well."""
        missing = self._unjudged(trial) if _ended_well(trial) else []
        checkpoint = trial.folder.checkpoint() if missing else None
        if checkpoint is None:
            return
        for settings in missing:
            digest = hashing.of_json(settings.model_dump(mode="json"))
            folder = trial.folder.evaluation(settings.name, digest, checkpoints.digest(checkpoint))
            yield Evaluation(trial, tasks.for_trial(settings, trial.config), checkpoint, folder)

    def _unjudged(self, trial: Trial) -> list[tasks.TaskSettings]:
        """The tasks that have not judged the end of a trial.

        What has been judged stands, whatever became of the checkpoint since: no checkpoint is read
        for it.
        """
        done = trial.folder.done
        judged = [
            result["settings"]
            for _, result in trial.folder.evaluations()
            if done["outcome"] == "stopped" or result["epoch"] == done["epoch"]
        ]
        return [
            settings
            for settings in self.judged_by
            if not _is_among(judged, tasks.for_trial(settings, trial.config))
        ]

    def _is_lost(self, trial: Trial) -> bool:
        return bool(self._unjudged(trial)) and trial.folder.checkpoint() is None


def make_plan(
    study: Study,
    frames: Path | FrameTable,
    storage: AnyPath,
    packs: Path | None = None,
    imagenet: str | None = None,
    command: Command | None = None,
) -> Plan:
    """Packs the frames and checks every trial and task against them; `held` then takes its folder.

    Points that the folder holds beside the recipe's belong to it. imagenet: a file of ImageNet's
    weights, where the cache lacks them. Raises InputError for what is wrong before anything is run;
    nothing is stored then but packs, and the weights that trials start from.
    """
    storage = storage_folder(storage)
    folder = StudyFolder(storage / study.name)
    if folder.definition is not None:
        study = with_stored_points(study, folder.definition)
    study = with_weights(study, storage, imagenet)
    table = frames
    if not isinstance(table, FrameTable):
        table = FrameTable.read(frames, Taxonomy.load(study.base.anatomy.taxonomy))
    sizes = sorted({config.data.size for config in runnable(study)})
    packs_folder = packs or local_storage(storage) / "packs"
    by_size = {size: find_or_build(table, size, packs_folder) for size in sizes}
    trials = _trials(study, folder, by_size)
    plan = Plan(study, folder, by_size, trials, {}, *_allowed(study, trials), command)
    _check(plan)
    plan = _possible(plan)
    _warn(plan)
    asked = [study.resources, study.evaluations_ask]
    for pack in by_size.values():
        share(pack, storage, node_disk=any(one.node_disk for one in asked))
    return plan


def with_confirmed(plan: Plan, points: list[Point]) -> Plan:
    """The plan with these points on every seed, stored. The caller holds the study."""
    study = with_values(plan.study, {"confirmed": points}, f"study {plan.study.name}")
    trials = _trials(study, plan.folder, plan.packs)
    grown = _possible(replace(plan, study=study, trials=trials))
    _take_folder(grown)
    return grown


def _trials(study: Study, folder: StudyFolder, by_size: dict[int, FramePack]) -> list[Trial]:
    trials = []
    for config in runnable(study):
        pack = by_size[config.data.size]
        taxonomy = Taxonomy.load(config.anatomy.taxonomy)
        key = trial_key(config, pack.digest, taxonomy.digest)
        trials.append(Trial(folder.trial(key), config, pack))
    return trials


def _possible(plan: Plan) -> Plan:
    """The plan without the trials that the frames do not allow.

    Raises InputError where they allow none, and for a trial that no frames would mend.
    """
    trials, refused = [], {}
    for trial in plan.trials:
        with _naming(trial, plan.study):
            try:
                _try_method(trial, plan.study.resources.views)
                trials.append(trial)
            except NoFramesError as error:
                refused[trial.config.model_dump_json()] = str(error)
    if not trials:
        reason = next(iter(refused.values()))
        raise InputError(f"study {plan.study.name}: these frames allow no trial of it ({reason})")
    return replace(plan, trials=trials, refused=refused)


def _try_method(trial: Trial, views: str) -> None:
    """Builds once what a worker will build of the frames. Raises InputError for what is wrong."""
    config = trial.config
    recipe = config.data.recipe, config.data.size, config.seed
    Views(*recipe)
    frames = trial.pack.frames.iloc[pretrain_rows(trial.pack, config)]
    if config.pretrain.epochs == 0:
        return
    taxonomy = Taxonomy.load(config.anatomy.taxonomy)
    method = methods.build(config, frames.reset_index(drop=True), taxonomy)
    method.sampler()
    if views == "device":
        draws(method.make_views, *recipe)


def _allowed(study: Study, trials: list[Trial]) -> tuple[list[tasks.TaskSettings], dict[str, str]]:
    """Tasks that the frames allow, and why they do not allow the others, by name.

    Raises InputError where they allow none, and for a task that no frames would mend.
    """
    wanted = [tasks.settings(task) for task in study.tasks]
    not_run = {}
    for pack, path in {(trial.pack, trial.config.anatomy.taxonomy) for trial in trials}:
        taxonomy = Taxonomy.load(path)
        for settings in wanted:
            try:
                tasks.build(settings, pack, taxonomy)
            except NoFramesError as error:
                not_run[settings.name] = str(error)
    if wanted and len(not_run) == len(wanted):
        name, reason = next(iter(not_run.items()))
        raise InputError(f"these frames allow no task of the study; {name}: {reason}")
    return [settings for settings in wanted if settings.name not in not_run], not_run


def _warn(plan: Plan) -> None:
    """Of what the frames do not allow. Of weights that are not at hand has been warned already."""
    told = {f"task {name}": reason for name, reason in plan.tasks_not_run.items()}
    for row in plan.not_run:
        *values, reason = row.values()
        if reason != NOT_AT_HAND:
            told[f"trial {', '.join(values)}"] = reason
    for what, reason in told.items():
        warnings.warn(f"{what} is not run: {reason}", stacklevel=3)


def _check(plan: Plan) -> None:
    """Builds once what judges the trials, so that a mistake shows before the start."""
    _definition(plan)
    study = plan.study
    for backbone in sorted({trial.config.model.backbone for trial in plan.trials}):
        check_backbone(backbone)
    for pack, path in {(trial.pack, trial.config.anatomy.taxonomy) for trial in plan.trials}:
        taxonomy = Taxonomy.load(path)
        Proxy(pack, taxonomy, study.proxy_level, study.proxy_where)


@contextmanager
def _naming(trial: Trial, study: Study) -> Iterator[None]:
    """What a trial is refused for begins with which of the study's it is."""
    try:
        yield
    except InputError as error:
        arm, values = arms_of(study).get(trial.config.model_dump_json()), shown(trial.config)
        axes = [f"{axis} {values[axis]}" for axis in study.axes if axis in values]
        told = [*filter(None, [arm]), *axes, f"seed {trial.config.seed}"]
        raise InputError(f"trial {', '.join(told)}: {error}") from error


@contextmanager
def held(plan: Plan) -> Iterator[Plan]:
    """The plan in its folder, which no other process runs meanwhile.

    Accepts the definition, or refuses one that differs by more than growth; stores the trials.
    """
    with plan.folder.only_driver():
        _take_folder(plan)
        yield plan


def _take_folder(plan: Plan) -> None:
    wanted = _definition(plan)
    if plan.folder.definition is None:
        with whole_file(plan.folder.path / "frames.parquet") as part:
            plan.trials[0].pack.frames.to_parquet(part)
    if wanted != plan.folder.definition:
        plan.folder.accept(wanted)
    for trial in plan.trials:
        trial.folder.write_about(about(trial.config, trial.pack))


def _definition(plan: Plan) -> dict[str, Any]:
    """What STUDY.json is to hold. Raises InputError where what it holds may not grow to that."""
    wanted = plan.study.model_dump(mode="json")
    wanted["packs"] = {str(trial.pack.size): trial.pack.digest for trial in plan.trials}
    named = {trial.config.anatomy.taxonomy for trial in plan.trials}
    wanted["taxonomies"] = {name: Taxonomy.load(name).digest for name in sorted(named)}
    arms, absent = arms_of(plan.study), plan.not_run
    if arms:
        wanted["arm_of"] = {t.key: arms[t.config.model_dump_json()] for t in plan.trials}
    if absent:
        wanted["not_run"] = absent
    if plan.tasks_not_run:
        wanted["tasks_not_run"] = plan.tasks_not_run
    accepted, command = plan.folder.definition, plan.command or plan.folder.command
    if command:
        wanted["command"] = command.model_dump()
    if accepted is not None:
        check_growth(accepted, wanted)
    elif any(plan.folder.trials()):
        raise InputError(
            f"{plan.folder.path}: holds trials, but its STUDY.json is gone; restore it from a "
            "copy, or give the study another name (--as NEWNAME)"
        )
    return {**wanted, "id": accepted["id"] if accepted else uuid.uuid4().hex}


def _is_among(stored: list[dict[str, Any]], settings: tasks.TaskSettings) -> bool:
    """Also where stored settings lack a field that came later, and asked for its default."""
    if settings.model_dump(mode="json") in stored:
        return True
    for of in stored:
        with suppress(InputError):  # of a task or a field that is gone since
            if of["task"] == settings.task and tasks.settings(of) == settings:
                return True
    return False


def _ended_well(trial: Trial) -> bool:
    return trial.folder.outcome in ("finished", "stopped")
