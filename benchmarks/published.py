"""The published AWCL code, restated: what it does to an image, and its training step.

From the authors' code (Fu et al. 2022): images are opened with PIL as RGB; two views of each by
torchvision (RandomResizedCrop with the default scale 0.08 to 1, HFlip, ColorJitter(.4, .4, .4, .1)
at 0.8, RandomGrayscale at 0.2, ImageNet normalisation); labelled frames get gamma and brightness
before. resnet18 on three channels, projector Linear-ReLU-Linear to 128, Adam at 1e-3 with weight
decay 1e-6, float32, NCHW, one forward pass a view, a loss with (N, N) masks at temperature 0.5.
Their input is 227 px; here it is as large as ours. What is kept for comparison's sake are their
operations, not their treatment of unlabelled frames, which costs nothing.
"""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Dataset
from torchvision import models, transforms
from torchvision.transforms import functional

TEMPERATURE, WIDTH = 0.5, 128


def opened(path: Path) -> Image.Image:
    """An image file as the published code reads it."""
    return Image.open(path).convert("RGB")


def augmented_label(image: Image.Image) -> Image.Image:
    """Gamma and brightness of a labelled frame, in 0.75 to 1.25 each."""
    image = functional.adjust_gamma(image, random.uniform(0.75, 1.25))
    return functional.adjust_brightness(image, random.uniform(0.75, 1.25))


def view(size: int) -> Callable[[Image.Image], Tensor]:
    """One view of an image: (3, size, size) float32."""
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(p=0.5),
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )


class Frames(Dataset):
    """Two views and the label (-1 = none) of each image, from its file."""

    def __init__(self, paths: list[Path], labels: list[int], size: int):
        self.paths, self.labels, self.view = paths, labels, view(size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, int]:
        image = opened(self.paths[item])
        if self.labels[item] >= 0:
            image = augmented_label(image)
        return self.view(image), self.view(image), self.labels[item]


class Model(nn.Module):
    """resnet18 on three channels and its projector; z on the unit sphere."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = models.resnet18(weights=None)
        width = self.backbone.fc.in_features
        self.backbone.fc = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        return normalize(self.backbone(x), dim=-1)


def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6)


def mask_loss(z: Tensor, labels: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """L_out of Khosla et al. 2020 (eq. 2) in the usual form, with masks over all pairs.

    z: (N, D) on the unit sphere; labels: (N,), views with equal labels are positives.
    """
    similarity = z @ z.T / temperature
    similarity = similarity - similarity.max(1, keepdim=True).values.detach()
    others = 1 - torch.eye(len(z), device=z.device)
    positives = (labels[:, None] == labels[None]).float() * others
    log_sum = (similarity.exp() * others).sum(1, keepdim=True).log()
    return -((positives * (similarity - log_sum)).sum(1) / positives.sum(1)).mean()


def train_epoch(model: Model, step: torch.optim.Optimizer, loader: torch.utils.data.DataLoader):
    """One epoch, as the published loop goes through it: a forward pass for each view."""
    model.train()
    for first, second, labels in loader:
        z = torch.cat([model(first), model(second)])
        alone = labels.max() + 1 + torch.arange(len(labels))  # an unlabelled frame is its own group
        groups = torch.where(labels < 0, alone, labels).repeat(2)
        loss = mask_loss(z, groups)
        step.zero_grad()
        loss.backward()
        step.step()
        loss.item()  # it is printed at every step
