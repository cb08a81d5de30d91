"""``llc`` on quadratic losses, and what its results and pictures say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.base.analysis import Context
from landscape.base.figure import Guide
from landscape.core.curvature.langevin import Langevin, quadratic_llc


class Bowl(nn.Module):
    """½ Σ h w² per example, at w = 0."""

    def __init__(self, h):
        super().__init__()
        self.register_buffer("h", torch.tensor(h, dtype=torch.float64))
        self.w = nn.Parameter(torch.zeros(len(h), dtype=torch.float64))

    def forward(self, x):
        return x + 0.5 * (self.h * self.w**2).sum()


def bowl(h, examples=50):
    data = (torch.zeros(examples, 1).double(), torch.zeros(examples))
    return landscape.Problem(Bowl(h), lambda out, _: out[:, 0], data, check_derivatives=False)


H = [8.0, 3.0, 1.0, 0.5, 0.0]
SMALL = {"burn_in": 60, "samples": 80, "localization": 20.0}


def test_a_quadratic_at_every_cell_of_the_grid():
    """Oracle: the closed form of each cell, within its error over chains."""
    options = {**SMALL, "step_factors": (2.0,), "localization_factors": (1.0,)}
    ds = landscape.llc(bowl(H), **options)
    heat = 50 / np.log(50)
    assert float(ds["inverse_temperature"]) == pytest.approx(heat)
    assert float(ds["top_eigenvalue"]) == pytest.approx(8.0, rel=1e-3)
    assert float(ds["step"]) == pytest.approx(0.4 / (heat * 8.0 + 20.0), rel=1e-3)
    assert ds["step_factor"].values.tolist() == [1.0, 2.0]
    assert ds["localization_factor"].values.tolist() == [1.0]
    for i, s in enumerate(ds["step_factor"].values):
        for j, g in enumerate(ds["localization_factor"].values):
            exact = quadratic_llc(np.array(H), Langevin(s * float(ds["step"]), g * 20.0, heat))
            assert abs(float(ds["llc_grid"][i, j]) - exact) < 5 * float(ds["llc_grid_se"][i, j])
    assert float(ds["llc"]) == float(ds["llc_grid"][0, 0]) == pytest.approx(float(ds["chain_llc"].mean()))
    assert float(ds["llc_se"]) == pytest.approx(float(ds["chain_llc"].std(ddof=1)) / 2)
    mixed = float(ds["r_hat"]) < 1.1
    assert bool(ds["converged"]) == mixed == (str(ds["notice"].item()) == "")
    assert ds["rise"].shape == (4, 140)
    figures = {f.name: f for f in landscape.llc.plots({"bowl": ds})}
    assert set(figures) == {"llc", "grid", "chains_0"}
    guides = [m.label for m in figures["chains_0"].marks if isinstance(m, Guide)]
    assert guides == ["burn-in ends", "λ̂"]


ONE = {"step_factors": (1.0,), "localization_factors": (1.0,)}


def test_no_minimum_and_no_bound_are_told():
    """Oracle: the notices; a saddle has lower losses about it, and a step too long overflows."""
    ds = landscape.llc(bowl([1.0, -1.5, -1.5]), chains=2, **SMALL, **ONE)
    assert float(ds["llc"]) < 0 and "negative: chains find lower losses" in str(ds["notice"].item())
    with np.errstate(all="ignore"):
        ds = landscape.llc(bowl([8.0]), step=2.0, burn_in=10, samples=600, chains=1, **ONE)
    assert np.isnan(ds["llc"]) and not bool(ds["converged"])
    assert "a chain diverged" in str(ds["notice"].item())
    assert landscape.llc.plots({"bowl": ds}) and np.isnan(ds["top_eigenvalue"])


def test_one_chain_has_no_error():
    """Oracle: by inspection."""
    ds = landscape.llc(bowl([1.0]), chains=1, burn_in=4, samples=8, **ONE)
    assert np.isnan(ds["llc_se"]) and np.isfinite(ds["llc"])


class Stopped(BaseException):
    """What ends a run in a test."""


def test_a_run_that_is_killed_keeps_its_chains(tmp_path):
    """Oracle: an uninterrupted run; chains that are done are read."""
    options = {"chains": 2, "burn_in": 2, "samples": 4, "batch_size": 4, **ONE}
    params = landscape.llc.validate(options)

    def stop(fraction):
        if fraction > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        landscape.llc.run(CASES["mlp"].problem(), params, Context(stop, tmp_path / "pieces"))
    seen = []
    found = landscape.llc.run(CASES["mlp"].problem(), params, Context(seen.append, tmp_path / "pieces"))
    assert min(seen) > 0.4, "the first chain is not run again"
    np.testing.assert_array_equal(found["rise"], landscape.llc(CASES["mlp"].problem(), **options)["rise"])


def test_the_price_is_one_of_examples():
    """Oracle: counted by hand: chains × steps × cells × examples of a step."""
    cost = landscape.llc.cost(landscape.llc.validate({"step": 0.1}))
    assert cost.example_gradients == 4 * 600 * 9 * 32 and cost.gradients == 0
