"""What pre-training starts from: found once, kept under its digest, and nothing else taken."""

import pytest
import timm
import torch

from awcl import hashing, warm
from awcl.config import ModelConfig
from awcl.encoder import Encoder
from awcl.errors import InputError, NotAtHandError

SIZE = 32


@pytest.fixture
def given(tmp_path):
    """A file of an encoder's weights, and the encoder."""
    torch.manual_seed(5)
    encoder = Encoder("test_resnet", SIZE, mean=0.3, std=0.2)
    encoder.save(tmp_path / "given.safetensors")
    return tmp_path / "given.safetensors", encoder


def model(init: str, backbone: str = "test_resnet") -> ModelConfig:
    return ModelConfig(backbone=backbone, init=init)


def test_weights_are_kept_under_their_digest_and_found_again(given, folder):
    file, encoder = given
    name = warm.keep(str(file), "test_resnet", SIZE, folder)
    assert name == f"weights:{hashing.of_file(file)[:12]}" and warm.is_known(name)
    file.unlink()
    assert warm.keep(name, "test_resnet", SIZE, folder) == name
    found = warm.start(model(name), SIZE, folder)
    assert (found.mean, found.std) == (0.3, 0.2)
    for key, tensor in encoder.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[key], tensor)


def test_the_same_weights_have_one_name_wherever_they_come_from(given, tmp_path):
    file, encoder = given
    run = tmp_path / "run"
    run.mkdir()
    copy = run / "other.safetensors"
    copy.write_bytes(file.read_bytes())
    names = {warm.keep(str(path), "test_resnet", SIZE, tmp_path / "kept") for path in (file, copy)}
    assert len(names) == 1 and len(list((tmp_path / "kept").iterdir())) == 1
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    encoder.save(copy)
    assert warm.keep(str(copy), "test_resnet", SIZE, tmp_path / "kept") not in names


def test_imagenet_says_so_in_its_name_and_is_not_at_hand_without_a_file(tmp_path, empty_hub):
    weights = tmp_path / "imagenet.pth"
    torch.save(timm.create_model("test_resnet", in_chans=3).state_dict(), weights)
    name = warm.keep("imagenet", "test_resnet", SIZE, tmp_path / "kept", imagenet=str(weights))
    assert name.startswith("imagenet:") and warm.saw_no_frames(name)
    assert warm.start(model(name), SIZE, tmp_path / "kept").size == SIZE
    with pytest.raises(NotAtHandError, match=r"are not in the cache; download model.safetensors"):
        warm.keep("imagenet", "resnet10t", SIZE, tmp_path / "kept")


def test_random_is_kept_nowhere_and_drawn_from_the_generator(tmp_path):
    assert warm.keep("random", "test_resnet", SIZE, tmp_path / "kept") == "random"
    assert not (tmp_path / "kept").exists()
    torch.manual_seed(1)
    first = warm.start(model("random"), SIZE, None)
    torch.manual_seed(1)
    again = Encoder("test_resnet", SIZE)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("backbone", "size", "said"),
    [
        ("resnet18", SIZE, "an encoder with model.backbone test_resnet, not resnet18"),
        ("test_resnet", 64, "an encoder with data.size 32, not 64"),
    ],
)
def test_weights_of_another_backbone_or_size_are_a_line(given, tmp_path, backbone, size, said):
    file, _ = given
    with pytest.raises(InputError) as caught:
        warm.keep(str(file), backbone, size, tmp_path / "kept")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "kept").exists()
    name = warm.keep(str(file), "test_resnet", SIZE, tmp_path / "kept")
    with pytest.raises(InputError, match=said):
        warm.start(model(name, backbone), size, tmp_path / "kept")


def test_kept_weights_that_changed_or_are_gone_are_refused(given, folder):
    file, encoder = given
    name = warm.keep(str(file), "test_resnet", SIZE, folder)
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    encoder.save(file)
    kept = warm.file_of(name, folder)
    kept.unlink()
    for ask in (
        lambda: warm.start(model(name), SIZE, folder),
        lambda: warm.keep(name, "test_resnet", SIZE, folder),
    ):
        with pytest.raises(InputError, match="is missing; restore it, or name the encoder again"):
            ask()
    if hasattr(kept, "put"):
        kept.put(file)
    else:
        kept.write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=r"is damaged \(sha256 differs\)"):
        warm.start(model(name), SIZE, folder)


def test_a_name_that_is_not_kept_yet_is_no_start(tmp_path):
    with pytest.raises(InputError, match=r"model.init imagenet: its weights are not kept yet"):
        warm.start(model("imagenet"), SIZE, tmp_path)
