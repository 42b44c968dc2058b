"""Charts for the page: plotly's figures as plain data; colours of text and ground come there."""

from html import escape
from typing import Any

from awcl.report.charts import DASHES, MARKS, TONES, Chart, Curves, Forest, Line, colour, style

ROW = 26  # pixels of a row
LABEL = 18  # and of a label among others
BAND = 0.16


def figure(chart: Chart) -> dict[str, Any]:
    """{data, layout} for Plotly.newPlot."""
    return _forest(chart) if isinstance(chart, Forest) else _curves(chart)


def _curves(chart: Curves) -> dict[str, Any]:
    traces = [trace for line in chart.lines for trace in (*_band(line), _line(line))]
    x = {"title": {"text": chart.x_label}}
    if chart.is_log:
        x["type"] = "log"
    if chart.ticks:
        x |= {"tickvals": list(chart.ticks), "ticktext": [escape(t) for t in chart.ticks.values()]}
    y = {"title": {"text": escape(chart.y_label)}, "showticklabels": chart.y_ticks}
    if not chart.y_ticks:
        y |= {"showgrid": False, "range": [-0.08, 1.08]}
        x["range"] = [-0.2, len(chart.ticks) - 0.5]  # labels stand to the right of their places
    return {
        "data": traces,
        "layout": {
            "height": max(380, 100 + LABEL * chart.rows),
            "margin": {"l": 62 if chart.y_ticks else 16, "r": 16, "t": 34, "b": 48},
            "hovermode": "closest",
            "showlegend": chart.has_legend,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
            "xaxis": x,
            "yaxis": y,
            "shapes": [
                {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
                 "line": {"dash": "dot", "width": 1, "color": "#8b949e"}}
                for at in chart.marks
            ],
            "annotations": [
                *({"x": at, "yref": "paper", "y": 1, "text": escape(text), "showarrow": False,
                   "textangle": -90, "xanchor": "left", "yanchor": "top", "font": {"size": 10}}
                  for at, text in chart.marks.items()),
                *({"x": at, "y": height, "text": escape(text), "showarrow": False,
                   "xanchor": "left", "font": {"size": 11}}
                  for at, height, text in chart.labels),
            ],
        },
    }  # fmt: skip


def _line(line: Line) -> dict[str, Any]:
    of = colour(line.colour)
    trace = {
        "type": "scatter",
        "name": escape(line.name),
        "x": list(line.x),
        "y": list(line.y),
        "text": [escape(text).replace("&lt;br&gt;", "<br>") for text in line.texts],
        "hovertemplate": "%{text}<extra></extra>",
        "showlegend": line.in_legend,
        "legendgroup": str(line.colour),
        "mode": "lines+markers" if line.look == "line" else "markers",
        "marker": {"color": of, "size": 7, "symbol": MARKS[style(line.colour)]},
    }
    if line.look == "line":
        trace["line"] = {"color": of, "width": 2, "dash": DASHES[style(line.colour)]}
    elif line.look == "points":
        trace["marker"] |= {"size": 5, "opacity": 0.55, "symbol": "circle"}
    else:
        trace["marker"] |= {"size": 10, "symbol": "x-thin", "line": {"width": 2, "color": of}}
    return trace


def _band(line: Line) -> list[dict[str, Any]]:
    if not line.low:
        return []
    same = {
        "type": "scatter", "mode": "lines", "x": list(line.x), "hoverinfo": "skip",
        "showlegend": False, "legendgroup": str(line.colour), "line": {"width": 0},
    }  # fmt: skip
    red, green, blue = (int(colour(line.colour)[at : at + 2], 16) for at in (1, 3, 5))
    shade = f"rgba({red},{green},{blue},{BAND})"
    return [
        {**same, "y": list(line.low)},
        {**same, "y": list(line.high), "fill": "tonexty", "fillcolor": shade},
    ]


def _forest(chart: Forest) -> dict[str, Any]:
    names = [escape(row.name) for row in chart.rows]
    colours = [TONES[row.tone] for row in chart.rows]
    seeds = [(value, name, row) for row, name in zip(chart.rows, names, strict=True)
             for value in row.each if len(row.each) > 1]  # fmt: skip
    intervals = [
        {"type": "line", "x0": row.low, "x1": row.high, "y0": at, "y1": at,
         "line": {"width": 3, "color": of}}
        for at, (row, of) in enumerate(zip(chart.rows, colours, strict=True))
        if row.low is not None
    ]  # fmt: skip
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1,
            "line": {"width": 1, "dash": "dot", "color": TONES[""]}}  # fmt: skip
    ends = [end for row in chart.rows for end in (row.low, row.high, *row.each) if end is not None]
    ends += [0.0] * chart.zero
    room = 0.06 * (max(ends) - min(ends) or 1.0)
    return {
        "data": [
            {"type": "scatter", "mode": "markers", "x": [s[0] for s in seeds],
             "y": [s[1] for s in seeds], "text": [f"{s[1]}: {s[0]:.3f}, one seed" for s in seeds],
             "hovertemplate": "%{text}<extra></extra>",
             "marker": {"size": 5, "opacity": 0.6, "color": TONES[""]}},
            {"type": "scatter", "mode": "markers", "x": [row.value for row in chart.rows],
             "y": names, "text": [escape(row.text) for row in chart.rows],
             "hovertemplate": "%{text}<extra></extra>",
             "marker": {"size": 11, "color": colours}},
        ],
        "layout": {
            "height": 100 + ROW * len(names),
            "margin": {"l": 8, "r": 16, "t": 34, "b": 44},
            "showlegend": False,
            "hovermode": "closest",
            "xaxis": {"title": {"text": escape(chart.x_label)},
                      "range": [min(ends) - room, max(ends) + room]},
            "yaxis": {"automargin": True, "categoryorder": "array", "categoryarray": names,
                      "range": [len(names) - 0.5, -0.5]},
            "shapes": [*intervals, zero] if chart.zero else intervals,
        },
    }  # fmt: skip
