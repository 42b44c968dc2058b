"""Image files to one-channel uint8 arrays; the only code that decodes them.

Videos are decoded in awcl.data.videos.
"""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

EIGHT_BIT_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


class UnreadableImage(Exception):
    """Why a file gives no image, or a video not all of its frames.

    The message names no path, so it may be stored.
    """


def read_grey(path: str | Path, indices: bool = False) -> np.ndarray:
    """An image as (H, W) uint8. Raises UnreadableImage where it is absent, cut off, or not 8-bit.

    indices: of an image with a palette its numbers, as masks have them, and no colours.
    Pillow and not OpenCV, because OpenCV returns the readable part of a truncated PNG in silence.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in EIGHT_BIT_MODES:
                raise UnreadableImage(f"image mode {image.mode} is not 8-bit grey or colour")
            return np.asarray(image if indices and image.mode == "P" else image.convert("L"))
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image file") from error
    except FileNotFoundError as error:
        raise UnreadableImage("no such file") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # Pillow reports damaged files by any of these; SyntaxError is its word for a broken PNG,
        # and a header that claims an absurd size is a bomb to it.
        reason = str(error).replace(str(path), "file") or type(error).__name__
        raise UnreadableImage(reason) from error
