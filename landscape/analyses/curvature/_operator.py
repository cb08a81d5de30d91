"""What the analyses of curvature share: a loss that has curvature, the matrix, and its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.curvature.operator import CurvatureOperator
    from landscape.core.problem.problem import Problem

__all__ = ["finite_loss", "matrix", "matrix_names"]

_NAMES = {"hessian": "Hessian", "ggn": "generalised Gauss-Newton matrix"}


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


def matrix(problem: Problem, operator: str) -> CurvatureOperator:
    """The Hessian (``hessian``) or the Gauss-Newton matrix (``ggn``) of all the data."""
    from landscape.core.curvature.operator import ggn, hessian

    return {"hessian": hessian, "ggn": ggn}[operator](problem)


def matrix_names(datasets: Mapping[str, xr.Dataset]) -> str:
    """What the matrices of some results are called in captions."""
    chosen = {json.loads(ds.attrs["parameters"])["operator"] for ds in datasets.values()}
    return " or ".join(name for key, name in _NAMES.items() if key in chosen)
