"""A scan: a video of one patient, in which standard planes come into view and go again.

Everything about a scan follows from (seed, its number): who the patient is, which machine, which
planes are visited in which order, how the probe moves. A frame follows from that and its index, so
frames may be made in any order and on any number of processes.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from awcl import hashing
from awcl.data.phantom import growth, imaging, overlay, surroundings
from awcl.data.phantom.fetus import Fetus
from awcl.data.phantom.machines import MACHINES, Machine
from awcl.data.phantom.planes import Plane, planes
from awcl.data.phantom.shapes import Points, Structure, turned
from awcl.data.phantom.tissues import NUMBER
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

MASK_CLASSES = ("head", "body", "fluid", "femur", "heart")  # values 1, 2, ... of a mask
BACKGROUND = "BG"
BOUNDS = (
    ("size", 32, 2048), ("rate", 1, 200), ("seconds", 1, 7200), ("labelled", 0, 1),
    ("every", 1, 10**6), ("seed", 0, 2**63 - 1),
)  # fmt: skip
SPLITS = ("train", "val", "train", "test", "train")  # of scan 0, 1, ...; and so on in turn
SKIPPED = 0.12  # chance that a scan leaves a plane out
EMPTY = 0.81  # share of the way out beyond which a frame may be labelled background
NAMED_BACKGROUND = 0.35  # chance that the frames between two visits are labelled background
FINER = 5  # masks are drawn so much finer: a filled outline takes in all pixels that it touches
STREAKS = 128  # places across the picture, whatever its size, where the mother's shadows vary
SLOWNESS = 2.2  # how much longer the probe stays near a plane than far from it


@dataclass(frozen=True)
class Settings:
    """What a phantom is made of.

    size: width of the picture in pixels. rate: frames a second. seconds: of a scan. labelled: share
    of the frames that are near a plane and carry its label. every: of the others, each so manieth
    is kept. Raises InputError for what makes no scan.
    """

    size: int = 224
    rate: float = 25.0
    seconds: float = 16.0
    labelled: float = 0.15
    every: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"phantom: {name} {value}: between {low} and {high} is needed")

    @property
    def frames(self) -> int:
        """Frames of a scan."""
        return max(1, round(self.rate * self.seconds))


@dataclass(frozen=True)
class Visit:
    """A stretch of a scan about one plane.

    structures: the plane's, in its own mm. around: of the womb and neighbours, likewise. mother: in
    mm from the probe's face. far: mm beside the plane where the visit begins and ends. middle: of
    the plane, in mm from the face.
    """

    plane: Plane
    structures: tuple[Structure, ...]
    around: tuple[Structure, ...]
    mother: tuple[Structure, ...]
    probe: imaging.Probe
    far: float
    middle: tuple[float, float]
    angle: float
    flip: int
    background_named: bool
    streaks: np.ndarray


@dataclass(frozen=True)
class Scan:
    """One patient's scan. The arrays have one entry a frame.

    visit: number in `visits`. off: mm beside the plane. shift (n, 2) mm, angle degrees, gain dB:
    how the probe moves. anatomy: the label, or None.
    """

    number: int
    settings: Settings
    fetus: Fetus
    machine: Machine
    trimester: str
    visits: tuple[Visit, ...]
    visit: np.ndarray
    off: np.ndarray
    shift: np.ndarray
    angle: np.ndarray
    gain: np.ndarray
    anatomy: tuple[str | None, ...]

    @property
    def name(self) -> str:
        return f"{self.settings.seed}-{self.number:05d}"

    @property
    def split(self) -> str:
        """By the scan's number, so that few scans fill all splits and more change none."""
        return SPLITS[self.number % len(SPLITS)]

    def pixel_mm(self, index: int) -> float:
        """Of the screen, in frame `index`."""
        return self.visits[self.visit[index]].probe.pixel_mm

    def frame(self, index: int) -> np.ndarray:
        """The picture, (H, W) uint8."""
        visit, place = self._place(index)
        probe = visit.probe
        tissue = np.full(probe.x.shape, NUMBER["soft"], np.uint8)
        self._draw(index, lambda s, points: imaging.fill(
            tissue, probe.to_beams(points), NUMBER[s.tissue]))  # fmt: skip
        back = turned(np.stack([probe.x - place[0], probe.y - place[1]], -1), -self.angle[index])
        noise, patches = self._texture.at(back[..., 0], back[..., 1])
        rng = _rng(self.settings.seed, self.number, "frame", index)
        image = imaging.picture(
            tissue, noise, patches, self.off[index], self.gain[index], visit.streaks, probe, rng
        )
        overlay.mark(image, self.machine.marks, self.number, rng)
        return image

    def mask(self, index: int) -> np.ndarray:
        """The truth, (H, W) uint8 of 0 and 1 + number in MASK_CLASSES, within the sector."""
        probe = self.visits[self.visit[index]].probe
        height, width = probe.sector.shape
        fine = np.zeros((FINER * height, FINER * width), np.uint8)

        def draw(structure: Structure, points: Points) -> None:
            if structure.mask is not None:
                value = MASK_CLASSES.index(structure.mask) + 1 if structure.mask else 0
                imaging.fill(fine, probe.to_screen(points) * FINER + FINER // 2, value)

        self._draw(index, draw)
        mask = fine[FINER // 2 :: FINER, FINER // 2 :: FINER].copy()
        mask[~probe.sector] = 0
        return mask

    def _place(self, index: int) -> tuple[Visit, np.ndarray]:
        visit = self.visits[self.visit[index]]
        return visit, np.array(visit.middle) + self.shift[index]

    def _draw(self, index: int, draw: Callable[[Structure, Points], None]) -> None:
        """Each structure that frame `index` meets, its outline in mm from the probe's face."""
        visit, place = self._place(index)
        for structure in (*visit.around, *visit.structures):
            outline = structure.at(self.off[index])
            if outline is not None:
                draw(structure, turned(outline * (visit.flip, 1), self.angle[index]) + place)
        for structure in visit.mother:
            draw(structure, structure.outline)

    @functools.cached_property
    def _texture(self) -> imaging.Texture:
        return imaging.Texture.draw(_rng(self.settings.seed, self.number, "texture"))


def check_planes(taxonomy: Taxonomy) -> None:
    """Draws every plane once. Raises InputError for a name, tissue or mask class that is none."""
    fetus = Fetus(growth.draw("second", _rng("check")), young=False, name="check")
    for name, plane in planes().items():
        taxonomy.check(name)
        for structure in plane.draw(fetus):
            if structure.tissue not in NUMBER:
                known = ", ".join(NUMBER)
                raise InputError(f"plane {name}: no tissue {structure.tissue!r} (there: {known})")
            if structure.mask and structure.mask not in MASK_CLASSES:
                known = ", ".join(MASK_CLASSES)
                raise InputError(f"plane {name}: no mask class {structure.mask!r} (there: {known})")


def scan(number: int, settings: Settings) -> Scan:
    """Scan `number` of a phantom: machine, trimester and split in turn, all else by chance."""
    rng = _rng(settings.seed, number, "scan")
    machine = list(MACHINES.values())[number % len(MACHINES)]
    trimester = "first" if (number + number // 3) % 3 == 2 else "second"
    size = growth.draw(trimester, rng)
    fetus = Fetus(size, trimester == "first", f"{settings.seed}/{number}")
    order = [p for p in planes().values() if rng.random() >= SKIPPED]
    order = [order[k] for k in rng.permutation(len(order))]
    visits = tuple(_visit(p, fetus, machine, settings.size, rng) for p in order)
    visit, along = _course(len(visits), settings.frames)
    far = np.array([v.far for v in visits])[visit]
    near = np.abs(along) <= settings.labelled
    beyond = np.maximum(0, np.abs(along) - settings.labelled) / max(1e-9, 1 - settings.labelled)
    wobble = _smooth(rng, settings, 0.3, 3)
    off = np.sign(along) * beyond**SLOWNESS * far + 0.025 * far * wobble[:, 0]
    drift = _smooth(rng, settings, 0.8, 4)
    radius = far[:, None]
    anatomy = [
        visits[v].plane.anatomy if n
        else BACKGROUND if visits[v].background_named and abs(o) > EMPTY * f
        else None
        for v, n, o, f in zip(visit, near, off, far, strict=True)
    ]  # fmt: skip
    return Scan(
        number, settings, fetus, machine, trimester, visits, visit, off,
        shift=drift[:, :2] * 0.06 * radius,
        angle=np.array([v.angle for v in visits])[visit] + 5 * drift[:, 2],
        gain=rng.normal(0, 2.0) + 1.0 * drift[:, 3],
        anatomy=tuple(anatomy),
    )  # fmt: skip


def _course(visits: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the visit that each frame belongs to, and how far along it is, -1 to 1."""
    place = (np.arange(frames) + 0.5) / frames * visits
    visit = np.minimum(place.astype(int), visits - 1)
    return visit, 2 * (place - visit) - 1


def _smooth(rng: np.random.Generator, settings: Settings, seconds: float, count: int) -> np.ndarray:
    """(frames, count) smooth random motion of SD 1 that changes over about so many seconds."""
    lead = int(4 * seconds * settings.rate) + 1
    white = rng.standard_normal((settings.frames + 2 * lead, count))
    smooth = gaussian_filter1d(white, seconds * settings.rate, axis=0)[lead:-lead]
    return smooth * np.sqrt(2 * np.sqrt(np.pi) * seconds * settings.rate)


def _visit(
    plane: Plane, fetus: Fetus, machine: Machine, size: int, rng: np.random.Generator
) -> Visit:
    structures = tuple(plane.draw(fetus))
    span = np.concatenate([s.outline for s in structures])
    wide, high = (span.max(axis=0) - span.min(axis=0)) / 2
    extent = max(wide * imaging.ASPECT, high)
    radius = float(np.sqrt(wide * high))
    depth = 2.0 * max(6, round(extent / rng.uniform(*plane.fill)))
    angle = rng.uniform(-plane.turn, plane.turn)
    around = (
        *surroundings.womb(rng, radius, fetus.young),
        *surroundings.neighbours(rng, radius),
    )
    middle = (rng.uniform(-0.14, 0.14) * depth, (0.54 + rng.uniform(-0.07, 0.07)) * depth)
    return Visit(
        plane, structures, around,
        tuple(surroundings.mother(rng, depth, 1.2 * depth)),
        imaging.probe(machine, depth, size),
        far=1.25 * max(s.reach for s in structures),
        middle=middle, angle=angle, flip=int(rng.choice((-1, 1))),
        background_named=bool(rng.random() < NAMED_BACKGROUND),
        streaks=_streaks(rng, size),
    )  # fmt: skip


def _streaks(rng: np.random.Generator, beams: int) -> np.ndarray:
    """dB lost along each beam in the mother's layers: smooth, with a poor contact at the edges."""
    white = rng.standard_normal(STREAKS + 200)
    smooth = sum(w * gaussian_filter1d(white, sd) * np.sqrt(sd) for w, sd in ((3, 2), (9, 12)))
    place = np.linspace(-1, 1, beams)
    edge = np.abs(place) ** 6 * rng.uniform(0, 14)
    lost = np.interp(place, np.linspace(-1, 1, STREAKS), smooth[100:-100])
    return (lost + edge).astype(np.float32)


def _rng(*parts: object) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(hashing.uint64("phantom", *parts)))
