"""The femur, whose length is measured (FLP)."""

from collections.abc import Iterator

import numpy as np

from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.planes import plane
from awcl.data.phantom.shapes import Structure, band, curve, grown


@plane("FLP", turn=65)
def femur(f: Fetus) -> Iterator[Structure]:
    """One straight bright bone along the thigh with its shadow below; the knee to the right."""
    half, thick = f.size.fl / 2, 0.06 * f.size.fl + 0.5
    thigh = f.organ("thigh", 0, 0.1 * half, 1.35 * half, 0.62 * half)
    calf = f.organ(
        "calf", 1.5 * half, 0.55 * half, 0.8 * half, 0.36 * half, 50 + f.shift("knee", 20)
    )
    for part in (calf, thigh):
        yield Structure("skin", part, half * 0.7, mask="body")
        yield Structure("muscle", grown(part, 0.92), half * 0.7)
    yield Structure("gristle", f.organ("knee", 1.08 * half, 0, 0.17 * half, 0.2 * half), 0.3 * half)
    yield Structure("gristle", f.organ("hip", -1.08 * half, 0, 0.17 * half, 0.2 * half), 0.3 * half)
    place = np.linspace(-1, 1, 32)
    line = curve((-half, 0), (0, -0.06 * half * f.vary("bow", 0.4)), (half, 0))
    flare = thick * (1 + 0.5 * place**4 - 1.2 * place**16)  # broad towards round ends
    yield Structure("bone", band(line, flare), 0.35 * half, mask="femur")
    shin = curve((1.3 * half, 0.25 * half), (1.75 * half, 0.85 * half))
    yield Structure("bone", band(shin, 0.8 * thick), 0.3 * half)
