"""Small trials over a dozen frames, for tests of methods."""

import pandas as pd
import torch
from torch import Tensor, nn

from awcl.config import TrialConfig, with_values
from awcl.encoder import Encoder
from awcl.pretrain import method, methods
from awcl.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load()
ANATOMY = ["4CH", "4CH", "LVOT", "LVOT", "HCP", "HCP", "BG", None, "brain", "4CH", "4CH", "HCP"]


def config(**values) -> TrialConfig:
    """A small one; `pretrain__batch=4` sets pretrain.batch."""
    small = {"model.backbone": "test_resnet", "model.projection": 16, "data.size": 32}
    given = {name.replace("__", "."): value for name, value in values.items()}
    return with_values(TrialConfig(), {**small, "pretrain.batch": 6, **given}, "test")


def frames() -> pd.DataFrame:
    n = len(ANATOMY)
    return pd.DataFrame(
        {
            "frame_id": [f"s/{i}" for i in range(n)],
            "patient": [f"s/p{i // 2}" for i in range(n)],
            "scan": [f"s/e{i // 3}" for i in range(n)],
            "anatomy": pd.Series(ANATOMY, dtype=object),
        }
    )


def batch_of(numbers: list[int]) -> method.Batch:
    views = torch.zeros(len(numbers), 2, 1, 32, 32, dtype=torch.uint8)
    return method.Batch(views, torch.tensor(numbers))


def build(**values) -> method.Method:
    return methods.build(config(**values), frames(), TAXONOMY)


def stepped(made: method.Method, dtype: torch.dtype = torch.float64) -> method.Net:
    """The network of a method, which is ready for its first step then."""
    torch.manual_seed(1)
    encoder = Encoder(made.config.model.backbone, made.config.data.size)
    net = made.modules(encoder).to(dtype)
    made.to("cpu")
    return net


def random_batch(numbers: list[int], seed: int, dtype: torch.dtype = torch.float64) -> method.Batch:
    """Views of noise in 0..1, a function of the seed."""
    generator = torch.Generator().manual_seed(seed)
    views = torch.rand(len(numbers), 2, 1, 32, 32, dtype=torch.float64, generator=generator)
    return method.Batch(views.to(dtype), torch.tensor(numbers))


def optimize(made: method.Method, net: nn.Module, batch: method.Batch, lr: float = 0.005) -> Tensor:
    """One step as the loop makes it, of plain gradient descent; its loss."""
    loss, _ = made.loss(net(made.inputs(batch)), batch)
    net.zero_grad()
    loss.backward()
    with torch.no_grad():
        for weight in net.parameters():
            weight -= lr * weight.grad
    made.after_step()
    return loss.detach()
