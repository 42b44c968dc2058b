"""What MLflow should hold of a study, read from storage. No mlflow in here."""

from dataclasses import dataclass, field
from typing import Any

from awcl import costs
from awcl.config import TrialConfig, parse, shown
from awcl.files import AnyPath
from awcl.records import StudyFolder, TrialFolder

STUDY = "study"  # the key of the parent run
STEPS = ("epoch", "system/seconds")  # what counts the steps of a trial, and of a study
ENDS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class Points:
    """Metrics that belong to one step: an epoch of a trial, or of a study a look at its machines,
    by the seconds since its first one. millis: since 1970."""

    step: int
    millis: int
    values: dict[str, float]


@dataclass(frozen=True)
class Run:
    """One run as MLflow should hold it.

    status: RUNNING, FINISHED, KILLED or FAILED. start, end: milliseconds since 1970; None: now.
    rows: one after the other, by STEPS. evaluations: the folder of each, and its metrics.
    report: a file.
    """

    key: str
    name: str
    status: str
    tags: dict[str, str]
    start: int | None = None
    end: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    rows: list[Points] = field(default_factory=list)
    evaluations: list[tuple[AnyPath, Points]] = field(default_factory=list)
    report: AnyPath | None = None


def of_study(study: StudyFolder, running: bool) -> Run:
    """The parent run. running: some process runs the study now."""
    definition = study.definition
    status = "RUNNING"
    if not running:
        ended = all(trial.done is not None for trial in study.trials())
        status = "FINISHED" if ended else "KILLED"
    tags = {"awcl.study": definition["name"], "awcl.data": _listed(definition["packs"].values())}
    absent = _listed(", ".join(row.values()) for row in study.not_run)
    tags |= {"awcl.not_run": absent[:5000]} if absent else {}
    report = study.report if study.report.is_file() else None
    return Run(
        STUDY, definition["name"], status, tags, rows=_of_machines(study, definition), report=report
    )


def of_trial(study: StudyFolder, trial: TrialFolder, running: bool) -> Run | None:
    """The run of a trial; None for one that was never started.

    running: a pending trial runs now; else it was interrupted.
    """
    starts, history, done = trial.starts(), trial.history(), trial.done
    times = sorted(_millis(row["time"]) for row in [*starts, *history])
    if not times:
        return None
    definition, about = study.definition, trial.about  # read once: this is asked at each epoch
    config = shown(parse(TrialConfig, about["config"], trial.key))
    arm = definition.get("arm_of", {}).get(trial.key)
    named = {"arm": arm} if arm else {}
    varied = [f"{axis.rpartition('.')[2]}={config.get(axis, '-')}" for axis in definition["axes"]]
    tags = {
        "awcl.study": definition["name"],
        "awcl.data": about["pack"],
        "awcl.code": _listed(start["code"] for start in starts if "code" in start),
        **_outcome(done, running),
    }
    pending = "RUNNING" if running else "KILLED"
    return Run(
        key=trial.key,
        name=" ".join([*named.values(), *varied, f"seed={config['seed']}"]),
        status=ENDS[done["outcome"]] if done else pending,
        tags={name: value for name, value in tags.items() if value},
        start=times[0],
        end=times[-1],
        params={
            **named,
            **{name: str(value) for name, value in config.items()},
            "pack": about["pack"],
            "taxonomy": about["taxonomy"],
        },
        rows=[Points(row["epoch"], _millis(row["time"]), _numbers(row)) for row in history],
        evaluations=[(folder, _scores(result)) for folder, result in trial.evaluations()],
    )


def _of_machines(study: StudyFolder, definition: dict[str, Any]) -> list[Points]:
    """What each look at the cluster saw, under names that MLflow shows as system metrics.

    The cost is that of all hours so far at the prices that the study has now; points that MLflow
    has already keep theirs.
    """
    looks, prices = study.machines(), definition.get("prices", {})
    points = []
    for look, hours in zip(looks, costs.hours_at(looks), strict=True):
        values = {
            "seconds": int(look["time"] - looks[0]["time"]),
            "machines": sum(look["machines"].values()),
            "machines_asked_for": sum(look["asked"].values()),
            "machine_hours": sum(hours.values()),
            "trials_running": look["running"],
            "trials_waiting": look["waiting"],
            **({"cost": costs.cost(hours, prices)} if prices else {}),
        }
        named = {f"system/{name}": value for name, value in values.items()}
        points.append(Points(values["seconds"], _millis(look["time"]), _numbers(named)))
    return points


def _outcome(done: dict[str, Any] | None, running: bool) -> dict[str, str]:
    if done is None:
        return {} if running else {"awcl.outcome": "interrupted"}
    worker = done.get("worker")
    return {
        "awcl.outcome": done["outcome"],
        "awcl.reason": done.get("reason", "")[:5000],
        "awcl.log": f"{worker['host']}:{worker['log']}" if worker else "",
    }


def _scores(result: dict[str, Any]) -> Points:
    """The metrics of one evaluation, at the epoch of its checkpoint."""
    named = {f"eval/{result['name']}/{name}": v for name, v in result["metrics"].items()}
    return Points(result["epoch"], _millis(result["time"]), _numbers(named))


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(v) for name, v in row.items() if isinstance(v, int | float)}


def _millis(seconds: float) -> int:
    return int(seconds * 1000)


def _listed(names: Any) -> str:
    """Each once, in their order."""
    return ", ".join(dict.fromkeys(names))
