"""From tissue to picture: an ultrasound scanner, in beam coordinates.

The order is that of a real one. A map of tissue along the beams gives scatterers (complex white
noise whose strength is the tissue's), echoes of interfaces (steps of impedance along the beam, so
walls along the beam fade) and attenuation (so bone casts a shadow and fluid brightens what lies
behind). A point spread that widens away from the focus turns scatterers into speckle; envelope,
gain over depth, noise, log compression and the grey curve follow; scan conversion puts the sector
on the screen. One channel, 8 bits.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from awcl.data.phantom.machines import Machine
from awcl.data.phantom.shapes import Points
from awcl.data.phantom.tissues import ATTENUATION, IMPEDANCE, SCATTER, UNEVEN

ASPECT = 0.75  # height / width of the screen
FIXED = 4  # binary places of a polygon's corners
TEXTURE = 384  # samples a side
TEXTURE_MM = 0.4  # a sample
MOST_SHADOW = 45.0  # dB; reverberation fills the rest
ECHO = 20.0  # strength of a step of impedance of 1 that faces the beam, against soft tissue's
ROUGH = np.float32(0.08)  # diffuse part of an interface's echo
HAZE = -16.0  # dB of reverberation at the face, against soft tissue
FULL_DEPTH = 90.0  # mm, at which a machine's point spread is given
SLICE_MM = 2.5  # thickness of the beam across the plane: speckle changes on this scale


@dataclass(frozen=True, eq=False)
class Probe:
    """A machine at one depth setting: where its beams and its screen's pixels lie.

    depth: mm. x, y: (samples, beams) mm from the middle of the probe's face. beam, sample: where
    in the beams each screen pixel lies, (height, width). sector: which pixels show the picture.
    across (samples, 1): mm between samples of a beam, over mm between beams. pixel_mm: of the
    screen.
    """

    machine: Machine
    depth: float
    x: np.ndarray
    y: np.ndarray
    beam: np.ndarray
    sample: np.ndarray
    sector: np.ndarray
    across: np.ndarray
    pixel_mm: float

    @property
    def step(self) -> float:
        """mm between samples of a beam."""
        return self.depth / (len(self.x) - 1)

    def to_beams(self, points: Points) -> Points:
        """(N, 2) mm to (beam, sample)."""
        beams = self.x.shape[1]
        x, y = points[:, 0], points[:, 1] + self.machine.radius
        half = np.radians(self.machine.half_angle)
        beam = (np.arctan2(x, y) / half + 1) / 2 * (beams - 1)
        return np.stack([beam, (np.hypot(x, y) - self.machine.radius) / self.step], axis=1)

    def to_screen(self, points: Points) -> Points:
        """(N, 2) mm to (column, row)."""
        height, width = self.sector.shape
        return points / self.pixel_mm + ((width - 1) / 2, 0.02 * height)


@functools.lru_cache(maxsize=64)
def probe(machine: Machine, depth: float, size: int) -> Probe:
    """The probe for a screen `size` pixels wide, at a depth in mm."""
    width, height = size, round(size * ASPECT)
    half, radius = np.radians(machine.half_angle), machine.radius
    angle = np.linspace(-half, half, size)[None, :]
    range_ = np.linspace(0, depth, 2 * size)[:, None] + radius
    pixel_mm = depth * machine.shown / (0.98 * height)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x = (columns - (width - 1) / 2) * pixel_mm
    y = (rows - 0.02 * height) * pixel_mm + radius
    beam = (np.arctan2(x, y) / half + 1) / 2 * (size - 1)
    sample = (np.hypot(x, y) - radius) / depth * (2 * size - 1)
    inside = (beam >= 0) & (beam <= size - 1) & (sample >= 0) & (sample <= 2 * size - 1)
    return Probe(
        machine, depth,
        (range_ * np.sin(angle)).astype(np.float32),
        (range_ * np.cos(angle) - radius).astype(np.float32),
        beam.astype(np.float32), sample.astype(np.float32), inside,
        (depth / (2 * size - 1) / (range_ * 2 * half / (size - 1))).astype(np.float32), pixel_mm,
    )  # fmt: skip


def fill(image: np.ndarray, points: Points, value: int) -> None:
    """Draws a closed outline, (N, 2) (column, row), into a uint8 image."""
    fixed = np.round(np.clip(points, -20_000, 40_000) * (1 << FIXED)).astype(np.int32)
    cv2.fillPoly(image, [fixed], value, shift=FIXED)


@dataclass(frozen=True)
class Texture:
    """The scatterers of a scan, fixed to the tissue so that speckle moves with it.

    noise: (TEXTURE, TEXTURE, 4) white, two complex fields. patches: (TEXTURE, TEXTURE) smooth, of
    SD 1.
    """

    noise: np.ndarray
    patches: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Texture":
        noise = rng.standard_normal((TEXTURE, TEXTURE, 4), dtype=np.float32)
        white = rng.standard_normal((TEXTURE, TEXTURE), dtype=np.float32)
        patches = sum(_blurred(white, sd) for sd in (3, 16))
        return cls(noise, patches / patches.std())

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """noise (S, B, 4) and patches (S, B) at places given in mm."""
        columns = ((x / TEXTURE_MM) % TEXTURE).astype(np.int16)
        rows = ((y / TEXTURE_MM) % TEXTURE).astype(np.int16)
        return self.noise[rows, columns], self.patches[rows, columns]


def _blurred(texture: np.ndarray, sd: float) -> np.ndarray:
    """Blurred as if it went on beyond its edges, of SD 1."""
    half = TEXTURE // 2
    wide = cv2.GaussianBlur(np.tile(texture, (2, 2)), (0, 0), sd)[half:-half, half:-half]
    return wide / wide.std()


def picture(
    tissue: np.ndarray,
    noise: np.ndarray,
    patches: np.ndarray,
    off: float,
    gain: float,
    streaks: np.ndarray,
    at: Probe,
    rng: np.random.Generator,
) -> np.ndarray:
    """One frame, (H, W) uint8.

    tissue: (S, B) uint8 of awcl.data.phantom.tissues.NUMBER. noise, patches: of Texture.at. off:
    mm beside the plane, on which speckle depends. gain: dB. streaks: (B,) dB that the mother's
    layers take from each beam. rng: for the electronics' noise.
    """
    machine = at.machine
    decibel = SCATTER[tissue] + UNEVEN[tissue] * patches
    range_ = np.linspace(0, 1, len(tissue), dtype=np.float32)[:, None]
    strength = np.exp(decibel * (np.log(10) / 20))
    spread = _Spread.of(at)
    facing, rough = _interfaces(tissue, at)
    echoes = rough[..., None] * noise[..., :2]
    echoes[..., 0] += facing
    echoes *= spread.peak
    lost = _lost(tissue, at.step) + streaks * np.sqrt(range_)
    through = np.exp(lost * (-np.log(10) / 20))[..., None]
    strength = strength[..., None] * through
    echoes *= through
    turn = off / SLICE_MM
    near, far = noise[..., :2], noise[..., 2:]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    scatterers = near * cos + far * sin
    envelope = spread.envelope(scatterers * strength, echoes)
    if machine.compound > 1:  # a second look, steered otherwise, meets others: those far away
        others = np.roll(scatterers, scatterers.shape[1] // 2, axis=1)
        other = spread.envelope(others * strength, echoes)
        envelope = (envelope + other) / 2
    return _screen(envelope, gain, at, rng)


def _interfaces(tissue: np.ndarray, at: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Echoes of the steps of impedance: of walls that face the beam, and of rough ones, (S, B).

    A smooth wall throws the sound back only where it faces the beam; that part fades with the
    angle. The rough part goes everywhere, as speckle.
    """
    impedance = IMPEDANCE[tissue]
    # The angle is seen over the distance between beams, in both directions, or steps of the map
    # would pass for walls.
    wide = cv2.GaussianBlur(impedance, (0, 0), sigmaX=1.5, sigmaY=1.5 / float(at.across.mean()))
    steep = np.square(cv2.Sobel(wide, cv2.CV_32F, 0, 1))
    level = np.square(cv2.Sobel(wide, cv2.CV_32F, 1, 0) * at.across)
    facing = np.square(steep / (steep + level + 1e-6))
    fine = cv2.GaussianBlur(impedance, (0, 0), 0.7)
    strength = np.abs(cv2.Sobel(fine, cv2.CV_32F, 0, 1, scale=ECHO / 4))
    return strength * facing, strength * ROUGH


def _lost(tissue: np.ndarray, step: float) -> np.ndarray:
    """dB lost on the way to each sample and back; a beam has a width, so shadows fade out."""
    lost = np.cumsum(ATTENUATION[tissue], axis=0) * np.float32(step)
    lost = cv2.blur(lost, (5, 1), borderType=cv2.BORDER_REPLICATE)
    return np.clip(lost, -6, None) * (MOST_SHADOW / (MOST_SHADOW + np.maximum(lost, 0)))


@dataclass(frozen=True)
class _Spread:
    """The point spread of a probe: even along the beam, across it wider away from the focus.

    narrow, wide: SDs across the beam, in beams, of two blurs; share (S, 1, 1): how much of the
    wide one each depth gets. level (S, 1, 1): what makes 1 of soft tissue's mean envelope, whatever
    the picture's size and depth. peak (S, 1, 1): what keeps the strength of a wall's echo.
    """

    axial: float
    narrow: float
    wide: float
    share: np.ndarray
    level: np.ndarray
    peak: np.ndarray

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(at: Probe) -> "_Spread":
        machine, (samples, beams) = at.machine, at.x.shape
        finer = (at.depth / FULL_DEPTH) ** 0.9  # shallow parts are seen at a higher frequency
        place = np.linspace(0, 1, samples, dtype=np.float32)
        spacing = 2 * np.radians(machine.half_angle) / beams * (machine.radius + place * at.depth)
        widening = 1 + 1.6 * np.abs(place - machine.focus)
        across = np.maximum(finer * machine.lateral * widening / spacing, 0.35)
        axial = max(finer * machine.axial / at.step, 0.35)
        narrow, wide = float(across.min()), float(across.max()) + 1e-3
        share = (across - narrow) / (wide - narrow)
        kept = _kept(across, TEXTURE_MM / spacing) * _kept(axial, TEXTURE_MM / at.step)
        level = np.sqrt(2 / (np.pi * kept))
        peak = np.sqrt(2 * np.pi) * axial / level
        return _Spread(
            axial, narrow, wide, share[:, None, None].astype(np.float32),
            level[:, None, None].astype(np.float32),
            peak[:, None, None].astype(np.float32),
        )  # fmt: skip

    def envelope(self, scatter: np.ndarray, echoes: np.ndarray) -> np.ndarray:
        """(S, B) of complex fields (S, B, 2)."""
        field = scatter + echoes
        narrow = cv2.GaussianBlur(field, (0, 0), sigmaX=self.narrow, sigmaY=self.axial)
        wide = cv2.GaussianBlur(field, (0, 0), sigmaX=self.wide, sigmaY=self.axial)
        field = (narrow + (wide - narrow) * self.share) * self.level
        return cv2.magnitude(
            np.ascontiguousarray(field[..., 0]), np.ascontiguousarray(field[..., 1])
        )


def _kept(sd: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """The variance that a blur (SD in samples) leaves of noise of 1, even over `grain` samples."""
    grain = np.maximum(grain, 1)
    return grain / np.sqrt(4 * np.pi * np.square(sd) + np.square(grain) - 1)


def _screen(envelope: np.ndarray, gain: float, at: Probe, rng: np.random.Generator) -> np.ndarray:
    machine, width = at.machine, at.sector.shape[1]
    depth = np.linspace(0, 1, len(envelope), dtype=np.float32)[:, None]
    floor = 10 ** ((machine.noise + 12 * (depth - 1)) / 20) + 10 ** ((HAZE - 40 * depth) / 20)
    envelope = envelope + floor * np.abs(rng.standard_normal(envelope.shape, dtype=np.float32))
    decibel = 20 * np.log10(envelope + 1e-4)
    decibel += machine.level + gain + machine.near * (1 - depth) + machine.far * depth
    shown = cv2.remap(
        decibel, at.beam, at.sample, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    grey = np.clip(shown / machine.dynamic_range, 0, 1) ** machine.gamma
    if machine.sharpen:
        grey += machine.sharpen * (grey - cv2.GaussianBlur(grey, (0, 0), 1.2 * width / 128))
    grey = np.clip(grey * 255, 0, 255)
    grey[~at.sector] = 0
    return grey.astype(np.uint8)
