"""Alignment, uniformity and effective rank against values that are known in closed form."""

import math

import pytest
import torch

from awcl.downstream.diagnostics import Diagnostics, alignment, effective_rank, uniformity

E = torch.eye(6, dtype=torch.float64)


def test_identical_views_are_aligned_and_opposite_ones_are_as_far_as_can_be():
    assert alignment(E, E) == 0
    assert alignment(E, -E) == 4
    assert alignment(E, E.roll(1, 0)) == 2  # orthogonal


@pytest.mark.parametrize(
    ("points", "value"),
    [
        (E, -4.0),  # every pair orthogonal: |x - y|^2 = 2
        (E[:1].repeat(5, 1), 0.0),  # one point
        (torch.stack([E[0], -E[0]]), -8.0),
        (torch.stack([E[0], E[0], -E[0]]), math.log((1 + 2 * math.exp(-8)) / 3)),
        (E[:1], 0.0),
    ],
)
def test_uniformity_of_known_points(points, value):
    assert uniformity(points) == pytest.approx(value)


def test_points_all_over_the_sphere_are_more_uniform_than_a_cluster():
    torch.manual_seed(0)
    sphere = torch.nn.functional.normalize(torch.randn(100, 16), dim=1)
    cluster = torch.nn.functional.normalize(torch.randn(100, 16) * 0.1 + 1, dim=1)
    assert uniformity(sphere) < uniformity(cluster) - 2


def test_effective_rank_is_one_for_a_line_and_d_for_isotropic_features():
    torch.manual_seed(0)
    line = torch.randn(50, 1, dtype=torch.float64) * torch.randn(1, 12, dtype=torch.float64) + 3
    assert effective_rank(line) == pytest.approx(1, abs=1e-6)
    orthogonal = torch.cat([E, -E])  # equal singular values, mean 0
    assert effective_rank(orthogonal) == pytest.approx(6)
    isotropic = torch.randn(20000, 12, dtype=torch.float64)
    assert effective_rank(isotropic) == pytest.approx(12, rel=0.01)
    assert effective_rank(isotropic * 1000 + 5) == pytest.approx(effective_rank(isotropic))


def test_effective_rank_of_collapsed_features_is_finite():
    assert effective_rank(torch.ones(10, 4, dtype=torch.float64)) == pytest.approx(1)


def test_they_are_measured_on_the_same_views_every_time_and_leave_the_encoder_alone(
    tiny_pack, tiny_encoder
):
    before = {name: t.clone() for name, t in tiny_encoder.state_dict().items()}
    tiny_encoder.train()
    first = dict(Diagnostics(tiny_pack, "ultrasound").run(tiny_encoder))
    again = dict(Diagnostics(tiny_pack, "ultrasound").run(tiny_encoder))
    assert first == again and set(first) == {"alignment", "uniformity", "effective_rank"}
    assert 0 < first["alignment"] < 4 and -8 < first["uniformity"] < 0
    assert tiny_encoder.training
    assert all(t.equal(before[name]) for name, t in tiny_encoder.state_dict().items())


def test_views_are_of_val_frames_two_of_each(tiny_pack):
    diagnostics = Diagnostics(tiny_pack, "paper")
    val = int((tiny_pack.frames["split"] == "val").sum())
    assert diagnostics.views.shape == (val, 2, 1, 32, 32)
    assert not diagnostics.views[:, 0].equal(diagnostics.views[:, 1])


def test_a_network_that_sees_no_difference_has_alignment_zero(tiny_pack):
    class Blind(torch.nn.Linear):
        def forward(self, x):
            return super().forward(torch.ones(len(x), 2))

    assert dict(Diagnostics(tiny_pack, "paper").run(Blind(2, 3)))["alignment"] == 0


def test_without_val_frames_there_is_nothing_to_measure(repack, tiny_encoder):
    pack = repack(split=lambda frames: frames["split"].replace("val", "train"))
    assert dict(Diagnostics(pack, "paper").run(tiny_encoder)) == {}
