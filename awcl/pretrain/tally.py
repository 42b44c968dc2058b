"""What the steps of an epoch gave so far, also over a restart in the middle of it."""

from typing import Any

import torch

from awcl.pretrain import machine


class Tally:
    """The values and times of an epoch's steps, on this worker.

    steps: of the whole epoch. done: so many of them are counted here. values: name -> (steps,) on
    the device, NaN for steps to come. views: that went through the network. seconds, of which
    waited for data.
    """

    def __init__(self, steps: int, device: torch.device):
        self.steps, self.device = steps, device
        self.done, self.views, self.seconds, self.waited = 0, 0, 0.0, 0.0
        self.values: dict[str, torch.Tensor] = {}

    def add(self, values: dict[str, torch.Tensor], views: int, waited: float) -> None:
        """One more step. values: scalars on the device, which nothing here waits for."""
        for name, value in values.items():
            if name not in self.values:
                self.values[name] = torch.full((self.steps,), torch.nan, device=self.device)
            self.values[name][self.done] = value
        self.done += 1
        self.views += views
        self.waited += waited

    def means(self) -> dict[str, float]:
        """Each value over steps and workers. Every worker must ask."""
        return {name: float(machine.of_all(v).double().mean()) for name, v in self.values.items()}

    def state_dict(self) -> dict[str, Any]:
        """For `load_state_dict` on any worker: values (workers, steps). Every worker must ask."""
        values = {name: machine.of_all(value).cpu() for name, value in self.values.items()}
        times = {"views": self.views, "seconds": self.seconds, "waited": self.waited}
        return {"done": self.done, "values": values, **times}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        rank = machine.place()[0]
        self.values = {name: v[rank].to(self.device) for name, v in state["values"].items()}
        self.done, self.views = state["done"], state["views"]
        self.seconds, self.waited = state["seconds"], state["waited"]
