"""SupCon: labelled frames alone, the labels that AWCL has, and the loss of its paper."""

import numpy as np
import pandas as pd
import pytest
import torch
from small import ANATOMY, TAXONOMY, batch_of, build, config, frames
from torch.nn.functional import normalize

from awcl.config import AnatomyConfig
from awcl.data.labels import label_classes, usable_labels
from awcl.errors import InputError
from awcl.pretrain import methods
from awcl.pretrain.trial import trial_key


def drawn(**values) -> set[int]:
    """Frames of a few epochs."""
    made = build(pretrain__method="supcon", **values).sampler()
    return {int(frame) for epoch in range(3) for frame in made.epoch(epoch).ravel()}


def slow_supcon(z: torch.Tensor, labels: list[str], t: float) -> float:
    """L_out of Khosla et al. 2020, eq. 2, as it is written there."""
    total = 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        scores = {a: float(z[i] @ z[a]) / t for a in others}
        log_all = np.log(sum(np.exp(score) for score in scores.values()))
        positives = [p for p in others if labels[p] == labels[i]]
        total += -sum(scores[p] - log_all for p in positives) / len(positives)
    return total / len(z)


@pytest.mark.parametrize("granularity", ["fine", "coarse"])
def test_the_loss_is_that_of_the_paper(granularity):
    made = build(pretrain__method="supcon", anatomy__granularity=granularity)
    numbers = [9, 2, 11, 3, 0, 5]
    outputs = 5 * torch.randn(12, 16, dtype=torch.float64)
    labels = [TAXONOMY.at(ANATOMY[number], granularity) for number in numbers for _ in range(2)]
    found, _ = made.loss(outputs, batch_of(numbers))
    expected = slow_supcon(normalize(outputs, dim=1), labels, 0.1)
    assert float(found) == pytest.approx(expected, rel=1e-5)  # the loss is in float32


def test_only_frames_with_a_class_at_the_level_are_drawn_for_as_many_steps():
    assert drawn() == {0, 1, 2, 3, 4, 5, 9, 10, 11}
    assert drawn(anatomy__granularity="coarse") == {0, 1, 2, 3, 4, 5, 8, 9, 10, 11}
    one, other = (build(pretrain__method=name).sampler().epoch(0) for name in ("supcon", "groups"))
    assert one.shape == other.shape


def test_background_is_a_class_by_option():
    assert drawn(method__background=True) == drawn() | {6}
    made = build(pretrain__method="supcon", method__background=True)
    assert made.labels_used == build(pretrain__method="supcon").labels_used + 1 == 10
    two = frames().assign(anatomy=["BG", "other", *ANATOMY[2:]])
    made = methods.build(
        config(pretrain__method="supcon", method__background=True), two, TAXONOMY
    )  # fmt: skip
    ids = made.groups()
    assert ids[0] == ids[1] == ids[6] and (ids == ids[0]).sum() == 3


@pytest.mark.parametrize("unit", ["frame", "patient"])
@pytest.mark.parametrize("ratio", [0.3, 0.6, 1.0])
def test_its_labels_are_those_of_awcl_and_background_only_adds_some(ratio, unit):
    anatomy = AnatomyConfig(ratio=ratio, ratio_unit=unit)
    every = frames().assign(anatomy=["4CH", "BG", "LVOT", "BG", "HCP", "BG", "BG", *ANATOMY[7:]])
    usable = usable_labels(every, anatomy, TAXONOMY, 3)
    plain = label_classes(every, anatomy, TAXONOMY, 3)
    known = [TAXONOMY.at(name, "fine") for name in every["anatomy"]]
    expected = [name if use else None for name, use in zip(known, usable, strict=True)]
    assert [None if pd.isna(name) else name for name in plain] == expected
    more = label_classes(every, anatomy, TAXONOMY, 3, background=True)
    added = more[plain.isna() & more.notna()]
    assert (added == "background").all() and (every["anatomy"][added.index] == "BG").all()
    assert more[plain.notna()].equals(plain[plain.notna()])
    if unit == "frame":
        assert len(added) == np.ceil(ratio * 4)
    else:
        of_patients = every["patient"].isin(every["patient"][usable]) & (every["anatomy"] == "BG")
        assert set(added.index) == set(every.index[of_patients])


@pytest.mark.parametrize("name", ["supcon", "supervised"])
def test_without_a_label_or_with_one_class_there_is_nothing_to_learn(name):
    said = f"anatomy.ratio 0 leaves pretrain.method {name} no label to learn from"
    with pytest.raises(InputError, match=said):
        methods.canonical(config(pretrain__method=name, anatomy__ratio=0))
    one = frames().assign(anatomy=["4CH", *["BG"] * 11])
    with pytest.raises(InputError, match=f"pretrain.method {name}: 1 class with usable labels"):
        methods.build(config(pretrain__method=name), one, TAXONOMY)


def test_its_key_has_what_it_reads():
    def key(**values) -> str:
        return trial_key(config(pretrain__method="supcon", **values), "pack", "taxonomy")

    same = [key(), key(pretrain__positives="patient"), key(data__sampler="partners")]
    same.append(key(method__background=False))
    assert len(set(same)) == 1
    others = [key(method__background=True), key(anatomy__ratio=0.5), key(pretrain__temperature=0.5)]
    assert len({*same, *others}) == 4
