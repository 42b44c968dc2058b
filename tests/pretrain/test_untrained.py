"""Untrained trials, and trials that start from weights: what is stored of them, what names them."""

import pytest
import torch

from awcl import checkpoints, complete, warm
from awcl.config import RunConfig, TrialConfig, flat, shown, with_values
from awcl.downstream.pretrained import Pretrained
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.pretrain.loop import initial_encoder, pretrain
from awcl.pretrain.methods import canonical
from awcl.pretrain.reporter import FolderReporter
from awcl.pretrain.trial import about, trial_key
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
RUN = RunConfig(device="cpu", threads=1)
SMALL = {
    "model.backbone": "test_resnet", "data.size": 32, "pretrain.batch": 8, "pretrain.epochs": 1,
    "pretrain.precision": "float32",
}  # fmt: skip


@pytest.fixture(autouse=True)
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def config(**values) -> TrialConfig:
    given = {name.replace("__", "."): value for name, value in values.items()}
    return canonical(with_values(TrialConfig(), {**SMALL, **given}, "test"))


class Width:
    """An evaluator that tells how often it was asked."""

    asked = 0

    def run(self, encoder):
        self.asked += 1
        yield "val/proxy", float(encoder.width)


def run(of, pack, folder, evaluator=None, weights=None):
    reporter = FolderReporter(folder, about(of, pack))
    return pretrain(of, pack, TAXONOMY, reporter, [evaluator or Width()], RUN, weights)


def same(first: Encoder, second: Encoder) -> bool:
    ours, theirs = first.model.state_dict(), second.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def unmoved(trained: Encoder, start: Encoder) -> bool:
    """Whether its weights are where they began; what was 0 is so but for the learning rate."""
    pairs = zip(trained.parameters(), start.parameters(), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=1e-20) for a, b in pairs)


def test_an_untrained_trial_is_one_checkpoint_of_epoch_0_and_one_row(tiny_pack, tmp_path):
    of = config(pretrain__epochs=0)
    [row] = run(of, tiny_pack, tmp_path)
    assert row["epoch"] == 0 and row["val/proxy"] > 0 and "loss" not in row
    checkpoint = checkpoints.newest(tmp_path)
    assert checkpoint.name == "epoch_0000" and complete.why_not(checkpoint) is None
    assert same(Encoder.load(checkpoint / checkpoints.ENCODER), initial_encoder(of))


def test_running_it_again_does_nothing(tiny_pack, tmp_path):
    of, evaluator = config(pretrain__epochs=0), Width()
    first = run(of, tiny_pack, tmp_path, evaluator)
    digest = checkpoints.digest(tmp_path / "epoch_0000")
    assert run(of, tiny_pack, tmp_path, evaluator) == first and evaluator.asked == 1
    assert checkpoints.digest(tmp_path / "epoch_0000") == digest


def test_it_is_the_very_start_of_the_trained_one_of_its_seed(tiny_pack, tmp_path):
    """With a learning rate of nothing to speak of, training ends where it began."""
    still = config(pretrain__lr=1e-30, pretrain__optimizer="sgd", pretrain__weight_decay=0, seed=4)
    run(still, tiny_pack, tmp_path / "still")
    run(config(pretrain__epochs=0, seed=4), tiny_pack, tmp_path / "none")
    trained, untrained = (
        Encoder.load(checkpoints.newest(tmp_path / name) / checkpoints.ENCODER)
        for name in ("still", "none")
    )
    assert unmoved(trained, untrained)
    assert not same(initial_encoder(config(seed=3)), untrained)


def test_an_untrained_trial_reads_backbone_start_size_home_and_seed_alone():
    one = config(pretrain__epochs=0, seed=2)
    other = {
        "pretrain.method": "supervised", "pretrain.lr": 0.5, "pretrain.batch": 4,
        "pretrain.workers": 2, "pretrain.temperature": 0.7, "anatomy.ratio": 0.0,
        "anatomy.granularity": "coarse", "data.recipe": "paper", "data.sampler": "partners",
        "model.projection": 8,
    }  # fmt: skip
    unread = {n.replace(".", "__"): v for n, v in other.items() if n != "anatomy.ratio"}
    assert config(pretrain__epochs=0, seed=2, **unread) == one
    told = shown(one)
    assert all(told[name] == "-" for name in other if name != "model.projection")
    assert (told["pretrain.epochs"], told["seed"], told["data.size"]) == (0, 2, 32)
    for name, value in {
        "model.backbone": "resnet18", "model.init": "weights:0123456789ab", "data.size": 64,
        "seed": 3, "data.pretrain_where": {"machine": "A"},
    }.items():  # fmt: skip
        changed = config(**{"pretrain__epochs": 0, "seed": 2, name.replace(".", "__"): value})
        assert trial_key(changed, "pack", "t") != trial_key(one, "pack", "t")
        assert flat(changed)[name] != flat(one)[name]


def test_a_trial_starts_from_the_weights_that_its_key_names(tiny_pack, tmp_path):
    torch.manual_seed(9)
    given = Encoder("test_resnet", 32, mean=0.3, std=0.2)
    given.save(tmp_path / "given.safetensors")
    kept = tmp_path / "weights"
    name = warm.keep(str(tmp_path / "given.safetensors"), "test_resnet", 32, kept)
    untrained = config(model__init=name, pretrain__epochs=0)
    run(untrained, tiny_pack, tmp_path / "none", weights=kept)
    stored = Encoder.load(tmp_path / "none" / "epoch_0000" / checkpoints.ENCODER)
    assert same(stored, given) and (stored.mean, stored.std) == (0.3, 0.2)

    still = config(model__init=name, pretrain__lr=1e-30, pretrain__optimizer="sgd")
    run(still, tiny_pack, tmp_path / "still", weights=kept)
    trained = Encoder.load(tmp_path / "still" / "epoch_0001" / checkpoints.ENCODER)
    assert unmoved(trained, given) and trained.mean == 0.3
    assert name in about(still, tiny_pack)["config"]["model"]["init"]
    assert str(tmp_path) not in str(about(still, tiny_pack))
    with pytest.raises(InputError, match="another run is in this folder"):
        run(config(pretrain__lr=1e-30), tiny_pack, tmp_path / "still")


def test_what_tasks_are_told_of_the_labels_that_were_used():
    assert Pretrained.of(config()).anatomy.ratio == 1
    imagenet = {"model__init": "imagenet:0123456789ab"}
    assert Pretrained.of(config(**imagenet)).anatomy.ratio == 1
    for start in ({}, imagenet):
        untrained = Pretrained.of(config(pretrain__epochs=0, **start))
        assert untrained.elsewhere and untrained.anatomy.ratio == 0
    assert Pretrained.of(config(model__init="weights:0123456789ab")) is None
