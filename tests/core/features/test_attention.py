"""Attention heads as filters of the patch grid, against matrices multiplied out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from landscape.core.features.attention import Grid, head_rows
from landscape.core.features.fourier import RadialBins, radial_frequency
from landscape.core.features.map_layout import MapLayouts

BINS = RadialBins(4)


def weights(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(-1)


def transform(height, width):
    """The orthonormal two-dimensional transform as a matrix."""
    return np.kron(np.fft.fft(np.eye(height), norm="ortho"), np.fft.fft(np.eye(width), norm="ortho"))


def check(rows, A, height, width):
    """Hold the rows of one head against M = F A Fᴴ."""
    F = transform(height, width)
    M = np.abs(F @ A @ F.conj().T) ** 2
    gain2, kept2 = M.sum(0), np.diag(M)
    fy, fx = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    r = np.hypot(fy, fx).reshape(-1)
    low, high = (r > 0) & (r <= 0.25 + 1e-9), (r > 0.25 + 1e-9) & (r <= 0.5 + 1e-9)
    expected = {
        "leakage": 1 - kept2[r > 0].sum() / gain2[r > 0].sum(),
        "mean_gain": np.sqrt(gain2[0]),
        "high_low": 0.5 * np.log(gain2[high].mean() / gain2[low].mean()),
    }
    for name, value in expected.items():
        assert float(rows[name].reshape(-1)[0]) == pytest.approx(value, rel=1e-9), name
    shares = BINS.weights(height, width).sum(1).numpy()
    energy = np.nansum(rows["gain2"].numpy().reshape(-1) * shares)
    assert energy == pytest.approx(gain2[r > 0].sum(), rel=1e-9)
    H = np.eye(len(A)) - 1 / len(A)
    assert float(rows["worst"]) == pytest.approx(np.linalg.norm(H @ A @ H, 2), rel=1e-7)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 4), (5, 3)])
def test_gains_of_a_whole_grid(height, width):
    """Oracle: F A Fᴴ multiplied out."""
    A = weights(1, 1, height * width, height * width)
    check(head_rows(A, Grid(height, width), BINS, 1), A[0, 0].numpy(), height, width)


def test_gains_of_windows_put_back_in_their_places():
    """Oracle: the block-diagonal matrix of the whole grid, multiplied out."""
    grid = Grid(4, 6, window=(2, 3))
    A = weights(4, 1, 6, 6)
    whole = np.zeros((24, 24))
    for number in range(4):
        top, left = divmod(number, 2)
        places = [(2 * top + y) * 6 + 3 * left + x for y in range(2) for x in range(3)]
        whole[np.ix_(places, places)] = A[number, 0]
    check(head_rows(A, grid, BINS, 1), whole, 4, 6)


def test_entropy_distance_and_prefix_of_known_weights():
    """Oracle: by hand: uniform weights over n + 1 tokens; a patch that looks at itself alone."""
    n = 4
    uniform = torch.full((1, 1, n + 1, n + 1), 1 / (n + 1), dtype=torch.float64)
    rows = head_rows(uniform, Grid(2, 2, prefix=1), BINS, 0)
    assert float(rows["entropy"]) == pytest.approx(np.log(n + 1))
    assert float(rows["prefix_share"]) == pytest.approx(1 / (n + 1))
    assert float(rows["distance"]) == pytest.approx((0 + 1 + 1 + 2**0.5) / 4)
    own = torch.eye(n, dtype=torch.float64)[None, None]
    rows = head_rows(own, Grid(2, 2), BINS, 0)
    assert float(rows["entropy"]) == 0 and float(rows["distance"]) == 0
    assert float(rows["leakage"]) == pytest.approx(0, abs=1e-12)


def test_grids_of_windows_are_those_of_the_last_maps_that_they_tile():
    """Oracle: by hand: 8 × 12 maps in windows of 4 × 4 are 2 × 3 windows; a padded map rounds up."""
    layouts = MapLayouts()
    layouts.learn(torch.zeros(1, 3, 8, 12), "first")
    assert Grid.find(16, 6, layouts) == Grid(8, 12, 0, (4, 4))
    layouts.learn(torch.zeros(1, 3, 7, 7), "first")
    assert Grid.find(16, 4, layouts) == Grid(8, 8, 0, (4, 4))
    assert Grid.find(16, 9, layouts) == Grid(12, 12, 0, (4, 4))
    assert Grid.find(17, 1, layouts) == Grid(4, 4, 1) and Grid.find(17, 4, layouts) is None
    assert radial_frequency(4, 4).shape == (4, 3)
