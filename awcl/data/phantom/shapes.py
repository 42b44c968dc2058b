"""Shapes in millimetres, and what a plane is made of: outlines of tissue, drawn in order.

x grows to the right, y downwards; the middle of a plane is (0, 0). Points are (N, 2) arrays.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, KroghInterpolator

Points = np.ndarray


@dataclass(frozen=True)
class Structure:
    """One piece of tissue in a plane.

    outline: (N, 2) mm, closed. reach: how far it extends to either side of the plane, in mm: off
    the plane its outline shrinks about its middle as an ellipsoid's section does, and beyond that
    it is gone. tissue: a name in awcl.data.phantom.tissues. mask: the mask class that it is
    (awcl.data.phantom.scan.MASK_CLASSES); None = as what it is drawn on, "" = none.
    """

    tissue: str
    outline: Points
    reach: float
    mask: str | None = None

    def at(self, off: float) -> Points | None:
        """The outline `off` mm beside the plane, or None."""
        if abs(off) >= self.reach:
            return None
        return grown(self.outline, np.sqrt(1 - (off / self.reach) ** 2))


def ellipse(x: float, y: float, a: float, b: float, turn: float = 0, points: int = 40) -> Points:
    """Semi-axes a along x and b along y, turned by `turn` degrees (clockwise on the screen)."""
    return arc(x, y, a, b, 0, 360 * (1 - 1 / points), turn, points)


def arc(
    x: float,
    y: float,
    a: float,
    b: float,
    start: float,
    end: float,
    turn: float = 0,
    points: int = 24,
) -> Points:
    """Part of an ellipse's line, from `start` to `end` degrees (0 is right, 90 is below)."""
    t = np.radians(np.linspace(start, end, points))
    return turned(np.stack([a * np.cos(t), b * np.sin(t)], axis=1), turn) + np.array([x, y])


def curve(*through: tuple[float, float], points: int = 32) -> Points:
    """A smooth line through the points given."""
    knots = np.array(through, float)
    if len(knots) == 2:
        return np.linspace(knots[0], knots[1], points)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    # The same parabola through three points, without the threads of a matrix solver.
    smooth = KroghInterpolator if len(knots) == 3 else CubicSpline
    return smooth(along, knots)(np.linspace(0, along[-1], points))


def band(line: Points, width: float | np.ndarray) -> Points:
    """The closed outline of a line drawn `width` mm thick (one value, or one a point)."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    half = np.stack([-along[:, 1], along[:, 0]], axis=1) * (np.asarray(width) / 2).reshape(-1, 1)
    return np.concatenate([line + half, (line - half)[::-1]])


def moved(points: Points, x: float, y: float) -> Points:
    return points + np.array([x, y])


def grown(outline: Points, factor: float) -> Points:
    """Larger (or smaller) about its middle."""
    middle = outline.mean(axis=0)
    return middle + factor * (outline - middle)


def turned(points: Points, degrees: float) -> Points:
    """Turned about (0, 0), clockwise on the screen."""
    t = np.radians(degrees)
    return points @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])


def uneven(outline: Points, amount: float, phases: np.ndarray) -> Points:
    """An outline with low bumps about its middle: `amount` is their share of the radius.

    phases: one angle in radians for each harmonic, from the second on.
    """
    middle = outline.mean(axis=0)
    ray = outline - middle
    angle = np.arctan2(ray[:, 1], ray[:, 0])
    orders = np.arange(2, 2 + len(phases))
    bumps = np.cos(np.outer(angle, orders) + phases) / orders
    return middle + ray * (1 + amount * bumps.sum(axis=1))[:, None]
