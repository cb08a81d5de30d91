"""``uncertainty``: what a model knows of its errors under growing shifts, and of what kind its doubt is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.half_width import half_width
from landscape.analyses.behaviour._answers import MEANS
from landscape.analyses.behaviour.uncertainty.figures import plots
from landscape.analyses.behaviour.uncertainty.options import UncertaintyParams
from landscape.analyses.behaviour.uncertainty.schema import NATS, SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["UncertaintyParams", "uncertainty"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """NLL and calibration, clean and at the worst; whether errors are known; detection of other data."""
    found = [
        Metric(
            "NLL clean",
            float(ds["nll"][0, 0]),
            NATS,
            "mean negative log-likelihood, unchanged images",
            error=half_width(ds, "nll", at=(0, 0)),
        ),
        Metric(
            "NLL worst",
            float(ds["nll"].max()),
            NATS,
            "the same at the worst shift and intensity",
            finding=True,
            error=half_width(ds, "nll", at=np.unravel_index(ds["nll"].values.argmax(), ds["nll"].shape)),
        ),
        Metric(
            "ECE clean",
            float(ds["ece"][0, 0]),
            "1",
            "expected calibration error, unchanged images; biased upwards on few",
        ),
        Metric("ECE worst", float(ds["ece"].max()), "1", "the same at the worst shift and intensity"),
        Metric(
            "pooled rAULC",
            float(ds["pooled_raulc"].sel(by="entropy").mean()),
            "1",
            "order by entropy of all intensities of a shift together, mean over shifts; 1 ideal, 0 by chance",
        ),
    ]
    if "ood_auroc" in ds:
        detected = float(ds["ood_auroc"].sel(by="entropy").mean())
        found.append(Metric("OOD AUROC", detected, "1", "AUROC of low entropy, mean over the other data"))
    return found


def _compute(problem: Problem, params: UncertaintyParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.behaviour.uncertainty.compute import compute

    return compute(problem, params, context)


uncertainty = Analysis(
    name="uncertainty",
    title="Uncertainty under shift",
    description=(
        "Accuracy, likelihood and calibration of a classifier or predictive on images that change more and"
        " more, as `corruptions` changes them (after Ovadia et al. 2019), with changes paired by example."
        " Total uncertainty, the entropy of the mixture of draws, is split into the mean entropy of a draw"
        " (aleatoric) and the mutual information of label and draw (epistemic; Depeweg et al. 2018), 0 for a"
        " plain model. The Brier score of the most probable class is split into reliability, resolution and"
        " uncertainty (Murphy 1973) and what bins hide (Stephenson et al. 2008), exactly. Selective"
        " prediction: error rates among the most certain examples, AURC (Geifman & El-Yaniv 2017), AUGRC"
        " (Traub et al. 2024) and rAULC (Postels et al. 2022), for each way to rank examples, ties counted as"
        " the mean over their orders; at each intensity, and for all intensities of a shift together, as one"
        " threshold would meet them. Data of other distributions are told apart by the same rankings: AUROC,"
        " average precision, false acceptances at 95 % (Hendrycks & Gimpel 2017; Liang et al. 2018). "
        + MEANS
        + " Labels of pixels move with the pixels."
    ),
    scope="checkpoint",
    takes="predictive",
    params=UncertaintyParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0 + len(params.shifts) * (len(params.intensities) or 5)),
    inputs=("ood",),
)
