"""What ``similarity`` computes: every measure between layers and between models, with errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.similarity.measures.options import SimilarityParams
from landscape.base.analysis import Context
from landscape.core.stats.intervals import answer_error, reach, standard_error

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]


def compute(problems: Mapping[str, Problem], params: SimilarityParams, context: Context) -> Mapping[str, Any]:
    """One forward pass of a shared sample; every measure from the Gram matrices."""
    from landscape.core.similarity import measures
    from landscape.core.similarity.layer_choice import describe_left_out
    from landscape.core.similarity.subsampling import KeptLayer, subsample_errors
    from landscape.core.similarity.zoo_pass import FeatureRows, zoo_sample

    examples = min(params.sample, next(iter(problems.values())).examples)
    k = min(params.neighbours, examples // 2)
    units, kept, outputs, left_out = zoo_sample(
        problems,
        lambda features, layer: KeptLayer.of(features.cpu().numpy(), params.variance, k),
        layers=params.layers,
        most_layers=params.most_layers,
        sample=params.sample,
        policy=FeatureRows(params.tokens, params.spatial, params.prefix_tokens),
        seed=params.seed,
        pairing=params.pairing,
        progress=lambda fraction: context.progress(0.2 * fraction),
    )
    layers = [layer.whole for layer in kept]
    functions = (
        measures.procrustes,
        measures.procrustes_angle,
        measures.svcca,
        measures.rsa,
        measures.mutual_neighbours,
    )
    between = {f.__name__: np.full((len(units),) * 2, np.nan) for f in (*functions, measures.pwcca)}
    for i, one in enumerate(layers):
        for j, two in enumerate(layers[: i + 1]):
            for f in functions:
                between[f.__name__][[i, j], [j, i]] = f(one, two)
            between["pwcca"][i, j], between["pwcca"][j, i] = (
                measures.pwcca(one, two),
                measures.pwcca(two, one),
            )
        context.progress(0.2 + 0.1 * (i + 1) / len(layers))
    names, subjects = list(problems), list(problems.values())
    models = {
        name: np.full((len(names),) * 2, np.nan)
        for name in ("agreement", "jensen_shannon", "weight_distance")
    }
    for i, a in enumerate(outputs):
        for j, b in enumerate(outputs[: i + 1]):
            both = [i, j], [j, i]
            models["weight_distance"][both] = measures.weight_distance(subjects[i], subjects[j])
            if a is not None and b is not None:
                models["agreement"][both] = measures.agreement(a, b)
                models["jensen_shannon"][both] = measures.jensen_shannon(a, b)
    models["model_angle"] = _model_angles(names, units, between["procrustes_angle"])
    errors = subsample_errors(
        kept,
        draws=params.subsamples,
        variance=params.variance,
        k=k,
        seed=params.seed,
        derived=lambda found: {"model_angle": _model_angles(names, units, found["procrustes_angle"])},
        progress=lambda fraction: context.progress(0.3 + 0.7 * fraction),
    )
    errors |= _model_errors(outputs)
    labels = np.array([f"{model}: {layer}" for model, layer in units])
    return {
        "unit_a": labels,
        "unit_b": labels,
        "model_a": np.array([model for model, _ in units]),
        "model_b": np.array([model for model, _ in units]),
        "layer_a": np.array([layer for _, layer in units]),
        "layer_b": np.array([layer for _, layer in units]),
        "model": np.array(names),
        "other": np.array(names),
        **between,
        **models,
        **{f"{name}_se": value for name, value in errors.items()},
        **({"interval_factor": reach(params.subsamples)} if params.subsamples > 1 else {}),
        "neighbours": k,
        "examples": examples,
        **({"notice": notice} if (notice := describe_left_out(left_out)) else {}),
    }


def _model_errors(outputs: Sequence[Any]) -> dict[str, Any]:
    """Standard errors over examples of what is a mean over examples; 0 of a model with itself."""
    from landscape.core.similarity.measures import jensen_shannon_values

    found = {name: np.full((len(outputs),) * 2, np.nan) for name in ("agreement", "jensen_shannon")}
    for i, a in enumerate(outputs):
        for j, b in enumerate(outputs[: i + 1]):
            if (
                a is None
                or b is None
                or a.shape != b.shape
                or not (np.isfinite(a).all() and np.isfinite(b).all())
            ):
                continue
            both = [i, j], [j, i]
            same = (a.argmax(1) == b.argmax(1)).astype(np.float64)
            found["agreement"][both] = 0.0 if i == j else answer_error(same)
            found["jensen_shannon"][both] = 0.0 if i == j else standard_error(jensen_shannon_values(a, b))
    return found


def _model_angles(names: Sequence[str], units: Sequence[tuple[str, str]], angles: Any) -> Any:
    """Root mean square over the layers that two models share by name; NaN without any.

    A metric where all models have the same layers: distances along axes, put together as in space.
    """
    place = {unit: i for i, unit in enumerate(units)}
    layers = list(dict.fromkeys(layer for _, layer in units))
    found = np.full((len(names),) * 2, np.nan)
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            both = [la for la in layers if (one, la) in place and (two, la) in place]
            if both:
                shared = [angles[place[one, la], place[two, la]] for la in both]
                found[i, j] = np.sqrt(np.square(shared).mean())
    return found
