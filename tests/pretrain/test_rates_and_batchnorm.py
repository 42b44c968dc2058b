"""What changes with the batch and the number of workers: the rate, and what BatchNorm sees."""

import math
from datetime import timedelta

import pytest
import timm
import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import nn

from awcl.config import RunConfig, TrialConfig, with_values
from awcl.data.pack import FramePack
from awcl.errors import InputError
from awcl.files import read_json, write_json
from awcl.pretrain.loop import Session, learning_rate, synchronised
from awcl.pretrain.methods import canonical
from awcl.taxonomy import Taxonomy

RUN = RunConfig(device="cpu", threads=1)


def config(**values) -> TrialConfig:
    small = {"model.backbone": "test_resnet", "data.size": 32, "pretrain.precision": "float32"}
    given = {f"pretrain.{name}": value for name, value in values.items()}
    return with_values(TrialConfig(), {**small, **given}, "test")


@pytest.mark.parametrize(
    ("rule", "batch", "expected"),
    [
        ("none", 1024, 0.3),
        ("linear", 1024, 0.3 * 4),
        ("linear", 64, 0.3 / 4),
        ("sqrt", 1024, 0.3 * 2),
        ("sqrt", 512, 0.3 * math.sqrt(2)),
        ("linear", 256, 0.3),
    ],
)
@pytest.mark.parametrize("workers", [1, 4])
def test_the_rate_follows_the_batch_over_all_workers_by_the_rule(rule, batch, expected, workers):
    of = config(lr=0.3, lr_rule=rule, batch=batch, workers=workers, warmup=2).pretrain
    assert of.rate == pytest.approx(expected)
    assert learning_rate(of, 10, 20) == pytest.approx(expected), "the first step after the warm-up"
    assert learning_rate(of, 10, 0) == pytest.approx(expected / 20)


def test_without_a_rule_the_rate_is_that_number_to_the_bit():
    assert config(lr=1e-3, batch=48).pretrain.rate == 1e-3


def test_what_is_the_same_training_is_the_same_trial():
    assert canonical(config(sync_batchnorm=True)) == canonical(config())
    assert canonical(config(batch=256, lr_rule="linear")) == canonical(config(batch=256))
    kept = canonical(config(workers=2, sync_batchnorm=True, lr_rule="sqrt")).pretrain
    assert kept.sync_batchnorm and kept.lr_rule == "sqrt"


class Small(nn.Module):
    """Both kinds of BatchNorm that timm's networks have."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.norm_act = nn.Conv2d(4, 4, 3), BatchNormAct2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm_act(self.second(self.norm(self.first(x))))


@pytest.mark.parametrize("make", [Small, lambda: timm.create_model("test_resnet", in_chans=1)])
def test_a_synchronised_network_is_the_same_one(make):
    """In evaluation, where nothing is exchanged; by names, by values, activations included."""
    torch.manual_seed(0)
    net, x = make(), torch.randn(4, 1, 32, 32)
    net(x)  # statistics of its own
    expected = net.eval()(x)
    names = list(net.state_dict())
    found = synchronised(net, torch.device("cuda"))
    kinds = {type(module) for module in found.modules()}
    assert any(issubclass(kind, nn.SyncBatchNorm) for kind in kinds)
    assert not kinds & {nn.BatchNorm2d, BatchNormAct2d}
    assert list(found.state_dict()) == names
    assert torch.equal(found(x), expected)


def work(rank: int, pack: FramePack, folder: str) -> None:
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=2, timeout=timedelta(seconds=300)
    )
    found = {}
    of = config(workers=2, batch=8, lr=0.01, lr_rule="linear", warmup=0)
    session = Session(of, pack, Taxonomy.load(), RUN)
    batch = next(iter(session.feed.epoch(0)))
    session._step(batch.to(session.device), 0)
    found["rate"] = session.optimizer.param_groups[0]["lr"]
    found["views"] = batch.views.shape[0]
    try:
        of = with_values(of, {"pretrain.sync_batchnorm": True}, "test")
        Session(of, pack, Taxonomy.load(), RUN)
    except InputError as error:
        found["refused"] = str(error)
    write_json(f"{folder}/{rank}.json", found)
    dist.destroy_process_group()


def test_two_workers_step_at_the_rate_of_their_batch_and_synchronise_on_cards_only(
    tiny_pack, tmp_path
):
    torch.multiprocessing.spawn(work, (tiny_pack, str(tmp_path)), nprocs=2)
    for rank in range(2):
        found = read_json(tmp_path / f"{rank}.json")
        assert found["views"] == 4, "a share of the 8 frames, and not 8 for each"
        assert found["rate"] == pytest.approx(0.01 * 8 / 256)
        assert found["refused"].startswith("pretrain.sync_batchnorm runs on cards only")
