"""One arm of an ablation: the same configuration under several seeds, from stored predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from awcl.downstream import scores


def mean_macro_f1(predictions: Sequence[pd.DataFrame]) -> tuple[float, float, float]:
    """Mean over seeds of the ridge probe's macro-F1, and the ends of its 95 % interval.

    predictions: one table a seed, of the same frames (frame_id, patient, audit_group, truth,
    ridge). The interval is over resamples of patients, the same ones for every seed, so it holds
    what patients add to the uncertainty and not what seeds do: their values are shown beside it.
    Raises ValueError where the frames differ.
    """
    means, resampled = [], []
    first = predictions[0].sort_values("frame_id")
    classes, truth = np.unique(first["truth"].to_numpy(str), return_inverse=True)
    units = scores.units_of(first)
    for table in predictions:
        table = table.sort_values("frame_id")
        if not np.array_equal(table["frame_id"], first["frame_id"]):
            raise ValueError("predictions are of different frames")
        every = np.union1d(classes, table["ridge"].to_numpy(str))
        places = np.searchsorted(every, classes)[truth]
        predicted = np.searchsorted(every, table["ridge"].to_numpy(str))
        means.append(scores.macro_f1(scores.confusions(places, predicted, len(every))))
        resampled.append(scores.macro_f1(scores.resample(places, predicted, units, len(every))))
    return float(np.mean(means)), *scores.percentiles(np.mean(resampled, axis=0))
