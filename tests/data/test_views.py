"""Views: a function of (seed, epoch, frame, view) only; recipes that do what they say on grey."""

import albumentations as A
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.data.views import RECIPES, Views, paper
from awcl.errors import InputError

SIZE = 32
WORDS = st.integers(0, 2**64 - 1)
TRANSFORMS = [
    pytest.param(recipe, place, id=f"{recipe}-{type(transform).__name__}")
    for recipe in RECIPES
    for place, transform in enumerate(RECIPES[recipe](SIZE))
]


def textured(seed: int = 0, shape: tuple[int, int] = (40, 56)) -> np.ndarray:
    """A grey image without symmetry: waves under noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(seed).normal(0, 15, shape)
    return np.clip(110 + 0.5 * x + 40 * np.sin(x / 5 + y / 9) + noise, 0, 255).astype(np.uint8)


IMAGE = textured()


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=30, deadline=None)
@given(
    WORDS,
    st.lists(st.tuples(WORDS, st.integers(0, 1000), st.integers(0, 9)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_a_view_is_the_same_after_any_other_draws_and_in_any_order(recipe, seed, wanted, random):
    first = {
        key: Views(recipe, SIZE, seed).of(key[0], key[1]).view(IMAGE, key[2]) for key in wanted
    }
    random.shuffle(wanted)
    views = Views(recipe, SIZE, seed)
    for frame, epoch, number in wanted:
        of_frame = views.of(frame, epoch)
        of_frame.rng(number).normal(size=3)
        np.random.random()
        again = of_frame.view(IMAGE, number)
        assert np.array_equal(first[frame, epoch, number], again)


def mixed(size: int) -> list:
    """Grey steps before, between and after others, twice, and one that asks for pixels."""
    return [
        A.RandomGamma(p=0.7),
        A.CenterCrop(30, 30),
        A.ColorJitter(saturation=0, hue=0),
        A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=0.5),
        A.ColorJitter(brightness=(0.2, 3), contrast=(0.2, 3), p=0.8),
        A.Equalize(p=0.5),
        A.RandomGamma((20, 300), p=0.7),
    ]


@pytest.mark.parametrize("recipe", [*RECIPES, "mixed"])
def test_a_view_is_what_albumentations_own_pipeline_makes_to_the_bit(recipe, monkeypatch):
    """Equal keys promise equal encoders, so a view may not change with how it is made."""
    monkeypatch.setitem(RECIPES, "mixed", mixed)
    views, whole = Views(recipe, SIZE, seed=5), Views(recipe, SIZE, seed=5)
    ramp = np.arange(256, dtype=np.uint8).repeat(8).reshape(32, 64)
    images = [IMAGE, ramp, textured(1, (32, 32)), np.zeros((40, 40), np.uint8), IMAGE[3:-2, 5:]]
    for frame in range(1000):
        image = images[frame % len(images)]
        whole.reseed(frame, 2, frame % 3)
        wanted = whole.pipeline(image=image)["image"]
        assert np.array_equal(views.of(frame, 2).view(image, frame % 3), wanted), frame
        assert views.python.random() == whole.python.random(), "as much is drawn"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_view_differs_when_seed_epoch_frame_or_number_does(recipe):
    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 0, 1, 0)]
    made = [
        Views(recipe, SIZE, seed).of(frame, epoch).view(IMAGE, number).tobytes()
        for seed, frame, epoch, number in keys
    ]
    assert len(set(made)) == len(keys)


def test_first_view_shifts_the_numbers():
    views = Views("paper", SIZE, 0)
    shifted = views.of(7, 3, first_view=100).view(IMAGE, 1)
    assert np.array_equal(shifted, views.of(7, 3).view(IMAGE, 101))


def test_what_a_method_draws_is_a_stream_of_its_own():
    maker = Views("paper", SIZE, 0)
    views = maker.of(7, 3)
    mixing = views.rng(0).random(4)
    assert np.array_equal(mixing, views.rng(0).random(4))
    assert not np.array_equal(mixing, views.rng(1).random(4))
    for number in range(3):
        views.view(IMAGE, number)
        plain = maker.reseed(7, 3, number).random(4)
        assert not np.array_equal(mixing, plain)


def test_python_s_generator_is_part_of_the_stream_in_all_that_it_draws():
    """A recipe may use any of it, whatever was drawn before."""
    views = Views("paper", SIZE, 0)
    python = views.pipeline.py_random

    def draws() -> list:
        views.reseed(7, 3, 0)
        order = list(range(20))
        python.shuffle(order)
        some = [python.randint(0, 10**9), python.choice("abcdefgh"), python.getrandbits(70)]
        return [*order, *some, python.uniform(0, 1), python.sample(range(99), 5), python.gauss()]

    first = draws()
    python.randint(0, 9)
    assert draws() == first
    views.reseed(7, 3, 1)
    assert python.random() != views.reseed(7, 3, 0).random()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("shape", [(40, 56), (56, 40), (7, 90), (32, 32)])
def test_views_are_uint8_of_one_channel_and_the_right_size(recipe, shape):
    views = Views(recipe, SIZE, 0)
    for number in range(8):
        view = views.of(1, 0).view(textured(shape=shape), number)
        assert view.shape == (SIZE, SIZE)
        assert view.dtype == np.uint8


def test_making_views_leaves_the_image_alone():
    image = IMAGE.copy()
    image.setflags(write=False)  # as the pack's memory map is
    for number in range(8):
        Views("ultrasound", SIZE, 0).of(1, 0).view(image, number)
    assert np.array_equal(image, IMAGE)


@pytest.mark.parametrize(("recipe", "place"), TRANSFORMS)
def test_each_transform_of_a_recipe_does_something_on_grey(recipe, place):
    transform = RECIPES[recipe](SIZE)[place]
    transform.p = 1
    pipeline = A.Compose([transform], seed=0)
    untouched = IMAGE if place else cv2.resize(IMAGE, (SIZE, SIZE))
    changed = [not np.array_equal(pipeline(image=IMAGE)["image"], untouched) for _ in range(20)]
    assert sum(changed) >= 15  # a weak draw may round to nothing


@pytest.mark.parametrize("part", ["brightness", "contrast"])
def test_the_colour_jitter_of_the_paper_varies_both_brightness_and_contrast(part):
    jitter = paper(SIZE)[2]
    for other in {"brightness", "contrast"} - {part}:
        setattr(jitter, other, (1.0, 1.0))
    jitter.p = 1
    pipeline = A.Compose([jitter], seed=0)
    made = {pipeline(image=IMAGE)["image"].tobytes() for _ in range(10)}
    assert len(made) == 10


def test_the_paper_recipe_has_the_published_ranges():
    crop, flip, jitter, gamma = paper(SIZE)
    assert isinstance(crop, A.RandomResizedCrop)
    assert (crop.scale, tuple(crop.size)) == ((0.08, 1.0), (SIZE, SIZE))
    assert isinstance(flip, A.HorizontalFlip)
    assert flip.p == 0.5
    assert isinstance(jitter, A.ColorJitter)
    assert (jitter.brightness, jitter.contrast) == ((0.6, 1.4), (0.6, 1.4))
    assert isinstance(gamma, A.RandomGamma)
    assert tuple(gamma.gamma_limit) == (75, 125)
    assert gamma.p == 1


def test_gamma_keeps_to_its_range():
    gamma = A.Compose([paper(SIZE)[3]], seed=0)
    image = np.full((8, 8), 64, np.uint8)
    levels = [int(gamma(image=image)["image"][0, 0]) for _ in range(200)]
    assert min(levels) >= int(255 * (64 / 255) ** 1.25) - 1
    assert max(levels) <= int(255 * (64 / 255) ** 0.75) + 1
    assert max(levels) - min(levels) > 20


def test_half_of_the_views_are_mirrored():
    """A bright left half stays on its side or changes it, whatever else a view does."""
    pipeline = A.Compose([paper(SIZE)[1]], seed=0)
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[:, : SIZE // 2] = 200
    mirrored = [pipeline(image=image)["image"][0, 0] == 0 for _ in range(400)]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"data\.recipe 'papier': choose one of paper, ultrasound"):
        Views("papier", SIZE, 0)
