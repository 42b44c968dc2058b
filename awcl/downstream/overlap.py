"""How well masks agree, frame by frame, and the intervals of the means over frames.

Everything about a class counts in the frames whose truth holds that class, and in no other. There:

- truth and no prediction: Dice, IoU and accuracy are 0, the Hausdorff distance is the diagonal of
  the view, a head measures 0 mm. A frame is never left out because an encoder found nothing.
- prediction and no truth: the class does not count in that frame. What was wrongly painted is
  missing from the classes that are there, or lowers the pixel accuracy as background.

So which frames and classes a mean is over depends on the truth alone, and encoders can be paired.
Pixels whose truth is IGNORED count nowhere.
"""

import cv2
import numpy as np
import pandas as pd

from awcl.data import ellipse
from awcl.downstream import scores
from awcl.downstream.masks import IGNORED
from awcl.errors import InputError

HEADS = ("head", "skull")  # classes whose outline is a head's circumference


def score_frames(
    truth: np.ndarray,
    predicted: np.ndarray,
    names: list[str],
    pixel_mm: np.ndarray,
    is_head_plane: np.ndarray,
) -> pd.DataFrame:
    """One row a frame, nan where a score is not defined.

    truth, predicted: (N, H, W) uint8, values 0 and 1 + number in `names`. pixel_mm: (N,), nan where
    not known. is_head_plane: (N,) bool, frames in which a head's circumference is measured.

    Columns: dice, iou, hd95_mm (hd95_px where pixel_mm is not known): means over the classes of the
    frame; pixel_accuracy; mean_pixel_accuracy: mean over the classes and the background;
    hc_error_mm, hc_bias_mm: of the head's circumference, absolute and predicted minus true;
    class/NAME/{dice,iou,accuracy,hd95_...}: of a class.
    """
    predicted = np.where(truth == IGNORED, 0, predicted)  # a shape ends where the frame does
    counts = _confusions(truth, predicted, len(names))
    pixels = _distances(truth, predicted, len(names))
    distances = {
        "hd95_mm": pixels * pixel_mm[:, None],
        "hd95_px": np.where(np.isnan(pixel_mm)[:, None], pixels, np.nan),
    }
    by_class = {"dice": scores.f1(counts)[:, 1:], "iou": iou(counts)[:, 1:], **distances}
    found = {name: _mean(values) for name, values in by_class.items()}
    found["pixel_accuracy"] = np.trace(counts, axis1=1, axis2=2) / counts.sum((1, 2))
    found["mean_pixel_accuracy"] = _mean(scores.recall(counts))
    measured = is_head_plane & ~np.isnan(pixel_mm)
    found["hc_bias_mm"] = np.where(measured, _circumference_errors(truth, predicted, names), np.nan)
    found["hc_bias_mm"] *= pixel_mm
    found["hc_error_mm"] = np.abs(found["hc_bias_mm"])
    by_class["accuracy"] = scores.recall(counts)[:, 1:]
    for number, name in enumerate(names):
        found.update({f"class/{name}/{score}": of[:, number] for score, of in by_class.items()})
    return pd.DataFrame(found).dropna(axis=1, how="all")


def dice(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(N, classes) of masks (N, H, W); nan for a class that a frame's truth does not hold."""
    return scores.f1(_confusions(truth, predicted, classes))[:, 1:]


def iou(counts: np.ndarray) -> np.ndarray:
    """(..., C) from counts (..., C, C); nan for a class that the truth does not hold."""
    dice = scores.f1(counts)
    return dice / (2 - dice)


def hd95(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The 95 % Hausdorff distance in pixels of two (H, W) bool shapes.

    From each pixel of one shape's edge to the nearest of the other's; of the two directions the
    greater 95th percentile, as the library MONAI has it. The diagonal where there is no prediction.
    """
    if not predicted.any():
        return float(np.hypot(*truth.shape))
    edges = [_edge(shape) for shape in (truth, predicted)]
    away = [cv2.distanceTransform(1 - edge, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for edge in edges]
    there, back = away[1][edges[0] > 0], away[0][edges[1] > 0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def resampled_means(
    values: np.ndarray, units: np.ndarray, strata: np.ndarray | None = None
) -> np.ndarray:
    """(RESAMPLES, M) means over frames of values (N, M), of whole units drawn with return.

    units: (N,) names of patients; strata: (N,) of which as many units are drawn as there are, one
    for each unit. nan values are left out; a mean of none is nan, and so is one with values of a
    unit that is alone in its stratum. The same units and strata give the same draws, whatever the
    values are, so that encoders are paired.
    """
    names, first, unit = np.unique(units.astype(str), return_index=True, return_inverse=True)
    of_unit = np.zeros(len(names)) if strata is None else strata[first]
    known = ~np.isnan(values)
    sums, frames = np.zeros((2, len(names), values.shape[1]))
    np.add.at(sums, unit, np.where(known, values, 0))
    np.add.at(frames, unit, known)
    times = scores.draws(of_unit)
    alone = np.isnan(times).any(0)
    times = np.where(alone, 0, times)
    total = times @ frames
    total[:, frames[alone].any(0)] = np.nan
    return np.divide(times @ sums, total, out=np.full(total.shape, np.nan), where=total > 0)


def _confusions(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(N, 1 + classes, 1 + classes) counts of pixels, frame by frame."""
    counted = truth != IGNORED
    return np.stack(
        [
            scores.confusions(true[here].astype(np.int64), found[here], 1 + classes)
            for true, found, here in zip(truth, predicted, counted, strict=True)
        ]
    )


def _distances(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(N, classes) Hausdorff distances in pixels; nan where the truth does not hold a class."""
    distances = np.full((len(truth), classes), np.nan)
    for value in range(1, 1 + classes):
        for number in np.flatnonzero((truth == value).any((1, 2))):
            distances[number, value - 1] = hd95(truth[number] == value, predicted[number] == value)
    return distances


def _circumference_errors(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> np.ndarray:
    """(N,) predicted minus true circumference of the head in pixels, nan where there is no head."""
    errors = np.full(len(truth), np.nan)
    for value in (1 + number for number, name in enumerate(names) if name in HEADS):
        for number in np.flatnonzero((truth == value).any((1, 2))):
            content = truth[number] != IGNORED  # a head that its border cuts is straight there
            box = np.ix_(content.any(1), content.any(0))
            true = circumference(truth[number][box] == value)
            found = circumference(predicted[number][box] == value)
            errors[number] = found - true if true else np.nan
    return errors


def circumference(shape: np.ndarray) -> float:
    """In pixels, of the ellipse fitted to an (H, W) bool shape; 0 where none fits in the view."""
    try:
        fitted = ellipse.fit_filled(shape.astype(np.uint8))
    except InputError:
        return 0.0
    return fitted.perimeter if 2 * fitted.axes[0] <= np.hypot(*shape.shape) else 0.0


def _edge(shape: np.ndarray) -> np.ndarray:
    """The pixels of a shape that have a neighbour outside it, or lie at the border of the view."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    filled = shape.astype(np.uint8)
    return filled - cv2.erode(filled, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def _mean(values: np.ndarray) -> np.ndarray:
    """(N,) means of the rows of (N, C) without nan; nan for a row of nan."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(1)
    return np.divide(total, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1))
