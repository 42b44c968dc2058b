"""The tables of a report: each once as cells with numbers, for the page and for CSV alike."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from awcl.report.arms import Apart, Arm
from awcl.report.comparing import Comparison, Estimate, Estimates, by_domain, ranking
from awcl.report.headlines import CURVES, Score
from awcl.report.reading import Stored, Trial

ESTIMATE = ("mean", "low", "high")
DIFFERENCE = ("difference", "low", "high", "p", "p_holm", "verdict", "seeds")
MOST_BY_DOMAIN = 12  # arms that a table of domains shows, the best
Place = tuple[str, str]  # a domain, and a value of it


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
    """A row an arm, a column a score: mean of seeds, its interval, each seed; of an arm that was
    not run, that it was not."""
    shown = [score for score in estimates if score.is_compared]
    rows = Rows()
    rows.csv.append(["arm", "task", "score", *ESTIMATE, "patients", "frames", "seeds", "note"])
    by_arm = {score: {of.arm.name: of for of in each} for score, each in estimates.items()}
    best = {s: max(of.value for of in by_arm[s].values()) for s in shown if by_arm[s]}
    for arm in arms:
        cells = [Cell(arm.name)]
        for score in shown:
            of = by_arm[score].get(arm.name)
            cells.append(_estimate(of, best[score]) if of else _nothing(arm))
        rows.page.append(cells)
        rows.csv += [_as_csv(of) for each in by_arm.values() if (of := each.get(arm.name))]
        if arm.not_run:
            rows.csv += [[arm.name, s.task, s.name, *[None] * 6, arm.not_run] for s in estimates]
    return Table("main", "Scores", ["arm", *[s.label for s in shown]], rows.page, rows.csv)


def differences(
    name: str, title: str, arms: Sequence[Arm], found: Mapping[Score, Sequence[Comparison]]
) -> Table:
    """A row an arm, a column a score: arm minus its reference, paired by patient and seed; of an
    arm that was not run, that it was not."""
    shown = [score for score in found if score.is_compared and found[score]]
    by_arm = {score: {of.arm.name: of for of in each} for score, each in found.items()}
    rows = Rows()
    rows.csv.append(["arm", "reference", "task", "score", *DIFFERENCE])
    for arm in arms:
        of_arm = {s: each[arm.name] for s, each in by_arm.items() if arm.name in each}
        rows.csv += [difference_as_csv(c) for c in of_arm.values()]
        cells = [difference_cell(of_arm[s]) if s in of_arm else _nothing(arm) for s in shown]
        if of_arm or (arm.not_run and shown):
            rows.page.append([Cell(arm.name), *cells])
        if arm.not_run:
            nothing = [arm.not_run if name == "verdict" else None for name in DIFFERENCE]
            rows.csv += [[arm.name, None, s.task, s.name, *nothing] for s in found if found[s]]
    return Table(name, title, ["arm", *[s.label for s in shown]], rows.page, rows.csv)


def domains(arms: Sequence[Arm], estimates: Estimates) -> Table:
    """A row an arm and score, a column a domain's value, where test frames are of several."""
    found: list[tuple[Score, Arm, dict[Place, Estimate], list[Place]]] = []
    for score, each in estimates.items():
        if score.kind in CURVES:
            continue
        best = [of.arm.name for of in ranking(each)[:MOST_BY_DOMAIN]]
        shown = [arm for arm in arms if arm.name in best or arm.not_run]
        values = {arm.name: {} if arm.not_run else by_domain(arm, score) for arm in shown}
        places = list(dict.fromkeys(at for of_arm in values.values() for at in of_arm))
        found += [(score, arm, values[arm.name], places) for arm in shown if places]
    columns = list(dict.fromkeys(at for *_, places in found for at in places))
    rows = Rows()
    rows.csv.append(["arm", "task", "score", "domain", "value", *ESTIMATE, "patients", "note"])
    for score, arm, values, places in found:
        cells = [_estimate(values[at], patients=True) if at in values
                 else (_nothing(arm) if at in places else Cell("-")) for at in columns]  # fmt: skip
        rows.page.append([Cell(arm.name), Cell(score.label), *cells])
        for at in places if arm.not_run else values:
            of = values.get(at)
            numbers = [of.value, *of.ends, of.units] if of else [None] * 4
            rows.csv.append([arm.name, score.task, score.name, *at, *numbers, arm.not_run])
    heads = [f"{domain} {value}" for domain, value in columns]
    note = f"The best {MOST_BY_DOMAIN} arms of each score." if _many(estimates) else ""
    title = "By domain of the test frames"
    return Table("domains", title, ["arm", "score", *heads], rows.page, rows.csv, note)


def apart(found: Sequence[Apart]) -> Table:
    """What no comparison holds, with the reason and how far it came."""
    head = ["arm", "reason", "seed", "trial", "epochs", "proxy"]  # a phone shows the first ones
    rows = Rows(csv=[head])
    for of in found:
        trial = of.trial
        epochs = _epochs(trial) if trial else "-"
        proxy = trial.proxy if trial else None
        seed = "-" if of.seed is None else str(of.seed)
        key = trial.key if trial else "-"
        rows.page.append(
            [
                Cell(of.arm), Cell(of.reason), Cell(seed, number=of.seed), Cell(key),
                Cell(epochs, number=trial.epoch if trial else None),
                Cell("-" if proxy is None else f"{proxy:.3f}", number=proxy),
            ]
        )  # fmt: skip
        rows.csv.append([of.arm, of.reason, of.seed, key, epochs, proxy])
    return Table("not_compared", "Not in any comparison", head, rows.page, rows.csv)


def trials(stored: Stored, arms: Sequence[Arm]) -> Table:
    """Every trial with its proxy; in CSV every score that it ever got, a row each."""
    head = ["arm", "seed", "trial", "state", "epochs", "proxy"]
    rows = Rows(csv=[[*head, "task", "score", "value", "low", "high"]])
    for arm in arms:
        for seed, trial in arm.trials.items():
            state, proxy = trial.outcome or "not finished", trial.proxy
            epochs = _epochs(trial)
            rows.page.append(
                [
                    Cell(arm.name), Cell(str(seed), number=seed), Cell(trial.key), Cell(state),
                    Cell(epochs, number=trial.epoch),
                    Cell("-" if proxy is None else f"{proxy:.3f}", number=proxy),
                ]
            )  # fmt: skip
            about = [arm.name, seed, trial.key, state, epochs, proxy]
            scores = list(_scores(trial)) or [("", "", None, None, None)]
            rows.csv += [[*about, *score] for score in scores]
    return Table("trials", f"All {len(stored.trials)} trials", head, rows.page, rows.csv)


def _epochs(trial: Trial) -> str:
    """'7/12'."""
    return f"{trial.epoch}/{trial.config.pretrain.epochs}"


def _scores(trial: Trial) -> Iterator[tuple[str, str, float, float | None, float | None]]:
    for task, judgement in trial.judgements.items():
        metrics = judgement.result["metrics"]
        for name, value in metrics.items():
            if not name.endswith(("/low", "/high")):
                yield task, name, value, metrics.get(f"{name}/low"), metrics.get(f"{name}/high")


def _nothing(arm: Arm) -> Cell:
    """In place of a number that an arm does not have."""
    return Cell(arm.not_run or "-")


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
    return [*named, *of.ends, of.units, of.frames, seeds, ""]


def difference_cell(of: Comparison) -> Cell:
    """A difference with its interval, seeds, verdict and reference."""
    small = [of.told]
    if len(of.each) > 1:
        small.append(" ".join(f"{value:+.3f}" for value in of.each.values()))
    small += [of.verdict, f"p {of.p_holm:.2g} to {of.reference.name}"]
    tone = ("better" if of.value > 0 else "worse") if of.is_clear else ""
    return Cell(f"{of.value:+.3f}", tuple(small), of.value, tone)


def difference_as_csv(of: Comparison) -> list[object]:
    """arm, reference, task, score, and then DIFFERENCE."""
    seeds = " ".join(f"{seed}:{value!r}" for seed, value in of.each.items())
    named = [of.arm.name, of.reference.name, of.score.task, of.score.name]
    return [*named, of.value, *of.ends, of.p, of.p_holm, of.verdict, seeds]


def _many(estimates: Estimates) -> bool:
    return any(len(each) > MOST_BY_DOMAIN for each in estimates.values())
