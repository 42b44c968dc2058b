"""The encoder: names it refuses, weights in and out, features that change nothing."""

import json

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from awcl.encoder import MEAN, STD, Encoder, features, fit
from awcl.errors import InputError

SIZE = 32
BACKBONES = {"test_resnet": {}, "test_vit": {"img_size": SIZE}}  # options that timm needs


@pytest.fixture(params=BACKBONES)
def encoder(request) -> Encoder:
    """With BatchNorm statistics and weights that no other encoder has."""
    torch.manual_seed(0)
    made = Encoder(request.param, SIZE)
    made(torch.rand(8, 1, SIZE, SIZE))
    return made.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (5, 1, SIZE, SIZE), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["resnet81", "ressnet18"])
def test_an_unknown_backbone_names_the_nearest(name):
    with pytest.raises(InputError, match=rf"model\.backbone '{name}': no .*nearest: .*resnet18"):
        Encoder(name, SIZE)


def test_a_backbone_like_nothing_is_refused_without_a_hint():
    with pytest.raises(InputError, match=r"no such timm model$"):
        Encoder("?!", SIZE)


def test_features_have_the_stated_width(encoder, images):
    assert encoder(images).shape == (5, encoder.width)


def test_uint8_and_its_255th_parts_are_the_same_input(encoder, images):
    assert torch.equal(encoder(images), encoder(images.float() / 255))


def test_building_an_encoder_leaves_it_training_and_its_statistics_untouched():
    made = Encoder("test_resnet", SIZE)
    assert all(module.training for module in made.modules())
    tracked = [t for name, t in made.state_dict().items() if name.endswith("num_batches_tracked")]
    assert tracked
    assert not any(tracked)


def test_a_loaded_encoder_gives_equal_outputs(encoder, images, tmp_path):
    encoder.save(tmp_path / "e.safetensors")
    loaded = Encoder.load(tmp_path / "e.safetensors").eval()
    assert (loaded.backbone, loaded.size) == (encoder.backbone, SIZE)
    assert torch.equal(loaded(images), encoder(images))


def test_equal_weights_give_equal_bytes(encoder, tmp_path):
    """A checkpoint's digest, which evaluations are kept under, is that of its weights."""
    written = []
    for number in range(6):
        encoder.save(tmp_path / f"{number}.safetensors")
        written.append((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(set(written)) == 1


def test_timm_alone_reads_the_weights_and_gives_equal_features(encoder, images, tmp_path):
    file = tmp_path / "e.safetensors"
    encoder.save(file)
    options = BACKBONES[encoder.backbone]
    model = timm.create_model(
        encoder.backbone, in_chans=1, num_classes=0, checkpoint_path=str(file), **options
    ).eval()
    assert torch.equal(model((images / 255 - MEAN) / STD), encoder(images))


def test_restoring_puts_weights_into_the_same_parameters(encoder, images, tmp_path):
    encoder.save(tmp_path / "e.safetensors")
    other = Encoder(encoder.backbone, SIZE).eval()
    before = [id(p) for p in other.parameters()]
    assert not torch.equal(other(images), encoder(images))
    other.restore(tmp_path / "e.safetensors")
    assert torch.equal(other(images), encoder(images))
    assert [id(p) for p in other.parameters()] == before


def test_weights_of_another_backbone_are_refused_with_both_names(tmp_path):
    Encoder("test_vit", SIZE).save(tmp_path / "e.safetensors")
    with pytest.raises(InputError, match="weights of test_vit, not of test_resnet"):
        Encoder("test_resnet", SIZE).restore(tmp_path / "e.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("conv1.0.weight"), "'conv1.0.weight' is missing"),
        (lambda w: w.update(more=torch.zeros(1)), "'more' is unexpected"),
        (lambda w: w.update({"bn1.bias": torch.zeros(3)}), r"'bn1.bias' is \(3,\), not \(32,\)"),
    ],
)
def test_the_first_weight_that_does_not_fit_is_named(tmp_path, change, said):
    model = Encoder("test_resnet", SIZE).model
    weights = dict(model.state_dict())
    change(weights)
    with pytest.raises(InputError, match=f"here: {said}"):
        fit(model, weights, "here")


def test_other_means_are_kept_with_the_weights(images, tmp_path):
    made = Encoder("test_resnet", SIZE, 0.5, 0.5).eval()
    made.save(tmp_path / "e.safetensors")
    loaded = Encoder.load(tmp_path / "e.safetensors").eval()
    assert (loaded.mean, loaded.std) == (0.5, 0.5)
    assert torch.equal(loaded(images), made(images))
    assert torch.equal(made(images), made.model(images / 255 * 2 - 1))


def spoil(file, how: str) -> str:
    """Replaces an encoder's file; returns what must be said."""
    about = {"format": "awcl-encoder-1", "backbone": "test_vit", "size": SIZE}
    match how:
        case "words":
            file.write_text("weights")
        case "pickle":
            torch.save({"model": torch.zeros(3)}, file)
        case "truncated":
            file.write_bytes(file.read_bytes()[:-100])
        case "empty":
            file.write_bytes(b"")
        case "absent":
            file.unlink()
        case "of another program":
            save_file(load_file(file), file)
            return "no encoder of this program"
        case "without its backbone":
            save_file(load_file(file), file, {"awcl": '{"format": "awcl-encoder-1"}'})
            return "no encoder of this program"
        case "misnamed":
            save_file(load_file(file), file, {"awcl": json.dumps(about)})
            return "weights do not fit test_vit"
    return "not a safetensors file"


@pytest.mark.parametrize(
    "how",
    [
        "words",
        "pickle",
        "truncated",
        "empty",
        "absent",
        "of another program",
        "without its backbone",
        "misnamed",
    ],
)
def test_a_file_that_is_no_encoder_is_refused(tmp_path, how):
    file = tmp_path / "e.safetensors"
    Encoder("test_resnet", SIZE).save(file)
    said = spoil(file, how)
    with pytest.raises(InputError, match=rf"e\.safetensors: {said}"):
        Encoder.load(file)


@pytest.mark.parametrize("training", [True, False])
def test_features_leave_statistics_and_training_flag_untouched(tiny_pack, training):
    encoder = Encoder("test_resnet", SIZE).train(training)
    before = {name: t.clone() for name, t in encoder.state_dict().items()}
    first = features(encoder, tiny_pack, np.arange(10))
    assert all(module.training == training for module in encoder.modules())
    for name, t in encoder.state_dict().items():
        assert torch.equal(t, before[name]), name
    assert np.array_equal(first, features(encoder, tiny_pack, np.arange(10)))


def test_features_of_a_frame_do_not_depend_on_its_batch(tiny_pack):
    encoder = Encoder("test_resnet", SIZE)
    rows = np.array([5, 0, 17, 3, 5])
    together = features(encoder, tiny_pack, rows)
    assert together.shape == (5, encoder.width)
    assert together.dtype == np.float32
    in_twos = features(encoder, tiny_pack, rows, batch=2)
    np.testing.assert_allclose(in_twos, together, rtol=1e-4, atol=1e-5)
    encoder.eval()
    for row, found in zip(rows, together, strict=True):
        view = torch.from_numpy(tiny_pack.evaluation_view(row).copy())[None, None]
        alone = encoder(view).detach().numpy()[0]
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("backbone", "size"), [("inception_v3", 32), ("halonet26t", 96)])
def test_a_backbone_that_needs_other_images_is_told_with_their_size(backbone, size):
    with pytest.raises(InputError, match=f"{backbone} does not take images of {size} px"):
        Encoder(backbone, size)
