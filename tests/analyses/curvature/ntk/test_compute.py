"""``ntk`` of linear models and of a small network, whose kernels are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import landscape
from landscape.base.analysis import Context


def linear(count=12, features=40, classes=3):
    """A linear classifier: Θ = XXᵀ ⊗ I in closed form."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(count, features, generator=g).double()
    y = torch.arange(count) % classes
    model = nn.Linear(features, classes, bias=False).double()
    return landscape.Problem(model, "cross_entropy", (x, y), weight_decay=0.1), (x @ x.T).numpy(), y.numpy()


def alignment(kernel, y):
    """Alignment with centred one-hot targets (N, C) of Θ = kernel ⊗ I."""
    rows = np.eye(y.max() + 1)[y]
    rows -= rows.mean(0)
    return np.trace(rows.T @ kernel @ rows) / (np.linalg.norm(kernel) * 3**0.5 * np.square(rows).sum())


@pytest.mark.parametrize("steps", [8, 40])
def test_a_linear_classifier_in_closed_form(steps):
    """Independent: numpy's eigenvalues of XXᵀ, each once per class; with all known, and not."""
    problem, kernel, y = linear()
    ds = landscape.ntk(problem, k=9, steps=steps, tol=1e-6)
    exact = np.linalg.eigvalsh(kernel)[::-1]
    np.testing.assert_allclose(ds["eigenvalues"], np.repeat(exact[:3], 3), rtol=1e-8)
    assert bool(ds["exact"]) == (steps == 40)
    truths = {
        "trace": 3 * exact.sum(),
        "frobenius": 3**0.5 * np.linalg.norm(exact),
        "participation": 3 * exact.sum() ** 2 / np.square(exact).sum(),
        "alignment": alignment(kernel, y),
    }
    for name, truth in truths.items():
        slack = 1e-9 * truth
        assert float(ds[f"{name}_low"]) - slack <= truth <= float(ds[f"{name}_high"]) + slack, name
    assert int(ds["rank_limit"]) == 36


def test_all_eigenvectors_hold_the_targets():
    """Independent: XXᵀ has full rank, so that the targets lie in the span of its eigenvectors."""
    problem, _, _ = linear(6, 8, 2)
    ds = landscape.ntk(problem, k=12)
    assert float(ds["label_share"].sum()) == pytest.approx(1.0)
    more = landscape.ntk(problem, k=16)  # beyond the rank there is nothing
    assert float(ds["label_share"].sum()) == pytest.approx(float(more["label_share"].sum()))


def test_targets_that_tell_nothing_are_said():
    """Independent: by inspection: of a single class, nothing is left when centred."""
    x = torch.randn(5, 2)
    alone = landscape.ntk(landscape.Problem(nn.Linear(2, 2), "cross_entropy", (x, torch.zeros(5).long())))
    assert "one target" in str(alone["notice"].values) and np.isnan(float(alone["alignment"]))
    assert "labels" not in [f.name for f in landscape.ntk.plots({"a": alone})]
    model = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, (2, 3)))
    dense = landscape.Problem(model, "cross_entropy", (x, torch.zeros(5, 3, dtype=torch.long)))
    assert "outputs (N, C)" in str(landscape.ntk(dense)["notice"].values)


def test_a_killed_run_goes_on(tmp_path):
    """Independent: the same run without a break, to the bit."""
    problem, _, _ = linear()
    params = landscape.ntk.validate({"k": 4, "steps": 8})
    whole = landscape.ntk.run(problem, params)

    def stop(fraction):
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape.ntk.run(problem, params, Context(partial=tmp_path, progress=stop))
    assert [p.stem for p in tmp_path.glob("pairs*.npz")] == ["pairs"]
    again = landscape.ntk.run(problem, params, Context(partial=tmp_path))
    xr.testing.assert_identical(again.drop_attrs(), whole.drop_attrs())


def test_pictures_and_summary():
    """Independent: the stored numbers."""
    problem, _, _ = linear()
    ds = landscape.ntk(problem, k=4)
    figures = {f.name: f for f in landscape.ntk.plots({"a": ds})}
    assert list(figures) == ["eigenvalues", "labels", "alignment"]
    np.testing.assert_allclose(figures["labels"].marks[0].y, np.cumsum(ds["label_share"]))
    assert landscape.ntk.summary(ds)[0].value == float(ds["alignment"])
