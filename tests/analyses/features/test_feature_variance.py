"""``feature_variance`` against NumPy on the features themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator, images
from torch import nn

import landscape
from landscape import Problem
from landscape.core.features.hooks import capture
from landscape.core.features.variance import SampleVariance
from landscape.errors import InputError
from landscape.reference.models import vit


@pytest.mark.parametrize("batch_size", [13, 5, 1])
def test_variances_are_numpys(batch_size):
    """Oracle: ``numpy.var`` on captured features, all at once."""
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", images(13, 8), batch_size=batch_size)
    ds = landscape.feature_variance(problem, kinds=())
    with capture(problem.module) as features, torch.no_grad():
        problem.module(images(13, 8)[0])
    assert list(ds["layer"].values) == list(features)
    for i, feature in enumerate(features.values()):
        f = feature.numpy()
        np.testing.assert_allclose(ds["sample_variance"][i], f.var(0, ddof=1).mean(), rtol=1e-10)
        if f.ndim == 4:
            rows = f.var((2, 3), ddof=1).mean(1)
            np.testing.assert_allclose(ds["spatial_variance"][i], rows.mean(), rtol=1e-10)
            se = rows.std(ddof=1) / 13**0.5
            np.testing.assert_allclose(ds["spatial_variance_se"][i], se, rtol=1e-9)
        else:
            assert np.isnan(ds["spatial_variance"][i])


def test_class_tokens_are_left_out():
    """Oracle: the patches alone, in NumPy."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = vit(depth=1, image=16, classes=3).double()
    problem = Problem(model, "cross_entropy", images(7, 16))
    ds = landscape.feature_variance(problem, layers=["blocks.0.*"], kinds=["attention", "mlp"])
    with capture(problem.module, "blocks.0.attn") as features, torch.no_grad():
        problem.module(images(7, 16)[0])
    patches = features["blocks.0.attn"][:, 1:].numpy()
    assert list(ds["kind"].values) == ["attention", "mlp"]
    np.testing.assert_allclose(ds["spatial_variance"][0], patches.var(1, ddof=1).mean(), rtol=1e-10)


def test_a_large_constant_costs_little_in_single_precision():
    """Oracle: float64; the mean is 1000 times the spread."""
    x = 1000 + torch.randn(50, 4, generator=generator(0))
    variance = SampleVariance()
    for part in x.split(7):
        variance.add(part)
    assert variance.value == pytest.approx(float(x.double().var(0).mean()), rel=1e-6)


def test_batchnorm_in_training_mode_makes_unit_variance():
    """Oracle: its definition: over images and space together the variance is 1."""
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(128, 3)).double()
    problem = Problem(
        model,
        "cross_entropy",
        (5 + 3 * images(40, 8)[0].repeat(1, 2, 1, 1), torch.arange(40) % 3),
        batchnorm="train",
    )
    ds = landscape.feature_variance(problem)
    assert float(ds["sample_variance"][0]) == pytest.approx(1.0, abs=0.05)


def test_nothing_to_measure_is_refused():
    """Oracle: the sentence names kinds and patterns."""
    with pytest.raises(InputError, match=r"no unit of Sequential .* attention"):
        landscape.feature_variance(CASES["mlp"].problem(), kinds=["attention"])
