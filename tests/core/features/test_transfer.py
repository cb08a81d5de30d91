"""Transfer functions of filters whose transfer function is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.features.collect import collect
from landscape.core.features.fourier import RadialBins
from landscape.core.features.transfer import TransferCollector, low_pass, low_pass_box
from landscape.core.features.units import Selection

SIZE, BINS = 8, 4


def passed(layer, x):
    """What a collector sees of one layer on images."""
    model = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(3)).double()
    with torch.no_grad():
        model(x)
    problem = Problem(model, "cross_entropy", (x, torch.arange(len(x)) % 3), batch_size=3)
    collector = TransferCollector(Selection(("0",)), BINS, None, 64)
    assert collect(problem, [collector]) == [None]
    (rows,) = collector.layers().values()
    return rows


def noise(count=7, size=SIZE):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_linear_filter_has_its_own_transfer_function():
    """Oracle: |H|² |X|² with numpy's transform of the kernel and of each image; full coherence."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False).double()
    x = noise()
    rows = passed(layer, x)
    kernel = np.zeros((SIZE, SIZE))
    for i in range(3):
        for j in range(3):
            kernel[(1 - i) % SIZE, (1 - j) % SIZE] = float(layer.weight.detach()[0, 0, i, j])
    H2 = np.abs(np.fft.fft2(kernel)) ** 2
    X2 = np.abs(np.fft.fft2(x[:, 0].numpy(), norm="ortho")) ** 2 / SIZE**2
    f = np.fft.fftfreq(SIZE)
    r = np.hypot(f[:, None], f[None])
    index = np.clip(np.ceil(r / RadialBins(BINS).step - 1e-9).astype(int) - 1, 0, BINS - 1)
    index[0, 0] = -1
    table = rows.rows()
    for b in range(BINS):
        chosen = index == b
        np.testing.assert_allclose(table["inputs"][:, b], X2[:, chosen].mean(1), rtol=1e-9)
        np.testing.assert_allclose(table["outputs"][:, b], (H2 * X2)[:, chosen].mean(1), rtol=1e-9)
    np.testing.assert_allclose(rows.coherent_share(RadialBins(BINS)), 1.0, rtol=1e-9)


def test_a_stride_folds_what_its_output_cannot_hold():
    """Oracle: an image of one mode above the output's Nyquist frequency: all of the output is folded."""
    y, x = torch.meshgrid(*[torch.arange(16.0, dtype=torch.float64)] * 2, indexing="ij")
    wave = torch.cos(2 * torch.pi * 6 * x / 16) + 0.0 * y
    images = wave.expand(3, 1, 16, 16).clone() * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    layer = nn.Conv2d(1, 1, 1, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    rows = passed(layer, images).rows()
    np.testing.assert_allclose(rows["alias_energy"], rows["energy"], rtol=1e-9)
    assert (rows["energy"] > 0).all()


class Halving(nn.Module):
    """Every second row and column, by a class whose name says nothing."""

    def forward(self, x):
        return x[..., ::2, ::2]


def test_a_downsampling_is_known_by_what_it_does():
    """Oracle: torch's own layer that does the same; what holds one, or keeps the size, is none."""
    x = noise(size=16)
    for inner, name in ((Halving(), "0.1"), (nn.MaxPool2d(1, stride=2), "0.1")):
        stage = nn.Sequential(nn.Identity(), inner, nn.Sequential(nn.Sigmoid()))
        model = nn.Sequential(stage, nn.Flatten(), nn.Linear(64, 3)).double()
        problem = Problem(model, "cross_entropy", (x, torch.arange(7) % 3), batch_size=3)
        collector = TransferCollector(Selection(("*",), ("downsampling",)), BINS, None, 64)
        assert collect(problem, [collector]) == [None]
        found = collector.layers()
        assert list(found) == [name] and found[name].unit.kind == "downsampling"
        table = found[name].rows()
        if isinstance(inner, Halving):
            mine = table
    for key, value in table.items():  # a view is summed in another order
        np.testing.assert_allclose(mine[key], value, rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
def test_low_passes_are_masks_of_numpys_transform(size):
    """Oracle: numpy's transform, masked and inverted."""
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fy, fx = (np.fft.fftfreq(n) for n in size)
    disc = np.hypot(fy[:, None], fx[None]) <= 0.25 + 1e-9
    box = (np.abs(fy)[:, None] < 0.25 - 1e-9) & (np.abs(fx)[None] < 0.125 - 1e-9)
    for found, mask in ((low_pass(maps, 0.25), disc), (low_pass_box(maps, (0.5, 0.25)), box)):
        expected = np.fft.ifft2(np.fft.fft2(maps.numpy()) * mask).real
        np.testing.assert_allclose(found, expected, atol=1e-12)
