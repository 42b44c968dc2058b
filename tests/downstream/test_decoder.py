"""The decoder stands above the very weights of the encoder, in five families of backbones."""

import pytest
import torch

from awcl.downstream.decoder import Decoder, feature_maps
from awcl.encoder import Encoder
from awcl.errors import InputError

SIZE = 64
FAMILIES = {  # with a weight from early in each
    "resnet18": "conv1.weight",
    "resnet50": "conv1.weight",
    "convnext_atto": "stages.0.blocks.0.conv_dw.weight",
    "mobilenetv4_conv_small": "blocks.0.0.conv.weight",
    "vit_tiny_patch16_224": "blocks.0.attn.qkv.weight",
}


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request) -> Encoder:
    torch.manual_seed(0)
    return Encoder(request.param, SIZE).eval()


def images(number: int = 2, size: int = SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (number, 1, size, size), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def pooled(encoder: Encoder, x: torch.Tensor) -> torch.Tensor:
    """What the encoder itself hands to its pooling on the way to h, as (B, C, h * w)."""
    seen = []
    of = encoder.model.forward_features

    def spy(x, **options):
        seen.append(of(x, **options))
        return seen[-1]

    encoder.model.forward_features = spy
    try:
        encoder(x)
    finally:
        del encoder.model.forward_features
    tokens = seen[0].ndim == 3
    return seen[0][:, encoder.model.num_prefix_tokens :].mT if tokens else seen[0].flatten(2)


@torch.no_grad()
def test_the_deepest_map_is_the_encoders_value_for_value(encoder):
    deepest = feature_maps(encoder, images())[-1]
    assert torch.equal(deepest.flatten(2), pooled(encoder, images()))
    assert deepest.std() > 0


@torch.no_grad()
def test_a_weight_of_the_encoder_changes_the_deepest_map_and_the_mask(encoder):
    decoder = Decoder(encoder, 3, SIZE).eval()
    before = feature_maps(encoder, images())
    logits = decoder(before)
    weight = encoder.model.get_parameter(FAMILIES[encoder.backbone])
    first = weight.flatten()[0].item()
    weight.flatten()[0] += 1.0
    after = feature_maps(encoder, images())
    assert not torch.equal(after[-1], before[-1])
    assert not torch.equal(decoder(after), logits)
    weight.flatten()[0] = first
    assert torch.equal(feature_maps(encoder, images())[-1], before[-1])


def test_every_map_reaches_the_mask_and_every_weight_can_be_fine_tuned(encoder):
    """Through skips too: the gradient of the logits comes to each map, and to the first weights."""
    encoder.requires_grad_(True)
    maps = feature_maps(encoder, images())
    for level in maps:
        level.retain_grad()
    Decoder(encoder, 3, SIZE).eval()(maps).square().sum().backward()
    assert all(level.grad.abs().sum() > 0 for level in maps)
    assert encoder.model.get_parameter(FAMILIES[encoder.backbone]).grad.abs().sum() > 0
    encoder.zero_grad()


def test_the_decoder_holds_no_weight_of_the_encoder(encoder):
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    training = encoder.train().training
    decoder = Decoder(encoder, 3, SIZE)
    assert encoder.training == training
    ours = {id(weight) for weight in encoder.parameters()}
    assert ours.isdisjoint(id(weight) for weight in decoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    encoder.eval()


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("test_resnet", 32),
        ("test_resnet", 50),  # halves to odd sides
        ("convnext_atto", 50),  # its first map is a quarter, rounded down
        ("test_vit", 48),  # a grid of 3, which DPT cannot halve
        ("efficientnet_b0", 32),  # a convolution after its last stage
        ("swin_tiny_patch4_window7_224", 64),  # channels last within
    ],
)
@torch.no_grad()
def test_logits_are_of_the_views_size_for_other_shapes_of_backbones(backbone, size):
    encoder = Encoder(backbone, size).eval()
    maps = feature_maps(encoder, images(size=size))
    assert Decoder(encoder, 4, size).eval()(maps).shape == (2, 4, size, size)
    if backbone != "swin_tiny_patch4_window7_224":
        assert torch.equal(maps[-1].flatten(2), pooled(encoder, images(size=size)))


@torch.no_grad()
def test_bytes_and_floats_of_one_image_give_the_same_maps(tiny_encoder):
    tiny_encoder.eval()
    x = images(size=32)
    torch.testing.assert_close(feature_maps(tiny_encoder, x), feature_maps(tiny_encoder, x / 255))
    tiny_encoder.train()


def test_a_backbone_whose_maps_no_decoder_reads_is_named():
    with pytest.raises(InputError, match="hiera_tiny_224' shows its feature maps in a form"):
        Decoder(Encoder("hiera_tiny_224", 224), 2, 224)


def test_a_backbone_without_maps_is_named():
    encoder = Encoder("test_resnet", 32)
    encoder.model = torch.nn.Conv2d(1, 1, 1)
    with pytest.raises(InputError, match=r"model\.backbone 'test_resnet' shows no feature maps"):
        Decoder(encoder, 2, 32)
