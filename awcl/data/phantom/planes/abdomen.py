"""The abdomen: its axial circumference plane (ACP), and the kidneys in coronal section."""

from collections.abc import Iterator

import numpy as np

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane
from awcl.data.phantom.planes.heart import vertebra
from awcl.data.phantom.shapes import Structure, arc, band, curve, ellipse, grown


@plane("ACP", turn=180)
def circumference(f: Fetus) -> Iterator[Structure]:
    """Stomach to the left, the umbilical vein curving into the liver, the spine below."""
    r = f.size.ac / (2 * np.pi)
    yield Structure("skin", ellipse(0, 0, r, r), r, mask="body")
    yield Structure("muscle", ellipse(0, 0, 0.95 * r, 0.95 * r), r)
    yield Structure("liver", ellipse(0, 0, 0.89 * r, 0.89 * r), r)
    for side in (-1, 1):
        rib = arc(0, 0, 0.91 * r, 0.91 * r, 90 + side * 30, 90 + side * 75)
        yield Structure("bone", band(rib, 0.035 * r), r * 0.8)
    yield from vertebra(f, 0, 0.78 * r, r)
    yield Structure("blood", ellipse(-0.13 * r, 0.5 * r, 0.07 * r, 0.07 * r), r)
    yield Structure("blood", ellipse(0.14 * r, 0.45 * r, 0.06 * r, 0.06 * r), r)
    stomach = f.organ("stomach", -0.45 * r, 0.1 * r, 0.26 * r, 0.16 * r, 35 + f.shift("turn", 15))
    yield Structure("line", grown(stomach, 1.08), 0.3 * r)
    yield Structure("fluid", stomach, 0.3 * r)
    vein = curve((0.05 * r, -0.5 * r), (0.03 * r, -0.2 * r), (0.2 * r, 0.02 * r), (0.4 * r, 0.0))
    yield Structure("line", band(vein, 0.16 * r), 0.18 * r)
    yield Structure("blood", band(vein, 0.1 * r), 0.16 * r)
    gall = f.organ("gall bladder", 0.4 * r, -0.3 * r, 0.14 * r, 0.05 * r, -50)
    yield Structure("fluid", gall, 0.12 * r)


@plane("KIDNEYS_CORONAL", turn=75)
def kidneys(f: Fetus) -> Iterator[Structure]:
    """The trunk from behind: a kidney on either side of the spine, aorta between, lungs above."""
    r = f.size.ac / (2 * np.pi)
    yield Structure("skin", ellipse(0, 0, 2.0 * r, r * 1.02), r, mask="body")
    yield Structure("muscle", ellipse(0, 0, 1.94 * r, r * 0.96), r)
    yield Structure("gut", ellipse(0.3 * r, 0, 1.3 * r, 0.88 * r), r)
    yield Structure("lung", f.organ("lungs", -1.2 * r, 0, 0.55 * r, 0.74 * r), 0.8 * r)
    yield Structure("liver", f.organ("liver", -0.6 * r, 0.34 * r, 0.45 * r, 0.45 * r), 0.7 * r)
    yield Structure("line", band(arc(-0.5 * r, 0, 0.4 * r, 0.85 * r, 100, 260), 0.04 * r), 0.6 * r)
    aorta = curve((-1.5 * r, 0.03 * r), (0.2 * r, -0.03 * r), (0.85 * r, 0))
    yield Structure("line", band(aorta, 0.16 * r), 0.25 * r)
    yield Structure("blood", band(aorta, 0.11 * r), 0.2 * r)
    for side in (-1, 1):
        x, y = 0.2 * r + f.shift(f"kidney {side}", 0.08 * r), side * 0.44 * r
        yield Structure(
            "line", f.organ(f"kidney {side}", x, y, 0.5 * r, 0.27 * r, side * 8), 0.25 * r
        )
        yield Structure(
            "kidney", f.organ(f"kidney {side}", x, y, 0.46 * r, 0.23 * r, side * 8), 0.25 * r
        )
        yield Structure("bright", ellipse(x, y - side * 0.03 * r, 0.24 * r, 0.08 * r), 0.15 * r)
        yield Structure("fluid", ellipse(x, y - side * 0.05 * r, 0.12 * r, 0.035 * r), 0.1 * r)
