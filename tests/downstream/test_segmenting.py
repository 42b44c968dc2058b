"""Training a decoder: what it reads, what it leaves alone, that a run can be had again."""

import copy

import numpy as np
import pytest
import torch
from torchmetrics.functional.segmentation import dice_score

from awcl.downstream import overlap, segmenting
from awcl.downstream.decoder import feature_maps
from awcl.downstream.masks import IGNORED, MaskedFrames
from awcl.downstream.segmenting import FrozenMaps, Recipe, Trainer, held_out_patients
from awcl.encoder import Encoder

SHORT = Recipe(steps=3, rates=(3e-3,))


@pytest.fixture(scope="module")
def masks(masked_pack) -> MaskedFrames:
    return MaskedFrames(masked_pack, np.arange(len(masked_pack)))


def state(encoder: Encoder) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in encoder.state_dict().items()}


@pytest.mark.parametrize("tune", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_encoder_is_left_as_it_was(masks, tiny_encoder, tune, training):
    tiny_encoder.train(training)
    before, drawn = state(tiny_encoder), torch.random.get_rng_state()
    segmenter, _ = Trainer(tiny_encoder, masks, SHORT, tune).segmenter(masks.split("train"))
    segmenter.predict(masks.split("test"))
    assert tiny_encoder.training == training
    for name, value in tiny_encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(weight.grad is not None for weight in tiny_encoder.parameters())
    assert torch.equal(torch.random.get_rng_state(), drawn)
    tiny_encoder.train()


def test_fine_tuning_trains_a_copy_of_the_encoder(masks, tiny_encoder):
    segmenter, _ = Trainer(tiny_encoder, masks, SHORT, True).segmenter(masks.split("train"))
    tuned = segmenter.maps.tuned()
    changed = [
        not torch.equal(a, b)
        for a, b in zip(tuned.parameters(), tiny_encoder.parameters(), strict=True)
    ]
    assert tuned is not tiny_encoder and np.mean(changed) > 0.9


@pytest.mark.parametrize("tune", [False, True])
def test_the_same_run_twice_gives_the_same_masks(masks, tiny_encoder, tune):
    def run() -> np.ndarray:
        trainer = Trainer(tiny_encoder, masks, SHORT, tune)
        return trainer.segmenter(masks.split("train"))[0].predict(masks.split("test"))

    first = run()
    torch.manual_seed(99)  # what was drawn before alters nothing
    np.testing.assert_array_equal(run(), first)


@pytest.mark.parametrize("tune", [False, True])
def test_shapes_that_can_be_learnt_are_learnt(masks, tiny_encoder, tune):
    train, test = masks.split("train"), masks.split("test")
    trainer = Trainer(tiny_encoder, masks, Recipe(steps=60, rates=(1e-2,)), tune)
    predicted, truth = trainer.segmenter(train)[0].predict(test), masks.truths(test)
    assert predicted.dtype == np.uint8 and predicted.shape == truth.shape
    assert np.nanmean(overlap.dice(truth, predicted, 2)) > 0.8


def test_maps_are_the_encoders_and_are_kept_while_there_is_room(masks, tiny_encoder, monkeypatch):
    numbers = np.array([5, 2, 5, 70])
    frozen = copy.deepcopy(tiny_encoder).eval()
    with torch.no_grad():
        direct = feature_maps(frozen, torch.from_numpy(masks.images(numbers)))
    kept = FrozenMaps(tiny_encoder, masks)
    first, again = kept(numbers), kept(numbers)
    assert set(kept.kept) == {0, 4}, "blocks of 16 frames"
    monkeypatch.setattr(segmenting, "MEMORY", 1)
    crowded = FrozenMaps(tiny_encoder, masks)
    unkept = crowded(numbers)
    assert set(crowded.kept) == {0}
    for a, b, c, d in zip(first, again, unkept, direct, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, d, rtol=1e-3, atol=1e-3)  # half precision
        torch.testing.assert_close(c, d, rtol=1e-3, atol=1e-3)


def test_the_maps_of_a_frame_do_not_depend_on_what_was_asked_for_before(masks, tiny_encoder):
    one, other = FrozenMaps(tiny_encoder, masks), FrozenMaps(tiny_encoder, masks)
    other(np.arange(10, 60))
    for a, b in zip(one(np.array([33, 3])), other(np.array([33, 3])), strict=True):
        assert torch.equal(a, b)


def test_the_rate_is_chosen_on_patients_of_train_that_were_held_out(
    masks, tiny_encoder, monkeypatch
):
    """Each candidate is trained without them, and the best Dice on them wins; test is not read."""
    train = masks.split("train")
    inside, out = held_out_patients(masks, train)
    read, given = [], masks.truths
    monkeypatch.setattr(masks, "truths", lambda numbers: read.append(numbers) or given(numbers))
    trainer = Trainer(tiny_encoder, masks, Recipe(steps=12, rates=(1e-6, 1e-2)))
    segmenter, rate = trainer.segmenter(train)
    assert rate == 1e-2, "at 1e-6 nothing is learnt"
    assert set(np.concatenate(read)) == set(train)
    scores = []
    for candidate in (1e-6, 1e-2):
        recipe = Recipe(steps=12, rates=(candidate,))
        predicted = Trainer(tiny_encoder, masks, recipe).segmenter(inside)[0].predict(out)
        truth = torch.from_numpy(given(out)).long()
        predicted = torch.where(truth == IGNORED, 0, torch.from_numpy(predicted).long())
        truth = torch.where(truth == IGNORED, 0, truth)
        options = {"num_classes": 3, "input_format": "index", "average": "none"}
        each = dice_score(predicted, truth, include_background=False, **options)
        there = torch.stack([(truth == value).any(2).any(1) for value in (1, 2)], 1)
        scores.append(float(each[there].mean()))
    assert scores[1] > scores[0]
    alone = Trainer(tiny_encoder, masks, Recipe(steps=12, rates=(1e-2,)))
    again = alone.segmenter(train)[0].predict(masks.split("test"))
    np.testing.assert_array_equal(segmenter.predict(masks.split("test")), again)


def test_patients_that_are_held_out_are_whole_and_the_same_each_time(masks):
    train = masks.split("train")
    inside, out = held_out_patients(masks, train)
    patients = masks.frames["patient"]
    assert sorted([*inside, *out]) == sorted(train)
    assert set(patients[inside]).isdisjoint(patients[out])
    assert len(set(patients[out])) == round(0.2 * len(set(patients[train])))
    np.testing.assert_array_equal(held_out_patients(masks, train)[1], out)
    one = train[patients[train] == patients[train[0]]]
    assert len(held_out_patients(masks, one)[1]) == 0


def test_masks_of_test_alter_nothing_that_is_trained_or_predicted(masks, tiny_encoder):
    """The leak rule: with every test mask made empty, the predictions are the same."""
    blind = copy.copy(masks)
    test = set(masks.split("test"))

    def truths(numbers):
        real = masks.truths(numbers)
        for place, number in enumerate(numbers):
            if number in test:
                real[place] = 0
        return real

    blind.truths = truths
    recipe = Recipe(steps=3, rates=(1e-3, 1e-2))
    seen, unseen = (
        Trainer(tiny_encoder, of, recipe).segmenter(of.split("train"))[0].predict(sorted(test))
        for of in (masks, blind)
    )
    np.testing.assert_array_equal(seen, unseen)
