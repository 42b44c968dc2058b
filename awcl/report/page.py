"""The page: one HTML file with all that it needs, for a browser that reaches nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from awcl.report import charts, interactive
from awcl.report.charts import Chart
from awcl.report.pictures import Pictures
from awcl.report.summary import Finding
from awcl.report.tables import Table

MOST_POINTS = 400  # rows of a figure's numbers on the page; the CSV files have all


@dataclass(frozen=True)
class Section:
    """A part of the page that has figures and tables. id: of its anchor."""

    id: str
    title: str
    lead: str
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.charts or self.notes)


@dataclass(frozen=True)
class Content:
    """All that a page tells. status: words for the head of the page. claim: a part of the summary;
    its tables and notes are shown."""

    name: str
    status: str
    written: str
    code: str
    state: Sequence[str]
    verdicts: str
    claim: Section
    findings: Sequence[Finding]
    cautions: Sequence[str]
    conditions: Sequence[str]
    sections: Sequence[Section]
    pictures: Pictures
    commands: Sequence[str]
    placeholders: Sequence[str]
    facts: Sequence[tuple[str, str]]


def render(content: Content) -> str:
    """The whole page. All that comes from data is escaped."""
    loader = jinja2.PackageLoader("awcl.report", "")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    every = [chart for section in content.sections for chart in section.charts]
    part = _asset(loader, environment)
    return environment.get_template("page.html").render(
        content=content,
        css=part("page.css"),
        script=part("page.js"),
        plotly=Markup(get_plotlyjs()) if every else "",
        figures=_json({chart.name: interactive.figure(chart) for chart in every}),
        points={chart.name: charts.points(chart)[: MOST_POINTS + 1] for chart in every},
    )


def _asset(loader: jinja2.BaseLoader, environment: jinja2.Environment) -> Any:
    """Our own style and script, as they are."""
    return lambda name: Markup(loader.get_source(environment, name)[0])


def _json(data: Mapping[str, Any]) -> Markup:
    """JSON that ends no script element, whatever is in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
