"""Ellipses as masks: one fitted to an annotation, its perimeter, and its inside filled.

Head outlines are stored as a thin ring of pixels. Filling the ring's hole fails where the border
of the image cuts the ellipse, and tracing its contour can break the ring into pieces; the fitted
ellipse has neither trouble, and its perimeter can be held against a measured circumference.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from awcl.errors import InputError

FEWEST_POINTS = 5  # an ellipse has five parameters
# Pixels set / pixels of their convex hull: rings of the public set lie below 0.06, filled ellipses
# near 1. A ring of a few pixels' thickness reaches 0.5 only on a head about 20 pixels wide.
RING_SHARE = 0.5


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in pixels; the centre of the upper left pixel is (0, 0).

    centre: (x, y). axes: the semi-axes (a, b), a >= b. angle: of the long axis, in radians from
    the x axis towards the y axis.
    """

    centre: tuple[float, float]
    axes: tuple[float, float]
    angle: float

    @property
    def perimeter(self) -> float:
        """Exact, by the complete elliptic integral of the second kind."""
        from scipy.special import ellipe  # 0.2 s; packing fills ellipses, and measures none

        a, b = self.axes
        return float(4 * a * ellipe(1 - (b / a) ** 2))

    def inside(self, shape: tuple[int, int]) -> np.ndarray:
        """The pixels of an (H, W) image whose centre is inside: (H, W) uint8 of {0, 1}."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        x, y = x - self.centre[0], y - self.centre[1]
        along = x * np.cos(self.angle) + y * np.sin(self.angle)
        across = y * np.cos(self.angle) - x * np.sin(self.angle)
        a, b = self.axes
        return ((along / a) ** 2 + (across / b) ** 2 <= 1).astype(np.uint8)


def is_outline(mask: np.ndarray) -> bool:
    """Whether an (H, W) uint8 annotation is a ring and not a filled shape."""
    points = _points(mask)
    hull = cv2.convexHull(points)
    # The hull runs through pixel centres; half its length more is the area of whole pixels.
    area = cv2.contourArea(hull) + cv2.arcLength(hull, closed=True) / 2
    return len(points) < RING_SHARE * area


def fit(outline: np.ndarray) -> Ellipse:
    """The least-squares ellipse through the nonzero pixels of an (H, W) uint8 ring.

    On the rings of HC18 its perimeter gives the published head circumferences to within 0.04 mm.
    Raises InputError where fewer than five pixels are set, or where they lie on no ellipse.
    """
    return _fit(_points(outline))


def fit_filled(mask: np.ndarray) -> Ellipse:
    """The ellipse of an (H, W) uint8 filled shape: fitted to the contour of its largest piece.

    Where the border of the image cuts the shape, that straight edge is no part of the ellipse.
    Raises InputError as `fit` does.
    """
    contours, _ = cv2.findContours(
        (mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not contours:
        raise InputError("an annotation without a nonzero pixel has no ellipse")
    edge = max(contours, key=cv2.contourArea)[:, 0]
    inner = np.all((edge > 0) & (edge < np.array(mask.shape[::-1]) - 1), axis=1)
    through_centres = _fit(edge[inner].astype(np.float32))
    # The contour runs through the outermost pixels' centres, half a pixel inside the shape's edge.
    a, b = through_centres.axes
    return Ellipse(through_centres.centre, (a + 0.5, b + 0.5), through_centres.angle)


def fill(outline: np.ndarray) -> np.ndarray:
    """The inside of an (H, W) uint8 ring, as (H, W) uint8 of {0, 1}; raises InputError as `fit`."""
    return fit(outline).inside(outline.shape)


def _points(mask: np.ndarray) -> np.ndarray:
    """Nonzero pixels as (n, 2) float32 (x, y)."""
    y, x = np.nonzero(mask)
    if len(x) < FEWEST_POINTS:
        raise InputError(
            f"an annotation with {len(x)} nonzero pixels has no ellipse; {FEWEST_POINTS} are needed"
        )
    return np.stack([x, y], axis=1).astype(np.float32)


def _fit(points: np.ndarray) -> Ellipse:
    if len(points) < FEWEST_POINTS:
        raise InputError(f"an ellipse cannot be fitted to {len(points)} pixels")
    # The direct fit, since it gives an ellipse also for an arc, where others give a hyperbola.
    (x, y), (width, height), degrees = cv2.fitEllipseDirect(points)
    if not np.isfinite([x, y, width, height]).all() or min(width, height) < 2:  # a line of pixels
        raise InputError("the nonzero pixels of the annotation lie on no ellipse")
    if width < height:
        width, height, degrees = height, width, degrees + 90
    return Ellipse((x, y), (width / 2, height / 2), float(np.deg2rad(degrees % 180)))
