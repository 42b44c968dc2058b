"""The head in axial section: transthalamic (HCP) and, tilted back, suboccipitobregmatic (SOB).

The forehead is to the left. Both show the skull, the midline and the cavum septi pellucidi.
"""

from collections.abc import Iterator

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane
from awcl.data.phantom.shapes import Structure, arc, band, curve, ellipse


def axial_head(f: Fetus) -> Iterator[Structure]:
    """What both planes share."""
    a, b, deep = f.size.ofd / 2, f.size.bpd / 2, f.size.bpd / 2
    wall = 0.045 * f.size.bpd
    yield Structure("muscle", ellipse(0, 0, a * 1.06, b * 1.07), deep * 1.05)
    yield Structure(f.skull, ellipse(0, 0, a, b), deep, mask="head")
    yield Structure("brain", ellipse(0, 0, a - wall, b - wall), deep)
    for far in (-1, 1):  # the furrows of the surface
        for k, x in enumerate((-0.45, -0.1, 0.3)):
            tilt = 25 * (k - 1) + f.shift(f"furrow {k}{far}", 12)
            line = arc(x * a, far * 0.62 * b, 0.17 * a, 0.1 * b, 200, 340, tilt)
            yield Structure("bright", band(line, 0.02 * f.size.bpd), deep * 0.6)
    falx = curve((-0.92 * a, 0), (0, f.shift("falx", 0.02) * b), (0.92 * a, 0))
    yield Structure("line", band(falx, 0.022 * f.size.bpd), deep * 0.8)
    if f.young:  # plexus fills the hemispheres before the brain does
        for far in (-1, 1):
            yield Structure(
                "bright", f.organ(f"plexus {far}", 0.1 * a, far * 0.45 * b, 0.5 * a, 0.24 * b), deep
            )


def cavum(f: Fetus, x: float) -> Iterator[Structure]:
    """The cavum septi pellucidi: a small box of fluid that breaks the midline at x (in OFD / 2)."""
    a, b = f.size.ofd / 2, f.size.bpd / 2
    yield Structure("line", ellipse(x * a, 0, 0.14 * a, 0.11 * b), 5)
    yield Structure("fluid", ellipse(x * a, 0, 0.12 * a * f.vary("cavum"), 0.065 * b), 5)


@plane("HCP", turn=45)
def transthalamic(f: Fetus) -> Iterator[Structure]:
    """Thalami in the middle, atrium with plexus behind, insula to the sides."""
    a, b = f.size.ofd / 2, f.size.bpd / 2
    yield from axial_head(f)
    yield from cavum(f, -0.48)
    for far in (-1, 1):
        thalamus = f.organ(
            f"thalamus {far}", 0.02 * a, far * 0.16 * b, 0.24 * a, 0.15 * b, far * 20
        )
        yield Structure("gristle", thalamus, 6)
        insula = arc(-0.05 * a, far * 0.5 * b, 0.22 * a, 0.08 * b, 180, 360, 90 - far * 90)
        yield Structure("bright", band(insula, 0.03 * f.size.bpd), 6)
        horn = arc(0.38 * a, far * 0.2 * b, 0.3 * a, 0.26 * b, 10, 85 if far > 0 else 95, 0)
        horn[:, 1] *= far if far < 0 else 1
        yield Structure("line", band(horn, 0.025 * f.size.bpd), 6)
    yield Structure("bright", f.organ("plexus", 0.5 * a, 0.38 * b, 0.2 * a, 0.09 * b, -25), 5)


@plane("SOB", turn=45)
def suboccipitobregmatic(f: Fetus) -> Iterator[Structure]:
    """The cerebellum, two lobes across the midline, and the fluid of the cisterna behind it."""
    a, b, lobe = f.size.ofd / 2, f.size.bpd / 2, f.size.tcd / 2
    yield from axial_head(f)
    yield from cavum(f, -0.58)
    back = 0.58 * a
    yield Structure("fluid", ellipse(back + 0.14 * a, 0, 0.24 * a, 0.62 * b), 6)
    for far in (-1, 1):
        y = far * lobe * 0.52
        yield Structure("line", f.organ("lobe", back, y, 0.21 * a, lobe * 0.54, far * 12), 6)
        yield Structure("muscle", f.organ("lobe", back, y, 0.17 * a, lobe * 0.45, far * 12), 6)
        peduncle = curve((0.12 * a, far * 0.1 * b), (0.36 * a, far * 0.2 * b))
        yield Structure("bright", band(peduncle, 0.05 * f.size.bpd), 5)
    yield Structure("bright", ellipse(back, 0, 0.13 * a, 0.08 * b), 5)
