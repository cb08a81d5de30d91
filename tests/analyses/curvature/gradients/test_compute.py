"""``gradients`` of least squares, whose covariance and Hessian are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import landscape
from landscape.base.analysis import Context
from landscape.errors import InputError


def signs(count=30, features=12):
    """Least squares with residuals of ±1: the second moment of the gradients is the Hessian XᵀX/N."""
    g = torch.Generator().manual_seed(0)
    scales = torch.linspace(3, 0.3, features).double()
    x = torch.randn(count, features, generator=g, dtype=torch.float64) * scales
    x = torch.cat([x, x])  # each with both signs, so that the mean is 0
    y = torch.ones(2 * count, 1).double()
    y[count:] = -1.0
    model = nn.Linear(features, 1, bias=False).double()
    model.weight.data.zero_()
    return landscape.Problem(model, "half_squared_error", (x, y)), (x.T @ x).numpy() / (2 * count)


def test_spectrum_and_overlap_in_closed_form():
    """Independent: the eigenvalues of XᵀX/N by numpy; Σ and H have the same leading space."""
    problem, exact = signs()
    ds = landscape.gradients(problem, k=4, tol=1e-6)
    want = np.linalg.eigvalsh(exact)[::-1][:4]
    np.testing.assert_allclose(ds["eigenvalues"], want * 60 / 59, rtol=1e-9)
    np.testing.assert_allclose(ds["hessian_eigenvalues"], want, rtol=1e-9)
    assert float(ds["overlap"]) == pytest.approx(1.0)
    assert bool(ds["converged"]) and str(ds["notice"].values).startswith("the gradient is not told")
    assert float(ds["trace"]) == pytest.approx(np.trace(exact) * 60 / 59)
    assert str(ds["tail"].values) == "none"  # four values are no tail


def test_shares_of_the_gradient_sum_to_one():
    """Independent: all eigenvectors together span the whole space, whatever they are."""
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 6, generator=g).double(), torch.randn(40, 1, generator=g).double()
    problem = landscape.Problem(nn.Linear(6, 1).double(), "half_squared_error", (x, y), weight_decay=0.1)
    ds = landscape.gradients(problem, k=7, by="parameter")
    for name in ("gradient_share", "hessian_gradient_share"):
        assert float(ds[name].sum()) == pytest.approx(1.0)
    np.testing.assert_allclose(ds["hessian_overlap"], 1.0)
    assert ds["layer"].values.tolist() == ["weight", "bias"]
    assert float(ds["layer_trace"].sum()) == pytest.approx(float(ds["trace"]))
    assert float(ds["eigenvalues"].sum()) == pytest.approx(float(ds["trace"]))
    metrics = {m.name: m.value for m in landscape.gradients.summary(ds)}
    assert metrics["Σ in top k"] == pytest.approx(1.0)
    assert metrics["overlap of H and Σ"] == pytest.approx(1.0)


def test_moments_alone():
    """Independent: the same numbers beside a spectrum."""
    problem, _ = signs()
    alone, whole = landscape.gradients(problem, k=0), landscape.gradients(problem, k=2, hessian=False)
    assert alone.sizes["eigenpair"] == 0 and "overlap" not in whole
    for name in ("trace", "noise_scale_low", "gsnr", "gradient_norm"):
        np.testing.assert_array_equal(alone[name], whole[name])
    assert len(landscape.gradients.plots({"a": alone})) == 2


def test_a_killed_run_goes_on(tmp_path):
    """Independent: the same run without a break, to the bit."""
    problem, _ = signs()
    params = landscape.gradients.validate({"k": 3})
    whole = landscape.gradients.run(problem, params)

    def stop(fraction):
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape.gradients.run(problem, params, Context(partial=tmp_path, progress=stop))
    assert any("moments" in p.name for p in tmp_path.rglob("*"))
    again = landscape.gradients.run(problem, params, Context(partial=tmp_path))
    xr.testing.assert_identical(again.drop_attrs(), whole.drop_attrs())


def test_pictures():
    """Independent: the stored numbers."""
    g = torch.Generator().manual_seed(2)
    x, y = torch.randn(40, 6, generator=g).double(), torch.randn(40, 1, generator=g).double()
    ds = landscape.gradients(landscape.Problem(nn.Linear(6, 1).double(), "mse", (x, y)), k=3)
    figures = {f.name: f for f in landscape.gradients.plots({"a": ds, "b": ds})}
    assert list(figures) == ["noise_scale", "gsnr", "spectrum", "overlap"]
    low = figures["noise_scale"].marks[0].y
    assert low[0] == float(ds["noise_scale_low"]) and np.isfinite(low[1])
    np.testing.assert_allclose(figures["overlap"].marks[0].y, ds["hessian_overlap"])
    runs = {f"m{e}": ds.assign_attrs(group="m", tags=f'{{"epoch": {e}}}') for e in (4, 2)}
    assert "training" in [f.name for f in landscape.gradients.plots(runs)]


def test_coupled_examples_are_refused():
    """Independent: by inspection."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    data = (torch.randn(8, 2), torch.arange(8) % 2)
    with pytest.raises(InputError, match="single examples"):
        landscape.gradients(landscape.Problem(model, "cross_entropy", data, batchnorm="batch"))
