"""The figure of a classification's confusions."""

import numpy as np
from matplotlib.figure import Figure


def figure(counts: np.ndarray, classes: np.ndarray, title: str) -> Figure:
    """Confusion counts (C, C), truth by prediction: numbers are frames, shade is their share of a
    row. Classes that are neither in the truth nor predicted are left out.
    """
    rows = np.flatnonzero(counts.sum(1))
    columns = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(rows, columns)]
    share = counts / counts.sum(1, keepdims=True)
    height, width = 1.6 + 0.42 * len(rows), 2.6 + 0.55 * len(columns)
    drawn = Figure(figsize=(width, height), layout="constrained")
    axes = drawn.subplots()
    shades = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), n in np.ndenumerate(counts):
        if n:
            colour = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, n, ha="center", va="center", fontsize=9, color=colour)
    names = [str(name).replace("_", " ") for name in classes]
    totals = [f"{names[row]}  ({n})" for row, n in zip(rows, counts.sum(1), strict=True)]
    axes.set_yticks(range(len(rows)), totals)
    labels = [names[column] for column in columns]
    axes.set_xticks(range(len(columns)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(xlabel="predicted", ylabel="truth (frames)", title=title)
    drawn.colorbar(shades, ax=axes, label="share of the true class", aspect=30)
    return drawn
