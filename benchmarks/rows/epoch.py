"""One training epoch, resnet18 at 112 px, 64 frames a batch: beside the bare network, and peers.

Ours is the loop as `awcl pretrain` runs it, without evaluation: views from the pack, loss, norms,
optimizer, metrics. The limit is its network alone, on two random views a frame in the same
precision and memory format: forward, and backward from the sum of z, nothing else. The published
recipe reads PNG files and trains in float32, NCHW, three channels, a forward pass a view; lightly
trains its SimCLR on the same files by the example of its documentation, and in our precision and
memory format, of which the example says nothing. All on the same threads,
and all make their data in the training process: worker processes would take the cores from it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from awcl.config import RunConfig, TrialConfig, with_values
from awcl.data.pack import FramePack
from awcl.pretrain.loop import Session, initial_encoder
from awcl.taxonomy import Taxonomy
from benchmarks import material, published
from benchmarks.harness import Row, Run, has_peer, rate, spread, threads, without_peer

WHAT = "training, resnet18 at 112 px"
PRECISE = {True: "bfloat16", False: "float32"}


class Silent:
    """A reporter that stores nothing and is given no notice."""

    def notice(self) -> bool:
        return False


def measure(run: Run) -> Iterator[Row]:
    size, batch = run.size(112, 32), run.size(64, 4)
    # Three fifths of the frames are of split train (material.table): one step an epoch, so
    # that turns are short, and what else the host does meanwhile is done to both.
    paths = material.files(run.folder / "images", -(-batch // 12) * 20)
    pack = material.pack(paths, size, run.folder / "packs")
    session = session_of(pack, size, batch, "test_resnet" if run.smoke else "resnet18")
    steps = session.batches.steps
    trained = paths[: steps * batch]
    ours = {"ours": lambda: session.history.append(session.train_epoch(Silent()))}
    peers = {"published": by_published(trained, batch, size)}
    if has_peer("lightly"):
        peers["lightly"] = by_lightly(trained, batch, size, run.folder / "lightly")
        peers["lightly, bfloat16"] = by_lightly(
            trained, batch, size, run.folder / "lightly-bfloat16", bfloat16=session.bfloat16
        )
    with threads(session.threads):
        # More turns against the limit, which is within a twentieth, than against the peers.
        tight = run.race({**ours, "limit": bare(session, steps, batch, size)}, 31)
        wide = run.race({**ours, **peers}, 7)
    images = 2 * batch * steps  # views through the network
    ours_told = rate(tight.median("ours"), images, "images")
    limit = rate(tight.median("limit"), images, "images")
    how = PRECISE[session.bfloat16]
    low, mid, high = sorted(tight.ratio("limit", "ours"))
    yield Row(
        WHAT, ours_told, f"{limit}, the bare network in {how}, the limit",
        (mid, low, high), ">= 0.95 of its images/s", mid >= 0.95,
        why="what the step does beside its network, LOG.md", details={"seconds": tight.seconds},
    )  # fmt: skip
    waits = spread([epoch["data_wait"] for epoch in session.history[1:] or session.history])
    yield Row(
        f"{WHAT}: share of the time in which it waits for data", f"{waits[0]:.1%}", "", waits,
        "<= 2 %", waits[0] <= 0.02, why="the training process makes the views itself, LOG.md",
    )  # fmt: skip
    for name, who, aim in (
        ("published", "the published recipe, float32", 2),
        ("lightly", "lightly's SimCLR, float32", 1.5),
        ("lightly, bfloat16", f"lightly's SimCLR in {how}, channels_last", None),
    ):
        if name not in peers:
            yield without_peer(f"{WHAT}, against {name}", name.partition(",")[0])
            continue
        ratio = wide.ratio(name, "ours")
        ours_told, theirs = (rate(wide.median(of), images, "images") for of in ("ours", name))
        aims = (f">= {aim}x", ratio[0] >= aim) if aim else ("stated",)
        yield Row(WHAT, ours_told, f"{theirs}, {who}", ratio, *aims)


def session_of(pack: FramePack, size: int, batch: int, backbone: str) -> Session:
    """A session that can train one epoch after another."""
    values = {
        "model.backbone": backbone,
        "data.size": size,
        "pretrain.batch": batch,
        "pretrain.epochs": 1000,
    }
    config = with_values(TrialConfig(), values, "benchmarks")
    return Session(config, pack, Taxonomy.load(), RunConfig(device="cpu"))


def bare(session: Session, steps: int, batch: int, size: int) -> Callable[[], None]:
    """Forward and backward of the session's kind of network on random views."""
    net = session.method.modules(initial_encoder(session.config)).to(
        memory_format=torch.channels_last
    )
    x = torch.randint(0, 256, (2 * batch, 1, size, size), dtype=torch.uint8)
    x = x.contiguous(memory_format=torch.channels_last)

    def epoch() -> None:
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=session.bfloat16):
                z = net(x)
            for parameter in net.parameters():
                parameter.grad = None
            z.sum().backward()

    return epoch


def by_published(paths: list[Path], batch: int, size: int) -> Callable[[], None]:
    labels = [number % 4 if number % 4 < 3 else -1 for number in range(len(paths))]
    frames = published.Frames(paths, labels, size)
    loader = DataLoader(frames, batch_size=batch, shuffle=True, drop_last=True)
    model = published.Model()
    optimizer = published.optimizer(model)
    return lambda: published.train_epoch(model, optimizer, loader)


def by_lightly(
    paths: list[Path], batch: int, size: int, folder: Path, bfloat16: bool = False
) -> Callable[[], None]:
    """SimCLR by the example of lightly's documentation, on a folder with those files."""
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from torchvision import models

    folder.mkdir()
    for path in paths:
        (folder / path.name).symlink_to(path)
    backbone = nn.Sequential(*list(models.resnet18(weights=None).children())[:-1])
    head = SimCLRProjectionHead(512, 512, 128)
    model = nn.Sequential(backbone, nn.Flatten(), head)
    if bfloat16:
        model = model.to(memory_format=torch.channels_last)
    data = LightlyDataset(str(folder), transform=SimCLRTransform(input_size=size))
    loader = DataLoader(data, batch_size=batch, shuffle=True, drop_last=True)
    criterion = NTXentLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)

    def epoch() -> None:
        for (first, second), _, _ in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                z = [model(view) for view in (first, second)]
            loss = criterion(*(of.float() for of in z))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return epoch
