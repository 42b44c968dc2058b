"""The spine along its length: coronal and sagittal. Both show vertebrae as rows of bright bone."""

from collections.abc import Iterator

import numpy as np

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane
from awcl.data.phantom.shapes import Points, Structure, band, curve, ellipse, grown, moved, uneven

VERTEBRAE = 15  # of those in view


def back(f: Fetus, bend: float) -> tuple[Points, float]:
    """The line along the vertebrae, from the neck on the left, and the trunk's radius."""
    r = f.size.ac / (2 * np.pi)
    return curve((-2.1 * r, bend * r), (-0.7 * r, 0), (0.8 * r, 0.0), (2.1 * r, bend * r)), r


def rows(f: Fetus, line: Points, offsets: tuple[float, ...], r: float) -> Iterator[Structure]:
    """A row of vertebral bone centres at each offset (mm) across the line."""
    for number, place in enumerate(np.linspace(1, len(line) - 2, VERTEBRAE).astype(int)):
        along = line[place + 1] - line[place - 1]
        across = np.array([-along[1], along[0]]) / np.hypot(*along)
        turn = np.degrees(np.arctan2(along[1], along[0]))
        narrow = 1 - 0.6 * max(0.0, (number - 11) / 3)  # towards the sacrum
        for k, offset in enumerate(offsets):
            x, y = line[place] + across * offset * narrow
            size = 0.09 * r * f.vary(f"vertebra {number}{k}", 0.12)
            yield Structure("bone", ellipse(x, y, size, 0.055 * r, turn, 12), 0.2 * r)


def trunk(f: Fetus, line: Points, up: float, down: float, r: float) -> Iterator[Structure]:
    """Skin and soft tissue, `up` and `down` mm from the line."""
    phases = np.array([f.shift(f"trunk {k}", np.pi) for k in range(3)])
    edge = np.concatenate([moved(line, 0, -up), moved(line, 0, down)[::-1]])
    outline = uneven(edge, 0.03, phases)
    yield Structure("skin", outline, r, mask="body")
    yield Structure("muscle", grown(outline, 0.955), r)


@plane("SPINE_SAG", turn=60)
def sagittal(f: Fetus) -> Iterator[Structure]:
    """Two rows, bodies and arches, with the canal between; the skin of the back close above."""
    line, r = back(f, bend=0.32 * f.vary("bend", 0.3))
    yield from trunk(f, line, 0.42 * r, 1.1 * r, r)
    yield Structure("lung", f.organ("lung", -0.9 * r, 0.68 * r, 0.7 * r, 0.34 * r), 0.5 * r)
    yield Structure("gut", f.organ("gut", 0.7 * r, 0.66 * r, 0.75 * r, 0.34 * r), 0.5 * r)
    yield Structure("gristle", band(moved(line, 0, -0.02 * r), 0.2 * r), 0.25 * r)
    yield Structure("line", band(moved(line, 0, -0.02 * r), 0.035 * r), 0.12 * r)
    yield from rows(f, line, (-0.2 * r, 0.17 * r), r)


@plane("SPINE_COR", turn=60)
def coronal(f: Fetus) -> Iterator[Structure]:
    """Two rows side by side, ribs leaving them to both sides, the hip bones at the end."""
    line, r = back(f, bend=0.06 * f.vary("bend", 0.3))
    yield from trunk(f, line, 0.8 * r, 0.8 * r, r)
    for side in (-1, 1):
        for number, x in enumerate(np.linspace(-1.75 * r, -0.15 * r, 7)):
            rib = curve(
                (x, side * 0.24 * r), (x + 0.1 * r, side * 0.5 * r), (x + 0.3 * r, side * 0.7 * r)
            )
            yield Structure(
                "bone", band(rib, 0.05 * r), 0.3 * r * f.vary(f"rib {number}{side}", 0.2)
            )
        hip = curve((1.1 * r, side * 0.3 * r), (1.45 * r, side * 0.62 * r))
        yield Structure("bone", band(hip, 0.1 * r), 0.3 * r)
    yield Structure("gristle", band(line, 0.2 * r), 0.25 * r)
    yield from rows(f, line, (-0.17 * r, 0.17 * r), r)
