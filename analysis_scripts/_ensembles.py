"""Deep ensembles of the seeds of a study: scores against the number of networks averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from _study import Trained, load
from numpy.typing import NDArray

import landscape
from landscape.figure import Axis, FigureSpec, Line, Points, Series
from landscape.reference.files import load_weights
from landscape.reference.uncertainty import DeepEnsemble
from landscape.zoo.spec import Builder

__all__ = ["figure", "jackknife", "scores"]

Array = NDArray[np.float64]


def scores(models: Sequence[Trained], data: Builder) -> dict[int, Array]:
    """Negative log-likelihood of the mean prediction of every subset of networks, by the subset's size.

    Args:
        models: Trainings of one kind of model.
        data: The examples; dropout is off.

    Returns:
        By size m = 1...M, one NLL in nats for each subset of m networks, in the order of
        `itertools.combinations`.
    """
    members = []
    for model in models:
        network = model.recipe.build(model.seed).eval()
        load_weights(network, model.path)
        members.append(network)
    examples = load(data)

    def nll(chosen: Sequence[Any]) -> float:
        problem = landscape.Problem(DeepEnsemble(chosen), "cross_entropy", examples)
        return float(landscape.calibration(problem, bootstrap=2)["nll"])

    sizes = range(1, len(members) + 1)
    return {m: np.array([nll(chosen) for chosen in combinations(members, m)]) for m in sizes}


def jackknife(values: Array) -> Array:
    """One number per network from those of all subsets that leave one network out.

    Such subsets share networks, so their numbers spread less than independent ones would. The pseudo-values
    n̄ + (M-1)(n̄ - n_i) have the same mean, and the standard error of their mean is the jackknife's.

    Reference:
        Tukey (1958); Efron & Stein (1981), The jackknife estimate of variance.
    """
    mean = values.mean()
    return np.asarray(mean + (len(values) - 1) * (mean - values))


def figure(by_kind: Mapping[str, Mapping[int, Array]]) -> FigureSpec:
    """Mean over subsets, and every subset, against the number of networks."""
    marks: list[Any] = []
    for kind, found in by_kind.items():
        sizes = np.array(list(found))
        who = Series(kind)
        marks.append(Line(sizes, [values.mean() for values in found.values()], who, markers=True))
        x = np.concatenate([np.full(values.size, size) for size, values in found.items()])
        marks.append(Points(x, np.concatenate(list(found.values())), who))
    return FigureSpec(
        "ensemble_nll",
        "Negative log-likelihood of deep ensembles",
        Axis("networks averaged"),
        Axis("negative log-likelihood", "nats/example"),
        tuple(marks),
        "Points: every subset of the training seeds; lines: their means. No dropout at test time.",
    )
