"""The face: in coronal section through nose and lips, and in profile."""

from collections.abc import Iterator

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane
from awcl.data.phantom.shapes import Structure, arc, band, curve, ellipse, grown


@plane("NOSE_LIPS", turn=75)
def nose_and_lips(f: Fetus) -> Iterator[Structure]:
    """Two nostrils in the tip of the nose above the lips; chin below, cheeks to the sides."""
    u = f.size.bpd / 2
    yield Structure("soft", f.organ("cheeks", 0, 0.1 * u, 0.78 * u, 0.72 * u), 0.4 * u, mask="head")
    yield Structure("soft", f.organ("chin", 0, 0.78 * u, 0.36 * u, 0.26 * u), 0.35 * u, mask="head")
    for side in (-1, 1):
        socket = f.organ(f"socket {side}", side * 0.46 * u, -0.42 * u, 0.2 * u, 0.16 * u)
        yield Structure("muscle", socket, 0.3 * u)
        yield Structure(
            "bone",
            band(arc(side * 0.46 * u, -0.42 * u, 0.24 * u, 0.2 * u, 180, 360), 0.07 * u),
            0.3 * u,
        )
    yield Structure("skin", f.organ("nose", 0, -0.14 * u, 0.3 * u, 0.2 * u), 0.2 * u)
    yield Structure("soft", f.organ("nose", 0, -0.14 * u, 0.25 * u, 0.15 * u), 0.2 * u)
    for side in (-1, 1):
        yield Structure("fluid", ellipse(side * 0.11 * u, -0.08 * u, 0.06 * u, 0.05 * u), 0.15 * u)
    full = 0.36 * u * f.vary("mouth")
    for y, way in ((0.24 * u, 1), (0.42 * u, -1)):
        lip = curve((-full, 0.33 * u), (0, y), (full, 0.33 * u))
        yield Structure("skin", band(lip, 0.12 * u), 0.2 * u)
        yield Structure("line", band(lip - (0, way * 0.05 * u), 0.03 * u), 0.2 * u)
    yield Structure(
        "fluid", band(curve((-0.8 * full, 0.33 * u), (0.8 * full, 0.33 * u)), 0.05 * u), 0.2 * u
    )
    yield Structure("line", band(curve((0, 0.08 * u), (0, 0.2 * u)), 0.05 * u), 0.15 * u)


@plane("PROFILE", turn=60)
def profile(f: Fetus) -> Iterator[Structure]:
    """Forehead, nose, lips and chin along the left edge of the head; the chest below it."""
    a, b = f.size.ofd / 2, f.size.bpd / 2
    chest = f.organ("chest", 0.75 * a, 1.5 * b, 0.95 * a, 0.68 * b, 18)
    yield Structure("skin", chest, b, mask="body")
    yield Structure("lung", grown(chest, 0.93), b)
    for k in range(4):
        yield Structure(
            "bone",
            ellipse((0.35 + 0.27 * k) * a, (1.1 + 0.09 * k) * b, 0.05 * a, 0.1 * b, 20),
            0.5 * b,
        )
    nose = 0.11 * a * f.vary("nose", 0.15)
    edge = curve(
        (-0.25 * a, -0.75 * b), (-0.72 * a, -0.35 * b), (-0.86 * a, 0.1 * b),  # forehead
        (-0.84 * a, 0.32 * b), (-0.9 * a - nose, 0.58 * b), (-0.82 * a, 0.68 * b),  # nose
        (-0.9 * a, 0.8 * b), (-0.82 * a, 0.9 * b), (-0.87 * a, 1.0 * b),  # lips
        (-0.77 * a, 1.1 * b), (-0.78 * a, 1.26 * b), (-0.6 * a, 1.38 * b),  # chin
        (-0.25 * a, 1.12 * b), (0.1 * a, 0.9 * b), points=60,
    )  # fmt: skip
    yield Structure("skin", edge, 0.5 * b, mask="head")
    yield Structure("soft", grown(edge, 0.94), 0.5 * b)
    yield Structure(f.skull, ellipse(0, 0, 0.92 * a, b), b, mask="head")
    yield Structure("brain", ellipse(0, 0, 0.86 * a, 0.91 * b), b)
    yield Structure("bright", band(arc(0.05 * a, 0.1 * b, 0.4 * a, 0.4 * b, 190, 350), 0.04 * b), 4)
    yield Structure("gristle", f.organ("midbrain", 0.15 * a, 0.25 * b, 0.2 * a, 0.2 * b), 5)
    yield Structure("bone", band(curve((-0.86 * a, 0.33 * b), (-0.93 * a, 0.5 * b)), 0.07 * b), 3)
    yield Structure("bone", band(curve((-0.78 * a, 0.76 * b), (-0.35 * a, 0.72 * b)), 0.08 * b), 5)
    yield Structure("bone", band(curve((-0.72 * a, 1.22 * b), (-0.3 * a, 0.98 * b)), 0.08 * b), 5)
