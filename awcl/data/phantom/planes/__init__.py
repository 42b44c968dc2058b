"""Standard planes: what a sonographer sees in each, as a list of structures. One function a plane.

A plane is a generator over a Fetus, drawn in order, and is all that adding an anatomy takes: a
file in this folder, its name in the taxonomy. Tissues are in awcl.data.phantom.tissues, outlines in
shapes, what a fetus measures in growth.Biometry (`fetus.size`, mm):

    from awcl.data.phantom.planes import plane
    from awcl.data.phantom.shapes import Structure, band, curve

    @plane("FLP", turn=25)
    def femur(fetus):
        yield Structure("muscle", fetus.organ("thigh", 0, 0, 20, 9), reach=9)
        yield Structure("bone", band(curve((-15, 0), (0, -1), (15, 0)), 3), reach=3, mask="femur")

Files here are found by themselves. Planes of one coarse kind share a function for what they have
in common, so they differ only in what a sonographer looks at.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.shapes import Structure
from awcl.errors import InputError

Draw = Callable[[Fetus], Iterator[Structure]]


@dataclass(frozen=True)
class Plane:
    """anatomy: its name in the taxonomy. turn: degrees to either side that it may lie turned by.
    fill: how much of the screen's height it takes, from and to."""

    anatomy: str
    draw: Draw
    turn: float
    fill: tuple[float, float]


_PLANES: dict[str, Plane] = {}


def plane(
    anatomy: str, *, turn: float, fill: tuple[float, float] = (0.45, 0.8)
) -> Callable[[Draw], Draw]:
    """Registers a plane under the name of its anatomy."""

    def register(draw: Draw) -> Draw:
        there = _PLANES.get(anatomy)
        if there is not None:
            one, other = there.draw.__qualname__, draw.__qualname__
            raise InputError(f"plane {anatomy!r} is drawn twice: by {one} and by {other}")
        _PLANES[anatomy] = Plane(anatomy, draw, turn, fill)
        return draw

    return register


@functools.cache
def planes() -> dict[str, Plane]:
    """All planes, by anatomy, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(_PLANES.items()))
