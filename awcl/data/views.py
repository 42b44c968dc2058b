"""Views: augmented copies of a frame, a function of (seed, epoch, frame, view) only.

Recipes run on one-channel uint8, crop first. A recipe is an entry of RECIPES.

albumentations draws from Python's and numpy's generators; both are set here, for every view, from
one counter-based Philox (Salmon et al. 2011), whose key is (seed, frame) and whose counter is
(epoch, view). So loader workers, restarts and the order of work alter nothing.
"""

import os
import random
from collections.abc import Callable

import numpy as np

from awcl.data import greys
from awcl.errors import InputError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network at import otherwise
import albumentations as A
import cv2

MIXING = 2**32  # view numbers from here on are for what a method draws itself
cv2.setNumThreads(0)  # a view is too small to share; loader workers share the cores instead


def paper(size: int) -> list[A.BasicTransform]:
    """The published recipe (Fu et al. 2022 and its code), without what does nothing on grey.

    Dropped: hue, saturation, random greyscale. Gamma was for labelled frames only there; here all
    frames get it, or the recipe would tell labelled from unlabelled.
    """
    return [
        A.RandomResizedCrop((size, size), scale=(0.08, 1.0)),
        A.HorizontalFlip(p=0.5),
        A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=0, hue=0, p=0.8),
        A.RandomGamma((75, 125), p=1.0),
    ]


def ultrasound(size: int) -> list[A.BasicTransform]:
    """Milder: a standard plane is known by its whole, so a view keeps most of the frame.

    No vertical flip (it would turn depth and its attenuation upside down). Blur imitates a poorer
    point spread.
    """
    return [
        A.RandomResizedCrop((size, size), scale=(0.4, 1.0), ratio=(0.8, 1.25)),
        A.HorizontalFlip(p=0.5),
        A.ColorJitter(brightness=(0.7, 1.3), contrast=(0.7, 1.3), saturation=0, hue=0, p=0.8),
        A.RandomGamma((75, 125), p=0.8),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 1.0), p=0.2),
    ]


RECIPES: dict[str, Callable[[int], list[A.BasicTransform]]] = {
    "paper": paper,
    "ultrasound": ultrasound,
}


class Views:
    """Makes the views of frames for one recipe, size (pixels) and seed.

    Raises InputError for a recipe that does not exist.
    """

    def __init__(self, recipe: str, size: int, seed: int):
        if recipe not in RECIPES:
            raise InputError(f"data.recipe {recipe!r}: choose one of {', '.join(RECIPES)}")
        self.pipeline = A.Compose(RECIPES[recipe](size))
        self.size, self.seed = size, seed
        self.rng = np.random.Generator(np.random.Philox())
        self.python = _PythonRandom(self.rng)
        self.pipeline.set_random_state(self.rng, self.python)

    def of(self, frame: int, epoch: int, first_view: int = 0) -> "FrameViews":
        """The views of the frame with this 64-bit hash in this epoch, numbered from first_view."""
        return FrameViews(self, frame, epoch, first_view)

    def make(self, image: np.ndarray) -> np.ndarray:
        """`pipeline(image=image)`, to the bit, from where the generator is: (size, size) uint8.

        Grey steps are put together on a table, which the picture goes through when something else
        asks for its pixels, and at the end. All other steps are albumentations' own.
        """
        self.python.random()  # Compose draws whether to run at all, and always does
        table = greys.LEVELS
        for step in self.pipeline.transforms:
            if type(step) not in greys.STEPS:
                image, table = greys.looked_up(image, table), greys.LEVELS
                image = step(image=image)["image"]
                continue
            for change, amount in greys.changes(step):
                if change == "contrast":
                    image = greys.looked_up(image, table)
                    table = greys.contrast(greys.mean(image), amount)
                else:
                    table = greys.TABLES[change](table, amount)
        return greys.looked_up(image, table)

    def reseed(self, frame: int, epoch: int, view: int) -> np.random.Generator:
        """Puts the generator at the start of the stream of (seed, epoch, frame, view)."""
        self.rng.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {
                "counter": np.array([0, view, epoch, 0], np.uint64),  # word 0 counts the draws
                "key": np.array([self.seed, frame], np.uint64),
            },
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.python.gauss_next = None  # Python's gauss keeps every other number for later
        return self.rng


class FrameViews:
    """What a method makes its views with: `view(image, number)` and, for mixing, `rng(number)`."""

    def __init__(self, views: Views, frame: int, epoch: int, first_view: int):
        self._views, self._frame, self._epoch, self._first = views, frame, epoch, first_view

    def view(self, image: np.ndarray, number: int) -> np.ndarray:
        """View `number` of an image (H, W) uint8, as (size, size) uint8."""
        self._views.reseed(self._frame, self._epoch, self._first + number)
        return self._views.make(image)

    def rng(self, number: int) -> np.random.Generator:
        """A generator apart from those of the views; valid until the next call."""
        return self._views.reseed(self._frame, self._epoch, MIXING + self._first + number)


class _PythonRandom(random.Random):
    """Python's interface to the numpy generator, since albumentations draws from both."""

    def __init__(self, rng: np.random.Generator):
        super().__init__()
        self._rng = rng

    def random(self) -> float:
        return self._rng.random()

    def getrandbits(self, k: int) -> int:
        return int.from_bytes(self._rng.bytes((k + 7) // 8), "little") >> (-k % 8)
