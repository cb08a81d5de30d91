"""``block_spectra`` of linear layers, whose blocks are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import landscape
from landscape.base.analysis import Context
from landscape.core.stats.spectral_distance import Spectrum, spectral_distances
from landscape.errors import InputError


class Two(nn.Module):
    """Two linear layers side by side, on inputs of their own: H is block diagonal."""

    def __init__(self, widths=(3, 2)):
        super().__init__()
        self.a = nn.Linear(widths[0], 2, bias=False)
        self.b = nn.Linear(widths[1], 2, bias=False)

    def forward(self, x):
        n = self.a.in_features
        return torch.cat([self.a(x[:, :n]), self.b(x[:, n:])], 1)


def problem(widths=(3, 2), scale=1.0, decay=0.0, count=30):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(count, sum(widths), generator=g).double()
    x[:, widths[0] :] *= scale
    model = Two(widths).double()
    y = torch.zeros(count, 4).double()
    return landscape.Problem(model, "half_squared_error", (x, y), weight_decay=decay), x


@pytest.mark.parametrize("operator", ["hessian", "ggn"])
def test_blocks_of_linear_layers(operator):
    """Independent: under half squared error the block of a layer is I ⊗ XᵀX/N, by numpy."""
    subject, x = problem(decay=0.1)
    ds = landscape.block_spectra(subject, operator=operator)
    assert ds["block"].values.tolist() == ["a", "b"]
    for index, part in enumerate((x[:, :3], x[:, 3:])):
        exact = np.linalg.eigvalsh((part.T @ part).numpy() / 30) + 0.1
        found = ds["nodes"].values[index, 0]
        found = np.sort(found[np.isfinite(found)])
        np.testing.assert_allclose(found, np.sort(np.repeat(exact, 2)))
        assert float(ds["largest"][index]) == pytest.approx(exact.max())
        assert float(ds["block_trace"][index]) == pytest.approx(2 * exact.sum())
    assert ds["exact"].values.all() and int(ds["products"]) == 10
    np.testing.assert_allclose(ds["js_distance_low"], ds["js_distance_high"])


def test_blocks_of_one_spectrum_are_at_no_distance():
    """Independent: both layers see the same inputs."""
    subject, x = problem((3, 3))
    x = torch.cat([x[:, :3], x[:, :3]], 1)
    same = landscape.Problem(subject.module, "half_squared_error", (x, torch.zeros(30, 4).double()))
    ds = landscape.block_spectra(same)
    assert float(ds["js_distance"][0, 1]) == pytest.approx(0.0, abs=1e-6)
    far, _ = problem((3, 3), scale=100.0)
    assert float(landscape.block_spectra(far)["mean_distance"]) > 0.95


def test_quadrature_of_large_blocks():
    """Independent: exact eigenvalues, smoothed alike; within the intervals of distance and traces."""
    subject, x = problem((60, 50), count=70)
    ds = landscape.block_spectra(subject, probes=3, steps=12, outliers=2)
    assert not ds["exact"].values.any()
    exact = []
    for part, resolution in zip((x[:, :60], x[:, 60:]), ds["resolution"].values, strict=True):
        values = np.linalg.eigvalsh((part.T @ part).numpy() / 70)
        nodes = np.tile(values, (3, 1))
        exact.append(Spectrum(nodes, np.full(nodes.shape, 1 / len(values)), float(resolution)))
    truth = spectral_distances(exact).mean
    assert float(ds["mean_distance_low"]) <= truth <= float(ds["mean_distance_high"])
    assert abs(float(ds["mean_distance"]) - truth) < 0.1
    traces = np.array([2 * s.nodes[0].sum() for s in exact])
    assert (np.abs(ds["block_trace"].values - traces) < 6 * ds["block_trace_se"].values).all()


def test_globs_choose_blocks():
    """Independent: names by inspection."""
    subject, _ = problem()
    assert landscape.block_spectra(subject, by="parameter", blocks="b*")["block"].values.tolist() == [
        "b.weight"
    ]
    assert np.isnan(float(landscape.block_spectra(subject, blocks="a")["mean_distance"]))
    with pytest.raises(InputError, match="no block matches 'c'"):
        landscape.block_spectra(subject, blocks="c")
    with pytest.raises(InputError, match="no attention"):
        landscape.block_spectra(subject, by="head")


def test_a_killed_run_goes_on(tmp_path):
    """Independent: the same run without a break, to the bit."""
    subject, _ = problem()
    params = landscape.block_spectra.validate({})
    whole = landscape.block_spectra.run(subject, params)

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape.block_spectra.run(subject, params, Context(partial=tmp_path, progress=stop))
    assert len(list(tmp_path.glob("block-*.npz"))) == 1
    again = landscape.block_spectra.run(subject, params, Context(partial=tmp_path))
    xr.testing.assert_identical(again.drop_attrs(), whole.drop_attrs())


def test_pictures_and_cost():
    """Independent: the stored numbers; products that the computation counted."""
    subject, _ = problem()
    ds = landscape.block_spectra(subject)
    figures = {f.name: f for f in landscape.block_spectra.plots({"m": ds})}
    assert list(figures) == ["largest", "distances_0", "densities_0"]
    assert figures["distances_0"].x.categories == ("a", "b")
    for line in figures["densities_0"].marks:
        assert np.trapezoid(line.y, line.x) == pytest.approx(1.0, abs=0.05)
    cost = landscape.block_spectra.cost(landscape.block_spectra.validate({}), subject)
    assert cost.gradients == 2.5 * int(ds["products"])
