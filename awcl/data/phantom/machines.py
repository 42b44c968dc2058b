"""Three ultrasound machines that differ in resolution, gain, sector, speckle and screen.

None is a real one. C is meant to be the odd one out: coarse, hard in contrast, much smoothed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """How a machine makes and shows its picture.

    radius: of the probe's face, mm. half_angle: of the sector, degrees. shown: depth that the
    screen's height holds, as a share of the depth sampled. axial, lateral: SD of the point spread
    in mm, lateral at the focus. focus: its depth, as a share of the depth. compound: pictures
    averaged to calm speckle. calm: SD in samples of a filter against speckle. dynamic_range: dB
    from black to white. level: dB of soft tissue above black. gamma: of the grey curve. near, far:
    dB of gain too much at the face and at full depth. noise: dB of the electronics against soft
    tissue, at full depth. sharpen: strength of edge enhancement. marks: what its screen shows
    beside the picture (awcl.data.phantom.overlay).
    """

    name: str
    radius: float
    half_angle: float
    shown: float
    axial: float
    lateral: float
    focus: float
    compound: int
    calm: float
    dynamic_range: float
    level: float
    gamma: float
    near: float
    far: float
    noise: float
    sharpen: float
    marks: str


MACHINES = {
    m.name: m
    for m in (
        Machine(
            "A", radius=52, half_angle=34, shown=0.97, axial=0.28, lateral=0.70, focus=0.5,
            compound=2, calm=1.3, dynamic_range=66, level=26, gamma=1.2, near=2, far=-6, noise=-20,
            sharpen=0.3, marks="right",
        ),
        Machine(
            "B", radius=62, half_angle=30, shown=0.90, axial=0.36, lateral=0.95, focus=0.6,
            compound=2, calm=2.0, dynamic_range=66, level=26, gamma=1.2, near=0, far=-9, noise=-18,
            sharpen=0.0, marks="left",
        ),
        Machine(
            "C", radius=40, half_angle=38, shown=1.04, axial=0.55, lateral=1.15, focus=0.35,
            compound=1, calm=2.4, dynamic_range=58, level=26, gamma=1.0, near=4, far=-3, noise=-16,
            sharpen=0.4, marks="both",
        ),
    )
}  # fmt: skip
