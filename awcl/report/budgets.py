"""What each arm is, and what it had: its method, the labels that it read, its epochs."""

from collections.abc import Iterator, Sequence

from awcl.pretrain import methods
from awcl.report.arms import ANATOMY, SUPERVISED, Arm
from awcl.report.tables import Cell, Rows, Table
from awcl.warm import saw_no_frames

HEAD = (
    "arm", "method", "positives", "granularity", "ratio", "sampler", "temperature", "starts from",
    "labels used", "epochs",
)  # fmt: skip
MOST_NAMES = 4  # arms that a sentence names


def table(arms: Sequence[Arm]) -> Table:
    """A row an arm, also of one that was not run. Of seeds that differ, from the least to the most;
    '-' for what an arm does not read."""
    rows = Rows()
    rows.csv.append(
        [*HEAD[:-2], "labels_least", "labels_most", "epochs_least", "epochs_most", "note"]
    )
    for arm in arms:
        labels, epochs = labels_used(arm), _ends([trial.epoch for trial in arm.trials.values()])
        settings = [arm.name, *_settings(arm)]
        rows.page.append(
            [
                *(Cell(str(value), number=_number(value)) for value in settings),
                _range(labels, arm.not_run),
                _range(epochs, arm.not_run),
            ]
        )
        rows.csv.append([*settings, *(labels or ("", "")), *(epochs or ("", "")), arm.not_run])
    return Table("arms", "What each arm is", HEAD, rows.page, rows.csv)


def epochs_told(arms: Sequence[Arm]) -> str:
    """For how many epochs the arms of a comparison were trained."""
    trained = {arm.config.pretrain.epochs for arm in arms} - {0}
    without = [arm.name for arm in arms if not arm.config.pretrain.epochs]
    if not trained:
        return "No arm was trained." if arms else ""
    untrained = f"; not trained: {_listed(without)}" if without else ""
    return f"Every arm was trained for {' or '.join(map(str, sorted(trained)))} epochs{untrained}."


def labels_caution(arms: Sequence[Arm]) -> Iterator[str]:
    """Where arms of a comparison read labels, and not equally many."""
    budgets: dict[tuple[int, int], list[str]] = {}
    for arm in arms:
        labels = labels_used(arm)
        if labels and labels[1]:
            budgets.setdefault(labels, []).append(arm.name)
    if len(budgets) > 1:
        least, most = min(budgets), max(budgets)
        yield (
            "Arms that read labels did not read equally many, so what they differ in is not the "
            f"method alone: {_listed(budgets[least])} read {_told(least)} anatomy labels, "
            f"{_listed(budgets[most])} read {_told(most)}."
        )


def starts_caution(arms: Sequence[Arm]) -> Iterator[str]:
    """Where some arms start from weights that may have seen frames or labels, and others do not."""
    trained = [arm for arm in arms if arm.config.pretrain.epochs]
    warm = [arm.name for arm in trained if not saw_no_frames(arm.config.model.init)]
    if 0 < len(warm) < len(trained):
        yield (
            f"{_listed(warm)} started from weights of another run or program: which frames and "
            "labels these have seen is counted nowhere here."
        )


def labels_used(arm: Arm) -> tuple[int, int] | None:
    """How many anatomy labels pre-training read, the least and the most of seeds; None where no
    history tells."""
    last = [trial.history[-1] for trial in arm.trials.values() if trial.history]
    return _ends([int(row["labels_used"]) for row in last if "labels_used" in row])


def _settings(arm: Arm) -> list[str | float]:
    """From method to what it starts from."""
    config, pretrain = arm.config, arm.config.pretrain
    if pretrain.epochs == 0:
        return ["untrained", "-", "-", "-", "-", "-", config.model.init]
    method = methods.find(pretrain.method)
    reads_labels = arm.kind in (ANATOMY, SUPERVISED) or method.kind == "labelled pairs"
    both = arm.kind == ANATOMY and pretrain.positives == "hierarchical"
    return [
        pretrain.method,
        method.own_pairs or pretrain.positives,
        ("fine and coarse" if both else config.anatomy.granularity) if reads_labels else "-",
        config.anatomy.ratio if reads_labels else "-",
        "its own" if method.own_pairs else config.data.sampler,
        "-" if arm.kind == SUPERVISED else pretrain.temperature,
        config.model.init,
    ]


def _ends(numbers: Sequence[int]) -> tuple[int, int] | None:
    return (min(numbers), max(numbers)) if numbers else None


def _range(ends: tuple[int, int] | None, otherwise: str) -> Cell:
    return Cell(_told(ends), number=ends[1]) if ends else Cell(otherwise or "-")


def _told(ends: tuple[int, int]) -> str:
    least, most = ends
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _number(value: str | float) -> float | None:
    return None if isinstance(value, str) else value


def _listed(names: Sequence[str]) -> str:
    """'a, b and c'; of many the first."""
    shown = list(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        shown.append(f"{len(names) - MOST_NAMES} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
