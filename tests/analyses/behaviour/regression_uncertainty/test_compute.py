"""Scores of regressions against closed forms of a network whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import landscape
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.problem.losses import gaussian_outputs
from landscape.errors import InputError
from landscape.plotting import figures_of


class Known(nn.Module):
    """Puts out the inputs' first column as the mean, and `share` of the second as standard deviation."""

    def __init__(self, share=1.0, shift=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.share, self.shift = share, shift

    def forward(self, x):
        return self.weight * gaussian_outputs(x[:, :1] + self.shift, (self.share * x[:, 1:]) ** 2)


def problem_of(model, count=4000, seed=0):
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(size=count), rng.uniform(0.2, 2.0, count)
    y = mean + sd * rng.standard_normal(count)
    x = torch.from_numpy(np.stack([mean, sd], 1))
    return landscape.Problem(model, "gaussian_nll", (x, torch.from_numpy(y)), batch_size=700), sd


def test_scores_of_a_calibrated_network():
    """Oracle: closed forms of the truth: E NLL = ½ ln 2πe σ², E CRPS = σ/√π; coverage is the level.

    Each within four of its own standard errors, which are checked on the way.
    """
    problem, sd = problem_of(Known())
    ds = landscape.regression_uncertainty(problem)
    want = {
        "nll": 0.5 * np.log(2 * np.pi * np.e * sd**2).mean(),
        "crps": sd.mean() / np.sqrt(np.pi),
        "rmse": np.sqrt((sd**2).mean()),
    }
    for name, value in want.items():
        assert abs(float(ds[name]) - value) < 4 * float(ds[f"{name}_se"]), name
    gap = np.abs(ds["coverage"].values - ds["level"].values)
    assert (gap < 4 * np.sqrt(ds["level"] * (1 - ds["level"]) / 4000)).all()
    assert float(ds["calibration_error"]) == pytest.approx(gap.mean())
    assert float(ds["scale"]) == pytest.approx(1.0, abs=4 / np.sqrt(8000))
    assert stats.chisquare(ds["pit_count"].values).pvalue > 1e-3
    assert (np.abs(ds["bin_rmse"] - ds["bin_sd"]) < 4 * ds["bin_rmse_se"]).all()
    assert int(ds["bin_count"].sum()) == int(ds["examples"]) == 4000
    assert float(ds["epistemic_variance"]) == 0.0
    assert float(ds["sd_error_spearman"]) > 0.3
    low, high = ds["coverage_interval"].values
    assert ((low <= ds["coverage"]) & (ds["coverage"] <= high)).all()
    assert problem.loss() == pytest.approx(float(ds["nll"]), rel=1e-12)


def test_an_overconfident_network_is_found_out():
    """Oracle: spreads halved: the best factor is 2, and with it the NLL is that of the calibrated one."""
    right = landscape.regression_uncertainty(problem_of(Known())[0])
    narrow = landscape.regression_uncertainty(problem_of(Known(0.5))[0])
    assert float(narrow["scale"]) == pytest.approx(2 * float(right["scale"]), rel=1e-9)
    assert float(narrow["nll_at_scale"]) == pytest.approx(float(right["nll_at_scale"]), rel=1e-9)
    assert (narrow["coverage"] < right["coverage"]).all()
    at = {"level": 0.9}
    want = stats.norm.cdf(0.5 * stats.norm.ppf(0.95)) * 2 - 1
    assert float(narrow["coverage"].sel(at)) == pytest.approx(want, abs=4 / np.sqrt(4000))
    assert float(narrow["sharpness"].sel(at)) == pytest.approx(float(right["sharpness"].sel(at)) / 2)


def test_an_ensemble_has_draws_that_disagree():
    """Oracle: means apart by 1 have the variance ¼ between them, in the spread as well."""
    problem, _ = problem_of(DeepEnsemble([Known(shift=-0.5), Known(shift=0.5)], "regression"))
    ds = landscape.regression_uncertainty(problem)
    assert float(ds["epistemic_variance"]) == pytest.approx(0.25)
    assert int(ds["draws"]) == 2
    total = (ds["example_sd"] ** 2).mean()
    assert float(total) == pytest.approx(float(ds["aleatoric_variance"]) + 0.25)
    assert float(ds["mixture_nll"]) != float(ds["nll"])


def test_another_unit_scales_what_has_a_unit():
    """Oracle: change of variables: scores in units of the target times s, the NLL plus ln s."""
    problem, _ = problem_of(Known(0.7), 300)
    own, other = (landscape.regression_uncertainty(problem, target_std=s) for s in (1.0, 50.0))
    assert float(other["nll"] - own["nll"]) == pytest.approx(np.log(50))
    for name in ("rmse", "crps", "mixture_crps", "rmse_se"):
        assert float(other[name]) == pytest.approx(50 * float(own[name]))
    np.testing.assert_allclose(other["interval_score"], 50 * own["interval_score"])
    np.testing.assert_allclose(other["coverage"], own["coverage"])


def test_what_cannot_be_measured_is_nan_or_a_sentence():
    """Oracle: one example has no standard error; levels have to rise; classes are refused."""
    ds = landscape.regression_uncertainty(problem_of(Known(), 1)[0])
    assert all(np.isnan(ds[name]) for name in ("rmse_se", "nll_se", "sd_error_spearman"))
    assert np.isfinite(ds["nll"])
    with pytest.raises(InputError, match="levels must rise"):
        landscape.regression_uncertainty(problem_of(Known(), 5)[0], levels=(0.9, 0.5))


def test_inputs_of_one_number_are_kept_and_drawn():
    """Oracle: the inputs themselves, in their order; figures go along them; of two numbers none."""
    x = torch.tensor([[0.5], [-1.0], [2.0]], dtype=torch.float64)
    model = nn.Linear(1, 2).double()
    ds = landscape.regression_uncertainty(
        landscape.Problem(model, "gaussian_nll", (x, x[:, 0]), batch_size=2)
    )
    assert ds["example_input"].values.tolist() == [0.5, -1.0, 2.0]
    figures = {spec.name: spec for spec in figures_of({"m": ds})}
    curve, truth = figures["curve"].marks
    order = [1, 0, 2]
    np.testing.assert_array_equal(curve.x, [-1.0, 0.5, 2.0])
    np.testing.assert_array_equal(curve.y, ds["example_mean"].values[order, 0])
    np.testing.assert_allclose(curve.high - curve.y, 2 * ds["example_sd"].values[order, 0])
    np.testing.assert_array_equal(truth.y, truth.x)
    np.testing.assert_array_equal(figures["spread"].marks[0].y, ds["example_sd"].values[order, 0])
    assert "example_input" not in landscape.regression_uncertainty(problem_of(Known(), 20)[0])
