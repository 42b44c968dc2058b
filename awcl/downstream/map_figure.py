"""A map of features: frames that are near each other in h lie near each other on it (t-SNE)."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

SHOWN = 15  # names in a legend; the less frequent ones are one colour
DIMENSIONS, PERPLEXITY = 50, 30.0
COLOURS = [
    *colormaps["tab10"].colors[:7],
    *colormaps["tab10"].colors[8:],
    *colormaps["Dark2"].colors,
]
MARKS = "o^s"
FAINT = "0.8"


def t_sne(h: np.ndarray) -> np.ndarray:
    """(N, 2) places of (N, D) features, by cosine; the same features give the same places."""
    unit = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12)
    if unit.shape[1] > DIMENSIONS and len(unit) > DIMENSIONS:
        unit = PCA(DIMENSIONS, random_state=0).fit_transform(unit)
    perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(unit)


def draw(places: np.ndarray, names: dict[str, pd.Series], title: str) -> Figure:
    """One panel for each entry of names: title -> (N,) names of the frames, null where unknown."""
    figure = Figure(figsize=(5.2 * len(names), 6.8), layout="constrained")
    figure.suptitle(title)
    for axes, (what, of) in zip(
        figure.subplots(1, len(names), squeeze=False)[0], names.items(), strict=True
    ):
        _panel(axes, places, of.reset_index(drop=True))
        axes.set_title(what)
    return figure


def _panel(axes: Axes, places: np.ndarray, names: pd.Series) -> None:
    counts, area = names.value_counts(), float(np.clip(6000 / len(places), 8, 30))
    shown = sorted(counts.index[:SHOWN])
    rest = (~names.isin(shown)).to_numpy()
    if rest.any():
        label = f"{'other or ' if len(counts) > SHOWN else ''}unknown ({rest.sum()})"
        axes.scatter(*places[rest].T, s=area / 2, color=FAINT, label=label, linewidths=0)
    for number, name in enumerate(shown):
        here = (names == name).to_numpy()
        axes.scatter(
            *places[here].T, s=area, color=COLOURS[number % len(COLOURS)],
            marker=MARKS[number % len(MARKS)], label=f"{name} ({here.sum()})", linewidths=0,
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=8, markerscale=1.5,
        frameon=False, handletextpad=0.2, columnspacing=1.0,
    )  # fmt: skip
