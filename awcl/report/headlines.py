"""The scores of a task that a report compares arms by: few, and higher is better in each.

All other scores are in tables/trials.csv, trial by trial.
"""

import re
from dataclasses import dataclass

HEADLINES = {
    "cross_segmentation": r"(frozen|finetuned)/.+/(transfer|shift)/dice",
    "planes": r"(ridge|finetuned)/macro_f1",
    "cross_planes": r".+/(transfer|shift)/(ridge|finetuned)/macro_f1",
    "segmentation": r"(frozen|finetuned)/dice",
    "few_labels": r"(transfer|few_label)/[\d.]+/ridge/macro_f1",
    "few_masks": r"(transfer|few_label)/[\d.]+/dice",
    "diagnostics": r"(coarse|fine)/purity|fine_within_coarse",
}
"""Kind of task -> its scores by `drawn.score_names`. Of a kind that is not here, its first. Tables
and figures are in this order."""
WORDS = {
    "ridge": "ridge probe", "finetuned": "fine-tuned", "frozen": "frozen encoder",
    "macro_f1": "macro-F1", "dice": "Dice", "knn": "nearest neighbours",
    "fine_within_coarse": "fine structure within coarse classes",
}  # fmt: skip
CURVES = {"few_labels", "few_masks"}  # kinds of task that are drawn as curves of their own


@dataclass(frozen=True)
class Score:
    """task: its name in the study; kind: which task it is; name: of `drawn.score_names`."""

    task: str
    kind: str
    name: str

    @property
    def label(self) -> str:
        """'planes-C: macro-F1, ridge probe'."""
        *parts, last = self.name.split("/")
        told = [WORDS.get(part, part.replace("_", " ")) for part in (last, *parts)]
        return f"{self.task}: {', '.join(told)}"

    @property
    def is_compared(self) -> bool:
        """Whether arms are held against each other by it; else it is a point of a curve alone. Of
        few labels the points at which pre-training and probe have the same ones."""
        return self.kind not in CURVES or self.name.startswith("few_label/")

    @property
    def is_the_papers(self) -> bool:
        """Whether the paper's headline is in it: Dice on another domain, which the decoder is
        taught on (Fu et al. 2022, as we read it; there pre-training has not seen it)."""
        return self.kind == "cross_segmentation" and "/transfer/" in self.name

    @property
    def crossing(self) -> str:
        """Of a headline score across domains the crossing's name."""
        return self.name.split("/")[-3]

    @property
    def place(self) -> tuple[bool, int]:
        """Scores are told in this order: the paper's headline, then the kinds of HEADLINES."""
        kinds = list(HEADLINES)
        return not self.is_the_papers, (*kinds, self.kind).index(self.kind)

    @property
    def measure(self) -> str:
        """'macro-F1'."""
        last = self.name.rpartition("/")[2]
        return WORDS.get(last, last.replace("_", " "))

    @property
    def curve(self) -> tuple[str, float, str]:
        """Of a point of a curve: which curve, at what share, of which measure in words."""
        curve, share, *parts, last = self.name.split("/")
        return curve, float(share), ", ".join(WORDS.get(part, part) for part in (last, *parts))

    @property
    def slug(self) -> str:
        """For names of files."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.task}-{self.name}".lower()).strip("-")


def headlines(task: str, kind: str, names: list[str]) -> list[Score]:
    """Those of a task's scores that arms are compared by, in their order."""
    wanted = HEADLINES.get(kind)
    chosen = [name for name in names if re.fullmatch(wanted, name)] if wanted else names[:1]
    return [Score(task, kind, name) for name in chosen]
