"""The paper's claim as a table: every method on planes and across domains, three seeds.

    awcl study run paper                                 # on a phantom of 240 patients
    awcl study run paper --frames clean.parquet          # on any frames

What it shows: whether anatomy in the choice of positives makes an encoder that transfers better
than ImageNet's weights and than what contrastive learning does without it. The paper's headline is
cross-domain segmentation: +13.8 % over ImageNet, +7.1 % over the best contrastive method.

Twelve arms. Two are untrained: `random`, and `imagenet`, which is listed as not run where timm's
weights are neither in its cache nor given (`--imagenet-weights FILE`). `supervised` and `supcon`
have the labels that AWCL has, all of them. All others see the same frames for as many epochs, with
one schedule, sampler and augmentation; but `patient` draws partners, without which a batch holds
hardly two frames of a patient, and `uscl` frames of one scan, both as their papers do. On frames
without scans, such as the real ones, `uscl` is listed as not run.

Pre-training and the proxy are at home: not on the phantom's first trimester, nor its machine C, nor
HC18, whose images have one anatomy and are kept for segmentation. What a table of frames does not
have is no mistake there: a warning says so. Tasks, in quick form:

    planes               which anatomy, at home: macro-F1 of a ridge probe on frozen features
    cross_planes         the same on the unseen trimester and machine, or site: transfer and shift
    cross_segmentation   Dice of a decoder on the frozen encoder: on the unseen trimester and
                         machine, or on HC18; and in the domain (tables/trials.csv), so that
                         `segmentation` would tell no more

Few labels, and anatomies that pre-training never saw, are studies of their own, few_labels.py and
held_out.py, as each of their draws is a pre-training.

Batches are the paper's, of 32; the queue of the MoCo arms holds half the frames of an epoch. All
arms have temperature 0.1, as SimCLR; in their papers it is 0.07 (SupCon), 0.2 (MoCo v2) and 0.5
(AWCL, USCL): studies/temperature.py asks what it does. Nothing is stopped early.

Arms that read labels read the fine ones, but `awcl_coarse` and `awcl_hierarchical`. Where some
frames' labels are known at the coarse level only ("brain" of the African images), these two read
more labels than `supervised` does: studies/rivals.py has each at the same level as its rival.

Measured (2026-11-21, 2 cores of an AMD EPYC): 58 min 46 s. `supervised` is first in eight of nine
scores, at home clearly (macro-F1 0.688 [0.621, 0.744], SimCLR 0.533, forms of AWCL 0.537 to 0.583).
A decoder that was trained at home does clearly better in the first trimester on AWCL's fine and
coarse encoders than on SimCLR's (Dice 0.710, 0.713 against 0.687), not clearly on its hierarchical
ones (0.700), and more so on SupCon's (0.727).
RESULTS.md has every table, and the same on real images. `--smoke` tries four of the arms in a few
minutes.
"""

from awcl.config import DataConfig, ModelConfig, PretrainConfig, TrialConfig
from awcl.study.space import Phantom, Study

HOME = {"trimester": "!first", "machine": "!C", "source": "!hc18"}
PHANTOM = Phantom(scans=240, size=128, seconds=1.8)
BASE = TrialConfig(
    model=ModelConfig(backbone="resnet10t"),
    pretrain=PretrainConfig(epochs=12, batch=32),
    data=DataConfig(size=64, pretrain_where=HOME),
)
SETTING = {
    "phantom": PHANTOM,
    "base": BASE,
    "seeds": [0, 1, 2],
    "proxy_level": "coarse",
    "proxy_where": HOME,
    "tasks": [{"task": "planes", "where": HOME}, "cross_planes", "cross_segmentation"],
}
"""What its ablations have in common with it."""

ARMS = {
    "random": {"pretrain.epochs": 0},
    "imagenet": {"pretrain.epochs": 0, "model.init": "imagenet"},
    "supervised": {"pretrain.method": "supervised"},
    "simclr": {"pretrain.positives": "self"},
    "supcon": {"pretrain.method": "supcon"},
    "moco_v2": {"pretrain.method": "moco", "pretrain.positives": "self"},
    "moco_awcl": {"pretrain.method": "moco", "pretrain.positives": "anatomy"},
    "patient": {"pretrain.positives": "patient", "data.sampler": "partners"},
    "uscl": {"pretrain.method": "uscl"},
    "awcl_coarse": {"anatomy.granularity": "coarse"},
    "awcl_fine": {"anatomy.granularity": "fine"},
    "awcl_hierarchical": {"pretrain.positives": "hierarchical"},
}


def study() -> Study:
    return Study(name="paper", arms=ARMS, **SETTING)


if __name__ == "__main__":
    from awcl.__main__ import run_recipe

    run_recipe(__file__)
