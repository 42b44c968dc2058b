"""Does the phantom look like real ultrasound, in numbers?

    python benchmarks/phantom_look.py --beside frames.parquet

For each source of a table of real frames and each machine of the phantom, 224 pixels wide:
percentiles of the grey values, local contrast (SD of what is finer than 4 pixels, over the mean)
and speckle (correlation of that with itself 1 and 2 pixels away, across and along the beam). Under
a minute.
"""

import argparse
from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd

from awcl.data import decoding
from awcl.data.phantom.machines import MACHINES
from awcl.data.phantom.scan import Settings, scan
from awcl.data.table import FrameTable
from awcl.taxonomy import Taxonomy

WIDTH, FRAMES = 224, 60
PERCENTILES = (5, 25, 50, 75, 95, 99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beside", metavar="FRAMES.parquet", help="a table of real frames")
    options = parser.parse_args()
    rows = {f"phantom {name}": look(phantom(name)) for name in MACHINES}
    if options.beside:
        frames = FrameTable.read(options.beside, Taxonomy.load()).frames
        for source, of in frames.groupby("source"):
            rows[source] = look(real(of.sample(min(FRAMES, len(of)), random_state=0)))
    head = [*(f"p{p}" for p in PERCENTILES), "contrast", "across", "", "along", ""]
    print(f"{'':16s}" + "".join(f"{name:>9s}" for name in head))
    for name, values in rows.items():
        print(f"{name:16s}" + "".join(f"{v:9.{0 if v > 1 else 2}f}" for v in values))


def phantom(machine: str) -> Iterator[np.ndarray]:
    """Frames of three scans of the second trimester."""
    numbers = [n for n in range(60) if scan(n, Settings()).machine.name == machine]
    of = [s for s in (scan(n, Settings(size=WIDTH)) for n in numbers) if s.trimester == "second"]
    for one in of[:3]:
        yield from map(one.frame, range(5, one.settings.frames, 20))


def real(frames: pd.DataFrame) -> Iterator[np.ndarray]:
    for path, number in zip(frames["path"], frames["index"], strict=True):
        (grey,) = decoding.greys(path, [number])
        if not isinstance(grey, str):
            yield cv2.resize(
                grey, (WIDTH, WIDTH * grey.shape[0] // grey.shape[1]), interpolation=cv2.INTER_AREA
            )


def look(images: Iterator[np.ndarray]) -> np.ndarray:
    """The mean over images of each figure, in the middle of the picture."""
    return np.mean([_figures(image[40:-20, 50:-50].astype(np.float32)) for image in images], axis=0)


def _figures(middle: np.ndarray) -> list[float]:
    fine = middle - cv2.GaussianBlur(middle, (0, 0), 4)
    power = np.square(fine).mean()
    alike = [(fine[:, k:] * fine[:, :-k]).mean() / power for k in (1, 2)]
    alike += [(fine[k:] * fine[:-k]).mean() / power for k in (1, 2)]
    return [*np.percentile(middle, PERCENTILES), np.sqrt(power) / middle.mean(), *alike]


if __name__ == "__main__":
    main()
