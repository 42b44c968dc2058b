"""The audit: what it finds on both sides of a split, what it calls a leak, what fixing moves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from awcl.data import audit as auditing
from awcl.data import sources, videos
from awcl.data.audit import audit
from awcl.data.table import FrameTable
from awcl.errors import InputError
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()


def picture(seed: int, smooth: int = 6) -> np.ndarray:
    """(96, 128) uint8 with structure at the scale that perceptual hashes see."""
    noise = np.random.default_rng(seed).integers(0, 256, (96, 128), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(smooth)), float)
    return ((blurred - blurred.min()) / np.ptp(blurred) * 255).astype(np.uint8)


def table(folder: Path, frames: list[tuple], check_splits: bool = False) -> FrameTable:
    """A table of (frame_id, patient, split, pixels[, anatomy[, scan]]); pixels None = no file."""
    rows = []
    for frame_id, patient, split, pixels, *more in frames:
        path = folder / f"{frame_id}.png"
        if pixels is not None:
            Image.fromarray(pixels).save(path)
        anatomy, scan = (*more, None, None)[:2]
        rows.append((frame_id, str(path), "s", patient, split, anatomy, scan))
    columns = ["frame_id", "path", "source", "patient", "split", "anatomy", "scan"]
    build = pd.DataFrame(rows, columns=columns)
    return FrameTable.build(build, TAXONOMY, "frames", check_splits=check_splits)


def fillers(count: int, splits=("train", "val", "test")) -> list[tuple]:
    """Frames of unconnected patients, so that a fix stays under 20 % of each split."""
    return [
        (f"filler{n}{split}", f"z{n}{split}", split, picture(1000 * (k + 1) + n), "femur")
        for k, split in enumerate(splits)
        for n in range(count)
    ]


def pairs_of(found: auditing.Audit, pairs: np.ndarray) -> set[frozenset]:
    names = found.table.frames["frame_id"]
    return {frozenset((names[a], names[b])) for a, b in pairs}


def test_a_clean_table_stays_as_it_is_but_for_its_groups(tmp_path):
    clean = table(tmp_path, fillers(3))
    found = audit(clean)
    assert not found.leaks
    fixed = found.fix().frames
    assert list(fixed["audit_group"]) == list(clean.frames["patient"])
    assert list(fixed["split"]) == list(clean.frames["split"])


def test_a_patient_and_a_scan_in_two_splits_are_leaks(tmp_path):
    frames = [
        ("a1", "a", "train", picture(1)),
        ("a2", "a", "test", picture(2)),
        ("b1", "b", "train", picture(3), None, "exam"),
        ("c1", "c", "test", picture(4), None, "exam"),
    ]
    found = audit(table(tmp_path, frames + fillers(12)))
    assert found.leaks
    assert (found.patients, found.scans) == (["a"], ["exam"])
    fixed = found.fix()
    assert list(fixed.frames["split"][:4]) == ["train"] * 4
    assert list(fixed.frames["audit_group"][:4]) == ["a", "a", "b", "b"]
    assert not audit(fixed).leaks


def test_identical_pixels_of_two_patients_are_found_in_any_file_form(tmp_path):
    frames = [("a", "p1", "train", picture(1)), ("b", "p2", "test", picture(1))]
    frames += [("c", "p3", "test", picture(2)), ("d", "p4", "test", picture(2))]
    leaky = table(tmp_path, frames + fillers(8))
    with Image.open(tmp_path / "b.png") as image:
        rgb = image.convert("RGB")
    rgb.save(tmp_path / "b.png", compress_level=0)
    found = audit(leaky)
    assert pairs_of(found, found.identical) == {frozenset("ab"), frozenset("cd")}
    assert not len(found.near)
    text = "\n".join(found.lines())
    assert "1 pairs of identical frames in two splits\n  a (train)  b (test)\n" in text
    assert "1 pairs of identical frames of two patients in one split (no leak)\n  c (test)" in text
    fixed = found.fix().frames.set_index("frame_id")
    assert list(fixed.loc[["a", "b", "c", "d"], "split"]) == ["train", "train", "test", "test"]
    assert list(fixed.loc[["a", "b", "c", "d"], "audit_group"]) == ["p1", "p1", "p3", "p3"]


def test_near_identical_frames_leak_and_what_only_hashes_alike_is_suspect(tmp_path, monkeypatch):
    brighter = np.clip(picture(1) * 0.9 + 9, 0, 255).astype(np.uint8)
    frames = [("a", "p1", "train", picture(1)), ("b", "p2", "test", brighter)]
    leaky = table(tmp_path, frames + fillers(8))
    found = audit(leaky)
    assert pairs_of(found, found.near) == {frozenset("ab")}
    assert found.leaks and not len(found.suspects)
    monkeypatch.setattr(auditing, "CORRELATION", 1.01)
    doubted = audit(leaky)
    assert pairs_of(doubted, doubted.suspects) == {frozenset("ab")}
    assert not doubted.leaks and not len(doubted.near)


def test_groups_are_connected_through_frames_of_any_split(tmp_path):
    frames = [
        ("a1", "p3", "train", picture(1)),
        ("b1", "p2", "train", picture(1)),  # as a1
        ("b2", "p2", "train", picture(2)),
        ("c1", "p1", "val", picture(2)),  # as b2
        ("c2", "p1", "val", picture(3)),
    ]
    fixed = audit(table(tmp_path, frames + fillers(12))).fix().frames
    assert set(fixed["split"][:5]) == {"train"}
    assert set(fixed["audit_group"][:5]) == {"p1"}


def test_unreadable_and_blank_frames_take_part_by_patient_only(tmp_path):
    blank = np.zeros((96, 128), np.uint8)
    frames = [
        ("gone", "p1", "train", None),
        ("cut", "p1", "train", picture(1)),
        ("black1", "p2", "train", blank),
        ("black2", "p3", "test", blank),
    ]
    broken = table(tmp_path, frames + fillers(2))
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    found = audit(broken)
    assert not found.leaks
    assert found.unreadable["gone"] == "no such file" and "cut" in found.unreadable
    assert found.flat == ["black1", "black2"]
    text = "\n".join(found.lines())
    assert "2 unreadable frames" in text and "  gone: no such file" in text
    assert str(tmp_path) not in text
    assert list(found.fix().frames["audit_group"][:2]) == ["p1", "p1"]


def test_moving_more_than_a_fifth_of_a_split_needs_force(tmp_path):
    frames = [("a", "p1", "train", picture(1)), ("b", "p2", "test", picture(1), "femur")]
    found = audit(table(tmp_path, frames + fillers(3)))  # 1 of 4 test frames
    with pytest.raises(
        InputError, match=r"would move 1 of the test frames \(25%\) to train.*--force does it"
    ):
        found.fix()
    forced = found.fix(force=True)
    assert not audit(forced).leaks
    assert list(forced.frames["split"][:2]) == ["train", "train"]


@pytest.mark.parametrize(("anatomy", "lost"), [("4CH", "heart"), ("other", "other")])
def test_taking_the_last_test_patient_of_a_class_needs_force(tmp_path, anatomy, lost):
    frames = [("a", "p1", "train", picture(1)), ("b", "p2", "test", picture(1), anatomy)]
    found = audit(table(tmp_path, frames + fillers(9)))
    with pytest.raises(InputError, match=f"would leave no test patient of {lost}; --force"):
        found.fix()
    assert not audit(found.fix(force=True)).leaks


def test_the_report_fits_the_screen_and_gives_both_sizes(tmp_path):
    long = "a-rather-long-frame-name-as-clinics-export-them-" * 3
    frames = [
        (f"{long}{n}{side}", f"p{n}{side}", split, picture(n))
        for n in range(12)
        for side, split in (("l", "train"), ("r", "test"))
    ]
    found = audit(table(tmp_path, frames + fillers(6)))
    lines = found.lines()
    assert max(map(len, lines)) <= 100
    assert "12 pairs of identical frames in two splits" in lines
    assert "  ... and 2 more" in lines
    sizes = {line[:20].strip(): line[20:].split() for line in lines[-5:-1]}
    assert sizes["frames, official"] == ["18", "6", "18"]
    assert sizes["frames, own"] == ["30", "6", "6"]
    assert sizes["patients, own"] == ["30", "6", "6"]
    assert lines[-1].endswith("0 val frames (0.0%), 12 test frames (66.7%)")


def test_the_number_of_workers_and_the_block_size_change_nothing(tmp_path, monkeypatch):
    frames = [("a", "p1", "train", picture(1)), ("b", "p2", "test", picture(1))]
    leaky = table(tmp_path, frames + fillers(8))
    one, two = audit(leaky, workers=1), audit(leaky, workers=2)
    monkeypatch.setattr(auditing, "BLOCK", 1)
    small = audit(leaky)
    assert one.lines() == two.lines() == small.lines()
    assert list(one.group) == list(two.group) == list(small.group)


def test_frames_of_videos_are_compared_like_images_and_each_video_read_once(tmp_path, monkeypatch):
    stills = table(tmp_path, [(n, n, "train", picture(k)) for k, n in enumerate("abcd")]).frames
    videos.write(tmp_path / "v.avi", [picture(7), picture(2), picture(0), picture(8)])
    (tmp_path / "no.avi").write_bytes(b"no video")
    films = pd.DataFrame(
        {
            "frame_id": ["v/3", "v/9", "v/2", "v/1", "no/1"],
            "path": [*[str(tmp_path / "v.avi")] * 4, str(tmp_path / "no.avi")],
            "index": [3, 9, 2, 1, 1],
            "source": "s",
            "patient": [*["v"] * 4, "no"],
            "split": "test",
        }
    )
    rows = pd.concat([films, stills], ignore_index=True)
    both = FrameTable.build(rows, TAXONOMY, "frames", check_splits=False)
    opened, open_file = [], videos.av.open
    monkeypatch.setattr(
        videos.av, "open", lambda path, **k: opened.append(path) or open_file(path, **k)
    )
    found = audit(both)
    assert sorted(opened) == [str(tmp_path / "no.avi"), str(tmp_path / "v.avi")]
    assert pairs_of(found, found.identical) == {frozenset(("v/2", "a")), frozenset(("v/1", "c"))}
    assert list(found.unreadable) == ["v/9", "no/1"]
    assert found.unreadable["v/9"] == "the video ends after frame 3"
    assert "not a video" in found.unreadable["no/1"]
    assert audit(both, workers=2).lines() == found.lines()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=25))
def test_groups_are_the_finest_partition_that_keeps_what_is_connected(names):
    """Against a slow loop that merges groups until nothing changes."""
    columns = [pd.Series([f"{kind}{row[k]}" for row in names]) for k, kind in enumerate("psh")]
    group = auditing._groups(columns[0], [auditing._same(c) for c in columns])
    slow = list(range(len(names)))
    for _ in names:
        for column in columns:
            for i in range(len(names)):
                for j in range(i):
                    if column[i] == column[j]:
                        slow = [
                            min(slow[i], slow[j]) if s in (slow[i], slow[j]) else s for s in slow
                        ]
    assert pd.Series(group).nunique() == len(set(slow))
    assert len(set(zip(group, slow, strict=True))) == len(set(slow))
    for name in set(group):
        assert name == min(columns[0][group == name])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 300), st.integers(0, 2**32))
def test_close_hashes_are_found_block_by_block_as_all_at_once(count, block, seed):
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 2**63, 3, dtype=np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (count, 3)).astype(np.uint64)
    phash = bases[rng.integers(0, 3, count)] ^ np.bitwise_xor.reduce(flips, axis=1)
    patient, sha = rng.integers(0, 5, count), rng.integers(0, 20, count).astype(str).astype(object)
    prints = auditing.Prints(sha, phash, np.zeros((count, 64, 64), np.uint8), {}, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "BLOCK", block)
        found = {tuple(p) for part in auditing._alike(prints, patient) for p in part}
    assert found == {
        (i, j)
        for j in range(count)
        for i in range(j)
        if (int(phash[i]) ^ int(phash[j])).bit_count() <= 4
        and patient[i] != patient[j]
        and sha[i] != sha[j]
    }


def test_a_duplicate_across_the_official_split_of_the_african_planes_is_found(tmp_path):
    lines = ["Patient_num,Plane,Train,Center,Filename"]
    for patient in range(1, 21):
        name = f"patient{patient:03d}_MWI_plane1"
        (tmp_path / "Malawi").mkdir(exist_ok=True)
        seed = 1 if patient == 20 else patient  # 20, a test patient, shows patient 1's image
        Image.fromarray(picture(seed)).save(tmp_path / "Malawi" / f"{name}.png")
        lines.append(f"{patient},Fetal brain,{int(patient <= 10)},Malawi,{name}")
    (tmp_path / "African_planes_database.csv").write_text("\r\n".join(lines))
    official, _ = sources.frames({"african_planes": tmp_path}, TAXONOMY)
    found = audit(official)
    names = {f"african_planes/Malawi/patient{n}_MWI_plane1" for n in ("001", "020")}
    assert pairs_of(found, found.identical) == {frozenset(names)}
    assert found.leaks
    fixed = found.fix(force=True)
    assert not audit(fixed).leaks
    assert set(fixed.frames["split"][fixed.frames["frame_id"].isin(names)]) == {"train"}


def test_a_picture_that_a_patient_shows_often_is_one_of_a_pair():
    """A recorder's "no signal": its frames with each other would be pairs without end."""
    sha = np.array(["a"] * 3000 + ["b"], object)
    patient = np.array([0] * 1500 + [1] * 1501)
    split = np.array([0] * 1500 + [1] * 750 + [2] * 751)
    found = auditing._identical(sha, patient, split)
    assert found.tolist() == [[0, 1500], [0, 2250]]


def test_the_real_african_planes_leak_and_can_be_fixed(real_data):
    official, _ = sources.frames({"african_planes": real_data / "african_planes"}, TAXONOMY)
    found = audit(official, workers=2)
    split = official.frames["split"].to_numpy(object)
    crossing = found.identical[split[found.identical[:, 0]] != split[found.identical[:, 1]]]
    in_test = {row for row in crossing.ravel() if split[row] == "test"}
    assert found.leaks and len(in_test) >= 20
    with pytest.raises(InputError, match="--force does it"):
        found.fix()
    fixed = found.fix(force=True)
    again = audit(fixed, workers=2)
    assert not again.leaks
    assert list(again.group) == list(found.group)


def test_the_real_heads_and_planes_are_clean(real_data):
    for name in ("fetal_planes_db", "hc18"):
        frames, _ = sources.frames({name: real_data / name}, TAXONOMY)
        assert not audit(frames, workers=2).leaks
