"""What tissues do to sound: how much they scatter, reflect and take away.

Values are chosen for the look of the picture, in the order that textbooks give (fluid scatters
nothing, bone reflects and shadows), not measured ones.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """scatter: dB against soft tissue. impedance: a.u.; a step along the beam is an echo.
    attenuation: dB/mm, there and back, beyond what the machine's gain makes up for. uneven: how
    much the scatter varies from place to place, in dB."""

    scatter: float
    impedance: float = 0.0
    attenuation: float = 0.0
    uneven: float = 2.5


TISSUES = {
    "soft": Tissue(-6, 0, 0.04, 6.0),
    "fluid": Tissue(-42, -0.2, -0.06, 0),
    "blood": Tissue(-34, -0.12, -0.03, 0),
    "brain": Tissue(-16, 0.0, 0.0, 4.0),
    "bright": Tissue(-2, 0.4, 0.0, 4.0),  # choroid, septa, folds
    "line": Tissue(-1, 0.8, 0.1, 3.0),  # thin interfaces: falx, walls, fascia
    "liver": Tissue(-7, 0.05, 0.0, 2.5),
    "lung": Tissue(-1, 0.1, 0.03, 2.5),
    "muscle": Tissue(-12, 0.1, 0.03, 4.0),
    "heart": Tissue(-8, 0.2, 0.0, 2.5),
    "kidney": Tissue(-15, 0.05, 0.0, 2.0),
    "gut": Tissue(-5, 0.1, 0.03, 5.0),
    "gristle": Tissue(-17, 0.1, 0.05, 2.0),
    "skin": Tissue(-5, 0.4, 0.1, 3.0),
    "fat": Tissue(-8, 0.0, 0.04, 5.0),
    "placenta": Tissue(-1, 0.0, 0.0, 3.0),
    "womb": Tissue(-9, 0.2, 0.03, 5.0),
    "skull": Tissue(20, 1.0, 2.2, 3.0),
    "young skull": Tissue(14, 0.8, 1.2, 3.0),
    "bone": Tissue(24, 1.0, 10.0, 2.5),
}
NUMBER = {name: number for number, name in enumerate(TISSUES)}
SCATTER, IMPEDANCE, ATTENUATION, UNEVEN = np.array(
    [(t.scatter, t.impedance, t.attenuation, t.uneven) for t in TISSUES.values()], np.float32
).T
