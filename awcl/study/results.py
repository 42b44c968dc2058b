"""What a study has found, point by point; read from storage alone. No ray in here."""

from dataclasses import dataclass
from statistics import fmean

from awcl.config import TrialConfig, parse
from awcl.records import StudyFolder
from awcl.study.sampling import Point
from awcl.study.space import Study, configuration, points


@dataclass(frozen=True)
class Result:
    """A point, its trial on the first seed, and the proxy that it ended with."""

    point: Point
    config: TrialConfig
    proxy: float


def results(study: Study, folder: StudyFolder, seeds: list[int]) -> list[Result]:
    """Every point that ran to the full budget on one of these seeds, with its mean over them.

    Trials that were stopped early are left out: they had less training. Points that give the same
    trial are one. In the order of the points.
    """
    ended = _last_proxies(folder)
    found: dict[str, Result] = {}
    for point in points(study):
        configs = [configuration(study, point, seed) for seed in seeds]
        names = [config.model_dump_json() for config in configs]
        proxies = [ended[name] for name in names if name in ended]
        if proxies:
            found.setdefault(names[0], Result(point, configs[0], fmean(proxies)))
    return list(found.values())


def _last_proxies(folder: StudyFolder) -> dict[str, float]:
    """Configuration in JSON -> the last proxy of its finished trial."""
    found = {}
    for trial in folder.trials():
        proxy = trial.last_proxy
        if proxy is not None:
            config = parse(TrialConfig, trial.about["config"], trial.key)
            found[config.model_dump_json()] = proxy
    return found
