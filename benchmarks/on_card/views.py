"""Views made by the card, the copy to it included, beside one core that makes them by OpenCV.

And what remains to one core: to draw them.
"""

import argparse
from collections.abc import Iterator

import torch

from awcl import hashing
from awcl.data.device_views import Draws, made, together
from awcl.data.pack import FramePack
from awcl.data.views import Views
from benchmarks.harness import Row, Run, rate, threads
from benchmarks.on_card.card import Parts, packed, raced


def rows(run: Run, device: torch.device, options: argparse.Namespace) -> Parts:
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
