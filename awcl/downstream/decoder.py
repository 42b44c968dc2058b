"""A decoder over the feature maps of a trained encoder: U-Net, or DPT over a plain ViT.

The decoders are those of segmentation-models-pytorch. Its encoders are not used: they name some
weights otherwise than timm does, so trained weights would be left out without a word. The maps come
from the very model that the encoder holds, so there are no weights to carry over.
"""

import math

import torch
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from awcl.encoder import Encoder
from awcl.errors import InputError

FINEST_FIRST = (16, 16, 32, 64, 128)  # channels of a U-Net's blocks, by the halvings below them
DPT_WIDTHS, DPT_FUSION = (64, 128, 256, 256), 64  # a quarter of the library's: maps are small here


def feature_maps(encoder: Encoder, x: Tensor) -> list[Tensor]:
    """Maps (B, C, h, w) from fine to coarse; x: (B, 1, H, W) uint8, or float in 0..1.

    One map for each halving of the image, or, of a plain ViT, those of four of its blocks. The last
    map is what the encoder pools into h. Raises InputError for a backbone that shows no maps.
    """
    if not hasattr(encoder.model, "forward_intermediates"):
        raise InputError(
            f"model.backbone {encoder.backbone!r} shows no feature maps (timm's "
            "forward_intermediates); choose another for segmentation"
        )
    try:
        final, maps = encoder.model.forward_intermediates(encoder.normalised(x), norm=True)
    except AssertionError:  # as timm refuses
        final, maps = None, []
    if not isinstance(final, Tensor):
        raise InputError(
            f"model.backbone {encoder.backbone!r} shows its feature maps in a form that no decoder "
            "here reads; choose another for segmentation"
        )
    if final.ndim == 4 and final.shape[2:] == maps[-1].shape[2:]:
        maps[-1] = final  # some backbones have a convolution after their last stage
    if _all_of_one_size(maps):
        return [maps[len(maps) * quarter // 4 - 1] for quarter in (1, 2, 3, 4)]
    return list({level_map.shape[2:]: level_map for level_map in maps}.values())


class Decoder(nn.Module):
    """(B, classes, size, size) logits from an encoder's maps of images (B, 1, size, size).

    Made for the channels of one encoder; it holds none of its weights.
    """

    def __init__(self, encoder: Encoder, classes: int, size: int):
        super().__init__()
        self.size = size
        maps = _probe(encoder, size)
        self.plain = _all_of_one_size(maps)
        if self.plain:
            self.decoder = DPTDecoder(
                [level_map.shape[1] for level_map in maps],
                (16,) * 4,
                encoder_has_prefix_tokens=False,
                readout="ignore",
                intermediate_channels=DPT_WIDTHS,
                fusion_channels=DPT_FUSION,
            )
            self.head = nn.Conv2d(DPT_FUSION, classes, 3, padding=1)
        else:
            channels = [level_map.shape[1] for level_map in self._pyramid(maps)]
            depth = len(channels) - 1
            widths = [FINEST_FIRST[min(level, 4)] for level in range(depth)][::-1]
            self.decoder = UnetDecoder(channels, widths, n_blocks=depth)
            self.head = nn.Conv2d(FINEST_FIRST[0], classes, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        if not self.plain:
            return self.head(self.decoder(self._pyramid(maps)))
        # DPT halves its grid and doubles it again, which only an even grid survives.
        even = [side + side % 2 for side in maps[0].shape[2:]]
        grids = [_resized(grid, even) for grid in maps]
        return _resized(self.head(self.decoder(grids, [None] * 4)), [self.size] * 2)

    def _pyramid(self, maps: list[Tensor]) -> list[Tensor]:
        """A map for each halving from none on; where the encoder has none, one of 0 channels."""
        found = {round(math.log2(self.size / level_map.shape[2])): level_map for level_map in maps}
        sides = [math.ceil(self.size / 2**level) for level in range(max(found) + 1)]
        return [
            found[level] if level in found else maps[0].new_zeros(len(maps[0]), 0, side, side)
            for level, side in enumerate(sides)
        ]


def _resized(grid: Tensor, shape: list[int]) -> Tensor:
    return nn.functional.interpolate(grid, shape, mode="bilinear", align_corners=False)


def _all_of_one_size(maps: list[Tensor]) -> bool:
    return len({level_map.shape[2:] for level_map in maps}) == 1


@torch.no_grad()
def _probe(encoder: Encoder, size: int) -> list[Tensor]:
    """The maps of one black image, for their shapes; the encoder is left as it was."""
    was_training = encoder.training
    encoder.eval()
    device = next(encoder.parameters()).device
    maps = feature_maps(encoder, torch.zeros(1, 1, size, size, device=device))
    encoder.train(was_training)
    return maps
