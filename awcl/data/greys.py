"""Grey steps of a recipe as tables of 256 entries.

A step that looks at one pixel at a time is, on uint8, a table; steps one after the other are one
table. Only a contrast asks for the picture, and of that for its mean alone. What a step draws is
albumentations' own; what it does is restated here, to the bit, since albumentations makes each
table between checks and applies each to the picture (Buslaev et al. 2020).
"""

import os
from collections.abc import Callable

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A
import cv2
import numpy as np
from albucore import sz_lut

STEPS = (A.ColorJitter, A.RandomGamma)
"""Steps with a form here."""
LEVELS = np.arange(256, dtype=np.uint8)
JITTERS = ("brightness", "contrast")  # of a ColorJitter's four; saturation and hue are not of grey
SHARES = np.arange(0, 256.0 / 255, 1.0 / 255)  # level / 255, rounded as albumentations rounds it


def changes(step: A.BasicTransform) -> list[tuple[str, float]]:
    """Draws what a grey step does this time: (brightness, contrast or gamma; how much), in order.

    Draws as `BasicTransform.__call__` does. Factors above 0: at 0 albumentations rounds otherwise.
    """
    if not step.should_apply():
        return []
    drawn = step.get_params()
    drawn.update(step.get_params_dependent_on_data(drawn, {}))
    if isinstance(step, A.RandomGamma):
        return [("gamma", drawn["gamma"])]
    return [(JITTERS[n], drawn[JITTERS[n]]) for n in drawn["order"] if n < len(JITTERS)]


def brightness(table: np.ndarray, factor: float) -> np.ndarray:
    """A table (256,) uint8 and then so many times as bright."""
    return _cut_off(table * np.float32(factor))


def contrast(mean: float, factor: float) -> np.ndarray:
    """(256,) uint8: differences from the picture's mean grow by the factor."""
    return _cut_off(LEVELS * np.float32(factor) + np.float32(mean * (1 - factor)))


def gamma(table: np.ndarray, exponent: float) -> np.ndarray:
    """A table (256,) uint8 and then the power of each share of white."""
    return (SHARES**exponent * 255).astype(np.uint8)[table]


TABLES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "brightness": brightness,
    "gamma": gamma,
}
"""Changes that need no picture."""


def looked_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """An image (H, W) uint8 through a table (256,); the image itself where the table is LEVELS."""
    return image if table is LEVELS else sz_lut(image, table, inplace=False)


def mean(image: np.ndarray) -> float:
    """As numpy's of a uint8 image, since the sum is a whole number; in a twentieth of the time."""
    return cv2.sumElems(image)[0] / image.size


def _cut_off(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)
