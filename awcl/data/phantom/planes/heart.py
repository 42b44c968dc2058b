"""The heart in axial sections of the thorax, from below upwards: 4CH, LVOT, RVOT, 3VT.

The spine is below, the breastbone above, the fetus' left side to the left. All four show the same
thorax; the first three the same heart from outside.
"""

from collections.abc import Iterator

import numpy as np

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane
from awcl.data.phantom.shapes import Points, Structure, arc, band, curve, ellipse, moved, turned

ZOOMED = (0.7, 0.95)
AXIS = -45  # degrees: the apex points up and to the left


def thorax(f: Fetus) -> Iterator[Structure]:
    """Skin, ribs, lungs, the vertebra below and the descending aorta beside it."""
    r = chest(f)
    yield Structure("skin", ellipse(0, 0, r * 1.08, r * 1.02), r, mask="body")
    yield Structure("muscle", ellipse(0, 0, r * 1.03, r * 0.97), r)
    yield Structure("lung", ellipse(0, 0, r * 0.92, r * 0.86), r)
    for side in (-1, 1):
        rib = arc(0, 0, r * 0.95, r * 0.9, 90 + side * 25, 90 + side * (115 + f.shift("rib", 10)))
        yield Structure("bone", band(rib, 0.05 * r), r * 0.8)
    yield from vertebra(f, 0, 0.8 * r, r)
    yield Structure("line", ellipse(-0.2 * r, 0.5 * r, 0.105 * r, 0.105 * r), r)
    yield Structure("blood", ellipse(-0.2 * r, 0.5 * r, 0.08 * r, 0.08 * r), r)


def chest(f: Fetus) -> float:
    """The chest's radius in mm; its circumference is somewhat below the abdomen's."""
    return 0.9 * f.size.ac / (2 * np.pi)


def vertebra(f: Fetus, x: float, y: float, r: float) -> Iterator[Structure]:
    """Three centres of bone around the canal, in a trunk of radius r."""
    yield Structure("muscle", ellipse(x, y, 0.27 * r, 0.2 * r), r)
    yield Structure("bone", ellipse(x, y - 0.1 * r, 0.1 * r, 0.06 * r), r * 0.9)
    for side in (-1, 1):
        yield Structure(
            "bone",
            ellipse(x + side * 0.13 * r, y + 0.08 * r, 0.07 * r, 0.04 * r, side * 40),
            r * 0.9,
        )


def heart(f: Fetus) -> Iterator[Structure]:
    """Its wall, from outside."""
    r = chest(f)
    yield Structure("heart", placed(f, ellipse(0, 0, 0.56 * r, 0.44 * r)), 0.35 * r, mask="heart")


def placed(f: Fetus, shape: Points) -> Points:
    """From the heart's own frame (apex to the left, x along its axis) into the thorax."""
    r = chest(f)
    grown = shape * (f.vary("heart long", 0.06), f.vary("heart wide", 0.06))
    return moved(turned(grown, -AXIS + f.shift("heart axis", 7)), -0.16 * r, -0.16 * r)


@plane("4CH", turn=180, fill=ZOOMED)
def four_chamber(f: Fetus) -> Iterator[Structure]:
    """Four chambers around the cross of septum and valves."""
    r = chest(f)
    yield from thorax(f)
    yield from heart(f)
    for side in (-1, 1):
        ventricle = ellipse(-0.17 * r, side * 0.18 * r, 0.24 * r, 0.13 * r, side * 12)
        atrium = ellipse(0.27 * r, side * 0.18 * r, 0.17 * r, 0.14 * r)
        yield Structure("blood", placed(f, ventricle), 0.14 * r)
        yield Structure("blood", placed(f, atrium), 0.14 * r)
        valve = curve((0.06 * r, side * 0.03 * r), (0.05 * r, side * 0.3 * r))
        yield Structure("line", placed(f, band(valve, 0.05 * r)), 0.16 * r)
    septum = curve((-0.45 * r, 0), (0.06 * r, 0))
    yield Structure("heart", placed(f, band(septum, 0.09 * r)), 0.2 * r)
    yield Structure("line", placed(f, ellipse(0.06 * r, 0, 0.07 * r, 0.05 * r)), 0.16 * r)


@plane("LVOT", turn=180, fill=ZOOMED)
def left_outflow(f: Fetus) -> Iterator[Structure]:
    """The left ventricle opens into the aorta, which runs to the right between the atria."""
    r = chest(f)
    yield from thorax(f)
    yield from heart(f)
    aorta = curve((-0.1 * r, 0.08 * r), (0.2 * r, -0.06 * r), (0.56 * r, -0.3 * r))
    yield Structure("line", placed(f, band(aorta, 0.28 * r)), 0.18 * r)
    yield Structure(
        "blood", placed(f, ellipse(-0.16 * r, 0.15 * r, 0.3 * r, 0.13 * r, -12)), 0.15 * r
    )
    yield Structure("blood", placed(f, band(aorta, 0.18 * r)), 0.14 * r)
    yield Structure("blood", placed(f, ellipse(0.27 * r, 0.22 * r, 0.15 * r, 0.1 * r)), 0.14 * r)
    yield Structure(
        "blood", placed(f, ellipse(-0.24 * r, -0.2 * r, 0.17 * r, 0.06 * r, -8)), 0.14 * r
    )


@plane("RVOT", turn=180, fill=ZOOMED)
def right_outflow(f: Fetus) -> Iterator[Structure]:
    """The pulmonary artery leaves the right ventricle in front and curves around a round aorta."""
    r = chest(f)
    yield from thorax(f)
    yield from heart(f)
    artery = curve(
        (-0.3 * r, -0.14 * r), (0.08 * r, -0.26 * r), (0.36 * r, -0.05 * r), (0.5 * r, 0.28 * r)
    )
    yield Structure("line", placed(f, band(artery, 0.24 * r)), 0.16 * r)
    yield Structure("blood", placed(f, band(artery, 0.17 * r)), 0.14 * r)
    yield Structure("line", placed(f, ellipse(0.12 * r, 0.08 * r, 0.18 * r, 0.18 * r)), 0.18 * r)
    yield Structure("blood", placed(f, ellipse(0.12 * r, 0.08 * r, 0.13 * r, 0.13 * r)), 0.16 * r)
    yield Structure(
        "blood", placed(f, ellipse(-0.24 * r, 0.17 * r, 0.18 * r, 0.08 * r, 12)), 0.14 * r
    )


@plane("3VT", turn=180, fill=ZOOMED)
def three_vessels(f: Fetus) -> Iterator[Structure]:
    """Above the heart: pulmonary artery, aorta and vena cava in a row; the first two form a V."""
    r = chest(f)
    yield from thorax(f)
    yield Structure("gristle", f.organ("thymus", 0, -0.5 * r, 0.34 * r, 0.22 * r), 0.2 * r)
    for line, width in (
        (curve((-0.3 * r, -0.45 * r), (-0.26 * r, 0.0), (-0.16 * r, 0.42 * r)), 0.2 * r),
        (curve((0.08 * r, -0.38 * r), (0.02 * r, 0.02 * r), (-0.14 * r, 0.4 * r)), 0.15 * r),
    ):
        yield Structure("line", band(line, width + 0.07 * r), 0.15 * r)
        yield Structure("blood", band(line, width), 0.14 * r)
    yield Structure("line", ellipse(0.32 * r, -0.2 * r, 0.115 * r, 0.115 * r), 0.15 * r)
    yield Structure("blood", ellipse(0.32 * r, -0.2 * r, 0.085 * r, 0.085 * r), 0.14 * r)
    yield Structure("line", ellipse(0.17 * r, 0.3 * r, 0.09 * r, 0.09 * r), 0.15 * r)
    yield Structure("fluid", ellipse(0.17 * r, 0.3 * r, 0.05 * r, 0.05 * r), 0.14 * r)
