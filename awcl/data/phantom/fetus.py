"""One fetus: its sizes, and what makes it an individual."""

from dataclasses import dataclass

import numpy as np

from awcl import hashing
from awcl.data.phantom.growth import Biometry
from awcl.data.phantom.shapes import Points, ellipse, uneven


@dataclass(frozen=True)
class Fetus:
    """size: biometry, in mm. young: of the first trimester. name: what its variations hang on."""

    size: Biometry
    young: bool
    name: str

    def vary(self, what: str, spread: float = 0.08) -> float:
        """A factor near 1 that belongs to this fetus and this part of it."""
        rng = np.random.default_rng(hashing.uint64(self.name, what))
        return float(np.exp(spread * np.clip(rng.normal(), -2, 2)))

    def shift(self, what: str, spread: float) -> float:
        """A number near 0 that belongs to this fetus, in the unit of `spread`."""
        return spread * float(np.log(self.vary(what, 1.0)))

    def organ(self, what: str, x: float, y: float, a: float, b: float, turn: float = 0) -> Points:
        """An ellipse with this fetus' own proportions and bumps."""
        phases = np.array([hashing.unit(self.name, what, k) for k in range(3)]) * 2 * np.pi
        wide, high = self.vary(f"{what} wide"), self.vary(f"{what} high")
        return uneven(ellipse(x, y, a * wide, b * high, turn), 0.1, phases)

    @property
    def skull(self) -> str:
        """The tissue of its skull: little bone yet in the first trimester."""
        return "young skull" if self.young else "skull"
