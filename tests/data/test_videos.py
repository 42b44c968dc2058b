"""Videos: equal pixels there and back, one pass in order, and the good part of a broken one."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from awcl.data import decoding, videos
from awcl.data.images import UnreadableImage

RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))


def noise(count: int, shape: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]


def saved(path: Path, pictures: list[np.ndarray]) -> Path:
    videos.write(path, pictures)
    return path


def encoded(
    path: Path, codec: str, form: str, pictures: list[np.ndarray], faststart: bool = False
) -> Path:
    """A video as other programs write them; from grey, so limited to 16..235 where YUV is."""
    moved = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=moved) as video:
        stream = video.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = form
        stream.options = {"crf": "1"} if "x264" in codec else {"qscale": "1"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=form)
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def read(path: Path, wanted=range(1000)) -> tuple[dict[int, np.ndarray], str]:
    """The frames of a video and why there are no more."""
    found = {}
    try:
        for number, grey in videos.frames(path, wanted):
            found[number] = grey
    except UnreadableImage as error:
        return found, str(error)
    return found, ""


# --- there and back --------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 70), st.integers(2, 70), st.integers(1, 5))
def test_what_is_written_is_read_back_exactly(tmp_path_factory, height, width, count):
    pictures = noise(count, (height, width))
    found, why = read(saved(tmp_path_factory.mktemp("v") / "a.avi", pictures), range(count))
    assert why == ""
    assert list(found) == list(range(count))
    for number, picture in enumerate(pictures):
        assert found[number].dtype == np.uint8
        assert np.array_equal(found[number], picture)


def test_only_the_frames_wanted_are_given_in_order(tmp_path):
    pictures = noise(9)
    found, why = read(saved(tmp_path / "a.avi", pictures), [7, 0, 3, 3])
    assert list(found) == [0, 3, 7] and why == ""
    assert all(np.array_equal(found[number], pictures[number]) for number in found)
    assert read(tmp_path / "a.avi", []) == ({}, "")
    assert videos.count(tmp_path / "a.avi") == (9, 9)


def test_a_video_is_written_whole_or_not_at_all(tmp_path):
    def failing():
        yield from noise(3)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        videos.write(tmp_path / "a.avi", failing())
    with pytest.raises(ValueError, match=r"a frame of \(9, 9\) in a video of \(48, 64\)"):
        videos.write(tmp_path / "a.avi", [*noise(2), *noise(1, (9, 9))])
    assert list(tmp_path.iterdir()) == []


def test_the_same_frames_give_the_same_bytes(tmp_path):
    one, other = (saved(tmp_path / name, noise(3)) for name in ("a.avi", "b.avi"))
    assert one.read_bytes() == other.read_bytes()


# --- what others write -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "form", "name", "off"),
    [
        ("libx264", "yuv420p", "a.mp4", 1),  # 16..235: black is 0 again, and white 255
        ("libx264", "yuvj420p", "a.mp4", 1),  # all values
        ("mjpeg", "yuvj420p", "a.avi", 2),
        ("mpeg4", "yuv420p", "a.avi", 3),
        ("rawvideo", "gray", "a.avi", 0),
        ("rawvideo", "bgr24", "a.avi", 0),
        ("rawvideo", "yuyv422", "a.avi", 3),
        ("rawvideo", "nv12", "a.mkv", 1),
        ("libx264rgb", "rgb24", "a.mp4", 1),
    ],
)
def test_grey_comes_out_of_any_pixel_form_over_all_values(tmp_path, codec, form, name, off):
    found, why = read(encoded(tmp_path / name, codec, form, [RAMP] * 3), range(3))
    assert why == "" and list(found) == [0, 1, 2]
    assert found[2].shape == RAMP.shape
    assert np.abs(found[2].astype(int) - RAMP).max() <= off


def test_colours_become_the_grey_that_they_have_in_an_image(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with av.open(str(tmp_path / "a.avi"), "w") as video:
        stream = video.add_stream("rawvideo", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr24"
        video.mux(stream.encode(av.VideoFrame.from_ndarray(colours, format="rgb24")))
        video.mux(stream.encode())
    found, _ = read(tmp_path / "a.avi", [0])
    assert np.array_equal(found[0], np.asarray(Image.fromarray(colours).convert("L")))


def test_frames_that_are_shown_in_another_order_than_stored_are_numbered_as_shown(tmp_path):
    pictures = [np.full((64, 64), 5 * number, np.uint8) for number in range(40)]
    path = encoded(tmp_path / "a.mp4", "libx264", "yuv420p", pictures)  # with B-frames
    found, _ = read(path, range(40))
    assert [round(grey.mean() / 5) for grey in found.values()] == list(range(40))


def test_more_than_eight_bits_are_refused_as_in_images(tmp_path):
    path = encoded(tmp_path / "a.avi", "ffv1", "gray16le", [RAMP])
    assert read(path) == ({}, "pixels of gray16le are not 8-bit grey or colour")


# --- what is broken --------------------------------------------------------------------------


def test_a_video_cut_off_gives_its_good_frames_and_says_where_it_ends(tmp_path):
    pictures = noise(30)
    path = cut(saved(tmp_path / "a.avi", pictures))
    found, why = read(path)
    assert 10 < len(found) < 16
    assert why == f"the video breaks off after frame {len(found) - 1}"
    assert all(np.array_equal(found[number], pictures[number]) for number in found)
    assert videos.count(path) == (len(found), 30)


@pytest.mark.parametrize(
    ("codec", "form", "name"),
    [
        ("libx264", "yuv420p", "a.mp4"),
        ("mpeg4", "yuv420p", "a.avi"),
        ("mjpeg", "yuvj420p", "a.avi"),
        ("rawvideo", "gray", "a.avi"),
    ],
)
def test_no_frame_of_a_cut_video_is_half_of_one(tmp_path, codec, form, name):
    path = encoded(tmp_path / name, codec, form, noise(30), faststart=name.endswith("mp4"))
    whole, _ = read(path, range(30))
    found, why = read(cut(path, 0.7))
    assert 0 < len(found) < 30
    assert why == f"the video breaks off after frame {len(found) - 1}"
    assert all(np.array_equal(found[number], whole[number]) for number in found)
    assert videos.count(path)[0] >= len(found)


def test_damage_inside_ends_a_video_since_the_numbers_behind_it_are_not_sure(tmp_path):
    pictures = noise(30)
    path = saved(tmp_path / "a.avi", pictures)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    found, why = read(path, range(30))
    assert why == f"the video breaks off after frame {len(found) - 1}"
    assert all(np.array_equal(found[number], pictures[number]) for number in found)


def test_a_frame_behind_the_end_is_said_to_be_there(tmp_path):
    found, why = read(saved(tmp_path / "a.avi", noise(3)), [1, 5])
    assert list(found) == [1] and why == "the video ends after frame 2"


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{}/good.avi\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no video", "not a video file"),
        (b"", "not a video file"),
        (PLAYLIST, "not a video file"),  # it would name other files
        ("ffconcat version 1.0\nfile '{}/good.avi'\n", "not a video file"),
        (None, "no such file"),
    ],
)
def test_what_is_no_video_says_so_without_its_path(tmp_path, content, said):
    saved(tmp_path / "good.avi", noise(3))
    path = tmp_path / "a.avi"
    if content is not None:
        path.write_bytes(
            content if isinstance(content, bytes) else content.replace("{}", str(tmp_path)).encode()
        )
    found, why = read(path)
    assert found == {} and said in why and "a.avi" not in why
    with pytest.raises(UnreadableImage, match=said):
        videos.count(path)


def test_an_mp4_cut_off_before_its_index_gives_nothing_and_says_so(tmp_path):
    path = cut(encoded(tmp_path / "a.mp4", "libx264", "yuv420p", noise(20)))
    assert read(path) == ({}, "not a video file, or one cut off before its index")


def test_a_title_in_any_coding_is_no_obstacle(tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as video:
        video.metadata["title"] = "Herr Mxller"
        stream = video.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for picture in noise(3):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuvj420p")
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    data = path.read_bytes()
    assert data.count(b"Mxller") == 1
    path.write_bytes(data.replace(b"Mxller", "Müller".encode("latin-1")))
    assert len(read(path, range(3))[0]) == 3


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    assert read(tmp_path / "a.avi")[1] == "no video in it that can be decoded"


# --- rows of a table -------------------------------------------------------------------------


def test_a_broken_video_serves_each_row_that_it_can(tmp_path):
    pictures = noise(30)
    path = cut(saved(tmp_path / "a.avi", pictures))
    held, _ = videos.count(path)
    found = list(decoding.greys(str(path), [0, 2, 2, held, held + 5, held + 5]))
    for grey, number in zip(found[:3], (0, 2, 2), strict=True):
        assert np.array_equal(grey, pictures[number])
    assert found[3:] == [f"the video breaks off after frame {held - 1}"] * 3


def test_a_suffix_tells_a_video():
    assert all(videos.is_video(f"/a/b{suffix}") for suffix in (".mp4", ".AVI", ".mov", ".mkv"))
    assert not any(videos.is_video(f"/a.mp4/b{suffix}") for suffix in (".png", "", ".mp4.jpg"))
