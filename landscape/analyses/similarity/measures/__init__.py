"""``similarity``: other measures of similarity between layers and between models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.similarity.measures.figures import half_width, plots
from landscape.analyses.similarity.measures.options import SimilarityParams
from landscape.analyses.similarity.measures.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How alike the models' predictions are."""
    above = np.triu_indices(ds.sizes["model"], 1)
    agreement, divergence = ds["agreement"].values[above], ds["jensen_shannon"].values[above]
    nothing = float("nan")

    def error(name: str) -> float:
        """Of a mean over pairs: no larger than the mean of their errors, since all have the same examples."""
        half = half_width(ds, name)
        return nothing if half is None or not above[0].size else float(half[above].mean())

    return [
        Metric("models", ds.sizes["model"], "1", "models compared"),
        Metric(
            "agreement",
            float(agreement.mean()) if agreement.size else nothing,
            "1",
            "share of equal predictions, mean over pairs of models",
            finding=True,
            error=error("agreement"),
        ),
        Metric(
            "divergence",
            float(divergence.mean()) if divergence.size else nothing,
            "nats/example",
            "Jensen-Shannon divergence of predictions, mean over pairs of models",
            error=error("jensen_shannon"),
        ),
        *_between_models(ds, error),
    ]


def _between_models(ds: xr.Dataset, error: Callable[[str], float]) -> list[Metric]:
    """How far the layers of the models are apart."""
    if "model_angle" not in ds:
        return []
    angles = ds["model_angle"].values[np.triu_indices(ds.sizes["model"], 1)]
    if not np.isfinite(angles).any():
        return []
    return [
        Metric(
            "angle of layers",
            float(np.nanmean(angles)),
            "radians",
            "root mean square of the Procrustes angles of layers of one name, mean over pairs of models",
            error=error("model_angle"),
        )
    ]


def _cost(params: SimilarityParams, problem: Problem | None = None) -> Cost:
    """A pass, and decompositions for every pair of layers, in the cube of the sample.

    Measured: 0.08 s for a pair of layers with 256 examples, and a tenth of that for each subsample of half.
    """
    layers = params.most_layers
    if problem is not None:
        from landscape.core.similarity.layer_choice import choose_layers

        layers = len(choose_layers(problem, params.layers, params.most_layers).names)
    each = 0.08 * (params.sample / 256) ** 3 * (1 + params.subsamples / 10)
    return Cost(forwards=1.0, seconds_per_pair=each * layers**2)


def _compute(
    problems: Mapping[str, Problem], params: SimilarityParams, context: Context
) -> Mapping[str, Any]:
    from landscape.analyses.similarity.measures.compute import compute

    return compute(problems, params, context)


similarity = Analysis(
    name="similarity",
    title="Similarity by other measures",
    description=(
        "Between layers: Procrustes distance, squared (Ding et al. 2021) and as an angle, which is a metric"
        " (Williams et al. 2021), SVCCA (Raghu et al. 2017), PWCCA (Morcos et"
        " al. 2018: row unit_a against column unit_b is weighted by unit_a), representational"
        " similarity analysis (Kriegeskorte et al. 2008) and mutual nearest neighbours (Huh et al. 2024);"
        " none sees a scale of the features, and none but PWCCA a rotation. Between models: agreement of"
        " predictions, their"
        " Jensen-Shannon divergence, and the distance of weights of one architecture. Errors between layers"
        " are by subsamples of the examples without repeats (Shao & Wu 1989). All on one shared"
        " sample of the inputs; SVCCA, PWCCA and Procrustes depend on its size, so compare equal sizes only;"
        " the first two tell little where components outnumber half the examples."
    ),
    scope="group",
    params=SimilarityParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
