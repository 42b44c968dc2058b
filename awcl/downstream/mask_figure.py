"""A figure of predicted masks: image, truth and prediction, worst frames first."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from awcl.downstream.masks import IGNORED, MaskedFrames

WORST = 6
# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")
OPACITY = 0.55


def draw(
    masks: MaskedFrames, numbers: np.ndarray, predicted: np.ndarray, dice: np.ndarray
) -> Figure:
    """The frames of lowest Dice, then the median and the best.

    numbers: (N,) frames of `masks`; predicted: (N, H, W) uint8; dice: (N,), nan = not drawn.
    """
    chosen = _chosen(dice)
    figure = Figure(figsize=(1.45 * len(chosen) + 0.3, 5.3), layout="constrained")
    axes = figure.subplots(3, len(chosen), squeeze=False)
    for column, (place, said) in zip(axes.T, chosen, strict=True):
        number = numbers[place : place + 1]
        image, truth = masks.images(number)[0, 0], masks.truths(number)[0]
        found = np.where(truth == IGNORED, IGNORED, predicted[place])
        frame = masks.frames.iloc[number[0]]
        name = frame["anatomy"] if isinstance(frame["anatomy"], str) else ""
        column[0].set_title(f"{said}\nDice {dice[place]:.2f}\n{name}", fontsize=9)
        for axis, mask in zip(column, (None, truth, found), strict=True):
            axis.imshow(image if mask is None else _painted(image, mask), cmap="gray", vmin=0)
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, said in zip(axes[:, 0], ("image", "truth", "prediction"), strict=True):
        axis.set_ylabel(said, fontsize=10)
    handles = [Patch(color=_colour(k), label=name) for k, name in enumerate(masks.classes)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _chosen(dice: np.ndarray) -> list[tuple[int, str]]:
    """Places in `dice` and what they are called."""
    order = np.argsort(dice, kind="stable")[: np.count_nonzero(~np.isnan(dice))]
    worst = [(int(place), f"worst {rank + 1}") for rank, place in enumerate(order[:WORST])]
    if len(order) <= WORST:
        return worst
    return [*worst, (int(order[len(order) // 2]), "median"), (int(order[-1]), "best")]


def _painted(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) float: the image with each class's colour over it."""
    painted = np.repeat(image[..., None] / 255, 3, axis=2)
    for value in np.unique(mask[(mask > 0) & (mask != IGNORED)]):
        here = mask == value
        painted[here] = (1 - OPACITY) * painted[here] + OPACITY * np.array(_colour(value - 1))
    return painted


def _colour(number: int) -> tuple[float, float, float]:
    return to_rgb(COLOURS[number % len(COLOURS)])
