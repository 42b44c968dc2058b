"""Writes the report of a study into its folder: report.html, figures/*.png, tables/*.csv.

These three are the report's own: what an earlier one left in the two folders goes. Each file is put
in place whole, the page last.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from awcl.errors import InputError
from awcl.files import AnyPath, whole_file
from awcl.records import StudyFolder
from awcl.report import (
    again,
    budgets,
    claim,
    comparing,
    conditions,
    data,
    page,
    parallel,
    plots,
    printed,
    reading,
    summary,
    tables,
)
from awcl.report.arms import Apart, Arm, absent, arms, comparable, in_order
from awcl.report.comparing import Comparison, Differences, Estimates
from awcl.report.headlines import Score
from awcl.report.page import Content, Section
from awcl.report.pictures import pictures
from awcl.report.reading import Stored
from awcl.report.tables import Table
from awcl.version import code_version


@dataclass(frozen=True)
class Found:
    """All that was computed of a study, once.

    every: each arm that has a trial. arms: those that are compared. absent: those that were not
    run; they keep their rows in the tables of arms.
    """

    stored: Stored
    every: Sequence[Arm]
    arms: Sequence[Arm]
    absent: Sequence[Arm]
    apart: Sequence[Apart]
    estimates: Estimates
    left_out: Sequence[str]
    differences: Mapping[Score, Differences]

    @property
    def to_simclr(self) -> dict[Score, Sequence[Comparison]]:
        return {score: of.to_simclr for score, of in self.differences.items()}

    @property
    def to_rival(self) -> dict[Score, Sequence[Comparison]]:
        return {score: of.to_rival for score, of in self.differences.items()}

    def with_absent(self, others: Sequence[Arm]) -> list[Arm]:
        """These arms and those that were not run, in the order of the study."""
        return in_order(self.stored, [*others, *self.absent])


def write(folder: StudyFolder, has_ended: bool = False) -> AnyPath:
    """The path of report.html, written anew. has_ended, and what is raised: see `reading.read`."""
    found = find(reading.read(folder, has_ended))
    content = contents(found)
    files = {f"tables/{table.name}.csv": table.as_csv().encode() for table in _tables(content)}
    for section in content.sections:
        for chart in section.charts:
            files[f"figures/{chart.name}.png"] = printed.png(chart)
    files["report.html"] = page.render(content).encode()
    for name, written in files.items():
        with whole_file(folder.path / name) as part:
            part.write_bytes(written)
    for kept in ("figures/*.png", "tables/*.csv"):
        for old in folder.path.glob(kept):
            if str(old.relative_to(folder.path)) not in files:
                old.unlink()
    return folder.report


def find(stored: Stored) -> Found:
    """Arms, their scores and their differences."""
    every = arms(stored)
    compared, apart = comparable(stored, every)
    estimates, left_out = comparing.estimates(compared)
    differences = {score: comparing.differences(each) for score, each in estimates.items()}
    return Found(
        stored, every, compared, absent(stored), apart, estimates, left_out, differences
    )  # fmt: skip


def contents(found: Found) -> Content:
    """What the page tells."""
    stored = found.stored
    running = "running" if stored.is_running else "not running"
    frames = "" if stored.frames is None else f" · {len(stored.frames):,} frames"
    return Content(
        name=stored.name,
        status=f"{len(stored.trials)} trials · {running}{frames}",
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        code=code_version(),
        state=list(summary.state(stored, found.arms, found.apart)),
        verdicts=summary.verdicts(found.differences),
        claim=claim.section(
            found.estimates, found.differences, found.with_absent(found.every), found.apart
        ),
        findings=summary.findings(found.estimates, found.differences),
        cautions=list(summary.cautions(stored, found.arms, found.estimates, found.differences)),
        conditions=list(conditions.conditions(stored, found.every, found.estimates)),
        sections=[*_of_comparisons(found), *_of_trials(found), _of_data(stored)],
        pictures=pictures(found.arms, found.estimates, stored.path),
        commands=again.commands(stored),
        placeholders=list(again.placeholders(stored)),
        facts=list(again.facts(stored)),
    )


def _of_comparisons(found: Found) -> list[Section]:
    estimates, compared = found.estimates, found.arms
    rows = found.with_absent(compared)
    forests = list(plots.forests(estimates, found.to_simclr))
    many = len(found.stored.seeds)
    what = (
        f"mean of {many} seeds, [95 % over test patients], each seed"
        if many > 1
        else ("one seed, [95 % over test patients]")
    )
    differences = [
        tables.differences("to_simclr", "Minus SimCLR", rows, found.to_simclr),
        tables.differences("to_best_rival", "Minus the best rival", rows, found.to_rival),
    ]
    return [
        Section(
            "arms", "Arms",
            "What each arm is by its configuration, how many anatomy labels its pre-training read, "
            "and for how many epochs it was trained.",
            _filled(budgets.table(found.with_absent(found.every))),
        ),
        Section(
            "scores", "Scores",
            f"Test scores: {what}. {budgets.epochs_told(compared)} Heads of columns sort.",
            _filled(tables.main(rows, estimates)) if estimates else [],
            [chart for chart in forests if not chart.zero],
            found.left_out,
        ),
        Section(
            "differences", "Differences",
            "Arm minus reference on the same patients and seeds; [95 %], each seed, verdict, p. "
            "SimCLR: the arm of it that is nearest in configuration. Best rival: the best of the "
            "other arms, so the second for the best. p is adjusted by Holm's method over all pairs "
            "of arms that this report compares in the same score: with SimCLR, with the best "
            "rival, and for the paper's claim. So a pair has one p and one verdict everywhere.",
            _filled(*differences),
            [chart for chart in forests if chart.zero],
        ),
        Section(
            "curves", "Curves",
            "Points are means of seeds, bands 95 % over test patients, dots single seeds.",
            charts=[
                *plots.over_axes(found.stored, compared, estimates),
                *plots.few_labels(estimates),
            ],
        ),
        Section(
            "domains", "Domains",
            "The same predictions, by where the test frames are from: mean of seeds, [95 %], each "
            "seed.",
            _filled(tables.domains(rows, estimates)),
        ),
    ]  # fmt: skip


def _of_trials(found: Found) -> list[Section]:
    stored, every = found.stored, found.every
    return [
        Section(
            "apart", "Not compared",
            "Stopped, failed, not finished, or not run, with the reason. What was stopped had less "
            "training: its proxy is that of its last epoch.",
            _filled(tables.apart(found.apart)),
        ),
        Section(
            "trials", "Trials", "",
            _filled(tables.trials(stored, every)),
            [
                *plots.early_stopping(stored, every),
                *parallel.coordinates(stored, every, list(found.estimates)),
            ],
        ),
    ]  # fmt: skip


def _of_data(stored: Stored) -> Section:
    notes, counted = list(data.sentences(stored.frames)), []
    if stored.frames is not None:
        wheres = [trial.config.data.pretrain_where for trial in stored.trials]
        notes += data.pretrained(stored.frames, {str(where): where for where in wheres}.values())
        try:
            usable = data.usable_labels(stored.frames, stored.taxonomy)
        except InputError as error:  # a study of elsewhere, with a taxonomy of its own
            notes.append(f"Labels are not counted: {error}.")
            usable = {}
        counted = [data.counts(stored.frames, usable)]
    return Section(
        "data", "Data and leaks",
        "Splits are by patient: train is pre-trained on and teaches probes, val steers, test is "
        "read once.",
        counted,
        notes=notes,
    )  # fmt: skip


def _filled(*made: Table) -> list[Table]:
    return [table for table in made if table.rows]


def _tables(content: Content) -> list[Table]:
    return [table for of in (content.claim, *content.sections) for table in of.tables]
