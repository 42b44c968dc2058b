"""Video files to one-channel uint8 frames, and back without loss; the only code that imports av.

A frame's number is its place in what the decoder shows, counted from 0: no seeking and no time
stamps, which containers get wrong. So a video is decoded from its start, once, in order. Where a
part of it is damaged or lacking, the numbers of all that comes after are not sure: it ends there.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange
from PIL import Image

from awcl.data.images import UnreadableImage
from awcl.files import whole_file

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv")
# Else a text file under such a name may be a playlist, which names other files and addresses.
CONTAINERS = {"format_whitelist": "avi,mov,mp4,matroska,webm"}
LIMITED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


class _BrokenOff(Exception):
    """From here on a video is damaged, or is not there."""


def is_video(path: str | Path) -> bool:
    """Whether a file is a video, by its suffix."""
    return str(path).lower().endswith(SUFFIXES)


def frames(path: str | Path, wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames wanted as (number, (H, W) uint8), in ascending order, each once.

    Raises UnreadableImage after the last good one where a wanted frame is not there.
    """
    wanted = set(wanted)
    last = max(wanted, default=-1)
    number, how = -1, "ends"
    with _opened(path) as video:
        try:
            for number, frame in enumerate(_decoded(video)):
                if number in wanted:
                    yield number, _grey(frame)
                if number >= last:
                    return
        except _BrokenOff:
            how = "breaks off"
    after = f"after frame {number}" if number >= 0 else "before its first frame"
    raise UnreadableImage(f"the video {how} {after}")


def count(path: str | Path) -> tuple[int, int]:
    """How many frames a video holds, and how many it declares (0 = it does not say).

    What it holds is counted by reading the file without decoding it, up to where that breaks off.
    It is what can be decoded but for damage inside of frames, which shows when they are packed.
    Raises UnreadableImage where it holds none.
    """
    held = 0
    with _opened(path) as video:
        try:
            for packet in video.demux(video.streams.best("video")):
                if packet.is_corrupt:
                    break
                held += packet.size > 0 and not packet.is_discard
        except av.FFmpegError:
            pass  # what was counted up to here is what there is
        declared = video.streams.best("video").frames
    if not held:
        raise UnreadableImage("no frames in it")
    return held, declared


def write(path: Path, pictures: Iterable[np.ndarray], fps: int = 25) -> None:
    """Writes (H, W) uint8 frames of one size as an AVI file without loss (FFV1), whole or not.

    Each frame stands alone with a checksum, so that damage stays in its frame.
    """
    pictures = iter(pictures)
    first = next(pictures)
    with whole_file(path) as part, av.open(str(part), "w", format="avi") as video:
        stream = video.add_stream("ffv1", rate=fps)
        stream.height, stream.width = first.shape
        stream.pix_fmt = "gray"
        stream.options = {"level": "3", "g": "1", "slicecrc": "1"}
        for picture in chain([first], pictures):
            if picture.shape != first.shape:  # av would scale it in silence
                raise ValueError(f"a frame of {picture.shape} in a video of {first.shape}")
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        video.mux(stream.encode())


@contextmanager
def _opened(path: str | Path) -> Iterator[av.container.InputContainer]:
    """A file that holds video; raises UnreadableImage where it is none."""
    try:
        name = str(Path(path).absolute())
        container = av.open(name, options=CONTAINERS, metadata_errors="replace")
    except FileNotFoundError as error:
        raise UnreadableImage("no such file") from error
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise UnreadableImage("not a video file, or one cut off before its index") from error
    except (av.FFmpegError, OSError) as error:
        raise UnreadableImage(error.strerror or type(error).__name__) from error
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            raise UnreadableImage("no video in it that can be decoded")
        yield container


def _decoded(video: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    """The frames up to the first that is damaged; raises _BrokenOff there.

    What the decoder still holds back there is not asked for: it may lack a frame in between.
    """
    stream = video.streams.best("video")
    stream.codec_context.thread_count = 1  # videos are what is decoded in parallel
    stream.codec_context.options = {"err_detect": "explode"}  # the default paints over damage
    try:
        for packet in video.demux(stream):
            if packet.is_corrupt:
                raise _BrokenOff
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise _BrokenOff
                yield frame
    except av.FFmpegError as error:
        raise _BrokenOff from error


def _grey(frame: av.VideoFrame) -> np.ndarray:
    """(H, W) uint8: grey as it is, the luma of YUV over 0 to 255, and of colours what Pillow takes.

    YUV is expanded from 16..235 unless the video says that it uses all values, as players do.
    """
    form = frame.format
    if any(component.bits > 8 for component in form.components):
        raise UnreadableImage(f"pixels of {form.name} are not 8-bit grey or colour")
    alone = [component.plane for component in form.components].count(0) == 1
    if form.is_rgb or form.has_palette or form.components[0].bits < 8 or not alone:
        return np.asarray(Image.fromarray(frame.to_ndarray(format="rgb24")).convert("L"))
    said = frame.color_range
    limited = said == ColorRange.MPEG or (said == ColorRange.UNSPECIFIED and _is_yuv(form))
    return LIMITED[_plane(frame)] if limited else _plane(frame)


def _is_yuv(form: av.VideoFormat) -> bool:
    return len(form.components) > 1 and not form.name.startswith("yuvj")  # j: all values


def _plane(frame: av.VideoFrame) -> np.ndarray:
    """The first plane without the bytes that fill up its lines."""
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, abs(plane.line_size))
    upright = lines if plane.line_size > 0 else lines[::-1]
    return upright[: frame.height, : frame.width].copy()
