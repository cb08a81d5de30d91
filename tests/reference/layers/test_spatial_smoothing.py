import math

import pytest
import torch

from landscape.errors import InputError
from landscape.reference.layers.spatial_smoothing import Blur, Prob, Smooth
from landscape.reference.models import resnet, vgg


@pytest.mark.parametrize(("kx", "ky"), [(0, 0), (1, 0), (3, 5), (8, 2), (8, 8)])
def test_blur_has_its_closed_form_response(kx, ky):
    """Oracle: |cos(ωx/2) cos(ωy/2)|, measured on a plane wave away from the border."""
    n = 16
    wx, wy = 2 * math.pi * kx / n, 2 * math.pi * ky / n
    phase = wx * torch.arange(n, dtype=torch.float64) + wy * torch.arange(n, dtype=torch.float64)[:, None]
    real, imaginary = (Blur()(part[None, None])[0, 0, :-1, :-1] for part in (phase.cos(), phase.sin()))
    response = torch.complex(real, imaginary) / torch.polar(torch.ones_like(phase), phase)[:-1, :-1]
    want = abs(math.cos(wx / 2) * math.cos(wy / 2))
    torch.testing.assert_close(response.abs(), torch.full_like(real, want), rtol=0, atol=1e-12)


def test_blur_keeps_the_size_or_grows_as_published():
    """Oracle: a constant stays itself with a repeated border; zeros take part as published."""
    one = torch.ones(1, 1, 5, 4)
    torch.testing.assert_close(Blur()(one), one)
    grown = Blur(grow=True)(one)
    assert grown.shape == (1, 1, 6, 5)
    torch.testing.assert_close(grown[0, 0, 0, 0], torch.tensor(0.25))
    torch.testing.assert_close(grown[0, 0, 0, 1], torch.tensor(0.5))
    torch.testing.assert_close(grown[0, 0, 2, 2], torch.tensor(1.0))


def test_prob_is_bounded_and_nearly_relu_for_small_values():
    """Oracle: limits of t·tanh(x/t): 0 below zero, x near zero, t far away."""
    x = torch.tensor([-5.0, 0.0, 0.01, 1e4], dtype=torch.float64)
    want = torch.tensor([0.0, 0.0, 0.01, 10.0], dtype=torch.float64)
    torch.testing.assert_close(Prob()(x), want, rtol=1e-6, atol=0)
    with pytest.raises(InputError, match="temperature"):
        Prob(0.0)


@pytest.mark.parametrize("build", [resnet, vgg])
@pytest.mark.parametrize("smooth", ["same", "grow"])
def test_smoothing_ends_every_stage_and_adds_no_parameters(build, smooth):
    """Oracle: the plain network's parameters under the same names (with GAP, whatever the map's size)."""
    plain, smoothed = build(head="gap"), build(head="gap", smooth=smooth)
    assert plain.state_dict().keys() == smoothed.state_dict().keys()
    stages = [stage for name, stage in smoothed.stages.named_children()]
    assert all(isinstance(stage.smooth, Smooth) for stage in stages)
    assert smoothed(torch.randn(2, 1, 28, 28)).shape == (2, 10)
    with_mlp = build(head="mlp", smooth=smooth, image=20)  # the size of the map is worked out right
    assert with_mlp(torch.randn(2, 1, 20, 20)).shape == (2, 10)
