"""Scores of masks against torchmetrics, brute force and what can be reckoned by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

from awcl.downstream import overlap, scores
from awcl.downstream.masks import IGNORED

NAMES = ["head", "body", "fluid"]


def blobs(seed: int, frames: int = 5, side: int = 24) -> np.ndarray:
    """(N, side, side) masks of values 0..3: discs over each other, some beyond the border."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    masks = np.zeros((frames, side, side), np.uint8)
    for mask in masks:
        for value in rng.permutation([1, 2, 3])[: rng.integers(1, 4)]:
            (cx, cy), radius = rng.uniform(0, side, 2), rng.uniform(3, 9)
            mask[np.hypot(x - cx, y - cy) <= radius] = value
    return masks


def judge(truth, predicted, names=NAMES, pixel_mm=None, heads=None):
    n = len(truth)
    mm = np.full(n, np.nan) if pixel_mm is None else np.full(n, pixel_mm, float)
    return overlap.score_frames(
        truth, predicted, names, mm, np.ones(n, bool) if heads is None else heads
    )


def test_dice_iou_and_accuracy_are_those_of_torchmetrics():
    truth, predicted = blobs(0, 12), blobs(1, 12)
    found = judge(truth, predicted)
    for number, (t, p) in enumerate(zip(truth, predicted, strict=True)):
        t, p = torch.from_numpy(t).long(), torch.from_numpy(p).long()
        given = {"num_classes": 4, "average": "none"}
        dice = dice_score(p[None], t[None], input_format="index", **given).flatten()
        iou = multiclass_jaccard_index(p, t, **given)
        accuracy = multiclass_accuracy(p, t, **given)
        here = [value for value in range(4) if (t == value).any()]
        for value in set(here) - {0}:
            prefix = f"class/{NAMES[value - 1]}"
            assert found[f"{prefix}/dice"][number] == pytest.approx(float(dice[value]), abs=1e-6)
            assert found[f"{prefix}/iou"][number] == pytest.approx(float(iou[value]), abs=1e-6)
            assert found[f"{prefix}/accuracy"][number] == pytest.approx(float(accuracy[value]))
        classes = [value for value in here if value]
        assert found["dice"][number] == pytest.approx(float(dice[classes].mean()), abs=1e-6)
        assert found["iou"][number] == pytest.approx(float(iou[classes].mean()), abs=1e-6)
        assert found["mean_pixel_accuracy"][number] == pytest.approx(float(accuracy[here].mean()))
        assert found["pixel_accuracy"][number] == pytest.approx(float((t == p).float().mean()))


def edge(shape: np.ndarray) -> np.ndarray:
    """Places of the pixels with a neighbour outside the shape, the slow way."""
    places = {tuple(place) for place in np.argwhere(shape)}
    steps = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return np.array(
        [(y, x) for y, x in places if any((y + j, x + i) not in places for j, i in steps)]
    )


def test_the_hausdorff_distance_is_that_of_brute_force():
    tried = 0
    for truth, predicted in zip(blobs(2, 20), blobs(3, 20), strict=True):
        for value in (1, 2, 3):
            t, p = truth == value, predicted == value
            if t.any() and p.any():
                apart = cdist(edge(t), edge(p))
                slow = max(np.percentile(apart.min(axis, initial=99), 95) for axis in (0, 1))
                assert overlap.hd95(t, p) == pytest.approx(slow, abs=1e-3)
                tried += 1
    assert tried > 15


def test_a_shape_that_was_moved_is_as_far_as_it_was_moved():
    truth, predicted = np.zeros((2, 1, 30, 30), np.uint8)
    truth[0, 5:15, 5:15] = 1
    predicted[0, 5:15, 9:19] = 1
    assert judge(truth, predicted)["hd95_px"][0] == pytest.approx(4)
    in_mm = judge(truth, predicted, pixel_mm=0.3)
    assert in_mm["hd95_mm"][0] == pytest.approx(1.2) and "hd95_px" not in in_mm


def test_a_class_that_was_not_found_counts_as_nought_and_as_far_as_can_be():
    truth = np.zeros((1, 30, 40), np.uint8)
    truth[0, 5:15, 5:15] = 1
    truth[0, 20:28, 20:30] = 2
    found = judge(truth, np.where(truth == 2, 2, 0), pixel_mm=2.0).iloc[0]
    assert found["class/head/dice"] == found["class/head/iou"] == found["class/head/accuracy"] == 0
    assert found["class/head/hd95_mm"] == pytest.approx(2 * 50), "the diagonal of 30 x 40"
    assert found["hc_bias_mm"] < 0 and found["hc_error_mm"] == -found["hc_bias_mm"]
    assert found["dice"] == pytest.approx(0.5), "the other class was found"


def test_a_class_that_is_not_there_does_not_count_but_what_it_covers_does():
    truth = np.zeros((1, 20, 20), np.uint8)
    truth[0, :10] = 2
    predicted = truth.copy()
    predicted[0, :5] = 1  # half of the body is taken for a head
    predicted[0, 15:] = 3  # and half of the background for fluid
    found = judge(truth, predicted)
    assert not [name for name in found if "head" in name or "fluid" in name]
    assert found["dice"][0] == found["class/body/dice"][0] == pytest.approx(2 * 5 / 15)
    assert found["pixel_accuracy"][0] == pytest.approx(0.5)


def test_a_frame_whose_mask_is_empty_has_only_a_pixel_accuracy():
    truth, predicted = np.zeros((2, 2, 8, 8), np.uint8)
    truth[1, :4] = predicted[1, :4] = 1
    predicted[0, :2] = 1
    found = judge(truth, predicted)
    assert np.isnan(found["dice"][0]) and found["pixel_accuracy"][0] == pytest.approx(0.75)
    assert found["dice"][1] == 1 and found["hd95_px"][1] == 0


def test_padding_counts_nowhere():
    truth, predicted = blobs(4, 3), blobs(5, 3)
    inside = judge(truth[:, 6:-6], predicted[:, 6:-6], pixel_mm=1.0)
    truth[:, :6] = truth[:, -6:] = IGNORED
    padded = judge(truth, predicted, pixel_mm=1.0)
    far = [name for name in inside if "hd95" in name]  # the diagonal is that of the whole view
    pd.testing.assert_frame_equal(padded.drop(columns=far), inside.drop(columns=far))
    predicted[:, :6] = predicted[:, -6:] = 0
    pd.testing.assert_frame_equal(judge(truth, predicted, pixel_mm=1.0), padded)


def disc(a: float, b: float, shape=(64, 64), centre=(32.0, 30.0)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((((x - centre[0]) / a) ** 2 + ((y - centre[1]) / b) ** 2) <= 1).astype(np.uint8)[None]


def test_a_circumference_is_in_millimetres_of_the_ellipse():
    true, larger = disc(20, 20), disc(24, 24)
    found = judge(true, larger, pixel_mm=0.8).iloc[0]
    assert found["hc_bias_mm"] == pytest.approx(2 * np.pi * 4 * 0.8, rel=0.03)
    assert judge(larger, true, pixel_mm=0.8)["hc_bias_mm"][0] == -found["hc_bias_mm"]
    assert judge(larger, true, pixel_mm=0.8)["hc_error_mm"][0] == found["hc_error_mm"]
    a, b = 26, 18
    ramanujan = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))
    assert overlap.circumference(disc(a, b)[0] == 1) == pytest.approx(ramanujan, rel=0.01)


def test_a_head_that_the_frame_cuts_is_measured_by_its_arc():
    """Where padding begins the outline is straight, which is no part of the ellipse."""
    whole, cut = disc(20, 20), disc(20, 20)
    cut[:, :16] = IGNORED
    error = judge(cut, np.where(cut == IGNORED, 0, disc(23, 23)), pixel_mm=1.0)["hc_bias_mm"][0]
    true = judge(whole, disc(23, 23), pixel_mm=1.0)["hc_bias_mm"][0]
    assert error == pytest.approx(true, abs=2)


def test_circumferences_are_measured_only_in_head_planes_of_known_scale():
    truth = np.concatenate([disc(20, 20)] * 3)
    found = overlap.score_frames(
        truth, truth, ["skull"], np.array([1, np.nan, 1]), np.array([True, True, False])
    )
    np.testing.assert_array_equal(found["hc_error_mm"], [0, np.nan, np.nan])
    assert "hc_error_mm" not in judge(truth, truth, ["heart"], pixel_mm=1.0)


@pytest.mark.parametrize("shape", [np.zeros((20, 20), bool), np.eye(20, dtype=bool)])
def test_what_is_no_ellipse_measures_nothing(shape):
    assert overlap.circumference(shape) == 0


def slow_means(values: np.ndarray, units: np.ndarray, strata: np.ndarray, n: int) -> list[float]:
    """Draws units one by one from numpy's multinomial and averages the frames drawn."""
    rng, means = np.random.default_rng(0), [[] for _ in range(n)]
    for stratum in sorted(set(strata)):
        members = sorted(set(units[strata == stratum]))
        for drawn in means:
            times = rng.multinomial(len(members), [1 / len(members)] * len(members))
            for name, count in zip(members, times, strict=True):
                drawn.extend(list(values[units == name]) * count)
    return [np.nanmean(drawn) for drawn in means]


def test_intervals_are_those_of_a_slow_bootstrap_of_whole_patients(monkeypatch):
    monkeypatch.setattr(scores, "RESAMPLES", 50)
    rng = np.random.default_rng(7)
    units = np.array([f"p{k:02d}" for k in rng.integers(0, 14, 60)])
    strata = np.array([int(unit[1:]) % 2 for unit in units])
    values = rng.uniform(size=60)
    values[rng.random(60) < 0.2] = np.nan
    drawn = overlap.resampled_means(values[:, None], units, strata)[:, 0]
    np.testing.assert_allclose(drawn, slow_means(values, units, strata, 50))
    assert scores.percentiles(drawn) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    flat = np.zeros(60, int)
    plain = overlap.resampled_means(values[:, None], units)[:, 0]
    np.testing.assert_allclose(plain, slow_means(values, units, flat, 50))


def test_two_encoders_meet_the_same_patients_in_every_resample():
    rng = np.random.default_rng(0)
    units, values = rng.integers(0, 9, 40).astype(str), rng.uniform(size=40)
    both = overlap.resampled_means(np.stack([values, values + 0.1], 1), units)
    np.testing.assert_allclose(both[:, 1] - both[:, 0], 0.1)
    alone = overlap.resampled_means(values[:, None], units)[:, 0]
    np.testing.assert_allclose(both[:, 0], alone)


def test_a_mean_over_frames_that_few_patients_have_leaves_out_the_draws_without_them():
    values = np.full((6, 1), np.nan)
    values[0] = 0.4
    drawn = overlap.resampled_means(values, np.array(list("abcdef")))[:, 0]
    assert np.isnan(drawn).mean() == pytest.approx((5 / 6) ** 6, abs=0.04)
    assert scores.percentiles(drawn) == pytest.approx((0.4, 0.4))


def test_a_unit_that_is_alone_in_its_stratum_takes_the_interval_of_its_own_columns_alone():
    values = np.array([[0.1, np.nan], [0.2, np.nan], [0.5, np.nan], [np.nan, 0.9]])
    units, strata = np.array(list("abcd")), np.array([0, 0, 0, 1])
    drawn = overlap.resampled_means(values, units, strata)
    assert np.isnan(drawn[:, 1]).all()
    of_the_rest = overlap.resampled_means(values[:3, :1], units[:3], strata[:3])
    np.testing.assert_array_equal(drawn[:, :1], of_the_rest)
