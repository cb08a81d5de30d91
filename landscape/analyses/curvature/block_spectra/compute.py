"""What ``block_spectra`` computes, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._options import NOT_KEPT
from landscape.analyses.curvature.block_spectra.options import BlockSpectraParams
from landscape.base.analysis import Context
from landscape.core.stats.spectral_distance import Spectrum, spectral_distances
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    from landscape.base.ledger import Piece
    from landscape.core.curvature.operator import CurvatureOperator
    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem

__all__ = ["chosen_blocks", "compute", "whole_matrix"]


def whole_matrix(problem: Problem, params: BlockSpectraParams) -> CurvatureOperator:
    """The matrix that the blocks are of."""
    from landscape.core.curvature.operator import ggn, hessian

    return hessian(problem) if params.operator == "hessian" else ggn(problem)


def chosen_blocks(operator: CurvatureOperator, params: BlockSpectraParams) -> dict[str, SymmetricOperator]:
    """The blocks whose names match, as operators, in the model's order.

    Raises:
        InputError: If a glob matches no block.
    """
    from landscape.core.curvature.attention_parts import attention_blocks

    found: Mapping[str, SymmetricOperator]
    if params.by in ("projection", "head"):
        found = attention_blocks(operator, heads=params.by == "head")
    else:
        found = operator.blocks(params.by)
    names = {name or "(model)": block for name, block in found.items()}
    for glob in params.blocks:
        # Not as a set of characters: names such as qkv.weight[key 0] hold brackets.
        if not any(_matches(name, glob) for name in names):
            raise InputError(f"no block matches '{glob}'; {suggest(glob, names)}")
    return {n: block for n, block in names.items() if any(_matches(n, glob) for glob in params.blocks)}


def _matches(name: str, glob: str) -> bool:
    return name == glob or fnmatchcase(name, glob)


def compute(problem: Problem, params: BlockSpectraParams, context: Context) -> Mapping[str, Any]:
    """Quadrature of each block, or all its eigenvalues; a killed run keeps the finished blocks."""
    finite_loss(problem)
    with whole_matrix(problem, params) as operator:
        blocks = chosen_blocks(operator, params)
        found = [*blocks.values()]
        pieces = context.ledger.collect(
            [f"block-{i}" for i in range(len(found))],
            lambda i: _spectrum(found[i], i, params),
            lambda done: context.progress(0.95 * done / len(found)),
        )
    nodes, weights = (_padded([piece[n] for piece in pieces]) for n in ("nodes", "weights"))
    data: dict[str, Any] = {
        "block": np.array([*blocks]),
        "other": np.array([*blocks]),
        "probe": np.arange(params.probes),
        "block_size": np.array([block.size for block in found]),
        "nodes": nodes,
        "weights": np.nan_to_num(weights),
        **{n: np.array([piece[n] for piece in pieces]) for n in ("exact", "resolution", "block_trace")},
        "block_trace_se": np.array([piece["block_trace_se"] for piece in pieces]),
        "converged": all(bool(piece["converged"]) for piece in pieces),
        **({} if all(piece.get("reorthogonalised", True) for piece in pieces) else {"notice": NOT_KEPT}),
        "products": sum(int(piece["products"]) for piece in pieces),
    }
    there = np.where(data["weights"] > 1e-12, nodes, np.nan)
    data["largest"], data["smallest"] = np.nanmax(there, (1, 2)), np.nanmin(there, (1, 2))
    spectra = [
        Spectrum(x, w, float(r)) for x, w, r in zip(nodes, data["weights"], data["resolution"], strict=True)
    ]
    distances = spectral_distances(spectra)
    return {
        **data,
        "js_distance": distances.values,
        "js_distance_low": distances.low,
        "js_distance_high": distances.high,
        "mean_distance": distances.mean,
        "mean_distance_low": distances.mean_low,
        "mean_distance_high": distances.mean_high,
    }


def _spectrum(block: SymmetricOperator, number: int, params: BlockSpectraParams) -> Piece:
    """All eigenvalues where that is no more work than the probes, else their quadrature."""
    from landscape.core.linalg.quadrature import spectral_measure, whole_measure
    from landscape.core.seeds import spread_seed

    exact = block.size <= params.probes * params.steps
    if exact:
        measure = whole_measure(block, probes=params.probes)
    else:
        measure = spectral_measure(
            block,
            outliers=params.outliers,
            probes=params.probes,
            steps=params.steps,
            tol=params.tol,
            seed=spread_seed(params.seed, number),
        )
    trace, trace_se = measure.mean(measure.nodes)
    return {
        "nodes": measure.nodes,
        "weights": measure.weights,
        "exact": np.array(exact),
        "resolution": np.array(measure.spacing),
        "block_trace": np.array(trace * measure.size),
        "block_trace_se": np.array(0.0 if exact else trace_se * measure.size),
        "converged": np.array(measure.converged),
        "reorthogonalised": np.array(measure.reorthogonalised),
        "products": np.array(measure.products),
    }


def _padded(rows: list[Any]) -> Any:
    """Arrays (probes, nodes) of different lengths as one (blocks, probes, nodes), with NaN."""
    width = max(row.shape[1] for row in rows)
    return np.stack([np.pad(r, ((0, 0), (0, width - r.shape[1])), constant_values=np.nan) for r in rows])
