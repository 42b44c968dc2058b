"""Methods: found by name, and each loss that of its definition."""

import importlib
import sys

import numpy as np
import pytest
import torch
from small import ANATOMY, TAXONOMY, batch_of, build, config, frames
from torch.nn.functional import cross_entropy, normalize

from awcl.data.labels import usable_labels
from awcl.encoder import Encoder
from awcl.errors import InputError
from awcl.pretrain import methods
from awcl.pretrain.loss import group_loss
from awcl.pretrain.trial import trial_key

# --- groups ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positives", "granularity", "classes"),
    [
        ("self", "fine", range(12)),
        ("patient", "fine", [i // 2 for i in range(12)]),
        ("scan", "fine", [i // 3 for i in range(12)]),
        ("anatomy", "fine", [0, 0, 1, 1, 2, 2, 90, 91, 92, 0, 0, 2]),
        ("anatomy", "coarse", [0, 0, 0, 0, 2, 2, 90, 91, 2, 0, 0, 2]),
    ],
)
def test_the_loss_is_the_group_loss_over_the_groups_of_the_batchs_frames(
    positives, granularity, classes
):
    made = build(pretrain__positives=positives, anatomy__granularity=granularity)
    numbers = [9, 2, 11, 3, 8, 6, 0]
    outputs = 5 * torch.randn(14, 16)
    of_views = torch.tensor([classes[number] for number in numbers for _ in range(2)])
    expected = group_loss(normalize(outputs, dim=1), of_views[None], 0.1)
    found, _ = made.loss(outputs, batch_of(numbers))
    torch.testing.assert_close(found, expected)


def test_the_loss_reads_the_temperature():
    outputs, batch = torch.randn(8, 16), batch_of([0, 1, 2, 3])
    z, groups = normalize(outputs, dim=1), torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    found, _ = build(pretrain__temperature=0.5).loss(outputs, batch)
    torch.testing.assert_close(found, group_loss(z, groups, 0.5))


@pytest.mark.parametrize("fine_weight", [0.5, 0.8])
def test_hierarchical_is_the_weighted_mean_of_fine_and_coarse(fine_weight):
    outputs, batch = torch.randn(12, 16), batch_of([0, 2, 4, 8, 9, 6])
    fine, coarse = [
        build(pretrain__positives="anatomy", anatomy__granularity=level).loss(outputs, batch)[0]
        for level in ("fine", "coarse")
    ]
    both = build(pretrain__positives="hierarchical", anatomy__fine_weight=fine_weight)
    found, _ = both.loss(outputs, batch)
    torch.testing.assert_close(found, fine_weight * fine + (1 - fine_weight) * coarse)


@pytest.mark.parametrize(
    ("positives", "used"), [("self", 0), ("patient", 0), ("anatomy", 5), ("hierarchical", 6)]
)
def test_it_says_how_many_labels_it_uses(positives, used):
    """Half of 4, 2, 3 and 1 labels, rounded up within each class: 2 + 1 + 2 + 1."""
    assert build(pretrain__positives=positives, anatomy__ratio=0.5).labels_used == used


def test_the_sampler_is_uniform_unless_partners_are_asked_for():
    assert build(data__sampler="uniform").sampler().groups is None
    made = build(data__sampler="partners", pretrain__positives="patient")
    for row in made.sampler().epoch(0):
        assert sorted(number // 2 for number in row[::2]) == sorted(n // 2 for n in row[1::2])


def test_the_network_ends_in_the_projector_and_keeps_the_encoder_apart():
    net = build().modules(Encoder("test_resnet", 32))
    x = torch.randint(0, 255, (4, 1, 32, 32), dtype=torch.uint8)
    assert net(x).shape == (4, 16)
    linear = [m for m in net.head if isinstance(m, torch.nn.Linear)]
    width = net.encoder.width
    assert [(m.in_features, m.out_features) for m in linear] == [(width, width), (width, 16)]
    torch.testing.assert_close(net.eval()(x), net.head(net.encoder(x)))


# --- supervised ------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["fine", "coarse"])
@pytest.mark.parametrize("unit", ["frame", "patient"])
@pytest.mark.parametrize("ratio", [0.4, 1.0])
def test_supervised_has_the_labels_that_awcl_has_at_the_same_ratio(ratio, unit, granularity):
    values = {
        "anatomy__ratio": ratio,
        "anatomy__ratio_unit": unit,
        "anatomy__granularity": granularity,
    }
    supervised = build(pretrain__method="supervised", **values)
    usable = usable_labels(frames(), config(**values).anatomy, TAXONOMY, 0)
    for label, name, use in zip(supervised.labels, ANATOMY, usable, strict=True):
        known = TAXONOMY.at(name, granularity) if use else None
        assert label == (-1 if known is None else list(supervised.classes).index(known))
    awcl_ids = build(**values).groups()
    of_supervised = supervised.groups()
    for i in range(len(ANATOMY)):
        assert list(awcl_ids == awcl_ids[i]) == list(of_supervised == of_supervised[i])


def test_supervised_draws_only_labelled_frames_for_as_many_steps():
    made = build(pretrain__method="supervised", anatomy__ratio=0.5)
    labelled = set(np.flatnonzero(made.labels.numpy() >= 0).tolist())
    assert 0 < len(labelled) < 6
    epoch = made.sampler().epoch(3)
    assert set(epoch.ravel().tolist()) == labelled
    assert epoch.shape == build(anatomy__ratio=0.5).sampler().epoch(3).shape


def test_the_supervised_loss_is_cross_entropy_of_both_views():
    made = build(pretrain__method="supervised")
    assert list(made.classes) == ["4CH", "HCP", "LVOT"]
    outputs, labels = torch.randn(6, 3), torch.tensor([2, 2, 0, 0, 1, 1])
    found, more = made.loss(outputs, batch_of([2, 9, 5]))
    torch.testing.assert_close(found, cross_entropy(outputs, labels))
    right = (outputs.argmax(1) == labels).float().mean()
    assert float(more["train/accuracy"]) == float(right)


def test_supervised_has_an_output_a_class():
    net = build(pretrain__method="supervised").modules(Encoder("test_resnet", 32))
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_supervised_refuses_fewer_than_two_classes():
    one = frames().assign(anatomy=["4CH", *["BG"] * 11])
    with pytest.raises(InputError, match=r"supervised: 1 class with usable labels .* fine"):
        methods.build(config(pretrain__method="supervised"), one, TAXONOMY)


# --- finding a method ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "warmup", "refused"), [(1, 0, 0), (1, 1, 0), (1, 5, 1), (5, 4, 0), (5, 5, 1)]
)
def test_a_warm_up_that_is_all_of_a_training_is_refused(epochs, warmup, refused):
    settings = config(pretrain__epochs=epochs, pretrain__warmup=warmup)
    try:
        methods.build(settings, frames(), TAXONOMY)
        assert not refused
    except InputError as error:
        assert refused and f"warmup {warmup} leaves none of {epochs} epochs" in str(error)


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"pretrain\.method 'byol': choose one of groups, moco, "):
        build(pretrain__method="byol")


def test_a_new_file_in_methods_is_found(tmp_path, monkeypatch):
    code = (
        "from awcl.pretrain.methods.groups import Method as Groups\n\nclass Method(Groups): ...\n"
    )
    (tmp_path / "mine_from_a_test.py").write_text(code)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    made = build(pretrain__method="mine_from_a_test")
    assert type(made).__module__ == "awcl.pretrain.methods.mine_from_a_test"
    with pytest.raises(InputError, match=r"choose one of groups, .*, uscl, mine_from_a_test"):
        build(pretrain__method="byol")


WITH_SETTINGS = """
from awcl.config import Config
from awcl.pretrain.methods import groups

class Method(groups.Method):
    class Settings(Config):
        depth: int = 2
        "How deep it goes."
        {later}
"""


@pytest.fixture
def method_file(tmp_path, monkeypatch):
    """write(later): a method with settings in a file of its own, and nothing else."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])

    def write(later: str = "") -> None:
        name = "awcl.pretrain.methods.with_settings"
        sys.modules.pop(name, None)
        (tmp_path / "with_settings.py").write_text(WITH_SETTINGS.format(later=later))
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("awcl.pretrain.methods.with_settings", None)


def key_with_settings(**values) -> str:
    of = config(pretrain__method="with_settings", **values)
    return trial_key(of, "pack", "taxonomy")


def test_settings_of_a_new_file_reach_the_method_and_the_key(method_file):
    method_file()
    made = build(pretrain__method="with_settings", method__depth="3")
    assert made.settings.depth == made.config.method.depth == 3
    assert key_with_settings(method__depth=2) == key_with_settings()
    assert key_with_settings(method__depth=3) != key_with_settings()


def test_a_setting_that_is_added_later_changes_no_key(method_file):
    method_file()
    before = [key_with_settings(), key_with_settings(method__depth=3)]
    method_file(later="width: float = 0.5")
    assert build(pretrain__method="with_settings").settings.width == 0.5
    assert before == [key_with_settings(), key_with_settings(method__depth=3)]
    assert key_with_settings(method__width=0.6) not in before


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"pretrain__method": "moco", "method__qeue": 3},
            r"method\.qeue: no setting of pretrain\.method moco, which has method\.queue, meth",
        ),
        (
            {"method__queue": 3},
            r"method\.queue: no setting of pretrain\.method groups, which has none of its own",
        ),
        (
            {"pretrain__method": "moco", "method__queue": "many"},
            r"pretrain\.method moco: queue 'many': Input should be a valid integer",
        ),
    ],
)
def test_a_setting_that_the_method_does_not_have_is_refused_with_those_it_has(values, said):
    for of in (methods.canonical, lambda of: methods.build(of, frames(), TAXONOMY)):
        with pytest.raises(InputError, match=said):
            of(config(**values))


def test_a_batch_larger_than_the_frames_is_refused_by_each_method():
    for name in methods.names():
        with pytest.raises(InputError, match=r"pretrain\.batch 13 .* the 12 frames"):
            build(pretrain__method=name, pretrain__batch=13).sampler()
