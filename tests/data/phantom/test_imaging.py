"""From tissue to picture: speckle, walls, shadow, fluid, gain and the sector."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awcl.data.phantom import imaging, overlay
from awcl.data.phantom.imaging import SLICE_MM, Probe, Texture, picture, probe
from awcl.data.phantom.machines import MACHINES
from awcl.data.phantom.tissues import ATTENUATION, NUMBER

SIZE, DEPTH = 96, 90.0
EACH = pytest.mark.parametrize("machine", MACHINES)
TEXTURE = Texture.draw(np.random.default_rng(0))


def at(machine: str = "A", depth: float = DEPTH, size: int = SIZE) -> Probe:
    return probe(MACHINES[machine], depth, size)


def uniform(of: Probe, tissue: str = "soft") -> np.ndarray:
    return np.full(of.x.shape, NUMBER[tissue], np.uint8)


def part(of: Probe, along: tuple[float, float], across: tuple[float, float]) -> np.ndarray:
    """A patch of the beams, from and to as shares of the depth and of the beams."""
    samples, beams = of.x.shape
    region = np.zeros((samples, beams), bool)
    rows = slice(round(along[0] * samples), round(along[1] * samples))
    region[rows, round(across[0] * beams) : round(across[1] * beams)] = True
    return region


def shown(of: Probe, tissue: np.ndarray, off: float = 0.0, gain: float = 0.0) -> np.ndarray:
    """The picture of tissue without patches and with the same noise each time."""
    noise, patches = TEXTURE.at(of.x, of.y)
    streaks = np.zeros(of.x.shape[1], np.float32)
    rng = np.random.default_rng(0)
    return picture(tissue, noise, 0 * patches, off, gain, streaks, of, rng)


def grey(image: np.ndarray, of: Probe, region: np.ndarray) -> float:
    """The mean of the screen's pixels that show a patch of the beams."""
    rows, columns = (np.round(k[of.sector]).astype(int) for k in (of.sample, of.beam))
    return float(image[of.sector][region[rows, columns]].mean())


# --- geometry ----------------------------------------------------------------------------------


@EACH
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.05, 0.95), across=st.floats(-0.9, 0.9))
def test_a_place_is_the_same_on_the_beams_and_on_the_screen(machine, share, across):
    of = at(machine)
    angle, range_ = across * np.radians(of.machine.half_angle), share * DEPTH + of.machine.radius
    place = np.array([[range_ * np.sin(angle), range_ * np.cos(angle) - of.machine.radius]])
    samples, beams = of.x.shape
    expected = [(across + 1) / 2 * (beams - 1), share * (samples - 1)]
    assert of.to_beams(place)[0] == pytest.approx(expected, abs=1e-6)
    column, row = of.to_screen(place)[0].round().astype(int)
    if 0 <= row < of.sector.shape[0] and 0 <= column < of.sector.shape[1]:
        apart = 2 * np.radians(of.machine.half_angle) * range_ / (beams - 1)  # mm between beams
        off = 0.75 * of.pixel_mm  # half a pixel's diagonal
        assert of.beam[row, column] == pytest.approx(expected[0], abs=off / apart)
        assert of.sample[row, column] == pytest.approx(expected[1], abs=off / of.step)


@EACH
@pytest.mark.parametrize("depth", [40.0, 140.0])
def test_a_pixel_of_the_screen_is_as_long_as_it_says(machine, depth):
    of = at(machine, depth)
    ends = of.to_screen(np.array([[0.0, 10.0], [0.0, 30.0], [20.0, 10.0]]))
    assert np.hypot(*(ends[1] - ends[0])) * of.pixel_mm == pytest.approx(20)
    assert np.hypot(*(ends[2] - ends[0])) * of.pixel_mm == pytest.approx(20)
    middle = of.beam.shape[1] // 2
    down = np.diff(of.sample[:, middle][of.sector[:, middle]]) * of.step
    assert down == pytest.approx(of.pixel_mm, rel=0.01)


def test_a_filled_outline_holds_what_lies_inside():
    image = np.zeros((60, 80), np.uint8)
    t = np.linspace(0, 2 * np.pi, 200)
    imaging.fill(image, np.stack([40 + 20 * np.cos(t), 30 + 10 * np.sin(t)], axis=1), 7)
    y, x = np.mgrid[:60, :80]
    radius = np.hypot((x - 40) / 20, (y - 30) / 10)
    assert (image[radius < 1] == 7).all() and not image[radius > 1.1].any()


def test_an_outline_far_outside_of_a_large_picture_is_cut_and_not_bent():
    image = np.zeros((40, 5000), np.uint8)
    imaging.fill(image, np.array([[10, -9000], [4990, -9000], [4990, 9000], [10, 9000]]), 1)
    assert image[:, 10:4991].all() and not image[:, :10].any() and not image[:, 4991:].any()


# --- speckle -----------------------------------------------------------------------------------


def envelope(of: Probe) -> np.ndarray:
    """Of tissue that is the same everywhere, before compounding and compression."""
    noise, _ = TEXTURE.at(of.x, of.y)
    return imaging._Spread.of(of).envelope(noise[..., :2], np.zeros_like(noise[..., :2]))


@EACH
def test_speckle_of_uniform_tissue_has_the_statistics_of_rayleigh(machine):
    found = np.concatenate([envelope(at(machine, depth)).ravel() for depth in (60.0, 90.0, 120.0)])
    found = found / found.mean()
    assert 1 / found.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.05)  # 1.913
    scale = np.sqrt(2 / np.pi)  # of a Rayleigh distribution of mean 1
    for level in (0.3, 0.7, 1.0, 1.5, 2.0):
        expected = 1 - np.exp(-((level / scale) ** 2) / 2)
        assert (found < level).mean() == pytest.approx(expected, abs=0.02)


@EACH
@pytest.mark.parametrize(("size", "depth"), [(96, 60.0), (128, 140.0), (224, 40.0), (448, 90.0)])
def test_speckle_is_as_bright_at_any_size_and_depth(machine, size, depth):
    assert envelope(at(machine, depth, size)).mean() == pytest.approx(1, rel=0.2)


def width(image: np.ndarray, of: Probe) -> float:
    """mm across the beams at which the autocorrelation of the picture's middle falls to a half."""
    height, wide = image.shape
    middle = image[
        round(0.35 * height) : round(0.65 * height), round(0.3 * wide) : round(0.7 * wide)
    ]
    middle = middle - middle.mean(axis=1, keepdims=True)
    lags = range(1, 15)
    fall = [1.0, *((middle[:, :-k] * middle[:, k:]).mean() / middle.var() for k in lags)]
    k = next(k for k in lags if fall[k] < 0.5)
    return (k - 1 + (fall[k - 1] - 0.5) / (fall[k - 1] - fall[k])) * of.pixel_mm


def test_the_machines_differ_in_resolution():
    widths = {}
    for name in MACHINES:
        of = at(name, size=160)
        widths[name] = width(shown(of, uniform(of)), of)
    assert widths["A"] * 1.15 < widths["B"] and widths["A"] * 1.25 < widths["C"]


def test_speckle_is_wider_away_from_the_focus():
    of = at("C", depth=120.0, size=160)  # whose focus is at a third
    found = envelope(of)

    def half_width(rows: slice) -> float:
        part = found[rows] - found[rows].mean()
        mm = float(np.hypot(of.x[rows, 1] - of.x[rows, 0], of.y[rows, 1] - of.y[rows, 0]).mean())
        fall = [(part[:, :-k] * part[:, k:]).mean() / part.var() for k in range(1, 25)]
        return next(k for k, value in enumerate(fall, 1) if value < 0.5) * mm

    deep, focus = slice(-80, None), slice(90, 135)
    assert half_width(deep) > 1.3 * half_width(focus)


@EACH
def test_speckle_belongs_to_the_tissue_and_changes_beside_the_plane(machine):
    of = at(machine)
    tissue = uniform(of)
    middle = part(of, (0.3, 0.8), (0.2, 0.8))
    rows, columns = (np.round(k[of.sector]).astype(int) for k in (of.sample, of.beam))

    def seen(off: float) -> np.ndarray:
        return shown(of, tissue, off)[of.sector][middle[rows, columns]].astype(float)

    def alike(off: float) -> float:
        return float(np.corrcoef(seen(0.0), seen(off))[0, 1])

    assert alike(0.1 * SLICE_MM) > 0.9
    assert alike(np.pi / 2 * SLICE_MM) < 0.5


# --- tissue ------------------------------------------------------------------------------------


@EACH
def test_bone_casts_a_shadow_and_is_bright_itself(machine):
    of = at(machine)
    tissue = uniform(of)
    bone = part(of, (0.3, 0.34), (0.4, 0.6))
    tissue[bone] = NUMBER["bone"]
    image = shown(of, tissue)
    below = grey(image, of, part(of, (0.4, 0.8), (0.44, 0.56)))
    beside = grey(image, of, part(of, (0.4, 0.8), (0.1, 0.3)))
    above = grey(image, of, part(of, (0.1, 0.25), (0.4, 0.6)))
    assert below < 0.5 * beside  # what is left there is the electronics' noise
    assert grey(image, of, bone) > 1.5 * above


@EACH
def test_fluid_is_dark_and_brightens_what_is_behind(machine):
    of = at(machine)
    tissue, plain = uniform(of), shown(of, uniform(of))
    tissue[part(of, (0.3, 0.6), (0.35, 0.65))] = NUMBER["fluid"]
    image = shown(of, tissue)
    inside, behind = part(of, (0.35, 0.55), (0.4, 0.6)), part(of, (0.66, 0.9), (0.42, 0.58))
    beside = part(of, (0.35, 0.9), (0.05, 0.25))
    assert grey(image, of, inside) < 0.2 * grey(plain, of, inside)
    assert grey(image, of, behind) > 1.1 * grey(plain, of, behind)
    assert grey(image, of, beside) == pytest.approx(grey(plain, of, beside), rel=0.03)


@EACH
def test_a_wall_that_faces_the_beam_is_brighter_than_one_along_it(machine):
    of = at(machine)
    facing, along = part(of, (0.49, 0.51), (0.2, 0.45)), part(of, (0.35, 0.65), (0.7, 0.74))
    images = []
    for wall in (facing, along):
        tissue = uniform(of, "brain")
        tissue[wall] = NUMBER["line"]
        images.append(shown(of, tissue))
    level = part(of, (0.42, 0.58), (0.7, 0.74))  # of the second wall, at the depth of the first
    assert grey(images[0], of, facing) > 1.5 * grey(images[1], of, level)


@EACH
@pytest.mark.parametrize("degrees", [0, 15, 30, 45, 60])
def test_the_smooth_part_of_an_echo_fades_with_the_fourth_power_of_the_cosine(machine, degrees):
    of = at(machine, size=160)
    tissue = uniform(of, "brain")
    tissue[of.y > DEPTH / 2 + of.x * np.tan(np.radians(degrees))] = NUMBER["line"]
    smooth, rough = imaging._interfaces(tissue, of)
    middle = np.s_[:, 75:85]  # where the beams go straight down
    share = (smooth[middle] * rough[middle]).sum() / np.square(rough[middle]).sum() * imaging.ROUGH
    assert float(share) == pytest.approx(np.cos(np.radians(degrees)) ** 4, abs=0.03)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(sorted(NUMBER)), min_size=4, max_size=20))
def test_what_a_beam_loses_is_the_sum_on_its_way(layers):
    tissue = np.repeat([NUMBER[name] for name in layers], 5).astype(np.uint8)
    found = imaging._lost(np.repeat(tissue[:, None], 16, axis=1), step=0.4)
    total = 0.0
    for sample, kind in enumerate(tissue):
        total += 0.4 * float(ATTENUATION[kind])
        lost = max(total, -6.0)
        if lost > 0:  # reverberation fills a deep shadow
            lost *= imaging.MOST_SHADOW / (imaging.MOST_SHADOW + lost)
        assert found[sample] == pytest.approx(lost, abs=1e-3)


@EACH
def test_the_picture_darkens_with_depth_and_brightens_with_gain(machine):
    of = at(machine)
    image, louder = shown(of, uniform(of)), shown(of, uniform(of), gain=6.0)
    levels = [grey(image, of, part(of, (k, k + 0.15), (0.1, 0.9))) for k in (0.1, 0.35, 0.6, 0.8)]
    assert levels == sorted(levels, reverse=True)
    assert louder[of.sector].mean() > 1.15 * image[of.sector].mean()


def test_poor_contact_darkens_its_beams():
    of = at()
    noise, patches = TEXTURE.at(of.x, of.y)
    streaks = np.zeros(of.x.shape[1], np.float32)
    streaks[: len(streaks) // 2] = 15.0
    image = picture(
        uniform(of), noise, patches, 0.0, 0.0, streaks, of, np.random.default_rng(0)
    )  # fmt: skip
    left, right = (grey(image, of, part(of, (0.5, 0.9), k)) for k in ((0.1, 0.4), (0.6, 0.9)))
    assert left < 0.7 * right


def test_patches_of_uneven_tissue_are_as_uneven_as_they_say():
    assert TEXTURE.patches.std() == pytest.approx(1)
    assert TEXTURE.noise.std() == pytest.approx(1, abs=0.01)
    for axis in (0, 1):  # the texture goes on beyond its edges
        edge = np.abs(np.take(TEXTURE.patches, 0, axis) - np.take(TEXTURE.patches, -1, axis))
        inner = np.abs(np.take(TEXTURE.patches, 0, axis) - np.take(TEXTURE.patches, 1, axis))
        assert edge.mean() < 2 * inner.mean()


# --- screen ------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("size", [32, 57, 96])
def test_a_picture_is_one_channel_of_bytes_black_around_its_sector(machine, size):
    of = at(machine, size=size)
    image = shown(of, uniform(of))
    assert image.dtype == np.uint8 and image.shape == (round(0.75 * size), size)
    assert not image[~of.sector].any()
    assert 0.4 < of.sector.mean() < 0.95
    assert (image[of.sector] > 0).mean() > 0.9


@pytest.mark.parametrize("marks", ["left", "right", "both"])
def test_a_machine_writes_on_its_corners_and_seldom_into_the_picture(marks):
    rng = np.random.default_rng(0)
    images = np.zeros((100, 96, 128), np.uint8)
    for image in images:
        overlay.mark(image, marks, 3, rng)
    always = (images > 0).all(axis=0)
    rows, columns = np.nonzero(always)
    assert rows.max() < 0.36 * 96
    assert ((columns < 0.3 * 128) | (columns >= 0.78 * 128)).all()
    assert (columns < 6).any() == (marks != "right"), "the grey bar"
    some = (images[:, ~always] > 0).any(axis=1)
    assert 1 <= some.sum() <= 20, "callipers, in some 8 %"
