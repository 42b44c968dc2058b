"""Paired differences against a slow bootstrap; what is refused; what a folder of results holds."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from awcl.downstream import comparing, scores
from awcl.downstream.comparing import Difference, differences, pairs, stored
from awcl.downstream.evaluation import write_evaluation
from awcl.errors import InputError


def table(seed: int, right: float, patients: int = 14) -> pd.DataFrame:
    """Predictions of some frames a patient; frames, patients and truths are always the same."""
    of_frames, rng = np.random.default_rng(0), np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        for number in range(int(of_frames.integers(2, 7))):
            truth = "abc"[patient % 3] if of_frames.random() < 0.8 else "abc"[number % 3]
            wrong = "abc"[int(rng.integers(3))]
            rows.append(
                {
                    "frame_id": f"f{patient:02d}-{number}",
                    "patient": f"p{patient:02d}",
                    "audit_group": "p00" if patient == 1 else None,
                    "machine": "A",
                    "truth": truth,
                    "ridge": truth if rng.random() < right else wrong,
                    "frozen/dice": rng.random() * right if number else np.nan,
                }
            )
    return pd.DataFrame(rows)


def by_score(found: list[Difference]) -> dict[str, Difference]:
    return {row.score: row for row in found}


def draws(units: np.ndarray) -> list[list[str]]:
    """Units drawn with return in each resample; nothing vectorised."""
    names, rng = sorted(set(units)), np.random.default_rng(0)
    every = [rng.multinomial(len(names), [1 / len(names)] * len(names))
             for _ in range(scores.RESAMPLES)]  # fmt: skip
    return [[name for name, n in zip(names, times, strict=True) for _ in range(n)]
            for times in every]  # fmt: skip


def test_differences_are_those_of_a_slow_bootstrap_of_whole_patients(monkeypatch):
    monkeypatch.setattr(scores, "RESAMPLES", 40)
    first, second = table(1, 0.5), table(2, 0.8)
    found = by_score(differences(first, second.sample(frac=1, random_state=0)))
    assert set(found) == {"ridge/macro_f1", "frozen/dice"}
    units = first["audit_group"].fillna(first["patient"]).to_numpy()

    def macro_f1(of, rows):
        options = {"labels": sorted(set(of["truth"].iloc[rows])), "zero_division": 0}
        taken = of.iloc[rows]
        return metrics.f1_score(taken["truth"], taken["ridge"], average="macro", **options)

    slow = []
    for names in draws(units):
        rows = [row for name in names for row in np.flatnonzero(units == name)]
        slow.append(macro_f1(second, rows) - macro_f1(first, rows))
    row, every = found["ridge/macro_f1"], range(len(first))
    assert row.first == pytest.approx(macro_f1(first, every))
    assert row.second == pytest.approx(macro_f1(second, every))
    assert (row.low, row.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
    assert (row.frames, row.units) == (len(first), 13)

    known = first["frozen/dice"].notna().to_numpy()
    gains = (second["frozen/dice"] - first["frozen/dice"]).to_numpy()
    slow = []
    for names in draws(units[known]):
        taken = [gain for name in names for gain in gains[known & (units == name)]]
        slow.append(np.mean(taken))
    row = found["frozen/dice"]
    assert row.value == pytest.approx(np.nanmean(gains))
    assert (row.low, row.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
    assert row.frames == known.sum()


def test_an_encoder_does_not_differ_from_itself():
    for row in differences(table(1, 0.5), table(1, 0.5)):
        assert (row.value, row.low, row.high, row.is_clear) == (0, 0, 0, False)


def test_a_difference_is_clear_when_its_interval_lies_on_one_side_of_zero():
    better = by_score(differences(table(1, 0.2), table(1, 1.0)))["ridge/macro_f1"]
    worse = by_score(differences(table(1, 1.0), table(1, 0.2)))["ridge/macro_f1"]
    assert better.is_clear and better.low > 0
    assert worse.is_clear and worse.value == -better.value
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))
    unclear = by_score(differences(table(5, 0.5), table(2, 0.5)))["ridge/macro_f1"]
    assert not unclear.is_clear and unclear.low < 0 < unclear.high


def test_where_few_patients_differ_nothing_is_clear():
    first = table(1, 1)
    for differ, is_clear in ((5, False), (8, True)):
        others = sorted(first["patient"].unique())[-differ:]
        worse = first["ridge"].where(~first["patient"].isin(others), "c")
        row = by_score(differences(first, first.assign(ridge=worse)))["ridge/macro_f1"]
        assert row.differing <= differ and row.is_clear == is_clear


def test_pairing_makes_the_interval_narrower_than_two_unpaired_ones():
    first, second = table(1, 0.5), table(1, 0.6)
    row = by_score(differences(first, second))["ridge/macro_f1"]
    widths = []
    for of in (first, second):
        names, truth = np.unique(of["truth"], return_inverse=True)
        predicted = np.searchsorted(names, of["ridge"])
        units = of["audit_group"].fillna(of["patient"]).to_numpy()
        low, high = scores.intervals(truth, predicted, units, 3, scores.MAIN)["macro_f1"]
        widths.append(high - low)
    assert row.high - row.low < sum(widths)


def test_draws_count_by_the_mean_of_those_that_both_have():
    first, second = table(1, 0.5), table(2, 0.7)
    for number in range(3):
        first[f"few_label/0.1/{number}/ridge"] = table(10 + number, 0.4)["ridge"]
        second[f"few_label/0.1/{number + 1}/ridge"] = table(20 + number, 0.9)["ridge"]
    row = by_score(differences(first, second))["few_label/0.1/ridge/macro_f1"]
    singles = [
        by_score(differences(first, second.assign(ridge=second[f"few_label/0.1/{n}/ridge"])))
        for n in (1, 2)
    ]
    assert row.second == pytest.approx(np.mean([s["ridge/macro_f1"].second for s in singles]))
    assert row.low < row.value < row.high and row.is_clear


def test_lists_of_patients_that_one_alone_has_are_not_compared():
    first, second = table(1, 0.5), table(1, 0.5)
    first["few_label/0.1/0/ridge"] = first["ridge"]
    second["few_label/0.1/1/ridge"] = second["truth"]
    for of, number in ((first, 0), (second, 1)):  # all patients: one list, whatever its number
        of[f"few_label/1/{number}/ridge"] = of["ridge"]
    found = by_score(differences(first, second))
    assert "few_label/0.1/ridge/macro_f1" not in found
    assert found["few_label/1/ridge/macro_f1"].value == 0


def test_only_what_both_have_is_compared_and_a_score_of_fewer_frames_too():
    first = table(1, 0.5).assign(**{"finetuned": "a", "african/shift/ridge": None})
    second = table(2, 0.5).assign(**{"african/shift/ridge": None})
    away = [0, 1, 2, 10, 11]
    for of in (first, second):
        of.loc[away, "african/shift/ridge"] = of.loc[away, "truth"]
    found = by_score(differences(first, second))
    assert set(found) == {"ridge/macro_f1", "frozen/dice", "african/shift/ridge/macro_f1"}
    assert found["african/shift/ridge/macro_f1"].frames == 5


def test_columns_of_names_without_a_truth_are_no_predictions():
    first, second = (table(s, 0.5).drop(columns="truth") for s in (1, 2))
    assert [row.score for row in differences(first, second)] == ["frozen/dice"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.iloc[1:], "frames"),
        (lambda t: t.assign(frame_id=t["frame_id"] + "x"), "frames"),
        (lambda t: t.assign(patient="p"), "patients"),
        (lambda t: t.assign(truth="a"), "truths"),
        (lambda t: t.assign(**{"frozen/dice": 0.5}), "frames in frozen/dice"),
    ],
)
def test_results_of_other_frames_patients_or_truths_are_refused(change, what):
    with pytest.raises(InputError, match=f"the results are of different {what}; judge both on"):
        differences(table(1, 0.5), change(table(2, 0.5)))


# --- what is stored --------------------------------------------------------------------------


def write(folder, task: str, seed: int, **about) -> None:
    result = {
        "task": task,
        "name": task,
        "time": float(seed),
        "metrics": {},
        "about": {},
        "settings": {},
        **about,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_evaluation(folder, result, table(seed, 0.5))


def test_results_of_an_encoder_and_of_a_trial_are_found(tmp_path):
    write(tmp_path / "random" / "planes", "planes", 1)
    write(tmp_path / "random" / "other", "other", 2)
    found = stored(tmp_path / "random")
    assert set(found) == {"planes", "other"} and found["planes"][0]["time"] == 1
    pd.testing.assert_frame_equal(found["planes"][1], table(1, 0.5))
    trial = tmp_path / "trials" / "abc"
    write(trial / "eval" / "planes-1", "planes", 9, epoch=2)
    write(trial / "eval" / "planes-2", "planes", 4, epoch=6)
    write(trial / "eval" / "planes-3", "planes", 3, epoch=6)
    assert stored(trial)["planes"][0]["time"] == 4, "the newest of the last checkpoint"
    assert stored(tmp_path / "nowhere") == {} == stored(tmp_path)


def test_each_is_compared_with_the_first_task_by_task(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        write(tmp_path / name / "planes", "planes", number)
        write(tmp_path / name / "other", "other", number)
    found = list(pairs({name: stored(tmp_path / name) for name in ("a", "b", "c")}))
    told = [(task, first, other) for task, first, other, _ in found]
    assert told == [(t, "a", o) for o in ("b", "c") for t in ("other", "planes")]
    with pytest.raises(InputError, match="a and b: no task that both were judged on"):
        list(pairs({"a": stored(tmp_path / "a"), "b": {}}))


def test_other_frames_are_told_of_with_the_task_and_both_encoders(tmp_path):
    about = {"settings": {"quick": True, "name": "a", "pretrained": None}}
    one = {"planes": (about, table(1, 0.5))}
    other = {"planes": (about, table(1, 0.5).iloc[2:])}
    with pytest.raises(InputError, match="planes of a and b: the results are of different frames"):
        list(pairs({"a": one, "b": other}))


def test_results_that_were_made_otherwise_are_refused():
    quick, full = {"quick": True, "name": "a"}, {"quick": False, "name": "b"}
    results = [{"planes": ({"settings": of}, table(1, 0.5))} for of in (quick, full)]
    with pytest.raises(InputError, match="judged with quick True and False; judge both alike"):
        list(pairs(dict(zip("ab", results, strict=True))))


def test_classes_that_are_called_by_numbers_are_no_draws():
    first = table(1, 0.5).rename(columns={"frozen/dice": "frozen/class/1/dice"})
    first["frozen/class/2/dice"] = 1.0
    found = by_score(differences(first, first))
    assert {"frozen/class/1/dice", "frozen/class/2/dice"} < set(found)


def test_few_patients_make_nothing_clear():
    few = [of[of["patient"].isin(sorted(of["patient"].unique())[:4])]
           for of in (table(1, 0.2), table(1, 1.0))]  # fmt: skip
    assert not any(row.is_clear for row in differences(*few))


@pytest.mark.parametrize("content", [b"", b"PAR1 cut off", None])
def test_predictions_that_are_damaged_are_one_line(tmp_path, content):
    write(tmp_path / "a" / "planes", "planes", 1)
    file = tmp_path / "a" / "planes" / "predictions.parquet"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"predictions\.parquet: cannot be read \(") as error:
        comparing.stored(tmp_path / "a")
    assert "\n" not in str(error.value)
    (tmp_path / "a" / "planes" / "EVAL.json").write_text(json.dumps({})[:1])
    with pytest.raises(InputError, match=r"EVAL\.json: not a JSON file"):
        comparing.stored(tmp_path / "a")
