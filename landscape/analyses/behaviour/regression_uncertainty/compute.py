"""How ``regression_uncertainty`` is computed: one pass, from which everything comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from landscape.analyses.behaviour.regression_uncertainty.options import RegressionUncertaintyParams
    from landscape.base.analysis import Context
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]

Array = NDArray[np.float64]


def compute(problem: Problem, params: RegressionUncertaintyParams, context: Context) -> Mapping[str, Any]:
    """Predict once; scores are means over examples of sums or means over targets."""
    from scipy.stats import spearmanr

    from landscape.core.behaviour import gaussian_scores as scores
    from landscape.core.behaviour.gaussian import predict_gaussian
    from landscape.core.stats.hypothesis import wilson

    found = predict_gaussian(problem, samples=params.samples or None, seed=params.seed)
    found = found.scaled(params.target_std)
    context.progress(0.8)
    error, variance = found.error, found.variance
    sd, examples = np.sqrt(variance), len(error)
    per_example = {
        "nll": scores.nll(error, variance).sum(1),
        "crps": scores.crps(error, sd).mean(1),
        "mixture_nll": scores.mixture_nll(found.means, found.variances, found.targets),
        "mixture_crps": scores.mixture_crps(found.means, found.variances, found.targets).mean(1),
    }
    data: dict[str, Any] = {"rmse": np.sqrt((error**2).mean())}
    data["rmse_se"] = _root_error((error**2).mean(1))
    for name, values in per_example.items():
        data[name], data[f"{name}_se"] = values.mean(), _error(values)
    covered = np.array([scores.coverage(error, sd, level).mean(1) for level in params.levels])
    shares = covered.mean(1)
    parts = {
        "sharpness": [scores.width(sd, level).mean(1) for level in params.levels],
        "interval_score": [scores.interval_score(error, sd, level).mean(1) for level in params.levels],
    }
    for name, rows in parts.items():
        data[name] = np.array([row.mean() for row in rows])
        data[f"{name}_se"] = np.array([_error(row) for row in rows])
    factor = scores.best_scale(error, variance)
    ranks = scores.pit(error, sd).ravel()
    edges = np.linspace(0.0, 1.0, params.bins + 1)
    rank_bins = np.searchsorted(edges[1:-1], ranks[np.isfinite(ranks)], side="left")
    varies = np.ptp(sd) > 0 and np.ptp(np.abs(error)) > 0
    context.progress(1.0)
    return {
        **data,
        **_by_spread(error.ravel(), variance.ravel(), params.bins),
        "level": np.array(params.levels),
        "bound": np.array(["low", "high"]),
        "coverage": shares,
        # targets of one example are no independent trials: examples are counted
        "coverage_interval": np.array(wilson(shares, np.full(shares.shape, float(examples)))),
        "calibration_error": np.abs(shares - np.array(params.levels)).mean(),
        "sd_error_spearman": spearmanr(sd.ravel(), np.abs(error).ravel())[0] if varies else np.nan,
        "scale": factor,
        "nll_at_scale": _scaled_nll(error, variance, factor),
        "aleatoric_variance": found.aleatoric.mean(),
        "epistemic_variance": found.epistemic.mean(),
        "pit_bin": edges[1:],
        "pit_count": np.bincount(rank_bins, minlength=params.bins),
        "example": np.arange(examples),
        "target": np.arange(error.shape[1]),
        **_numbers(problem),
        "example_mean": found.mean,
        "example_sd": sd,
        "example_target": found.targets,
        "example_nll": per_example["nll"],
        "example_crps": per_example["crps"],
        "draws": found.draws,
        "examples": examples,
    }


def _numbers(problem: Problem) -> dict[str, Array]:
    """The inputs of a regression of one number, by example; nothing of others."""
    parts = [batch.inputs for batch in problem.batches]
    if not all(hasattr(part, "numel") and part.numel() == len(part) for part in parts):
        return {}
    return {"example_input": np.concatenate([part.double().cpu().numpy().ravel() for part in parts])}


def _error(values: Array) -> float:
    """Standard error of a mean; NaN of one value, or where one is infinite."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if _spreads(values) else float("nan")


def _root_error(squares: Array) -> float:
    """Standard error of the root of a mean, by the slope of the root."""
    root = float(np.sqrt(squares.mean()))
    return _error(squares) / (2.0 * root) if root > 0 else float("nan")


def _spreads(values: Array) -> bool:
    return len(values) > 1 and bool(np.isfinite(values).all())


def _scaled_nll(error: Array, variance: Array, factor: float) -> float:
    """Mean NLL with all spreads times a factor; NaN where the factor is 0 or infinite."""
    from landscape.core.behaviour.gaussian_scores import nll

    if not 0.0 < factor < np.inf:
        return float("nan")
    return float(nll(error, factor**2 * variance).sum(1).mean())


def _by_spread(error: Array, variance: Array, bins: int) -> dict[str, Array]:
    """Errors of equally many predictions, from the least to the largest spread."""
    groups = np.array_split(np.argsort(variance, kind="stable"), bins)
    some = [rows for rows in groups if len(rows)]
    squares = [error[rows] ** 2 for rows in some]
    return {
        "sd_bin": np.arange(len(some)),
        "bin_sd": np.array([np.sqrt(variance[rows].mean()) for rows in some]),
        "bin_rmse": np.array([np.sqrt(s.mean()) for s in squares]),
        "bin_rmse_se": np.array([_root_error(s) for s in squares]),
        "bin_count": np.array([len(rows) for rows in some]),
    }
