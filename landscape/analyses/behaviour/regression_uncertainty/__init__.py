"""``regression_uncertainty``: do predicted spreads of a regression mean what they say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.analyses._shared.half_width import half_width
from landscape.analyses.behaviour.regression_uncertainty.figures import plots
from landscape.analyses.behaviour.regression_uncertainty.options import RegressionUncertaintyParams
from landscape.analyses.behaviour.regression_uncertainty.schema import NATS, SCHEMA, TARGET
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["RegressionUncertaintyParams", "regression_uncertainty"]

LEVEL = 0.9


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Errors and proper scores, coverage, and how much of the variance draws disagree in."""
    shown = float(ds["level"].values[abs(ds["level"].values - LEVEL).argmin()])
    covered = float(ds["coverage"].sel(level=shown))
    noise, doubt = float(ds["aleatoric_variance"]), float(ds["epistemic_variance"])
    share = doubt / (noise + doubt) if noise + doubt > 0 else float("nan")
    return [
        Metric(
            "RMSE",
            float(ds["rmse"]),
            TARGET,
            "root mean square of the errors of the mean",
            error=half_width(ds, "rmse"),
        ),
        Metric(
            "NLL",
            float(ds["nll"]),
            NATS,
            "mean negative log-likelihood of a Gaussian",
            error=half_width(ds, "nll"),
        ),
        Metric(
            "CRPS",
            float(ds["crps"]),
            TARGET,
            "mean continuous ranked probability score",
            error=half_width(ds, "crps"),
        ),
        Metric(f"coverage at {shown:g}", covered, "1", "share of targets within that central interval"),
        Metric("calibration error", float(ds["calibration_error"]), "1", "mean |coverage − level|"),
        Metric("epistemic share", share, "1", "share of the predicted variance that draws disagree in"),
    ]


def _compute(problem: Problem, params: RegressionUncertaintyParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.behaviour.regression_uncertainty.compute import compute

    return compute(problem, params, context)


regression_uncertainty = Analysis(
    name="regression_uncertainty",
    title="Uncertainty of a regression",
    description=(
        "What a regression's means and variances are worth: errors, negative log-likelihood and continuous"
        " ranked probability score (Gneiting & Raftery 2007) of one Gaussian with the mean and variance of"
        " the mixture of draws (Lakshminarayanan et al. 2017), and the same scores of the mixture itself;"
        " coverage, width and score of central intervals; ranks of targets in the predicted distribution,"
        " uniform if it is right (Gneiting et al. 2007); errors against predicted spread. The predicted"
        " variance is the mean variance of a draw (aleatoric) plus the variance of the draws' means"
        " (epistemic). The factor on all spreads that lowers the NLL most is found on the same data and is"
        " information, not a correction. The NLL is that of all targets of an example together; other scores"
        " are means over targets."
    ),
    scope="checkpoint",
    takes="predictive",
    needs="regression",
    params=RegressionUncertaintyParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0),
)
