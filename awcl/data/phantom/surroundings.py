"""What lies around the fetus: the mother's layers, womb, placenta, fluid, cord and limbs."""

from collections.abc import Iterator

import numpy as np

from awcl.data.phantom.shapes import Structure, arc, band, curve, ellipse, grown, moved, uneven

EVERYWHERE = 1e9  # reach of what does not end beside the plane


def mother(rng: np.random.Generator, depth: float, wide: float) -> Iterator[Structure]:
    """Layers under the probe's face, in mm from its middle; `wide` is half the sector's width."""
    level = 0.0
    for tissue in ("fat", "line", "muscle", "line", "fat", "line"):
        thick = 0.5 if tissue == "line" else depth * rng.uniform(0.01, 0.035)
        waves = rng.uniform(-1, 1, 3) * 0.012 * depth
        edge = curve(
            (-wide, level + waves[0] + 4), (0, level + waves[1]), (wide, level + waves[2] + 4)
        )
        yield Structure(tissue, np.concatenate([edge, moved(edge, 0, thick)[::-1]]), EVERYWHERE)
        level += thick


def womb(rng: np.random.Generator, radius: float, young: bool) -> Iterator[Structure]:
    """Fluid around the fetus and the placenta on one side, in mm from the fetus' middle.

    radius: of the fetal part in view. The sac of the first trimester is round and wholly in view.
    """
    phases = rng.uniform(0, 2 * np.pi, 4)
    wide = radius * (rng.uniform(1.35, 1.75) if young else rng.uniform(1.15, 1.7))
    high = radius * (rng.uniform(1.15, 1.4) if young else rng.uniform(0.95, 1.5))
    x, y = rng.uniform(-0.15, 0.15, 2) * radius
    sac = uneven(ellipse(x, y, wide, high, rng.uniform(-20, 20)), 0.12 if young else 0.3, phases)
    if young:
        yield Structure("line", grown(sac, 1.02), EVERYWHERE)
    yield Structure("fluid", sac, EVERYWHERE, mask="fluid")
    side = rng.uniform(0, 360)
    start, end = side, side + rng.uniform(60, 120)
    line = arc(x, y, wide * 1.02, high * 1.02, start, end)
    thick = radius * rng.uniform(0.25, 0.5) * np.sin(np.linspace(0.15, np.pi - 0.15, len(line)))
    yield Structure("placenta", band(line, thick), EVERYWHERE, mask="")


def neighbours(rng: np.random.Generator, radius: float) -> Iterator[Structure]:
    """Limbs in section and loops of cord beside the part in view; some come and go with it."""
    for _ in range(rng.integers(1, 5)):
        angle, away = rng.uniform(0, 360), radius * rng.uniform(0.8, 1.3)
        x, y = away * np.cos(np.radians(angle)), away * np.sin(np.radians(angle))
        size = radius * rng.uniform(0.12, 0.24)
        long, turn = rng.uniform(1, 2.6), rng.uniform(0, 180)
        reach = radius * rng.uniform(0.5, 3)
        yield Structure("skin", ellipse(x, y, size * long, size, turn), reach, mask="")
        yield Structure("muscle", ellipse(x, y, size * long * 0.9, size * 0.86, turn), reach)
        yield Structure("bone", ellipse(x, y, size * long * 0.6, size * 0.2, turn), reach)
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        x, y = 1.05 * radius * np.cos(angle), 1.05 * radius * np.sin(angle)
        for k in range(3):
            at = (
                x + 0.13 * radius * np.cos(angle + 2.1 * k),
                y + 0.13 * radius * np.sin(angle + 2.1 * k),
            )
            yield Structure("line", ellipse(*at, 0.09 * radius, 0.09 * radius), radius, mask="")
            yield Structure("blood", ellipse(*at, 0.06 * radius, 0.06 * radius), radius)
