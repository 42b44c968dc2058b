"""The paper's claim, on these numbers: the best arm that pairs by anatomy against its rivals.

Fu et al. 2022 say that AWCL is better than the best contrastive method and than ImageNet's weights,
above all in segmentation across domains. They do not compare with cross-entropy on anatomy labels;
here it stands beside them. What an arm is, its configuration says (`Arm.kind`), and not its name.
"""

from collections.abc import Mapping, Sequence

from awcl.downstream.evaluation import SEEN
from awcl.report.arms import ANATOMY, CONTRASTIVE, IMAGENET, RIVALS, SUPERVISED, Apart, Arm
from awcl.report.comparing import Comparison, Differences, Estimate, Estimates, best_of
from awcl.report.headlines import Score
from awcl.report.page import Section
from awcl.report.summary import difference
from awcl.report.tables import DIFFERENCE, Cell, Rows, Table, difference_as_csv, difference_cell

WORDS = {
    CONTRASTIVE: "the best contrastive arm without anatomy",
    IMAGENET: "ImageNet's weights",
    SUPERVISED: "supervised training",
}
HEADLINE = "the paper's headline"


def section(
    estimates: Estimates,
    found: Mapping[Score, Differences],
    arms: Sequence[Arm],
    apart: Sequence[Apart],
) -> Section:
    """Empty in a study without arms that pair by anatomy, or without any of the rivals.

    arms: all of the study, also those that were not run. apart: why some are in no comparison.
    """
    reasons = {of.arm: of.reason for of in reversed(apart)}
    kinds = {kind: _why_not(kind, arms, reasons) for kind in RIVALS
             if any(arm.kind == kind for arm in arms)}  # fmt: skip
    best = {
        score: anatomy
        for score, each in estimates.items()
        if score.is_compared and kinds and (anatomy := best_of(each, ANATOMY))
    }
    return Section(
        "claim", "The paper's claim",
        "The best arm that pairs by anatomy, minus each of its rivals; best in the same score. p: "
        "by Holm over all pairs of arms that are compared in that score, here and elsewhere. The "
        "paper has +7.1 % over the best contrastive method and +13.8 % over ImageNet's weights in "
        "segmentation across domains, and no comparison with supervised training.",
        [_table(best, found, kinds)] if best else [],
        notes=[
            _told(anatomy, estimates[score], found[score], kinds)
            for score, anatomy in best.items()
            if score.is_the_papers
        ],
    )  # fmt: skip


def _why_not(kind: str, arms: Sequence[Arm], reasons: Mapping[str, str]) -> str:
    """Why no arm of a kind is compared, where none is."""
    told = [reasons.get(arm.name) for arm in arms if arm.kind == kind]
    return told[0] if all(told) else "not judged in this score"


def _told(
    anatomy: Estimate, each: Sequence[Estimate], found: Differences, kinds: Mapping[str, str]
) -> str:
    """The paper's headline in a paragraph."""
    sentences = [
        f"{HEADLINE.capitalize()}, {anatomy.score.label}: {anatomy.arm.name} is the best that "
        f"pairs by anatomy, {anatomy.value:.3f} {anatomy.told}."
    ]
    if _saw_target(anatomy):
        sentences.append("Not as in the paper, its pre-training saw that domain.")
    for kind, why_not in kinds.items():
        of = _of_kind(found, kind)
        named = f"{WORDS[kind]} ({of.reference.name})" if of else WORDS[kind]
        sentences.append(f"Minus {named}: {difference(of, each) if of else f'{why_not}.'}")
    return " ".join(sentences)


def _saw_target(anatomy: Estimate) -> bool:
    score = anatomy.score
    judged = [of.judgements.get(score.task) for of in anatomy.arm.trials.values()]
    flags = [of.result["metrics"].get(f"{score.crossing}/{SEEN}") for of in judged if of]
    return 1 in flags


def _table(
    best: Mapping[Score, Estimate], found: Mapping[Score, Differences], kinds: Mapping[str, str]
) -> Table:
    """A row a score, a column a rival."""
    rows = Rows()
    rows.csv.append(["arm", "rival", "reference", "task", "score", *DIFFERENCE])
    for score, anatomy in best.items():
        named = f"{score.label} ({HEADLINE})" if score.is_the_papers else score.label
        cells = [Cell(named), Cell(anatomy.arm.name, (f"{anatomy.value:.3f} {anatomy.told}",))]
        for kind, why_not in kinds.items():
            of = _of_kind(found[score], kind)
            cells.append(difference_cell(of) if of else Cell(why_not))
            row = difference_as_csv(of) if of else _without(anatomy, why_not)
            rows.csv.append([row[0], kind, *row[1:]])
        rows.page.append(cells)
    heads = ["score", "best by anatomy", *(f"minus {WORDS[kind]}" for kind in kinds)]
    return Table("claim", "Anatomy against its rivals", heads, rows.page, rows.csv)


def _without(anatomy: Estimate, why_not: str) -> list[object]:
    """A row as `difference_as_csv` gives them, without numbers."""
    named = [anatomy.arm.name, None, anatomy.score.task, anatomy.score.name]
    return [*named, *(why_not if name == "verdict" else None for name in DIFFERENCE)]


def _of_kind(found: Differences, kind: str) -> Comparison | None:
    return next((of for of in found.claim if of.reference.kind == kind), None)
