"""The tables of a report: each once as cells with numbers, for the page and for CSV alike."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from awcl.report.arms import Apart, Arm
from awcl.report.comparing import Comparison, Estimate, Estimates, by_domain
from awcl.report.headlines import CURVES, Score
from awcl.report.reading import Stored, Trial

DIFFERENCE = ("difference", "low", "high", "p", "p_holm", "verdict", "seeds")
MOST_BY_DOMAIN = 12  # arms that a table of domains shows, the best


@dataclass(frozen=True)
class Cell:
    """text: the value; small: lines below it. number: what it is sorted by, None for words.

    tone: '', 'better' or 'worse': a colour beside the words, never instead of them.
    """

    text: str
    small: tuple[str, ...] = ()
    number: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """name: of its file. columns: heads of the page. rows: cells, a row head first.

    csv: rows of plain values, the first the head; nothing is rounded there.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    csv: Sequence[Sequence[object]]
    note: str = ""

    def as_csv(self) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(self.csv)
        return out.getvalue()


@dataclass
class Rows:
    """What a table is gathered in."""

    page: list[list[Cell]] = field(default_factory=list)
    csv: list[list[object]] = field(default_factory=list)


def main(arms: Sequence[Arm], estimates: Estimates) -> Table:
    """A row an arm, a column a score: mean of seeds, its interval, each seed."""
    shown = [score for score in estimates if score.kind not in CURVES]
    rows = Rows()
    rows.csv.append(["arm", "task", "score", "mean", "low", "high", "patients", "frames", "seeds"])
    by_arm = {score: {of.arm.name: of for of in each} for score, each in estimates.items()}
    best = {s: max(of.value for of in by_arm[s].values()) for s in shown if by_arm[s]}
    for arm in arms:
        cells = [Cell(arm.name)]
        for score in shown:
            of = by_arm[score].get(arm.name)
            cells.append(_estimate(of, best[score]) if of else Cell("-"))
        rows.page.append(cells)
        rows.csv += [_as_csv(of) for each in by_arm.values() if (of := each.get(arm.name))]
    return Table("main", "Scores", ["arm", *[s.label for s in shown]], rows.page, rows.csv)


def differences(
    name: str, title: str, arms: Sequence[Arm], found: Mapping[Score, Sequence[Comparison]]
) -> Table:
    """A row an arm, a column a score: arm minus its reference, paired by patient and seed."""
    shown = [score for score in found if score.kind not in CURVES and found[score]]
    rows = Rows()
    rows.csv.append(["arm", "reference", "task", "score", *DIFFERENCE])
    for arm in arms:
        of_arm = {s: c for s, each in found.items() for c in each if c.arm.name == arm.name}
        rows.csv += [_difference_as_csv(c) for c in of_arm.values()]
        cells = [_difference(of_arm[s]) if s in of_arm else Cell("-") for s in shown]
        if any(cell.number is not None for cell in cells):
            rows.page.append([Cell(arm.name), *cells])
    return Table(name, title, ["arm", *[s.label for s in shown]], rows.page, rows.csv)


def domains(estimates: Estimates) -> Table:
    """A row an arm and score, a column a domain's value, where test frames are of several."""
    found: list[tuple[Estimate, dict[tuple[str, str], Estimate]]] = []
    for score, each in estimates.items():
        best = sorted(each, key=lambda of: -of.value)[:MOST_BY_DOMAIN]
        kept = [of for of in each if of in best and score.kind not in CURVES]
        found += [(of, values) for of in kept if (values := by_domain(of.arm, score))]
    columns = list(dict.fromkeys(at for _, values in found for at in values))
    rows = Rows()
    rows.csv.append(["arm", "task", "score", "domain", "value", "mean", "low", "high", "patients"])
    for whole, values in found:
        cells = [Cell(whole.arm.name), Cell(whole.score.label)]
        for at in columns:
            cells.append(_estimate(values[at], patients=True) if at in values else Cell("-"))
        rows.page.append(cells)
        for (domain, value), of in values.items():
            named = [of.arm.name, of.score.task, of.score.name, domain, value]
            rows.csv.append([*named, of.value, *of.interval, of.units])
    heads = [f"{domain} {value}" for domain, value in columns]
    note = f"The best {MOST_BY_DOMAIN} arms of each score." if _many(estimates) else ""
    title = "By domain of the test frames"
    return Table("domains", title, ["arm", "score", *heads], rows.page, rows.csv, note)


def apart(found: Sequence[Apart]) -> Table:
    """What no comparison holds, with the reason and how far it came."""
    head = ["arm", "seed", "trial", "epochs", "proxy", "reason"]
    rows = Rows(csv=[head])
    for of in found:
        trial = of.trial
        epochs = f"{len(trial.history)}/{trial.config.pretrain.epochs}" if trial else "-"
        proxy = trial.proxy if trial else None
        seed = "-" if of.seed is None else str(of.seed)
        key = trial.key if trial else "-"
        rows.page.append(
            [
                Cell(of.arm), Cell(seed, number=of.seed), Cell(key),
                Cell(epochs, number=float(len(trial.history)) if trial else None),
                Cell("-" if proxy is None else f"{proxy:.3f}", number=proxy), Cell(of.reason),
            ]
        )  # fmt: skip
        rows.csv.append([of.arm, of.seed, key, epochs, proxy, of.reason])
    return Table("not_compared", "Not in any comparison", head, rows.page, rows.csv)


def trials(stored: Stored, arms: Sequence[Arm]) -> Table:
    """Every trial with its proxy; in CSV every score that it ever got, a row each."""
    head = ["arm", "seed", "trial", "state", "epochs", "proxy"]
    rows = Rows(csv=[[*head, "task", "score", "value", "low", "high"]])
    for arm in arms:
        for seed, trial in arm.trials.items():
            state, proxy = trial.outcome or "not finished", trial.proxy
            epochs = f"{len(trial.history)}/{trial.config.pretrain.epochs}"
            rows.page.append(
                [
                    Cell(arm.name), Cell(str(seed), number=seed), Cell(trial.key), Cell(state),
                    Cell(epochs, number=len(trial.history)),
                    Cell("-" if proxy is None else f"{proxy:.3f}", number=proxy),
                ]
            )  # fmt: skip
            about = [arm.name, seed, trial.key, state, epochs, proxy]
            scores = list(_scores(trial)) or [("", "", None, None, None)]
            rows.csv += [[*about, *score] for score in scores]
    return Table("trials", f"All {len(stored.trials)} trials", head, rows.page, rows.csv)


def _scores(trial: Trial) -> Iterator[tuple[str, str, float, float | None, float | None]]:
    for task, judgement in trial.judgements.items():
        metrics = judgement.result["metrics"]
        for name, value in metrics.items():
            if not name.endswith(("/low", "/high")):
                yield task, name, value, metrics.get(f"{name}/low"), metrics.get(f"{name}/high")


def _estimate(of: Estimate, best: float | None = None, patients: bool = False) -> Cell:
    small = [of.told]
    if len(of.each) > 1:
        small.append(" ".join(f"{drawn.value:.3f}" for drawn in of.each.values()))
    if patients:
        small.append(f"{of.units} patient{'s' * (of.units > 1)}")
    return Cell(f"{of.value:.3f}", tuple(small), of.value, "best" if of.value == best else "")


def _as_csv(of: Estimate) -> list[object]:
    seeds = " ".join(f"{seed}:{drawn.value!r}" for seed, drawn in of.each.items())
    named = [of.arm.name, of.score.task, of.score.name, of.value]
    return [*named, *of.interval, of.units, of.frames, seeds]


def _difference(of: Comparison) -> Cell:
    small = [of.told]
    if len(of.each) > 1:
        small.append(" ".join(f"{value:+.3f}" for value in of.each.values()))
    small += [of.verdict, f"p {of.p_holm:.2g} to {of.reference.name}"]
    tone = ("better" if of.value > 0 else "worse") if of.is_clear else ""
    return Cell(f"{of.value:+.3f}", tuple(small), of.value, tone)


def _difference_as_csv(of: Comparison) -> list[object]:
    seeds = " ".join(f"{seed}:{value!r}" for seed, value in of.each.items())
    named = [of.arm.name, of.reference.name, of.score.task, of.score.name]
    return [*named, of.value, of.low, of.high, of.p, of.p_holm, of.verdict, seeds]


def _many(estimates: Estimates) -> bool:
    return any(len(each) > MOST_BY_DOMAIN for each in estimates.values())
