"""Paths and forms of everything a study stores. Storage is the truth; MLflow is made from it.

STORAGE/<study>/
  STUDY.json  frames.parquet  decisions.jsonl  timings.jsonl  machines.jsonl
  report.html  figures/*.png  tables/*.csv    (awcl.report)
  trials/<key>/ TRIAL.json  starts.jsonl  workers.json  history.jsonl  DONE.json
    train/**/epoch_0007/{encoder.safetensors, state.pt, history.json, COMPLETE.json}
    train/epoch_0007_step_00150/    partial: made within epoch 8, on notice of the machine's end
    eval/<task>-<hash>/{EVAL.json, predictions.parquet, *.png}
STORAGE/weights/<digest>.safetensors    what trials start from (awcl.warm)
STORAGE/packs/<digest>/     with COMPLETE.json where machines fetch it from there
STORAGE/phantom-<size>px-<settings>/    where a study makes its own frames

A line of timings.jsonl is a run of the study that trained or evaluated: time (of its start, since
1970), outcome (done, interrupted, failed), seconds {stage: seconds}, and where it trained
first_epochs and further_epochs {count, mean_seconds}: a first epoch is counted from the trial's
start, so the difference of the two is what it takes to start one.

A line of machines.jsonl is a look at the cluster: time, run (when that run of the study began to
look), machines {kind: how many}, asked {kind: how many more are to come}, and of trials how many
are running and waiting (awcl.study.watching, awcl.costs).

STORAGE is a local folder or in an object store. LEASE is there beside STUDY.json (awcl.lease).
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from awcl import checkpoints, hashing, lease
from awcl.config import Config, parse
from awcl.files import (
    AnyPath,
    Needs,
    append_line,
    read_json,
    read_json_if_there,
    read_lines,
    write_json,
)

CARD_USE, CARD_MEMORY = "system/gpu_utilization_percentage", "system/gpu_memory_usage_megabytes"
"""Of an epoch on a card (awcl.pretrain.card); under MLflow's names, so that it shows them as system
metrics."""

NUMBER = (int, float)
NEEDS: dict[str, Needs] = {
    "STUDY.json": {"name": str, "axes": dict},
    "TRIAL.json": {"key": str, "config": dict},
    "DONE.json": {"outcome": str, "epoch": int},
    "EVAL.json": {"name": str, "epoch": int, "metrics": dict},
    "history.jsonl": {"epoch": int},
    "starts.jsonl": {"time": NUMBER, "launch": str, "places": int},
    "decisions.jsonl": {"key": str, "epoch": int, "value": NUMBER, "stop": bool},
    "timings.jsonl": {"time": NUMBER, "seconds": dict},
    "workers.json": {"workers": list},
    "machines.jsonl": {
        "time": NUMBER,
        "run": NUMBER,
        "machines": dict,
        "asked": dict,
        "running": int,
        "waiting": int,
    },
}
"""What every stored file, or every line of it, has at the least."""
ADVICE = {
    "STUDY.json": "restore it from a copy, or run the study under another name (--as NEWNAME)",
    "TRIAL.json": "remove it, the study's next run writes it anew",
    "DONE.json": "remove it, the study's next run goes on from the trial's checkpoints",
    "workers.json": "remove it, it only tells where logs are",
    "EVAL.json": "remove its folder, `awcl study evaluate` makes it anew",
}
"""What to do where one is damaged."""


def _read(file: AnyPath) -> dict[str, Any]:
    return read_json(file, NEEDS[file.name], ADVICE[file.name])


def _read_if_there(file: AnyPath) -> dict[str, Any] | None:
    return read_json_if_there(file, NEEDS[file.name], ADVICE[file.name])


def _lines(file: AnyPath) -> list[dict[str, Any]]:
    return list(read_lines(file, NEEDS[file.name]))


def epochs_done(history: list[dict[str, Any]]) -> int:
    """How many epochs a history tells of; an untrained trial's one row is of epoch 0."""
    return history[-1]["epoch"] if history else 0


@dataclass(frozen=True)
class TrialFolder:
    """What is stored of one trial."""

    path: AnyPath

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def train(self) -> AnyPath:
        return self.path / "train"

    @property
    def about(self) -> dict[str, Any]:
        """TRIAL.json: the key, the configuration in full, what the key is made of."""
        return _read(self.path / "TRIAL.json")

    def write_about(self, about: dict[str, Any]) -> None:
        if not (self.path / "TRIAL.json").is_file():
            write_json(self.path / "TRIAL.json", about)

    @property
    def outcome(self) -> str | None:
        """finished, stopped or failed; None while pending."""
        done = self.done
        return done["outcome"] if done else None

    @property
    def last_proxy(self) -> float | None:
        """What a finished trial ended with; None for any other, and where that is not finite."""
        history = self.history() if self.outcome == "finished" else []
        proxy = history[-1]["val/proxy"] if history else math.nan
        return proxy if math.isfinite(proxy) else None

    @property
    def done(self) -> dict[str, Any] | None:
        """DONE.json: outcome (finished, stopped, failed), epoch, reason, and of a failed one its
        worker (see `workers`); None while pending."""
        return _read_if_there(self.path / "DONE.json")

    def write_done(self, outcome: str, **about: Any) -> None:
        write_json(self.path / "DONE.json", {"outcome": outcome, **about})

    def reopen(self) -> None:
        """A failed trial is tried again."""
        (self.path / "DONE.json").unlink(missing_ok=True)

    def checkpoint(self) -> AnyPath | None:
        """The newest complete checkpoint that counts; None where there is none.

        Of a finished trial that of its last epoch, and no other. A stopped trial may have gone on
        for an epoch before the word reached it: the checkpoint of the decision counts, or the
        newest where that one is gone already.
        """
        done = self.done
        if done is not None and done["outcome"] == "finished":
            return checkpoints.newest(self.train, after=done["epoch"] - 1)
        if done is not None and done["outcome"] == "stopped":
            decided = checkpoints.newest(self.train, up_to=done["epoch"])
            return decided or checkpoints.newest(self.train)
        return checkpoints.newest(self.train)

    def history(self) -> list[dict[str, Any]]:
        """Metrics by epoch, 1, 2, ... without gaps or doubles, up to the end of the trial.

        An epoch that was trained again, since its checkpoint was broken, is told as the first time:
        decisions were made on that.
        """
        by_epoch: dict[int, dict[str, Any]] = {}
        for row in _lines(self.path / "history.jsonl"):
            by_epoch.setdefault(row["epoch"], row)
        done = self.done
        last = done["epoch"] if done else math.inf
        return [by_epoch[epoch] for epoch in sorted(by_epoch) if epoch <= last]

    @property
    def epochs_done(self) -> int:
        """Of which the history tells; 0 also of an untrained trial that has ended."""
        return epochs_done(self.history())

    def catch_up(self, up_to: float = math.inf) -> None:
        """Writes to history.jsonl what only a checkpoint tells.

        For the start of a driver: the one before it may have died between the two, or a line may
        have been damaged since. up_to: the epoch at which the trial was to stop; its workers may
        have gone on for one more.
        """
        known = {row["epoch"] for row in _lines(self.path / "history.jsonl")}
        newest = max(known, default=-1)  # an untrained trial has one row, of epoch 0
        gap = len(known) < newest
        checkpoint = checkpoints.newest(self.train, after=-1 if gap else newest)
        if checkpoint is not None:
            for row in read_json(checkpoint / checkpoints.HISTORY)["epochs"]:
                if row["epoch"] not in known and row["epoch"] <= up_to:
                    self.append_history(row)

    def append_history(self, metrics: dict[str, Any]) -> None:
        """One line an epoch."""
        append_line(self.path / "history.jsonl", metrics)

    def starts(self) -> list[dict[str, Any]]:
        """Each start of the trial: time (since 1970), launch, places (trials at a time then)."""
        return _lines(self.path / "starts.jsonl")

    def append_start(self, start: dict[str, Any]) -> None:
        append_line(self.path / "starts.jsonl", start)

    @property
    def workers(self) -> list[dict[str, Any]]:
        """Of the last start, in the order of their ranks: host, log (a file of that host), actor
        (Ray's name of the worker). Empty before the first."""
        return (_read_if_there(self.path / "workers.json") or {"workers": []})["workers"]

    def worker(self, rank: int) -> dict[str, Any] | None:
        """Of one rank; None where it is not known."""
        there = self.workers
        return there[rank] if rank < len(there) else None

    def write_workers(self, workers: list[dict[str, Any]]) -> None:
        write_json(self.path / "workers.json", {"workers": workers})

    def evaluation(self, task: str, task_hash: str, digest: str) -> AnyPath:
        """The folder of one evaluation: of this task, in this form, of this checkpoint."""
        return self.path / "eval" / f"{task}-{hashing.of_json([task_hash, digest])}"

    def evaluations(self) -> list[tuple[AnyPath, dict[str, Any]]]:
        """The folder and EVAL.json of each evaluation: task, epoch, metrics, facts of the task."""
        files = sorted(self.path.glob("eval/*/EVAL.json"))
        return [(file.parent, _read(file)) for file in files]


class Command(Config):
    """What a study was run by: as much of the command as says which study that is."""

    recipe: str
    """Its name, or its file as seen from where the command ran."""
    rename: str | None = None
    """Of --as."""
    smoke: bool = False
    frames: bool = False
    """Whether any were given; else it made its phantom."""


NOT_AT_HAND = "weights not at hand"
"""Why a point is not run whose weights are neither in the cache nor given."""
EQUALLY = " = "
"""Stands between the names of arms that are one trial."""


@dataclass(frozen=True)
class StudyFolder:
    """STORAGE/<study>."""

    path: AnyPath

    @property
    def definition(self) -> dict[str, Any] | None:
        """STUDY.json, the accepted definition; None before the first run."""
        return _read_if_there(self.path / "STUDY.json")

    @property
    def arm_of(self) -> dict[str, str]:
        """A trial's key -> its arm, or the arms that it is EQUALLY; empty where there are none."""
        return (self.definition or {}).get("arm_of", {})

    @property
    def not_run(self) -> list[dict[str, str]]:
        """What is not run: arm and axes as tables show them, and the `reason`."""
        return (self.definition or {}).get("not_run", [])

    @property
    def tasks_not_run(self) -> dict[str, str]:
        """Tasks that the frames do not allow, by name, and what they lack."""
        return (self.definition or {}).get("tasks_not_run", {})

    @property
    def command(self) -> Command | None:
        """What last ran it; None of a study that was stored before this was, or by no command."""
        told = (self.definition or {}).get("command")
        return parse(Command, told, f"{self.path / 'STUDY.json'}: command") if told else None

    def accept(self, definition: dict[str, Any]) -> None:
        write_json(self.path / "STUDY.json", definition)

    def only_driver(self) -> AbstractContextManager[None]:
        """Holds the study: a second process that tries is refused with InputError."""
        return lease.only_driver(self.path)

    @property
    def held(self) -> bool:
        """Whether a process is running this study now."""
        return self.held_since is not None

    @property
    def held_since(self) -> float | None:
        """When that process took hold of it, in seconds since 1970; None where none does."""
        return lease.held_since(self.path)

    @property
    def report(self) -> AnyPath:
        """The report's page, where one was written (awcl.report)."""
        return self.path / "report.html"

    def decisions(self) -> list[dict[str, Any]]:
        """Every decision of early stopping, in the order in which they were made."""
        return _lines(self.path / "decisions.jsonl")

    def append_decision(self, decision: dict[str, Any]) -> None:
        append_line(self.path / "decisions.jsonl", decision)

    def timings(self) -> list[dict[str, Any]]:
        """What each run of the study took, oldest first."""
        return _lines(self.path / "timings.jsonl")

    def append_timings(self, run: dict[str, Any]) -> None:
        append_line(self.path / "timings.jsonl", run)

    def machines(self) -> list[dict[str, Any]]:
        """Looks at the cluster, oldest first."""
        return _lines(self.path / "machines.jsonl")

    def append_machines(self, look: dict[str, Any]) -> None:
        append_line(self.path / "machines.jsonl", look)

    def catch_up(self) -> None:
        """`TrialFolder.catch_up` for every trial that lacks epochs, also at the end of its run."""
        stops = {made["key"]: made["epoch"] for made in self.decisions() if made["stop"]}
        for trial in self.trials():
            done = trial.done
            if done is None:
                trial.catch_up(up_to=stops.get(trial.key, math.inf))
            elif len(trial.history()) < max(
                1, done["epoch"]
            ):  # marked before its last epoch was told
                trial.catch_up(up_to=done["epoch"])

    def trial(self, key: str) -> TrialFolder:
        return TrialFolder(self.path / "trials" / key)

    def trials(self) -> Iterator[TrialFolder]:
        """Every stored trial, in the order of their keys."""
        for file in sorted(self.path.glob("trials/*/TRIAL.json")):
            yield TrialFolder(file.parent)
