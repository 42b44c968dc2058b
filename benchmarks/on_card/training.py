"""The loop as `awcl pretrain` runs it, two views a frame, beside the bare step.

Modes but eager are of this benchmark alone, which has its network compiled: `awcl pretrain` does
not compile.

The bare step is forward and backward of its network on random views that lie on the card. In
bfloat16, channels_last; eager, compiled, and compiled with CUDA graphs. Views by loader processes,
and by the card (--views device). Share of the peak: FLOPs of the bare step as torch counts them,
over its time and what the maker of the card says of dense bfloat16. An epoch has steps enough that
what fills the loader's queue at its start is a small part of it.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from awcl.config import RunConfig, TrialConfig, with_values
from awcl.data.pack import FramePack
from awcl.pretrain.loop import Session
from awcl.taxonomy import Taxonomy
from benchmarks.harness import Row, Run, rate, spread
from benchmarks.on_card.card import (
    Parts,
    card,
    failing,
    free,
    packed,
    peak_share,
    raced,
)
from benchmarks.rows.epoch import Silent

MODES: dict[str, str | None] = {
    "eager": None,
    "compiled": "default",
    "compiled, CUDA graphs": "reduce-overhead",
}
"""Modes of torch.compile."""
TIMM = {"resnet18": 3481.78, "resnet50": 1218.01}
"""Images/s of training on an RTX 3090: AMP, channels_last, 512 images of 224 px, PyTorch 1.12; from
timm's own results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv."""
TIMM_CARD = "RTX 3090"
COUNTED = 2  # frames whose FLOPs are counted; the rest is proportion
RECIPE = "ultrasound"


def rows(run: Run, device: torch.device, options: argparse.Namespace) -> Parts:
    pack = packed(run, options.size, options.batch * options.steps)
    for backbone in options.backbones:
        yield backbone, of_backbone(run, pack, backbone, device, options)


def of_backbone(
    run: Run, pack: FramePack, backbone: str, device: torch.device, options: argparse.Namespace
) -> Iterator[Row]:
    sessions = {
        views: session(pack, backbone, device, options, views) for views in ("cpu", "device")
    }
    flops = counted_flops(sessions["cpu"], COUNTED, options.size) // COUNTED * options.batch
    for mode in options.modes:
        rows = trained(run, sessions, mode, flops, options)
        yield from failing(f"{_name(sessions['cpu'], mode)}, views by", rows)
        for each in sessions.values():
            each.trained = each.net  # lets go of what was compiled, and of its graphs
        torch._dynamo.reset()
        free(device)


def session(
    pack: FramePack, backbone: str, device: torch.device, options: argparse.Namespace, views: str
) -> Session:
    """One that can train one epoch after another."""
    values = {
        "model.backbone": backbone,
        "data.size": options.size,
        "data.recipe": RECIPE,
        "pretrain.batch": options.batch,
        "pretrain.epochs": 1000,
    }
    config = with_values(TrialConfig(), values, "benchmarks.gpu")
    how = RunConfig(device=device.type, loader_workers=options.loader_workers, views=views)
    return Session(config, pack, Taxonomy.load(), how)


def trained(
    run: Run, sessions: dict[str, Session], mode: str, flops: int, options: argparse.Namespace
) -> Iterator[Row]:
    """Rows of one network in one mode. flops: of a bare step."""
    one = sessions["cpu"]
    for each in sessions.values():
        each.trained = in_mode(each.net, mode, one.device)
    steps, batch = one.batches.steps, options.batch
    step = bare_step(one, in_mode(one.net, mode, one.device), batch, options.size)
    contenders: dict[str, Callable[[], object]] = {
        views: lambda of=of: of.history.append(of.train_epoch(Silent()))
        for views, of in sessions.items()
    }
    contenders["bare"] = lambda: [step() for _ in range(steps)]
    found = raced(run, contenders, one.device, options.turns)
    images = 2 * batch * steps
    share = peak_share(one.device, flops * steps / found.median("bare"))
    bare = f"{rate(found.median('bare'), images, 'images')}, the bare step{share}"
    for views, who in (
        ("cpu", f"{options.loader_workers} loader processes"),
        ("device", "the card"),
    ):
        low, mid, high = sorted(found.ratio("bare", views))
        yield Row(
            f"{_name(one, mode)}, views by {who}", rate(found.median(views), images, "images"),
            bare, (mid, low, high), ">= 0.95", mid >= 0.95,
            why="views and what the step does beside its network",
            details={"seconds": found.seconds, "flops": flops, "images": images},
        )  # fmt: skip
    theirs = TIMM.get(one.config.model.backbone)
    if theirs and options.size == 224:
        same = TIMM_CARD in card(one.device)
        for name, what in (("bare", "the bare step"), ("device", "the loop")):
            ratios = [images / took / theirs for took in found.seconds[name]]
            yield Row(
                f"{_name(one, mode)}, {what}", rate(found.median(name), images, "images"),
                f"{theirs:,.0f} images/s, timm's figure of an {TIMM_CARD}, three channels, with "
                "optimizer", spread(ratios) if same else None,
            )  # fmt: skip


def _name(of: Session, mode: str) -> str:
    precision = "bfloat16" if of.bfloat16 else "float32"
    data, views = of.config.data, 2 * of.config.pretrain.batch
    backbone = of.config.model.backbone
    return f"training {backbone} at {data.size} px, {views} views, {precision}, {mode}"


def in_mode(net: nn.Module, mode: str, device: torch.device) -> nn.Module:
    if MODES[mode] is None:
        return net
    if device.type == "cpu":  # shows that it can be traced, and needs no compiler of C
        return torch.compile(net, backend="aot_eager")
    return torch.compile(net, mode=MODES[mode])


def bare_step(of: Session, net: nn.Module, batch: int, pixels: int) -> Callable[[], None]:
    """Forward and backward from the sum of z, on the session's device and in its precision."""
    shape = (2 * batch, 1, pixels, pixels)
    x = torch.randint(0, 256, shape, dtype=torch.uint8, device=of.device)
    x = x.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(of.device.type, torch.bfloat16, enabled=of.bfloat16):
            z = net(x)
        for parameter in net.parameters():
            parameter.grad = None
        z.sum().backward()

    return step


def counted_flops(of: Session, batch: int, pixels: int) -> int:
    """Of a bare step, by shapes: a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter:
        bare_step(of, of.net, batch, pixels)()
    return counter.get_total_flops()
