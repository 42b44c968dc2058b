"""What a machine writes on its screen around and over the picture."""

import cv2
import numpy as np


def mark(image: np.ndarray, marks: str, number: int, rng: np.random.Generator) -> None:
    """Draws into an (H, W) uint8 frame: settings and a grey bar always, callipers now and then.

    marks: of the machine. number: of the scan. Callipers are laid anywhere, so they tell nothing of
    the anatomy.
    """
    height, width = image.shape
    unit = max(1, round(width / 128))
    if marks in ("left", "both"):
        bar = np.linspace(255, 0, round(0.3 * height)).astype(np.uint8)[:, None]
        image[2 * unit : 2 * unit + len(bar), unit : 3 * unit] = bar
    corner = 0.02 if marks == "left" else 0.8
    text = np.random.default_rng(number)
    for row in range(2 + number % 2):
        words = "".join(text.choice(list("0123456789/.HzMIdB"), 6))
        at = (round(corner * width), round((0.08 + 0.055 * row) * height))
        cv2.putText(
            image, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.0017 * width, 170, unit, cv2.LINE_AA
        )
    if rng.random() < 0.08:
        for x, y in rng.uniform(0.25, 0.75, (2, 2)) * (width, height):
            at = (round(x), round(y))
            cv2.drawMarker(image, at, 230, cv2.MARKER_CROSS, 4 * unit, unit)
