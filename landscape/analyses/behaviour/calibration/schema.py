"""What a result of ``calibration`` holds."""

from __future__ import annotations

from landscape.analyses.behaviour._answers import ANSWERS
from landscape.base.schema import Schema, Variable

__all__ = ["NATS", "SCHEMA"]

NATS = "nats/example"


def _scores() -> tuple[Variable, ...]:
    scores = (
        ("nll", "mean negative log-likelihood", NATS),
        ("accuracy", "share of right answers", "1"),
        ("brier", "mean Brier score, summed over classes (0 to 2)", "1"),
        ("entropy", "mean entropy of the predicted distribution", NATS),
        ("ece", "expected calibration error, equal-width bins with closed upper edges", "1"),
        ("ece_adaptive", "expected calibration error, bins of equally many examples", "1"),
    )
    return tuple(
        variable
        for name, meaning, unit in scores
        for variable in (
            Variable(name, (), meaning, unit),
            Variable(
                f"{name}_interval",
                ("bound",),
                f"95 % bootstrap interval of {name}" + (", its bias taken off" if "ece" in name else ""),
                unit,
            ),
        )
    )


def _bins(prefix: str, dim: str, kind: str) -> tuple[Variable, ...]:
    return (
        Variable(f"{prefix}_count", (dim,), f"examples in a bin of {kind}", kind="int"),
        Variable(f"{prefix}_confidence", (dim,), f"mean confidence in a bin of {kind}"),
        Variable(f"{prefix}_accuracy", (dim,), f"share of right answers in a bin of {kind}"),
        Variable(f"{prefix}_accuracy_interval", ("bound", dim), f"95 % Wilson interval of {prefix}_accuracy"),
    )


SCHEMA = Schema(
    version=2,
    coords=(
        Variable("bin", ("bin",), "upper edge of the bin of equal width"),
        Variable("mass_bin", ("mass_bin",), "index of the bin of equally many examples", "", kind="int"),
        Variable("mass_bin_edge", ("mass_bin",), "upper edge of the bin of equally many examples"),
        Variable("threshold", ("threshold",), "least confidence"),
        Variable("example", ("example",), "index of the example", "", kind="int"),
        Variable("bound", ("bound",), "end of the 95 % interval", "", kind="str"),
    ),
    variables=(
        *_scores(),
        *_bins("bin", "bin", "equal width"),
        *_bins("mass_bin", "mass_bin", "equally many examples"),
        Variable("threshold_accuracy", ("threshold",), "share of right answers at or above the threshold"),
        Variable(
            "threshold_accuracy_interval",
            ("bound", "threshold"),
            "95 % Wilson interval of threshold_accuracy",
        ),
        Variable("threshold_kept", ("threshold",), "share of examples at or above the threshold"),
        Variable("temperature", (), "temperature of least NLL on this very data"),
        Variable("nll_at_temperature", (), "mean NLL at that temperature", NATS),
        Variable("ece_at_temperature", (), "expected calibration error at that temperature"),
        Variable("temperature_fitted", (), "temperature of least NLL on the data to fit on", optional=True),
        Variable("nll_scaled", (), "mean NLL at temperature_fitted", NATS, optional=True),
        Variable("brier_scaled", (), "mean Brier score at temperature_fitted", optional=True),
        Variable("ece_scaled", (), "expected calibration error at temperature_fitted", optional=True),
        Variable("fit_examples", (), "number of examples to fit on", "1", "int", optional=True),
        Variable("ood_auroc_confidence", (), "AUROC of confidence against other data; NaN without any"),
        Variable("ood_auroc_confidence_se", (), "standard error of ood_auroc_confidence (DeLong)"),
        Variable("ood_auroc_entropy", (), "AUROC of low entropy against other data; NaN without any"),
        Variable("ood_auroc_entropy_se", (), "standard error of ood_auroc_entropy (DeLong)"),
        Variable("ood_examples", (), "number of examples of the other data", kind="int"),
        Variable(
            "example_nll", ("example",), "negative log-likelihood, mean over the example's answers", NATS
        ),
        Variable("example_confidence", ("example",), "probability of the most probable class, likewise"),
        Variable(
            "example_correct", ("example",), "1 where the most probable class is the true one, likewise"
        ),
        Variable("example_entropy", ("example",), "entropy of the predicted distribution, likewise", NATS),
        *ANSWERS,
    ),
)
