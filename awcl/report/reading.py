"""What storage holds of a study, each file read once, in the types that the report is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any

import pandas as pd

from awcl.config import TrialConfig, parse
from awcl.data.table import DOMAINS
from awcl.downstream import drawn
from awcl.downstream.comparing import read_predictions
from awcl.errors import InputError
from awcl.files import AnyPath
from awcl.records import Command, StudyFolder, TrialFolder, epochs_done


@dataclass(frozen=True)
class Judgement:
    """One evaluation: its folder and EVAL.json."""

    folder: AnyPath
    result: dict[str, Any]

    @cached_property
    def scores(self) -> dict[str, list[str]]:
        """Each score that predictions tell, and its columns (`drawn.score_names`)."""
        return dict(drawn.score_names(self.predictions))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """`drawn.by_frame` of them, with a column for every domain. Raises InputError where they
        are missing, damaged, or of no frame."""
        table = read_predictions(self.folder)
        every = list(dict.fromkeys([*table.columns, *DOMAINS]))
        return drawn.by_frame(table.reindex(columns=every))


@dataclass(frozen=True)
class Trial:
    """One trial. outcome: finished, stopped, failed, ...; '' while it has not ended. epoch: of its
    end, or how far it is; 0 of an untrained one.

    history: a row an epoch. judgements: by the name of the task, the last where there are several.
    """

    key: str
    config: TrialConfig
    outcome: str
    reason: str
    epoch: int
    starts: list[dict[str, Any]]
    history: list[dict[str, Any]]
    judgements: Mapping[str, Judgement]

    @property
    def is_finished(self) -> bool:
        return self.outcome == "finished"

    @property
    def proxy(self) -> float | None:
        """The last val/proxy; None before the first epoch."""
        return self.history[-1].get("val/proxy") if self.history else None


@dataclass(frozen=True)
class Stored:
    """A study. arm_of, not_run, command: as StudyFolder gives them."""

    path: AnyPath
    definition: dict[str, Any]
    trials: list[Trial]
    arm_of: Mapping[str, str] = field(default_factory=dict)
    not_run: list[dict[str, str]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    is_running: bool = False
    command: Command | None = None

    @cached_property
    def frames(self) -> pd.DataFrame | None:
        """Rows as the trials read them, read where they are asked for; None where they are not
        stored. Raises InputError where they are damaged."""
        return _frames(self.path / "frames.parquet")

    @property
    def name(self) -> str:
        return self.definition["name"]

    @property
    def axes(self) -> list[str]:
        """Those that tell trials apart: an axis of one value does not, until it is given others."""
        return [axis for axis, values in self.definition["axes"].items() if len(values) > 1]

    @property
    def seeds(self) -> list[int]:
        """Those that every arm of a comparison has; of a search one, until some are confirmed."""
        seeds = self.definition.get("seeds", [0])
        searches = self.definition.get("confirm", 0) and not self.definition.get("confirmed")
        return seeds[:1] if searches else seeds

    @property
    def taxonomy(self) -> str:
        """'fetal', or its file as the study knew it."""
        return self.definition.get("base", {}).get("anatomy", {}).get("taxonomy", "fetal")

    @property
    def tasks_not_run(self) -> dict[str, str]:
        """As StudyFolder gives it."""
        return self.definition.get("tasks_not_run", {})

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return [t for t in self.definition.get("tasks", []) if isinstance(t, dict)]


def read(folder: StudyFolder, has_ended: bool = False) -> Stored:
    """has_ended: said by who has run it to its end, and holds its folder still.

    Raises InputError where no study is stored there, or a file of it is damaged.
    """
    definition = folder.definition
    if definition is None:
        raise InputError(f"{folder.path}: no study is stored here; run it, or give --storage")
    return Stored(
        path=folder.path,
        definition=definition,
        trials=[_trial(trial) for trial in folder.trials()],
        arm_of=folder.arm_of,
        not_run=folder.not_run,
        decisions=folder.decisions(),
        timings=folder.timings(),
        is_running=folder.held and not has_ended,
        command=folder.command,
    )


def _trial(trial: TrialFolder) -> Trial:
    done, history = trial.done or {}, trial.history()
    return Trial(
        key=trial.key,
        config=parse(TrialConfig, trial.about["config"], trial.key),
        outcome=done.get("outcome", ""),
        reason=done.get("reason", ""),
        epoch=done.get("epoch", epochs_done(history)),
        starts=trial.starts(),
        history=history,
        judgements=_judgements(trial, done),
    )


def _judgements(trial: TrialFolder, done: dict[str, Any]) -> dict[str, Judgement]:
    """Of a finished trial those of its end; of each task the last."""
    found: dict[str, Judgement] = {}
    ends = [done["epoch"]] if done.get("outcome") == "finished" else None
    for folder, result in sorted(trial.evaluations(), key=lambda pair: _age(pair[1])):
        if ends is None or result["epoch"] in ends:
            found[result["name"]] = Judgement(folder, result)
    return found


def _age(result: dict[str, Any]) -> tuple[int, float]:
    return result["epoch"], result.get("time", 0.0)


def _frames(file: AnyPath) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(BytesIO(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise InputError(f"{file}: cannot be read ({error}); restore it from a copy") from error
