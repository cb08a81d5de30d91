"""How ``distance_awareness`` is computed: the feature map first, then doubt on other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.analyses.inputs.distance_awareness.options import DistanceAwarenessParams
    from landscape.base.analysis import Context
    from landscape.core.data.batches import Batch
    from landscape.core.inputs.feature_map import FeatureMap
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]

Array = NDArray[np.float64]

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)
BY = ("entropy", "confidence", "score")
SPACES = ("inputs", "features")


def compute(problem: Problem, params: DistanceAwarenessParams, context: Context) -> Mapping[str, Any]:
    """The feature map first, unless there are several, then doubt on other data."""
    from landscape.core.inputs.expansion import rows_of
    from landscape.core.inputs.feature_map import FeatureMap, nearest
    from landscape.core.problem.door.conversions import other_batches

    given = _other_data(params, context)
    others: dict[str, Sequence[Batch]] = {
        name: other_batches(problem, _with_targets(data)) for name, data in given.items()
    }
    _check(problem, others)
    found: dict[str, Any] = {"examples": problem.examples, "features": 0}
    single = _draws(problem, params.seed) == 1
    features = FeatureMap(problem, params.layer) if single else None
    if features is not None:
        found |= _of_features(problem, features, others, params)
    context.progress(0.7)
    if others:
        found |= _doubt(problem, given, params.seed)
        own = _rows(problem.batches)
        far = [nearest(_rows(batches), own).numpy() for batches in others.values()]
        found["point_input_distance"] = np.concatenate(far)
        found["point_feature_distance"] = np.full(len(found["point_input_distance"]), np.nan)
        if features is not None:
            h = rows_of(features, problem.batches)[1]
            parts = [nearest(rows_of(features, batches)[1], h).numpy() for batches in others.values()]
            found["point_feature_distance"] = np.concatenate(parts)
        found |= _rank_correlations(found, list(others))
    context.progress(1.0)
    return found


def _check(problem: Problem, others: Mapping[str, Sequence[Batch]]) -> None:
    """Refuse what has no distances."""
    from landscape.core.inputs.feature_map import inputs_of

    if problem.examples < 2:
        raise InputError(f"distance_awareness needs two examples or more, not {problem.examples}.")
    shape = tuple(inputs_of(problem.first).shape[1:])
    for name, batches in others.items():
        other = tuple(inputs_of(batches[0]).shape[1:])
        if other != shape:
            raise InputError(
                f"distance_awareness: inputs of the other data '{name}' have the shape {other}, those of the"
                f" examples {shape}: between them there is no distance."
            )


def _of_features(
    problem: Problem,
    features: FeatureMap,
    others: Mapping[str, Sequence[Batch]],
    params: DistanceAwarenessParams,
) -> dict[str, Any]:
    """Expansions, ends of the Jacobian's spectrum, norms of layers."""
    import torch

    from landscape.core.data.batches import gather
    from landscape.core.data.subsample import sample
    from landscape.core.inputs.expansion import expansions
    from landscape.core.inputs.feature_map import jacobian_ends, layer_norms

    kinds, apart, ratios = [], [], []
    for name, distance, values in expansions(
        features, problem.batches, others, params.radii, pairs=params.pairs, seed=params.seed
    ):
        kinds.append(name)
        apart.append(distance)
        ratios.append(np.pad(values, (0, params.pairs - len(values)), constant_values=np.nan))
    table = np.array(ratios)
    quantiles = np.nanquantile(table, QUANTILES, axis=1).T
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = quantiles[:, -1] / quantiles[:, 0]
    with torch.no_grad():
        width = features(problem.first).shape[1]
    found: dict[str, Any] = {
        "features": width,
        "pair_kind": np.array(kinds),
        "quantile": np.array(QUANTILES),
        "expansion": table,
        "expansion_quantile": quantiles,
        "expansion_spread": spread,
        "pair_distance": np.array(apart),
    }
    if params.points:
        chosen = sample(problem.batches, params.points)
        count = min(params.points, sum(batch.size for batch in chosen))
        ends = jacobian_ends(
            features, gather(chosen, torch.arange(count)), most=params.products, seed=params.seed
        )
        found |= {
            "jacobian_largest": ends.largest.cpu().numpy(),
            "jacobian_smallest": ends.smallest.cpu().numpy(),
            "jacobian_resolved": ends.resolved.cpu().numpy(),
        }
    norms = layer_norms(problem.module, lambda: problem.output(problem.first.first(1)))
    if norms:
        values = np.array(list(norms.values()))
        with np.errstate(divide="ignore"):
            product = float(np.log(values).sum())
        found |= {"layer": np.array(list(norms)), "layer_norm": values, "log_norm_product": product}
    return found


def _doubt(problem: Problem, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Entropy, confidence and score at every point of other data."""
    from landscape.core.behaviour.drawn import predict_other_draws

    parts = {name: predict_other_draws(problem, data, seed=seed) for name, data in given.items()}
    numbers = [part.per_example() for part in parts.values()]
    if any(part.mixture.examples is not None for part in parts.values()):
        raise InputError("distance_awareness needs one answer for each example.")
    found = {f"point_{name}": np.concatenate([one[name] for one in numbers]) for name in BY}
    sizes = [len(one["entropy"]) for one in numbers]
    return {**found, "point_data": np.repeat(np.array(list(parts)), sizes)}


def _rank_correlations(found: Mapping[str, Any], others: Sequence[str]) -> dict[str, Any]:
    """Spearman's correlation of each kind of doubt with each distance, by other data."""
    table = np.full((len(others), len(SPACES), len(BY)), np.nan)
    for row, name in enumerate(others):
        here = found["point_data"] == name
        for column, space in enumerate(("point_input_distance", "point_feature_distance")):
            for depth, by in enumerate(BY):
                values = found[f"point_{by}"][here]
                table[row, column, depth] = _spearman(
                    -values if by == "confidence" else values, found[space][here]
                )
    return {"spearman": table, "other": np.array(others), "space": np.array(SPACES), "by": np.array(BY)}


def _spearman(a: Array, b: Array) -> float:
    from scipy.stats import rankdata

    if np.isnan(a).any() or np.isnan(b).any() or len(a) < 2:
        return float("nan")
    ranks = np.stack([rankdata(a), rankdata(b)])
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(ranks)[0, 1])


def _draws(problem: Problem, seed: int) -> int:
    """How many draws the model's predictions are averages of: 1 of a plain model."""
    from landscape.core.behaviour.predictive import Predictive

    if not isinstance(problem.module, Predictive):
        return 1
    import torch

    with torch.no_grad(), problem.module.heard(seed=seed) as heard:
        problem.output(problem.first.first(1))
    return heard[-1].samples if heard else 1


def _rows(batches: Sequence[Batch]) -> Tensor:
    import torch

    from landscape.core.inputs.feature_map import inputs_of

    return torch.cat([inputs_of(batch).flatten(1).double().cpu() for batch in batches])


def _with_targets(data: Any) -> Any:
    """Other data in the form that problems take: inputs alone get labels that say nothing."""
    import torch

    return (data, torch.zeros(len(data), dtype=torch.long)) if isinstance(data, torch.Tensor) else data


def _other_data(params: DistanceAwarenessParams, context: Context) -> dict[str, Any]:
    """Other data by name."""
    from landscape.core.behaviour.ood import load_data

    given = context.inputs.get("other")
    if given is not None and params.other_data:
        raise InputError(
            "distance_awareness takes either the input other or the option other_data, not both."
        )
    if given is not None:
        return dict(given) if isinstance(given, Mapping) else {"other": given}
    short = [reference.rpartition(":")[2] for reference in params.other_data]
    names = short if len(set(short)) == len(short) else params.other_data
    return {name: load_data(ref) for name, ref in zip(names, params.other_data, strict=True)}
