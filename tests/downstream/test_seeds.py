"""An arm under several seeds, against a slow bootstrap over whole patients."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from awcl.downstream import scores
from awcl.downstream.seeds import mean_macro_f1

NAMES = np.array(["femur", "head", "heart"])


def predictions(seed: int, patients: int = 12, frames: int = 6) -> pd.DataFrame:
    """Of one seed: the truth is the same for every seed, what is predicted is not."""
    truth = np.random.default_rng(99).integers(0, 3, patients * frames)
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(len(truth)) < 0.7, truth, rng.integers(0, 3, len(truth)))
    patient = np.repeat([f"p{k:02d}" for k in range(patients)], frames)
    table = pd.DataFrame({"frame_id": [f"f{k}" for k in range(len(truth))], "patient": patient})
    table["audit_group"] = None
    table["truth"], table["ridge"] = NAMES[truth], NAMES[predicted]
    return table


def macro(table: pd.DataFrame) -> float:
    return metrics.f1_score(table["truth"], table["ridge"], average="macro")


def test_the_mean_is_over_seeds():
    tables = [predictions(seed) for seed in range(3)]
    value, low, high = mean_macro_f1(tables)
    assert value == pytest.approx(np.mean([macro(table) for table in tables]))
    assert low < value < high


def test_one_seed_has_the_interval_of_its_evaluation():
    table = predictions(0)
    truth, predicted = (np.searchsorted(NAMES, table[c]) for c in ("truth", "ridge"))
    units = table["patient"].to_numpy()
    alone = scores.intervals(truth, predicted, units, 3, {"f1": scores.macro_f1})["f1"]
    assert mean_macro_f1([table])[1:] == pytest.approx(alone)


def test_every_seed_meets_the_same_patients():
    """Against a slow bootstrap that draws patients once and scores all seeds on them."""
    tables = [predictions(seed) for seed in range(3)]
    _, low, high = mean_macro_f1(tables)
    rng, drawn = np.random.default_rng(1), []
    groups = [dict(list(table.groupby("patient"))) for table in tables]
    names = sorted(groups[0])
    for _ in range(400):
        chosen = rng.choice(names, len(names))
        drawn.append(np.mean([macro(pd.concat([g[name] for name in chosen])) for g in groups]))
    slow = np.quantile(drawn, [0.025, 0.975])
    assert (low, high) == pytest.approx(slow, abs=0.04)


def test_the_order_of_rows_and_a_class_that_is_only_predicted_alter_nothing():
    tables = [predictions(seed) for seed in range(2)]
    shuffled = [table.sample(frac=1, random_state=k) for k, table in enumerate(tables)]
    assert mean_macro_f1(shuffled) == pytest.approx(mean_macro_f1(tables))
    renamed = tables[0].assign(ridge=tables[0]["ridge"].replace("head", "zzz"))
    hits = renamed["ridge"] == renamed["truth"]
    assert mean_macro_f1([renamed])[0] < mean_macro_f1([tables[0]])[0] and hits.any()


def test_connected_patients_are_drawn_together():
    apart = predictions(0)
    halves = apart["patient"].map(lambda name: str(int(name[1:]) % 2))
    _, low, high = mean_macro_f1([apart.assign(audit_group=halves)])
    ends = [macro(apart[halves == half]) for half in "01"]
    assert [low, high] == pytest.approx(sorted(ends)), "one half, the other, or both"
    _, low, high = mean_macro_f1([apart.assign(audit_group="all")])
    assert np.isnan([low, high]).all(), "nothing is known of another group"


def test_seeds_that_judged_other_frames_are_refused():
    with pytest.raises(ValueError, match="different frames"):
        mean_macro_f1([predictions(0), predictions(1).iloc[1:]])
