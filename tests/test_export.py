"""Encoders for other programs: timm reads the weights, onnxruntime gives the same features."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from safetensors import safe_open

from awcl import export
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.export import to_onnx, to_safetensors
from awcl.weights import find_encoder


def trained(backbone: str, size: int, **means: float) -> Encoder:
    """With BatchNorm statistics that no untrained encoder has."""
    torch.manual_seed(0)
    encoder = Encoder(backbone, size, **means)
    with torch.no_grad():
        encoder(torch.rand(4, 1, size, size))
    return encoder


@pytest.mark.parametrize(
    ("backbone", "size"),
    [("resnet18", 64), ("vit_tiny_patch16_224", 224), ("mobilenetv4_conv_small", 64)],
)
def test_timm_loads_what_is_exported_and_gives_equal_features(tmp_path, backbone, size):
    encoder, out = trained(backbone, size), tmp_path / "e.safetensors"
    told = to_safetensors(encoder, out)
    model = timm.create_model(backbone, in_chans=1, num_classes=0, checkpoint_path=str(out))
    x = torch.rand(2, 1, size, size)
    with torch.no_grad():
        theirs = model.eval()((x - 0.449) / 0.226)
        assert torch.equal(theirs, encoder.eval()(x))
    assert "float32, whole frames padded to a square, (grey / 255 - 0.449) / 0.226" in told[1]


def test_the_line_that_is_told_loads_it_also_at_another_size_and_with_other_means(tmp_path):
    encoder, out = trained("test_vit", 32, mean=0.5, std=0.5), tmp_path / "e.safetensors"
    line, feed, _ = to_safetensors(encoder, out)
    model = eval(line, {"timm": timm}).eval()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(model((x - 0.5) / 0.5), encoder.eval()(x))
    assert feed.endswith("(grey / 255 - 0.5) / 0.5")
    with safe_open(out, framework="pt") as file:
        about = json.loads(file.metadata()["awcl"])
    assert about["mean"] == 0.5 and about["size"] == 32
    again, _ = find_encoder(str(out), "resnet18", 64)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), encoder(x)), "and so does this program"


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
def test_onnx_gives_the_same_features_for_any_number_of_images(tmp_path, backbone):
    encoder, out = trained(backbone, 32).train(), tmp_path / "e.onnx"
    before = {name: t.clone() for name, t in encoder.state_dict().items()}
    told = to_onnx(encoder, out)
    assert encoder.training
    assert all(t.equal(before[name]) for name, t in encoder.state_dict().items())
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    for number in (1, 5):
        grey = torch.randint(0, 256, (number, 1, 32, 32), dtype=torch.uint8)
        (theirs,) = session.run(["features"], {"image": (grey.float() / 255).numpy()})
        with torch.no_grad():
            ours = encoder.eval()(grey).numpy()
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4)
    about = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert json.loads(about["awcl"])["about"] == told[:2]
    assert "grey / 255, so from 0 to 1" in told[0]
    assert list(tmp_path.iterdir()) == [out]


def test_a_graph_that_gives_other_features_is_not_put_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1)
    with pytest.raises(InputError, match="test_resnet: its ONNX graph gives other features"):
        to_onnx(trained("test_resnet", 32), tmp_path / "e.onnx")
    assert list(tmp_path.iterdir()) == []
