"""``frequency_noise`` on models whose answer to a frequency is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, images, uneven
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError


class Energy(nn.Module):
    """Mean square of a filtered image: its expected growth under added noise has a closed form."""

    def __init__(self, kernel):
        super().__init__()
        self.kernel = nn.Parameter(kernel)

    def forward(self, x):
        padded = F.pad(x, (1, 1, 1, 1), mode="circular")
        return F.conv2d(padded, self.kernel[None, None]).square().mean((1, 2, 3))


def test_a_low_pass_filter_forgives_high_frequencies():
    """Oracle: noise of one mode grows the output's mean square by rms² |H|², H the box's response."""
    kernel = torch.full((3, 3), 1.0 / 9, dtype=torch.float64)
    x = torch.zeros(6, 1, 16, 16, dtype=torch.float64)
    problem = Problem(Energy(kernel), lambda output, _: output, (x, torch.zeros(6)))
    ds = landscape.frequency_noise(problem, mean=(0.0,), std=(0.5,), heat_rms=0.125, draws=4)

    def box(f):
        return (1 + 2 * np.cos(2 * np.pi * f)) / 3

    response = box(ds["row_frequency"].values)[:, None] * box(ds["column_frequency"].values)
    oracle = (0.125 / 0.5) ** 2 * response**2
    np.testing.assert_allclose(ds["heat_loss_change"].values, oracle, atol=1e-12)
    equal = landscape.frequency_noise(
        problem, mean=(0.0,), std=(0.5,), energy="equal", sigma=0.1, heat_steps=1
    )
    change = equal["loss_change"].values
    assert (np.diff(change[:6]) < 0).all()
    np.testing.assert_allclose(equal["noise_rms"], 0.1)
    np.testing.assert_allclose(ds["noise_rms"], 0.3 * np.sqrt(ds["modes"].values / 256))
    assert np.isnan(ds["accuracy_change"]).all()


def test_how_the_data_is_cut_does_not_matter():
    """Oracle: the same examples in other micro-batches."""
    model, data = CASES["conv_batchnorm"].model(), images()
    one = landscape.frequency_noise(Problem(model, "cross_entropy", data, batch_size=13))
    two = landscape.frequency_noise(Problem(model, "cross_entropy", uneven(data, [7, 5, 1])))
    for name in one.data_vars:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-10, atol=1e-12)


def test_what_is_no_image_is_refused():
    with pytest.raises(InputError, match=r"one input of shape \(B, C, H, W\)"):
        landscape.frequency_noise(CASES["mlp"].problem())
