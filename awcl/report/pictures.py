"""Figures that evaluations stored: of the best arm of each task, and of SimCLR beside it."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from awcl.errors import InputError
from awcl.files import AnyPath
from awcl.report.arms import Arm, nearest
from awcl.report.comparing import Estimates, ranking
from awcl.report.reading import Judgement, Trial

MOST_BYTES = 3_400_000  # of all pictures: with plotly's 5 MB a report stays below 10
PNG = b"\x89PNG\r\n\x1a\n"
WORDS = {"map": "map of features (t-SNE)", "few_labels": "few labels", "frozen": "frozen encoder"}


@dataclass(frozen=True)
class Picture:
    """title: which arm and figure; uri: the file as data."""

    title: str
    uri: str


@dataclass(frozen=True)
class Pictures:
    """What is shown, and the paths of what would make the file too large."""

    shown: Sequence[Picture]
    left_out: Sequence[str]


def pictures(arms: Sequence[Arm], estimates: Estimates, root: AnyPath) -> Pictures:
    """Raises InputError where a picture is no PNG. root: of the paths that are told."""
    shown, left_out, used = [], [], 0
    for arm, seed, judgement in chosen(arms, estimates):
        for file in sorted(judgement.folder.glob("*.png")):
            data = file.read_bytes()
            if not data.startswith(PNG):
                raise InputError(f"{file}: is no PNG; remove its folder, `awcl study evaluate` "
                                 "makes it anew")  # fmt: skip
            if used + len(data) > MOST_BYTES:
                left_out.append(str(file.relative_to(root)))
                continue
            used += len(data)
            task = judgement.result["name"]
            title = f"{task}, {_told(file.name.removesuffix('.png'))}: {arm.name}, seed {seed}"
            shown.append(Picture(title, _uri(data)))
    return Pictures(shown, left_out)


def chosen(arms: Sequence[Arm], estimates: Estimates) -> Iterator[tuple[Arm, int, Judgement]]:
    """Of each task the best arm's first seed, then that of the SimCLR arm which is nearest to it.

    Best by the task's first score; of a task without one, that of the tasks before it.
    """
    best: dict[str, Arm] = {}
    for score, each in estimates.items():
        if each:
            best.setdefault(score.task, ranking(each)[0].arm)
    tasks = dict.fromkeys(task for arm in arms for task in _first(arm)[1].judgements)
    fallback = next(iter(best.values()), arms[0] if arms else None)
    for task in tasks:
        arm = best.get(task, fallback)
        others = [other for other in arms if other.is_simclr and other is not arm]
        for one in (arm, nearest(arm, others)):
            if one is not None and task in _first(one)[1].judgements:
                seed, trial = _first(one)
                yield one, seed, trial.judgements[task]


def _first(arm: Arm) -> tuple[int, Trial]:
    return next(iter(arm.trials.items()))


def _told(stem: str) -> str:
    return WORDS.get(stem) or stem.replace("_", " ").replace("frozen", WORDS["frozen"])


def _uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
