"""How fast on one card, and how near to its limit: `python -m benchmarks.gpu`.

    python -m benchmarks.gpu                     all of it, about half an hour: GPU.md and gpu.json
    python -m benchmarks.gpu --only loss         training, loss or views alone
    python -m benchmarks.gpu --smoke             tiny sizes, on a processor too; writes no results

Needs what the library itself imports (torch, torchvision, timm, albumentations, numpy, pandas and
their like, at the pins of requirements.txt), but neither ray nor mlflow. What a subject or backbone
gave is written as soon as it is there, into what the same card gave before, so that --only and
--backbones measure all of it bit by bit. Three subjects:

training  The loop as `awcl pretrain` runs it, two views a frame, beside the bare step: forward and
          backward of its network on random views that lie on the card. In bfloat16, channels_last;
          eager, compiled, and compiled with CUDA graphs. Views by loader processes, and by the card
          (--views device). Share of the peak: FLOPs of the bare step as torch counts them, over its
          time and what the maker of the card says of dense bfloat16. An epoch has steps enough that
          what fills the loader's queue at its start is a small part of it.
loss      Forward and backward at 4,096 to 262,144 views, time and memory; beside the form with
          masks where that fits, and with other sizes of chunk.
views     Made by the card, the copy to it included, beside one core that makes them by OpenCV; and
          what remains to one core: to draw them.
"""

import argparse
import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from awcl import hashing
from awcl.config import RunConfig, TrialConfig, with_values
from awcl.data.device_views import Draws, made, together
from awcl.data.pack import FramePack
from awcl.data.views import Views
from awcl.pretrain import loss as loss_module
from awcl.pretrain import machine
from awcl.pretrain.loop import Session
from awcl.pretrain.loss import group_loss
from awcl.taxonomy import Taxonomy
from benchmarks import material, published, results
from benchmarks.harness import Race, Row, Run, lasting, rate, scratch, size, spread, threads
from benchmarks.rows import loss as loss_rows
from benchmarks.rows.epoch import Silent

HERE = Path(__file__).parent
HEAD = """# Results on a card

Made by `python -m benchmarks.gpu`, which tells what each row measures. A ratio is the median over
turns in which both were measured, with the lowest and the highest turn: how many times as fast as
the other ours is. A figure of timm's is of another card, and has a ratio on that card only.

"""
MODES: dict[str, str | None] = {
    "eager": None,
    "compiled": "default",
    "compiled, CUDA graphs": "reduce-overhead",
}
"""Modes of torch.compile."""
PEAKS = {
    "B200": 2250, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312,
    "L40S": 362, "L4": 121, "A10": 125, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
"""TFLOP/s of dense bfloat16 with sums in float32, by NVIDIA's data sheets; first match counts."""
TIMM = {"resnet18": 3481.78, "resnet50": 1218.01}
"""Images/s of training on an RTX 3090: AMP, channels_last, 512 images of 224 px, PyTorch 1.12; from
timm's own results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv."""
TIMM_CARD = "RTX 3090"
COUNTED = 2  # frames whose FLOPs are counted; the rest is proportion
VIEWS = (4096, 16384, 65536, 262144)
CHUNKS = (2**26, 2**28, 2**30)
RECIPE = "ultrasound"


def main() -> None:
    options = _options()
    device = machine.device(options.device, 0)
    if device.type == "cpu" and not options.smoke:
        sys.exit("benchmarks.gpu: no CUDA device here; --smoke shows on a processor that all runs")
    print(card(device), flush=True)
    failed = False
    with scratch() as folder:
        for subject in options.only or SUBJECTS:
            run = Run(folder / subject, options.smoke)
            for part, rows in SUBJECTS[subject](run, device, options):
                found = []
                for row in rows:
                    print("  " + results.line(asdict(row), options.date), flush=True)
                    found.append(row)
                failed |= any(row.why.startswith("failed") for row in found)
                if options.out:
                    add(Path(options.out), device, options, f"{subject} {part}", found)
    if failed:
        sys.exit("benchmarks.gpu: some rows failed")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; writes only with --out")
    parser.add_argument("--only", action="append", metavar="SUBJECT", choices=SUBJECTS)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--backbones", nargs="+", metavar="NAME", help="resnet18 resnet50")
    parser.add_argument("--modes", nargs="+", metavar="MODE", choices=MODES, help=", ".join(MODES))
    parser.add_argument("--size", type=int, help="side of a view in pixels (224)")
    parser.add_argument("--batch", type=int, help="frames a step, two views of each (256)")
    parser.add_argument("--steps", type=int, help="of an epoch, which is a turn (100)")
    parser.add_argument("--loader-workers", type=int, help="all cores but one, at most 8")
    parser.add_argument("--turns", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--out", metavar="DIR", help="where GPU.md and gpu.json go (benchmarks)")
    options = parser.parse_args()
    smoke, cores = options.smoke, len(os.sched_getaffinity(0))
    options.backbones = options.backbones or (["test_resnet"] if smoke else list(TIMM))
    options.modes = options.modes or list(MODES)
    options.size = options.size or (32 if smoke else 224)
    options.batch = options.batch or (4 if smoke else 256)
    options.steps = options.steps or (2 if smoke else 100)
    if options.loader_workers is None:
        options.loader_workers = 0 if smoke else min(8, cores - 1)
    options.out = options.out or (None if smoke else HERE)
    options.date = time.strftime("%Y-%m-%d")
    return options


# --- training ------------------------------------------------------------------------------------


Parts = Iterator[tuple[str, Iterator[Row]]]
"""Of a subject: what each is called, and its rows."""


def training(run: Run, device: torch.device, options: argparse.Namespace) -> Parts:
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
        try:
            yield from trained(run, sessions, mode, flops, options)
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
            yield Row(_name(sessions["cpu"], mode), why=f"failed: {_first_line(error)}")
        for each in sessions.values():
            each.trained = each.net  # lets go of what was compiled, and of its graphs
        torch._dynamo.reset()
        free(device)


def packed(run: Run, pixels: int, train: int) -> FramePack:
    """At least so many frames to train on: a few drawn ones, each under many names."""
    drawn = material.files(run.folder / "images", run.size(8, 2))
    count = -(-train // 12) * 20  # three fifths are of split train (material.table)
    paths = [drawn[number % len(drawn)] for number in range(count)]
    return material.pack(paths, pixels, run.folder / "packs")


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
            why=f"waits for data {sessions[views].history[-1]['data_wait']:.0%} of the time",
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
    data = of.config.data
    return f"training {of.config.model.backbone} at {data.size} px, {precision}, {mode}"


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


# --- loss ----------------------------------------------------------------------------------------


def loss(run: Run, device: torch.device, options: argparse.Namespace) -> Parts:
    for views in (256, 512) if run.smoke else VIEWS:
        yield str(views), tried(run, device, views, options.turns)


def tried(run: Run, device: torch.device, views: int, turns: int) -> Iterator[Row]:
    try:
        yield from of_views(run, device, views, turns)
    except RuntimeError as error:  # out of memory, too
        yield Row(f"loss, {views:,} views", why=f"failed: {_first_line(error)}")
    free(device)


def of_views(run: Run, device: torch.device, views: int, turns: int) -> Iterator[Row]:
    z, groups = (part.to(device) for part in loss_rows.made(views))
    contenders: dict[str, Callable[[], object]] = {
        chunk_name(chunk): in_chunks(z, groups, chunk)
        for chunk in sorted({loss_module.CHUNK_BYTES, *CHUNKS})
    }
    ours = chunk_name(loss_module.CHUNK_BYTES)
    if loss_rows.MATRICES * 4 * views**2 < free_memory(device):
        contenders["mask form"] = loss_rows.step(z, lambda z: masked(z, groups))
    used = {name: peak_memory(device, work) for name, work in contenders.items()}
    found = raced(run, contenders, device, turns)
    for name in contenders:
        if name != ours:
            yield Row(
                f"loss, forward and backward, {views:,} views",
                f"{lasting(found.median(ours))}, {used[ours]}",
                f"{lasting(found.median(name))}, {used[name]}, {name}",
                found.ratio(name, ours),
                details={"seconds": found.seconds},
            )


def chunk_name(chunk: int) -> str:
    return f"ours in chunks of {size(chunk)}"


def in_chunks(z: Tensor, groups: Tensor, chunk: int) -> Callable[[], None]:
    """The loss, forward and backward, with this much of the similarities at a time."""
    step = loss_rows.step(z, lambda z: group_loss(z, groups[None], loss_rows.TEMPERATURE))

    def run() -> None:
        before, loss_module.CHUNK_BYTES = loss_module.CHUNK_BYTES, chunk
        try:
            step()
        finally:
            loss_module.CHUNK_BYTES = before

    return run


def masked(z: Tensor, groups: Tensor) -> Tensor:
    return published.mask_loss(z, groups, loss_rows.TEMPERATURE)


# --- views ---------------------------------------------------------------------------------------


def views(run: Run, device: torch.device, options: argparse.Namespace) -> Parts:
    pack = packed(run, options.size, options.batch)
    for recipe in ("paper", "ultrasound"):
        yield recipe, of_recipe(run, pack, recipe, device, options)


def of_recipe(
    run: Run, pack: FramePack, recipe: str, device: torch.device, options: argparse.Namespace
) -> Iterator[Row]:
    few = list(range(options.batch))
    names = hashing.uint64s(pack.frames["frame_id"]).tolist()
    maker = Views(recipe, options.size, seed=0)
    draws = Draws(Views(recipe, options.size, seed=0))
    batch = together(
        [pack.image(row) for row in few],
        [draws.of(names[row], 0, 0, 2, pack.boxes[row]) for row in few],
    )
    batch = batch.pin_memory() if device.type == "cuda" else batch
    with threads(1):
        found = raced(
            run,
            {
                "device": lambda: made(batch.to(device), options.size),
                "core": lambda: [
                    maker.of(names[row], 0).view(pack.content(row), view)
                    for row in few
                    for view in (0, 1)
                ],
                "draws": lambda: [draws.of(names[row], 0, 0, 2, pack.boxes[row]) for row in few],
            },
            device,
            options.turns,
        )
    told = {name: rate(found.median(name), 2 * len(few), "views") for name in found.seconds}
    what = f"views, recipe {recipe}, {options.size} px"
    core = f"{told['core']}, one core by OpenCV"
    yield Row(f"{what}: made by the card", told["device"], core, found.ratio("core", "device"))
    yield Row(f"{what}: drawn by a core", told["draws"], core, found.ratio("core", "draws"))


SUBJECTS: dict[str, Callable[[Run, torch.device, argparse.Namespace], Parts]] = {
    "training": training,
    "loss": loss,
    "views": views,
}


# --- the card ------------------------------------------------------------------------------------


def raced(
    run: Run, contenders: dict[str, Callable[[], object]], device: torch.device, turns: int
) -> Race:
    """`Run.race`, in which each contender is done when the device is."""

    def until_done(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            work()
            wait(device)

        return run

    return run.race({name: until_done(work) for name, work in contenders.items()}, turns)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free(device: torch.device) -> None:
    """Gives back what nothing holds any more, so that the next measurement begins alike."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def peak_memory(device: torch.device, work: Callable[[], object]) -> str:
    """Of the card, that the work takes beyond what is held; on a processor it is not counted.

    Once before that it is done without being looked at: libraries allocate what they keep.
    """
    work()
    if device.type != "cuda":
        return "memory not counted"
    wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    work()
    wait(device)
    return size(torch.cuda.max_memory_allocated(device) - held)


def card(device: torch.device) -> str:
    """Its name and memory."""
    if device.type != "cuda":
        return f"{results.machine()['processor']} (no card)"
    about = torch.cuda.get_device_properties(device)
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB"


def peak(name: str) -> float | None:
    """FLOP/s of dense bfloat16 of a card by its name; None where it is not in the list."""
    for known, tera in PEAKS.items():
        if re.search(rf"\b{known}\b", name):
            return tera * 1e12
    return None


def peak_share(device: torch.device, flops: float) -> str:
    """', 31 % of the card's peak', or nothing where that is not known. flops: a second."""
    most = peak(card(device))
    return "" if most is None else f", {flops / most:.0%} of the card's peak"


def _first_line(error: BaseException) -> str:
    return (
        f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error) else ''}"
    )


def add(
    folder: Path, device: torch.device, options: argparse.Namespace, part: str, rows: list[Row]
) -> None:
    """Puts the rows of a part in place of those that this card gave before, and writes GPU.md."""
    about = results.machine() | {"card": card(device), "cuda": torch.version.cuda}
    store = folder / "gpu.json"
    stored = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {"cards": {}}
    parts = stored["cards"].setdefault(about["card"], {})
    parts[part] = {
        "machine": about,
        "date": options.date,
        "options": vars(options) | {"out": str(folder)},
        "rows": [asdict(row) for row in rows],
    }
    store.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    (folder / "GPU.md").write_text(table(stored["cards"]), encoding="utf-8")


def table(cards: dict[str, dict[str, Any]]) -> str:
    """GPU.md: a table for each card, with a line for each of its machines or sets of versions."""
    lines = []
    for name, parts in cards.items():
        lines += [f"## {name}\n", *results.machines(parts), *results.COLUMNS]
        for found in parts.values():
            lines += [results.line(row, found["date"]) for row in found["rows"]]
        lines.append("")
    return HEAD + "\n".join(lines)


if __name__ == "__main__":
    main()
