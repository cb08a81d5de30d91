"""``block_spectra``: the spectra of the Hessian's diagonal blocks, and how unlike they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import loss_unit
from landscape.analyses.curvature.block_spectra.figures import plots
from landscape.analyses.curvature.block_spectra.options import BlockSpectraParams
from landscape.analyses.curvature.block_spectra.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

__all__ = ["BlockSpectraParams", "block_spectra"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How unlike the blocks are, and how far their largest eigenvalues lie apart."""
    unit = loss_unit({"": ds})
    largest = ds["largest"].values
    low, high = float(ds["mean_distance_low"]), float(ds["mean_distance_high"])
    positive = largest[largest > 0]
    spread = float(np.log10(positive.max() / positive.min())) if positive.size else float("nan")
    at = int(largest.argmax())
    return [
        Metric(
            "mean JS distance",
            float(ds["mean_distance"]),
            "1",
            f"mean over pairs of blocks, {low:.3g} to {high:.3g} (95 %); 0 if all have one spectrum",
            finding=True,
        ),
        Metric("λ max spread", spread, "decades", "from the smallest to the largest λ max of a block"),
        Metric("λ max of blocks", float(largest[at]), unit, f"of {ds['block'].values[at]}"),
    ]


def _cost(params: BlockSpectraParams, problem: Problem | None = None) -> Cost:
    """Products with each block, the number of which depends on the model; about 2.5 gradients each."""
    most = params.probes * params.steps
    sizes = [10**6] * 20
    if problem is not None:
        from landscape.analyses.curvature.block_spectra.compute import chosen_blocks, whole_matrix

        sizes = [b.size for b in chosen_blocks(whole_matrix(problem, params), params).values()]
    products = sum(min(size, most) for size in sizes)
    return Cost(forwards=1.0, gradients=2.5 * products)


def _compute(problem: Problem, params: BlockSpectraParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.curvature.block_spectra.compute import compute

    return compute(problem, params, context)


block_spectra = Analysis(
    name="block_spectra",
    title="Spectra of diagonal blocks",
    description=(
        "The eigenvalue density of each diagonal block H_BB of the Hessian, or of the generalised"
        " Gauss-Newton matrix, of the mean loss with weight decay, and the Jensen-Shannon distance between"
        " any two (Zhang, Chen, Ding, Li, Sun & Luo 2024, who find blocks of transformers unlike and those"
        " of convolutional networks alike). Distance: the root of the divergence in bits, a metric from 0"
        " to 1, of densities smoothed by one kernel per pair. A block is a module, a parameter tensor, or"
        " the query, key or value projection of attention, by head. Blocks no larger than probes · steps"
        " are computed whole; the others by stochastic Lanczos quadrature, their largest eigenvalues apart."
        " Every product is a pass over the data, whatever the block's size: probes · steps · blocks in all."
        " Eigenvalues of blocks interlace those of H and are no part of its spectrum. Errors are over"
        " probes, by the jackknife."
    ),
    scope="checkpoint",
    params=BlockSpectraParams,
    schema=SCHEMA,
    compute=_compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
