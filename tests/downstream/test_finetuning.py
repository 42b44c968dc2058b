"""Fine-tuning: what it learns, what it leaves alone, and what may choose its learning rate."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from awcl.downstream import finetuning
from awcl.downstream.classification import Problem
from awcl.encoder import Encoder

STEPS = 12


@pytest.fixture(scope="module")
def problem(tiny_pack, taxonomy) -> Problem:
    return Problem(tiny_pack, np.arange(len(tiny_pack)), taxonomy, "fine", "test")


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder("test_resnet", 32)


def spied(monkeypatch) -> list[tuple[np.ndarray, float]]:
    """The places and the learning rate of each training, in order."""
    seen, tuned = [], finetuning._tuned

    def spy(encoder, problem, places, rate, steps):
        seen.append((places, rate))
        return tuned(encoder, problem, places, rate, 1)

    monkeypatch.setattr(finetuning, "_tuned", spy)
    return seen


def test_it_learns_what_can_be_learnt_and_the_same_twice(problem, encoder, monkeypatch):
    monkeypatch.setattr(finetuning, "RATES", (3e-3,))
    predicted, rate = finetuning.fine_tune(encoder, problem, 30)
    assert rate == 3e-3
    assert (predicted == problem.truth).all(), "four patterns under noise"
    again, _ = finetuning.fine_tune(encoder, problem, 30)
    np.testing.assert_array_equal(predicted, again)


def test_it_does_not_depend_on_what_was_drawn_before_and_draws_nothing_itself(problem, encoder):
    places, state = np.arange(len(problem.rows)), torch.random.get_rng_state()
    one = finetuning._tuned(encoder, problem, places, 1e-3, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(7)
    other = finetuning._tuned(encoder, problem, places, 1e-3, 2)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("training", [True, False])
def test_the_encoder_is_left_as_it_was(problem, encoder, training):
    encoder.train(training)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    tuned = finetuning._tuned(encoder, problem, np.arange(len(problem.rows)), 1e-3, 2)
    tuned.predict(problem.pack, problem.judged_rows)
    assert encoder.training == training
    assert all(torch.equal(value, before[n]) for n, value in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())
    changed = tuned.encoder.state_dict()
    assert not torch.equal(changed["model.conv1.0.weight"], before["model.conv1.0.weight"])


def test_rates_are_tried_on_patients_held_out_and_the_last_training_has_all(
    problem, encoder, monkeypatch
):
    seen = spied(monkeypatch)
    _, rate = finetuning.fine_tune(encoder, problem, STEPS)
    *tried, (everything, last) = seen
    assert [r for _, r in tried] == list(finetuning.RATES) and last == rate
    assert sorted(everything) == list(range(len(problem.rows)))
    for places, _ in tried:
        held_out = np.setdiff1d(everything, places)
        assert len(held_out)
        assert not set(problem.patients[places]) & set(problem.patients[held_out])


def test_the_rate_with_the_best_score_on_held_out_patients_is_taken(problem, encoder, monkeypatch):
    folds = finetuning.patient_folds(problem.patients)
    truth = problem.labels[folds[0][1]]

    class Fixed:
        def __init__(self, right):
            self.right = right

        def predict(self, pack, rows):
            known = len(rows) == len(truth) and self.right
            return truth if known else np.zeros(len(rows), np.int64)

    best = finetuning.RATES[1]
    monkeypatch.setattr(finetuning, "_tuned", lambda e, p, places, rate, s: Fixed(rate == best))
    assert finetuning._best_rate(encoder, problem, STEPS) == best


def test_with_one_patient_nothing_is_tried(repack, taxonomy, encoder, monkeypatch):
    def split(frames):
        there = frames["patient"].isin(["tiny/p1", "tiny/p9", "tiny/p10"])
        return frames["split"].where(there)

    pack = repack(split=split, anatomy=lambda f: np.where(np.arange(len(f)) % 2, "4CH", "HCP"))
    problem = Problem(pack, np.arange(len(pack)), taxonomy, "coarse", "test")
    assert len(set(problem.patients)) == 1
    seen = spied(monkeypatch)
    finetuning.fine_tune(encoder, problem, STEPS)
    assert [rate for _, rate in seen] == [finetuning.RATES[1]]


def test_batchnorm_ends_with_the_statistics_of_whole_frames_of_train(problem, encoder):
    places = np.arange(len(problem.rows))
    tuned = finetuning._tuned(encoder, problem, places, 1e-3, 2)
    views = [problem.pack.evaluation_view(row) for row in problem.rows]
    seen = []
    tuned.encoder.model.bn1.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    tuned.train()(torch.from_numpy(np.stack(views))[:, None])
    expected = seen[0].mean((0, 2, 3))
    before = finetuning._tuned(encoder, problem, places, 1e-3, 2).encoder.model.bn1.running_mean
    torch.testing.assert_close(before, expected, rtol=1e-3, atol=1e-4)


def test_no_frame_of_test_is_trained_on(problem, encoder, monkeypatch):
    seen, views = set(), finetuning._views

    def spy(maker, problem, places, step):
        seen.update(problem.rows[places])
        return views(maker, problem, places, step)

    monkeypatch.setattr(finetuning, "_views", spy)
    finetuning.fine_tune(encoder, problem, STEPS)
    assert seen == set(problem.rows)
    assert set(problem.pack.frames["split"].iloc[sorted(seen)]) == {"train"}


def test_classes_weigh_the_same_and_one_without_frames_does_no_harm():
    labels = np.array([0] * 6 + [2] * 3)
    weights = finetuning._weights(labels, 3).numpy()
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=labels)
    np.testing.assert_allclose(weights[[0, 2]], expected)
    assert np.isfinite(weights).all()


def test_the_learning_rate_rises_to_its_whole_and_falls_to_nothing():
    shares = [finetuning._share(step, 100) for step in range(101)]
    assert shares[0] == pytest.approx(0.1) and max(shares) == shares[9] == shares[10] == 1
    assert shares[10:] == sorted(shares[10:], reverse=True) and shares[100] == pytest.approx(0)
