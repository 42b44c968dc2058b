"""Masks in evaluation views: one list of classes, millimetres kept, wrong values refused."""

import numpy as np
import pytest

from awcl.data.pack import FramePack
from awcl.downstream.masks import IGNORED, MaskedFrames, check_classes, check_splits
from awcl.errors import InputError


@pytest.fixture
def pack(masked_pack) -> FramePack:
    """`masked_pack`, opened anew, so that its table may be changed."""
    return FramePack(masked_pack.folder)


def every(pack: FramePack) -> MaskedFrames:
    return MaskedFrames(pack, np.arange(len(pack)))


def test_a_mask_lies_over_its_view_and_padding_is_ignored(pack):
    masks = every(pack)
    images, truths = masks.images(np.arange(6)), masks.truths(np.arange(6))
    assert images.shape == (6, 1, 32, 32) and truths.shape == (6, 32, 32)
    for image, truth in zip(images[:, 0], truths, strict=True):
        assert (truth[:3] == IGNORED).all() and (truth[-4:] == IGNORED).all()
        assert (truth[4:-5] != IGNORED).all(), "64 x 48 px are 32 x 24 in the view"
        for value, grey in ((0, 75), (1, 235), (2, 155)):
            if (truth == value).any():
                assert np.median(image[truth == value]) == pytest.approx(grey, abs=8)


def test_classes_are_those_of_all_lists_and_values_follow_their_own(pack):
    frames = pack.frames
    as_packed = every(pack).truths(np.arange(6))
    frames.loc[frames.index[3:], "mask_classes"] = "abdomen; head"
    masks = every(pack)
    assert masks.classes == ["head", "body", "abdomen"]
    assert masks.lists() == {"abdomen; head": len(pack) - 3, "head;body": 3}
    truths = masks.truths(np.arange(6))
    np.testing.assert_array_equal(truths[:3], as_packed[:3])
    renamed = np.array([0, 3, 1, *range(3, 256)])[as_packed]
    np.testing.assert_array_equal(truths[3:], renamed[3:])


def test_what_a_mask_holds_is_read_from_its_pixels(pack):
    held = every(pack).held
    np.testing.assert_array_equal(held[:3], [[1, 0, 1], [1, 1, 1], [1, 1, 0]])


def test_millimetres_are_those_of_a_pixel_of_the_view(pack):
    """0.5 mm a pixel of the 64 px wide image is 1 mm a pixel of a view 32 px wide."""
    np.testing.assert_allclose(every(pack).pixel_mm(np.arange(5)), 1.0)
    pack.frames.loc[2, "pixel_mm"] = np.nan
    np.testing.assert_array_equal(np.isnan(every(pack).pixel_mm(np.arange(4))), [0, 0, 1, 0])


def test_frames_without_masks_take_no_part(pack):
    pack.frames.loc[pack.frames.index[::2], "mask_row"] = -1
    masks = every(pack)
    np.testing.assert_array_equal(masks.rows, np.arange(1, len(pack), 2))
    assert list(masks.frames["frame_id"]) == list(pack.frames["frame_id"].iloc[1::2])


def test_no_mask_at_all_is_one_clear_line(tiny_pack):
    with pytest.raises(InputError, match="none of the frames asked for has a mask") as error:
        every(tiny_pack)
    assert "\n" not in str(error.value)


def test_a_value_that_the_list_does_not_name_is_refused_with_its_frame(pack):
    pack.frames.loc[1, "mask_classes"] = "head"
    said = r"frame masked/p00_1: mask value 2, but mask_classes names 1 \(head\)"
    with pytest.raises(InputError, match=said):
        every(pack).truths(np.array([1]))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_masks_is_named(pack, split):
    pack.frames.loc[pack.frames["split"] == split, "mask_row"] = -1
    with pytest.raises(InputError, match=f"split '{split}' holds no frame with a mask"):
        check_splits(every(pack))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_whose_masks_show_nothing_is_named(pack, split):
    masks = every(pack)
    masks.held[masks.split(split), 1:] = False
    with pytest.raises(InputError, match=f"masks of split '{split}' show background alone"):
        check_splits(masks)


def test_a_class_that_only_test_holds_is_named(pack):
    pack.frames.loc[pack.frames["split"] == "test", "mask_classes"] = "head;femur"
    masks = every(pack)
    with pytest.raises(InputError, match="masks of split 'test' hold 'femur', no mask of train"):
        check_classes(masks, masks.split("train"), masks.split("test"))
