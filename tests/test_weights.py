"""Which encoder a user names, and what is refused; weights that another program wrote."""

import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from awcl import checkpoints, complete, weights
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.weights import find_encoder, read_weights

SIZE = 32


def checkpoint(folder, seed: int) -> Encoder:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    encoder = Encoder("test_resnet", SIZE)
    encoder.save(folder / checkpoints.ENCODER)
    complete.mark(folder)
    return encoder


def same(first: Encoder, second: Encoder) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(t, theirs[name]) for name, t in first.state_dict().items())


def test_a_run_gives_its_newest_complete_checkpoint(tmp_path):
    older = checkpoint(tmp_path / "run" / "epoch_0002", 2)
    newer = checkpoint(tmp_path / "run" / "epoch_0010", 10)
    found, name = find_encoder(str(tmp_path / "run"), "test_resnet", SIZE)
    assert name == "run-epoch_0010"
    assert same(found, newer)
    (tmp_path / "run" / "epoch_0010" / complete.COMPLETE).unlink()
    with pytest.warns(UserWarning, match="epoch_0010 is set aside"):
        found, name = find_encoder(str(tmp_path / "run"), "test_resnet", SIZE)
    assert name == "run-epoch_0002"
    assert same(found, older)


def test_of_a_folder_with_several_runs_none_is_taken(tmp_path):
    checkpoint(tmp_path / "one" / "epoch_0002", 2)
    for launch in ("launch-1", "launch-2"):
        checkpoint(tmp_path / "trial" / "train" / launch / "epoch_0003", 3)
    assert find_encoder(str(tmp_path / "trial"), "test_resnet", SIZE)[1] == "trial-epoch_0003"
    with pytest.raises(InputError, match=f"holds 2 runs, {tmp_path / 'one'} among them; name one"):
        find_encoder(str(tmp_path), "test_resnet", SIZE)


def test_what_was_saved_within_an_epoch_is_no_run_of_its_own(tmp_path):
    """It lies beside the launches: a trial on a machine that was taken away."""
    train = tmp_path / "trial" / "train"
    checkpoint(train / "launch-1" / "epoch_0003", 3)
    checkpoint(train / "epoch_0003_step_00010", 3)
    assert find_encoder(str(tmp_path / "trial"), "test_resnet", SIZE)[1] == "trial-epoch_0003"


def test_a_checkpoint_or_its_file_may_be_named_itself(tmp_path):
    saved = checkpoint(tmp_path / "epoch_0002", 2)
    for what in (tmp_path / "epoch_0002", tmp_path / "epoch_0002" / checkpoints.ENCODER):
        found, name = find_encoder(str(what), "test_resnet", SIZE)
        assert name == f"{tmp_path.name}-epoch_0002"
        assert same(found, saved)


def test_random_is_the_same_untrained_encoder_each_time():
    first, name = find_encoder("random", "test_resnet", SIZE)
    torch.manual_seed(5)
    again, _ = find_encoder("random", "test_resnet", SIZE)
    assert name == "random"
    assert same(first, again)


def test_what_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(InputError, match="absent: no checkpoint, run folder or weights file"):
        find_encoder(str(tmp_path / "absent"), "test_resnet", SIZE)
    with pytest.raises(InputError, match="no complete checkpoint in this folder"):
        find_encoder(str(tmp_path), "test_resnet", SIZE)
    checkpoint(tmp_path / "epoch_0002", 2)
    (tmp_path / "epoch_0002" / complete.COMPLETE).unlink()
    with pytest.raises(InputError, match="epoch_0002: incomplete checkpoint: "):
        find_encoder(str(tmp_path / "epoch_0002"), "test_resnet", SIZE)


# --- weights that another program wrote ------------------------------------------------------


def foreign(backbone: str, channels: int = 3) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A timm model as it is trained on photographs, with its classifier, and its weights."""
    torch.manual_seed(0)
    model = timm.create_model(backbone, in_chans=channels, num_classes=10)
    with torch.no_grad():
        model(torch.rand(4, channels, 160, 160))  # BatchNorm has seen something
    return model.eval(), dict(model.state_dict())


def stored(how: str, weights: dict[str, torch.Tensor], folder) -> str:
    match how:
        case "safetensors":
            save_file(weights, folder / "w.safetensors")
            return str(folder / "w.safetensors")
        case "torch":
            torch.save(weights, folder / "w.pth")
        case "torch, wrapped":
            wrapped = {f"module.{name}": tensor for name, tensor in weights.items()}
            torch.save({"epoch": 3, "state_dict": wrapped}, folder / "w.pth")
        case "torch, of long ago":
            torch.save(weights, folder / "w.pth", _use_new_zipfile_serialization=False)
    return str(folder / "w.pth")


@pytest.mark.parametrize("how", ["safetensors", "torch", "torch, wrapped", "torch, of long ago"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
def test_weights_of_photographs_give_on_grey_what_they_give_on_three_equal_channels(
    tmp_path, backbone, how
):
    model, tensors = foreign(backbone)
    found, name = find_encoder(stored(how, tensors, tmp_path), backbone, 160)
    assert name == "w"
    grey = torch.rand(3, 1, 160, 160)
    with torch.no_grad():  # timm says of both that they were trained with mean and spread 0.5
        three = ((grey - 0.5) / 0.5).expand(-1, 3, -1, -1)
        expected = model.forward_head(model.forward_features(three), pre_logits=True)
        np.testing.assert_allclose(found.eval()(grey), expected, rtol=1e-3, atol=1e-4)


def test_weights_of_one_channel_are_taken_as_they_are(tmp_path):
    _, tensors = foreign("test_resnet", channels=1)
    found, _ = find_encoder(stored("safetensors", tensors, tmp_path), "test_resnet", SIZE)
    ours = found.model.state_dict()
    assert all(torch.equal(tensors[name], t) for name, t in ours.items())


def test_weights_for_images_of_one_size_are_fitted_to_another_by_timm(tmp_path):
    model, tensors = foreign("test_vit")
    found, _ = find_encoder(stored("safetensors", tensors, tmp_path), "test_vit", SIZE)
    model.set_input_size(img_size=SIZE)
    assert found.size == SIZE
    assert torch.equal(found.model.pos_embed, model.pos_embed)
    assert found(torch.rand(2, 1, SIZE, SIZE)).shape == (2, found.width)


@pytest.mark.parametrize(("size", "said"), [(224, None), (SIZE, "timm cannot change the size")])
def test_where_timm_cannot_change_the_size_its_own_is_taken(tmp_path, size, said):
    backbone = "convit_tiny"
    weights = dict(timm.create_model(backbone, in_chans=3, num_classes=10).state_dict())
    file = stored("torch", weights, tmp_path)
    if said:
        with pytest.raises(InputError, match=f"{backbone}: {said} of its weights; use 224"):
            find_encoder(file, backbone, size)
    else:
        assert find_encoder(file, backbone, size)[0].size == size


def test_an_encoder_from_foreign_weights_is_stored_and_read_as_any_other(tmp_path):
    _, tensors = foreign("test_resnet")
    found, _ = find_encoder(stored("torch", tensors, tmp_path), "test_resnet", SIZE)
    found.save(tmp_path / "own.safetensors")
    again, _ = find_encoder(str(tmp_path / "own.safetensors"), "resnet18", 64)
    assert same(found, again) and (again.backbone, again.size) == ("test_resnet", SIZE)
    assert (again.mean, again.std) == (found.mean, found.std) == (0.5, 0.5)


class Code:
    """What would run if it were read as pickle."""

    def __reduce__(self):
        return print, ("this code ran",)


@pytest.mark.parametrize("suffix", ["pth", "pt"])
@pytest.mark.parametrize(
    "writer", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))]
)
def test_pickled_code_is_refused_and_does_not_run(tmp_path, capsys, writer, suffix):
    file = tmp_path / f"w.{suffix}"
    writer({"state_dict": Code()}, file)
    with pytest.raises(InputError, match=rf"w\.{suffix}: .* holds pickled code, which is not run"):
        find_encoder(str(file), "test_resnet", SIZE)
    assert "ran" not in capsys.readouterr().out


def test_any_change_of_a_file_is_refused_or_read_but_never_a_trace_back(tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "w.pth"
    torch.save({"fc.weight": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    whole = bytearray(file.read_bytes())
    for content in [b"\x80", b"\x80\x02.", *(_changed(whole, rng) for _ in range(300))]:
        file.write_bytes(content)
        with suppress(InputError):
            read_weights(file)


def _changed(whole: bytearray, rng: np.random.Generator) -> bytes:
    content = bytearray(whole)
    for _ in range(3):
        content[rng.integers(len(content))] = rng.integers(256)
    return bytes(content)


def test_nothing_is_no_encoder(tmp_path, monkeypatch):
    """As `awcl export "$RUN"` has it where RUN is not set: not the folder that one is in."""
    with pytest.raises(InputError, match="an encoder without a name"):
        find_encoder("", "test_resnet", SIZE)


def test_files_that_are_cut_off_or_no_weights_are_refused(tmp_path):
    _, tensors = foreign("test_resnet")
    for how in ("safetensors", "torch", "torch, of long ago"):
        file = Path(stored(how, tensors, tmp_path))
        whole = file.read_bytes()
        for keep in (0, 5, len(whole) // 2, len(whole) - 10):
            file.write_bytes(whole[:keep])
            with pytest.raises(InputError, match=r"w\.(pth|safetensors): ") as error:
                find_encoder(str(file), "test_resnet", SIZE)
            assert "\n" not in str(error.value)
    for content in ([1, 2], {"epoch": 3}, {1: torch.zeros(3)}, torch.zeros(3)):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(InputError, match=r"w\.pth: holds no state_dict"):
            find_encoder(str(tmp_path / "w.pth"), "test_resnet", SIZE)


@pytest.mark.parametrize(
    ("of", "channels", "said"),
    [
        (
            "test_resnet",
            4,
            r"weights for images of 4 channels \('conv1.0.weight'\); those for 1 or 3",
        ),
        ("test_vit", 3, "weights do not fit test_resnet: 'conv1.0.weight' is missing"),
    ],
)
def test_weights_of_other_channels_or_of_another_backbone_are_refused(tmp_path, of, channels, said):
    _, tensors = foreign(of, channels)
    with pytest.raises(InputError, match=said):
        find_encoder(stored("safetensors", tensors, tmp_path), "test_resnet", SIZE)


def test_a_weight_too_many_is_refused_unless_it_is_of_the_classifier(tmp_path):
    _, tensors = foreign("test_resnet")
    assert "fc.weight" in tensors
    tensors["extra.weight"] = torch.zeros(3)
    with pytest.raises(InputError, match=r"not fit test_resnet: 'extra.weight' is unexp"):
        find_encoder(stored("safetensors", tensors, tmp_path), "test_resnet", SIZE)


# --- imagenet --------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of Hugging Face; hub(file) puts timm's weights of test_resnet there."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(file):
        repository = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
        (repository / "snapshots" / "abc").mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("abc")
        shutil.copy(file, repository / "snapshots" / "abc" / "model.safetensors")

    return put


def test_imagenet_is_what_timm_has_in_its_cache_or_the_file_given(tmp_path, hub):
    _, tensors = foreign("test_resnet")
    file = stored("safetensors", tensors, tmp_path)
    given, name = find_encoder("imagenet", "test_resnet", SIZE, imagenet=file)
    assert name == "imagenet"
    hub(file)
    found, name = find_encoder("imagenet", "test_resnet", SIZE)
    assert name == "imagenet" and same(given, found)
    assert torch.equal(found.model.state_dict()["bn1.bias"], load_file(file)["bn1.bias"])


def test_imagenet_without_weights_says_which_and_never_becomes_random(tmp_path, hub, monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", no_network)
    with pytest.raises(InputError) as error:
        find_encoder("imagenet", "resnet18", SIZE)
    for part in ("resnet18.a1_in1k", "model.safetensors", "huggingface.co/timm/resnet18.a1_in1k"):
        assert part in str(error.value)
    assert str(error.value).endswith("--imagenet-weights FILE")
    with pytest.raises(InputError, match=r"nowhere\.pth: No such file"):
        find_encoder("imagenet", "resnet18", SIZE, imagenet=str(tmp_path / "nowhere.pth"))


def test_imagenet_of_a_backbone_that_timm_never_trained_is_refused(hub, monkeypatch):
    config = timm.models.PretrainedCfg()
    monkeypatch.setattr(weights.timm, "get_pretrained_cfg", lambda name: config)
    with pytest.raises(InputError, match="timm has no weights of test_resnet"):
        find_encoder("imagenet", "test_resnet", SIZE)
