"""One arm of an ablation: the same configuration under several seeds, from stored predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from awcl.downstream import drawn, scores


def mean_macro_f1(predictions: Sequence[pd.DataFrame]) -> tuple[float, float, float]:
    """Mean over seeds of the ridge probe's macro-F1, and the ends of its 95 % interval.

    predictions: one table a seed, of the same frames (frame_id, patient, audit_group, truth,
    ridge). The interval is over resamples of patients, the same ones for every seed, so it holds
    what patients add to the uncertainty and not what seeds do: their values are shown beside it.
    Raises ValueError where the frames differ.
    """
    tables = [drawn.by_frame(table) for table in predictions]
    if not all(table.index.equals(tables[0].index) for table in tables):
        raise ValueError("predictions are of different frames")
    each = [drawn.draw(table, ["ridge"]) for table in tables]
    ends = scores.percentiles(np.mean([of.resampled for of in each], axis=0))
    return float(np.mean([of.value for of in each])), *ends
