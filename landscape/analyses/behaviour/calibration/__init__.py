"""``calibration``: do predicted probabilities mean what they say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.analyses._shared.half_width import half_width
from landscape.analyses.behaviour._answers import MEANS, nats
from landscape.analyses.behaviour.calibration.figures import plots
from landscape.analyses.behaviour.calibration.options import CalibrationParams
from landscape.analyses.behaviour.calibration.schema import NATS, SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["CalibrationParams", "calibration"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The scores, and what a temperature would do."""
    found = [
        Metric(
            "accuracy", float(ds["accuracy"]), "1", "share of right answers", error=half_width(ds, "accuracy")
        ),
        Metric(
            "NLL",
            float(ds["nll"]),
            nats({"": ds}),
            "mean negative log-likelihood",
            error=half_width(ds, "nll"),
        ),
        Metric(
            "Brier",
            float(ds["brier"]),
            "1",
            "mean Brier score, summed over classes",
            error=half_width(ds, "brier"),
        ),
        Metric(
            "ECE",
            float(ds["ece"]),
            "1",
            "expected calibration error, equal-width bins; biased upwards on few examples",
            error=half_width(ds, "ece"),
        ),
        Metric(
            "OOD AUROC",
            float(ds["ood_auroc_confidence"]),
            "1",
            "AUROC of confidence against other data",
            error=half_width(ds, "ood_auroc_confidence"),
        ),
        Metric("temperature", float(ds["temperature"]), "1", "temperature of least NLL on this very data"),
    ]
    if "temperature_fitted" in ds:
        what = "at the temperature of least NLL on held-out data"
        found.append(Metric("fitted temperature", float(ds["temperature_fitted"]), "1", what))
        found.append(Metric("scaled NLL", float(ds["nll_scaled"]), NATS, f"mean NLL {what}"))
        found.append(Metric("scaled ECE", float(ds["ece_scaled"]), "1", f"calibration error {what}"))
    return found


def _compute(problem: Problem, params: CalibrationParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.behaviour.calibration.compute import compute

    return compute(problem, params, context)


calibration = Analysis(
    name="calibration",
    title="Calibration of predicted probabilities",
    description=(
        "Negative log-likelihood, accuracy, Brier score, entropy and expected calibration error (Guo et al."
        " 2017: 15 bins of equal width, upper edges closed; and with bins of equally many examples, Nixon et"
        " al. 2019), the reliability diagram with its counts, and accuracy over confidence thresholds. All"
        " averages weigh examples. Intervals: bootstrap over examples with the bins kept, of"
        " calibration errors with their bias taken off; Wilson intervals"
        " for shares in bins. The optimal temperature is found on the same data and is information, not a"
        " correction: 0 means that every answer is right, infinity that the uniform distribution is best."
        " One found on held-out data (option fit_data or input fit) is a correction, and scores with it stand"
        " beside the others."
        " Calibration errors are biased upwards on few examples. Those of labels are of the more probable"
        " of no and yes, over all labels together. Given data of another distribution (option"
        " ood_data or input ood), the area under the ROC curve of telling them apart by confidence"
        " (Hendrycks & Gimpel 2017) and by entropy, with standard errors by DeLong et al. (1988). " + MEANS
    ),
    scope="checkpoint",
    takes="predictive",
    params=CalibrationParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0),
    inputs=("ood", "fit"),
)
