"""Problems with logits of one scale."""

import numpy as np
import pytest
import torch
from cases import CASES, regression
from torch import nn

import landscape
from landscape.core.curvature.normalised_logits import logit_scale, normalised_logits
from landscape.errors import InputError


def scaled(factor):
    """A classifier whose logits are multiplied by a number."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)]
    with torch.no_grad():
        layers[2].weight *= factor
        layers[2].bias *= factor
    data = (torch.randn(12, 4, generator=torch.Generator().manual_seed(1)).double(), torch.arange(12) % 3)
    return landscape.Problem(nn.Sequential(*layers).double(), "cross_entropy", data)


def test_the_scale_of_logits_changes_nothing():
    """Oracle: the definition by NumPy; logits times 8 give the same loss and 1/8 of the head's gradient."""
    one, eight = scaled(1.0), scaled(8.0)
    with torch.no_grad():
        z = one.module(one.first.inputs).numpy()
    spread = z.std(1, keepdims=True)
    log_p = z / spread - np.log(np.exp(z / spread).sum(1, keepdims=True))
    exact = -log_p[np.arange(12), np.arange(12) % 3].mean()
    for problem in (one, eight):
        assert normalised_logits(problem).loss() == pytest.approx(exact, rel=1e-12)
    assert logit_scale(one) == pytest.approx(np.sqrt(np.square(spread).mean()), rel=1e-12)
    assert logit_scale(eight) == pytest.approx(8 * logit_scale(one), rel=1e-12)
    assert one.loss() == scaled(1.0).loss(), "the problem itself is as it was"
    heads = [normalised_logits(p).gradient()[-18:] for p in (one, eight)]
    np.testing.assert_allclose(heads[1] * 8, heads[0], rtol=1e-9, atol=1e-14)


def test_equal_logits_have_finite_derivatives():
    """Oracle: by inspection: a head of zeros."""
    assert bool(normalised_logits(scaled(0.0)).gradient().isfinite().all())
    assert logit_scale(scaled(0.0)) == 0.0


def test_a_regression_has_no_logits():
    """Oracle: the words of the sentence."""
    problem = landscape.Problem(nn.Linear(4, 1).double(), "mse", regression())
    assert np.isnan(logit_scale(problem))
    with pytest.raises(InputError, match="one logit per class"):
        normalised_logits(problem)
    assert logit_scale(CASES["attention"].problem()) > 0
