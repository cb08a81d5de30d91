"""What a result of ``regression_uncertainty`` holds."""

from __future__ import annotations

from landscape.base.schema import Schema, Variable

__all__ = ["NATS", "SCHEMA", "TARGET"]

NATS = "nats/example"
TARGET = "unit of the target"

SCORES = {
    "rmse": ("root mean square of the errors of the mean", TARGET),
    "nll": ("mean negative log-likelihood of the Gaussian of the mixture's mean and variance", NATS),
    "crps": ("mean continuous ranked probability score of that Gaussian", TARGET),
    "mixture_nll": ("mean negative log-likelihood of the mixture itself; NaN of draws without noise", NATS),
    "mixture_crps": ("mean continuous ranked probability score of the mixture itself", TARGET),
}
"""Meaning and unit of each score that has a standard error over examples."""

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("level", ("level",), "share that a central interval is to hold"),
        Variable("bound", ("bound",), "end of the 95 % interval", "", kind="str"),
        Variable("pit_bin", ("pit_bin",), "upper edge of a bin of ranks in the predicted distribution"),
        Variable("sd_bin", ("sd_bin",), "bin of equally many predictions by their spread", "", kind="int"),
        Variable("example", ("example",), "index of the example", "", kind="int"),
        Variable("target", ("target",), "index of the target", "", kind="int"),
    ),
    variables=(
        *(
            variable
            for name, (meaning, unit) in SCORES.items()
            for variable in (
                Variable(name, (), meaning, unit),
                Variable(f"{name}_se", (), f"standard error of {name} over examples", unit),
            )
        ),
        Variable("coverage", ("level",), "share of targets within the central interval"),
        Variable("coverage_interval", ("bound", "level"), "95 % Wilson interval of coverage, over examples"),
        Variable("sharpness", ("level",), "mean width of the central interval", TARGET),
        Variable("sharpness_se", ("level",), "standard error of sharpness over examples", TARGET),
        Variable("interval_score", ("level",), "mean interval score (Gneiting & Raftery 2007)", TARGET),
        Variable("interval_score_se", ("level",), "standard error of interval_score over examples", TARGET),
        Variable("calibration_error", (), "mean distance of coverage from level, over the levels"),
        Variable("sd_error_spearman", (), "rank correlation of spread and absolute error"),
        Variable("scale", (), "factor on all spreads of least NLL on this very data"),
        Variable("nll_at_scale", (), "mean NLL with that factor", NATS),
        Variable("aleatoric_variance", (), "mean variance of a draw", f"({TARGET})²"),
        Variable("epistemic_variance", (), "mean variance of the draws' means", f"({TARGET})²"),
        Variable("pit_count", ("pit_bin",), "targets in a bin of ranks; all alike if calibrated", kind="int"),
        Variable("bin_sd", ("sd_bin",), "root mean variance of a bin of spread", TARGET),
        Variable("bin_rmse", ("sd_bin",), "root mean square of the errors in it", TARGET),
        Variable("bin_rmse_se", ("sd_bin",), "standard error of bin_rmse", TARGET),
        Variable("bin_count", ("sd_bin",), "predictions in it", kind="int"),
        Variable("example_mean", ("example", "target"), "predicted mean", TARGET),
        Variable("example_sd", ("example", "target"), "predicted standard deviation", TARGET),
        Variable("example_target", ("example", "target"), "target", TARGET),
        Variable("example_input", ("example",), "input, where an example is one number", "", optional=True),
        Variable("example_nll", ("example",), "negative log-likelihood", NATS),
        Variable("example_crps", ("example",), "continuous ranked probability score", TARGET),
        Variable("draws", (), "number of draws that were averaged", kind="int"),
        Variable("examples", (), "number of examples", kind="int"),
    ),
)
