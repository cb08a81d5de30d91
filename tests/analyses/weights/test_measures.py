"""``measures``: each number from the network's own weights and outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES, images

import landscape
from landscape import Problem
from landscape.analyses.weights.measures import plots, summary
from landscape.core.surfaces.noise_tolerance import noise_tolerance


@pytest.fixture(scope="module")
def subject():
    torch.manual_seed(0)
    model = CASES["conv_batchnorm"].model().eval()
    x, y = images(60)
    with torch.no_grad():
        y = torch.where(torch.arange(60) % 10 == 0, y, model(x).argmax(1))  # mostly right
    return model, Problem(model, "cross_entropy", (x, y), batch_size=32), y.numpy()


@pytest.fixture(scope="module")
def result(subject):
    return landscape.measures(subject[1], draws=3)


def test_margins_and_norms_are_those_of_the_network(subject, result):
    """Oracle: outputs of the module itself and NumPy's norms of matrices fused by torch."""
    model, _, y = subject
    x = images(60)[0]
    with torch.no_grad():
        out = model(x).double().numpy()
    own = out[np.arange(60), y]
    out[np.arange(60), y] = -np.inf
    assert float(result["margin"]) == pytest.approx(np.quantile(own - out.max(1), 0.1), abs=1e-5)
    assert (
        float(result["margin_interval"][0]) <= float(result["margin"]) <= float(result["margin_interval"][1])
    )
    spectral = result["spectral_norm"].values
    assert float(result["log_spectral"]) == pytest.approx(2 * np.log(spectral).sum())
    d = len(spectral)
    assert float(result["spectral_sum"]) == pytest.approx(d * np.prod(spectral**2) ** (1 / d))
    assert any(result["folded"].values)


def test_noise_is_that_of_the_search(subject, result):
    """Oracle: `noise_tolerance`, which is tested against its closed form."""
    found = noise_tolerance(subject[1], "relative", draws=3)
    assert float(result["sigma"].sel(noise="relative")) == found.sigma
    assert float(result["sigma_se"].sel(noise="relative")) == found.error


def test_pictures_and_metrics_hold_what_is_there(subject, result):
    """Oracle: by inspection; without noise there is no picture of it."""
    assert [f.name for f in plots({"net": result})] == ["spectral_norm", "noise"]
    names = [m.name for m in summary(result)]
    assert "σ flat" in names
    without = landscape.measures(subject[1], noise=())
    assert [f.name for f in plots({"net": without})] == ["spectral_norm"]
    wrong = float(without["margin"]) <= 0
    assert math.isnan(float(without["log_spectral_margin"])) == wrong
