"""What ``ntk`` computes: the leading eigenpairs, then the rest of the spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._options import NOT_KEPT
from landscape.analyses.curvature._resume import resumed_eigenpairs
from landscape.analyses.curvature._unresolved import unresolved
from landscape.analyses.curvature.ntk.options import NtkParams
from landscape.base.analysis import Context

if TYPE_CHECKING:
    from landscape.base.ledger import Piece
    from landscape.core.curvature.tangent_kernel import TangentGram
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]


def compute(problem: Problem, params: NtkParams, context: Context) -> Mapping[str, Any]:
    """Two stages; a killed run keeps the finished one, and the state of an unfinished Lanczos run."""
    from landscape.core.curvature.tangent_kernel import (
        TangentGram,
        centred_targets,
        kernel_moments,
        label_gradient,
    )

    finite_loss(problem)
    targets = centred_targets(problem)
    square = 0.0 if targets is None else sum(float(t.double().square().sum()) for t in targets)
    said = ""
    if targets is None:
        said = "there is no alignment: it takes outputs (N, C) and as many targets, or classes, per example"
    elif square == 0.0:
        said = "there is no alignment: all examples have one target, of which nothing is left when centred"
    with TangentGram(problem) as operator:
        output, _ = problem.output(problem.first)
        entries = output.numel() // problem.first.size * problem.examples
        if said or targets is None:
            along = np.full(problem.size, np.nan)
        else:
            along = label_gradient(problem, targets).double().cpu().numpy()
        collect = context.ledger.collect
        (pairs,) = collect(["pairs"], lambda _: _pairs(problem, operator, params, context))
        (rest,) = collect(["rest"], lambda _: _rest(operator, pairs, params, context))
    measure = _measure(rest, problem.size)
    moments = kernel_moments(measure, float(np.square(along).sum()), square or float("nan"))
    values, vectors = pairs["eigenvalues"], pairs["_vectors"].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The kernel's eigenvector is Ju/√λ of that u of JᵀJ, and its product with y is u·Jᵀy/√λ.
        shares = np.square(vectors.T @ along) / (values * square if square else np.nan)
    floor = float(pairs["_rounding"])
    data: dict[str, Any] = {
        "eigenpair": np.arange(len(values)),
        "eigenvalues": values,
        "residuals": pairs["residuals"],
        "label_share": np.where(values > floor, shares, np.where(np.isnan(shares), np.nan, 0.0)),
        "rank_limit": min(entries, problem.size),
        "exact": bool(rest["exact"]),
        "converged": bool(pairs["converged"]),
        "complete": bool(pairs["complete"]),
        "products": int(pairs["products"]) + int(rest["products"]),
        "notice": ". ".join(
            filter(
                None, (said, str(pairs["_notice"]), "" if rest.get("reorthogonalised", True) else NOT_KEPT)
            )
        ),
    }
    for name in ("trace", "frobenius", "effective_rank", "participation", "alignment"):
        value, half = getattr(moments, name)
        # None of them is negative: the kernel is positive semi-definite.
        data |= {name: value, f"{name}_low": max(value - half, 0.0), f"{name}_high": value + half}
    return data


def _pairs(problem: Problem, operator: TangentGram, params: NtkParams, context: Context) -> Piece:
    found = resumed_eigenpairs(
        operator,
        params.k,
        context.ledger,
        "lanczos",
        tol=params.tol,
        max_products=params.max_products,
        seed=params.seed,
        search=params.search,
        vectors=True,
        on_progress=lambda p: context.progress(0.5 if p.checking else 0.4 * p.converged / params.k),
    )
    assert found.vectors is not None
    return {
        "eigenvalues": found.values.numpy(),
        "residuals": found.residuals.numpy(),
        "converged": np.array(found.converged),
        "complete": np.array(found.complete),
        "products": np.array(found.products),
        "_rounding": np.array(100 * found.rounding),
        "_vectors": found.vectors.cpu().numpy(),
        "_notice": np.array(unresolved(found, "LM", problem.dtype.itemsize == 8)),
    }


def _rest(operator: TangentGram, pairs: Piece, params: NtkParams, context: Context) -> Piece:
    """The spectrum beside the leading pairs; all of it where that is no more work than the probes."""
    import torch

    from landscape.core.linalg.eigenpairs import Eigenpairs
    from landscape.core.linalg.quadrature import spectral_measure, whole_measure

    exact = operator.size <= params.probes * params.steps
    if exact:
        found = whole_measure(operator, probes=params.probes)
    else:
        values = torch.from_numpy(pairs["eigenvalues"])
        known = Eigenpairs(
            values=values,
            residuals=torch.from_numpy(pairs["residuals"]),
            vectors=torch.from_numpy(pairs["_vectors"]),
            converged=True,
            complete=True,
            iterations=0,
            products=0,
            tol=params.tol,
            scale=float(values.abs().max()),
            rounding=float(pairs["_rounding"]) / 100,
        )
        found = spectral_measure(
            operator,
            outliers=known,
            probes=params.probes,
            steps=params.steps,
            seed=params.seed,
            on_progress=lambda done: context.progress(0.5 + 0.5 * done),
        )
    return {
        "nodes": found.nodes,
        "weights": found.weights,
        "outliers": np.array(found.outliers),
        "exact": np.array(exact),
        "products": np.array(found.products),
        "reorthogonalised": np.array(found.reorthogonalised),
    }


def _measure(rest: Piece, size: int) -> Any:
    """The quadrature that a piece was made from, as far as moments need it."""
    from landscape.core.linalg.quadrature import SpectralMeasure

    nothing = np.zeros((len(rest["nodes"]), 0))
    return SpectralMeasure(
        rest["nodes"],
        rest["weights"],
        int(rest["outliers"]),
        np.zeros(0),
        size,
        0,
        0,
        nothing,
        nothing,
        0.0,
        True,
    )
