"""What the analyses of curvature share: a loss that has curvature, the matrix, and its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem

__all__ = ["finite_loss", "matrix", "matrix_names"]

_NAMES = {
    "hessian": "Hessian",
    "ggn": "generalised Gauss-Newton matrix",
    "fisher": "Fisher matrix",
    "empirical_fisher": "empirical Fisher matrix",
    "kfac": "KFAC approximation",
    "ekfac": "EKFAC approximation",
}


def finite_loss(problem: Problem, where: str = "at the checkpoint") -> float:
    """The loss L(θ) of a problem of which there is curvature.

    Args:
        problem: The problem.
        where: What the loss belongs to, for the sentence.

    Raises:
        InputError: If the loss is NaN or infinite.
    """
    loss = problem.loss()
    if not np.isfinite(loss):
        raise InputError(
            f"the loss {where} is {loss}, so it has no curvature: training diverged or the data holds NaN or"
            " infinite values."
        )
    return loss


def matrix(problem: Problem, operator: str) -> AbstractContextManager[SymmetricOperator]:
    """The matrix of all the data that an option ``operator`` names; what it keeps goes with the context."""
    from landscape.core.curvature.fisher import empirical_fisher, fisher
    from landscape.core.curvature.kfac.factors import ekfac, kfac
    from landscape.core.curvature.operator import ggn, hessian

    if operator in ("kfac", "ekfac"):
        return nullcontext((kfac if operator == "kfac" else ekfac)(problem))
    made = {"hessian": hessian, "ggn": ggn, "fisher": fisher, "empirical_fisher": empirical_fisher}
    return made[operator](problem)


def matrix_names(datasets: Mapping[str, xr.Dataset]) -> str:
    """What the matrices of some results are called in captions."""
    chosen = {json.loads(ds.attrs["parameters"])["operator"] for ds in datasets.values()}
    return " or ".join(name for key, name in _NAMES.items() if key in chosen)
