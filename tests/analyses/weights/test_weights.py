"""``weights`` against closed forms and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError


def problem_of(*matrices):
    """A chain of linear layers without biases, on two examples."""
    layers = []
    for matrix in matrices:
        layer = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False).double()
        layer.weight.data = torch.as_tensor(np.ascontiguousarray(matrix)).double()
        layers.append(layer)
    x, y = torch.zeros(2, matrices[0].shape[1]).double(), torch.zeros(2, matrices[-1].shape[0]).double()
    return Problem(nn.Sequential(*layers), "mse", (x, y), check_derivatives=False)


def rotated(values, rows, columns, seed=0):
    """A matrix of these singular values."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(n, len(values))))[0] for n in (rows, columns))
    return u * values @ v.T


def test_the_identity():
    """Oracle: n equal singular values: both ranks n, no tail and no spike."""
    ds = landscape.weights(problem_of(2.0 * np.eye(12)))
    assert float(ds["stable_rank"][0]) == pytest.approx(12)
    assert float(ds["effective_rank"][0]) == pytest.approx(12)
    assert float(ds["spectral_norm"][0]) == pytest.approx(2)
    assert np.isnan(ds["alpha"][0]) and ds["tail"].values[0] == "none"


def test_a_gaussian_matrix_is_noise():
    """Oracle: Marchenko and Pastur's edges (1 ± ½)² of 2000 × 500 standard normal numbers."""
    matrix = np.random.default_rng(0).normal(size=(800, 200))
    ds = landscape.weights(problem_of(matrix), resamples=0).isel(layer=0)
    assert (float(ds["bulk_lower"]), float(ds["bulk_upper"])) == pytest.approx((0.25, 2.25), abs=0.08)
    assert float(ds["noise_scale"]) == pytest.approx(1.0, abs=0.02)
    assert int(ds["spikes"]) == 0
    assert ds["tail"].item() == "none" and np.isfinite(ds["alpha"])


def test_a_planted_tail_is_found_in_another_basis():
    """Oracle: eigenvalues of WᵀW are quantiles of a power law with α = 2.5."""
    eigenvalues = (1.0 - (np.arange(150) + 0.5) / 150) ** (-1.0 / 1.5)
    ds = landscape.weights(problem_of(rotated(eigenvalues**0.5, 200, 150)), resamples=50).isel(layer=0)
    assert float(ds["alpha"]) == pytest.approx(2.5, abs=0.03)
    assert ds["tail"].item() == "power law"
    assert float(ds["alpha_hat"]) == pytest.approx(float(ds["alpha"]) * np.log10(eigenvalues.max()))
    assert int(ds["alpha_count"]) > 100


def test_eigenvalues_of_zero_are_no_tail():
    """Oracle: the same eigenvalues in a matrix of larger size, whose others are 0 but for rounding."""
    eigenvalues = (1.0 - (np.arange(60) + 0.5) / 60) ** (-1.0 / 1.5)
    small, large = (
        landscape.weights(problem_of(rotated(eigenvalues**0.5, n, n)), resamples=0) for n in (60, 90)
    )
    for name in ("alpha", "alpha_count", "effective_rank", "stable_rank"):
        np.testing.assert_allclose(large[name], small[name], rtol=1e-6)


def test_distances_from_initialisation():
    """Oracle: W moves from 0-padded identity by 3 in one entry."""
    problem = problem_of(np.eye(3), np.eye(3))
    initial = {k: v.clone() for k, v in problem.module.state_dict().items()}
    initial["0.weight"][0, 1] += 3.0
    ds = landscape.weights(problem, initial=initial)
    np.testing.assert_allclose(ds["distance"], [3.0, 0.0])
    np.testing.assert_allclose(ds["relative_distance"], [3.0 / 12**0.5, 0.0])
    with pytest.raises(InputError, match=r"'1.weight' has shape \(3, 3\).* lack it"):
        landscape.weights(problem, initial={"0.weight": initial["0.weight"]})
    with pytest.raises(InputError, match="give a state_dict"):
        landscape.weights(problem, initial=[1.0])


def test_norms_of_maps():
    """Oracle: a circular box of ones has norm 9, the matrix of its filter 3; a linear layer has none."""
    conv = nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular", bias=False)
    nn.init.ones_(conv.weight)
    model = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)).double()
    problem = Problem(model, "cross_entropy", (torch.zeros(2, 1, 8, 8).double(), torch.tensor([0, 1])))
    ds = landscape.weights(problem, map_norms=True)
    assert float(ds["map_norm"][0]) == pytest.approx(9 * 2**0.5, rel=1e-3)
    assert float(ds["spectral_norm"][0]) == pytest.approx(3 * 2**0.5)
    assert np.isnan(ds["map_norm"][1])
    assert list(ds["rows"].values) == [2, 2] and list(ds["columns"].values) == [9, 2]


def test_verdicts_are_drawn_as_points():
    """Oracle: a tail of few values is a triangle, one that is no power law a cross."""
    few = (1.0 - (np.arange(30) + 0.5) / 30) ** (-1.0 / 1.5)
    bad = np.r_[np.linspace(1, 1.1, 100), np.linspace(3, 3.01, 100)]
    ds = landscape.weights(problem_of(rotated(few**0.5, 200, 30), rotated(bad**0.5, 200, 200)), resamples=60)
    assert list(ds["tail"].values) == ["few values", "rejected"]
    figure = landscape.weights.plots({"a": ds})[1]
    assert figure.marks[0].symbols == ("triangle", "cross")
    assert figure.symbols == (("triangle", "few values"), ("cross", "rejected"))
    metrics = {m.name: m.value for m in landscape.weights.summary(ds)}
    assert metrics["power-law layers"] == 0 and np.isnan(metrics["α"])


def test_each_layer_and_resample_has_its_price():
    """Oracle: by hand: twenty layers of eight values, as many fits of each as there are resamples."""
    problem, analysis = problem_of(*[np.eye(8)] * 20), landscape.analyses()["weights"]
    costs = [analysis.cost(analysis.validate({"resamples": n}), problem) for n in (0, 20, 200)]
    none, few, many = (cost.seconds_per_million * problem.size / 1e6 for cost in costs)
    assert many - none == pytest.approx(20 * 200 * (5e-5 + 1.2e-6 * 8))
    assert few - none == pytest.approx((many - none) / 10)
    assert none > 20 * 3e-3
