"""``density``: the distribution of all eigenvalues, bulk and outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from landscape.analyses._shared.captions import LOSS_UNIT, loss_unit, weight_decays
from landscape.analyses.curvature._operator import finite_loss, matrix, matrix_names
from landscape.analyses.curvature._options import Operator
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Stems, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.density import count_beyond, gaussian_density, resolving_grid

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class DensityParams(Params):
    """Options of ``density``."""

    engine: Literal["landscape"] = Field(
        "landscape", description="our own; that of PyHessian fails on current torch"
    )
    operator: Operator = "hessian"
    outliers: int = Field(
        10, ge=0, description="most eigenvalues of largest magnitude computed apart and added back exactly"
    )
    probes: int = Field(5, ge=1, description="random probes; their spread is the error band")
    steps: int = Field(40, ge=1, description="Lanczos steps (products) per probe")
    kernel_width: float = Field(
        0.005, gt=0, description="standard deviation of the Gaussian kernel over the range of the bulk"
    )
    tol: float = Field(3e-3, gt=0, description="residual allowed for outliers, relative to max |λ|")
    seed: int = Field(0, ge=0, description="seed of the probes")

    @field_validator("engine", mode="before")
    @classmethod
    def _no_pyhessian(cls, engine: object) -> object:
        if engine == "pyhessian":
            raise ValueError(
                "the density() of PyHessian 0.1 calls torch.eig, which torch has removed, so that it fails on"
                " every supported torch; leave engine out for quadrature with full reorthogonalisation"
            )
        return engine


RELATIVE = 0.08
"""Kernel width over |λ| in the figure, whose axis is logarithmic."""

LEAST_COUNT = 0.01

DENSITY_UNIT = f"1/({LOSS_UNIT})"

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("grid", ("grid",), "eigenvalue λ", LOSS_UNIT),
        Variable("probe", ("probe",), "index of the probe", "", kind="int"),
    ),
    variables=(
        Variable("density", ("grid",), "density of eigenvalues, smoothed; integrates to 1", DENSITY_UNIT),
        Variable("density_se", ("grid",), "standard error of the density over probes", DENSITY_UNIT),
        Variable(
            "nodes",
            ("probe", "node"),
            "quadrature nodes: those of the bulk, then the outliers",
            LOSS_UNIT,
        ),
        Variable("weights", ("probe", "node"), "weights of the nodes; they sum to 1 for each probe"),
        Variable("outliers", ("outlier",), "eigenvalues computed apart, by falling |λ|", LOSS_UNIT),
        Variable("residuals", ("outlier",), "residual norms ‖Au − λu‖ of the outliers", LOSS_UNIT),
        Variable("kernel_width", (), "standard deviation σ of the Gaussian kernel", LOSS_UNIT),
        Variable("trace", (), "trace, P Σ w x", LOSS_UNIT),
        Variable("trace_se", (), "standard error of the trace over probes", LOSS_UNIT),
        Variable("negative_share", (), "share of eigenvalues below −σ"),
        Variable("negative_share_se", (), "standard error of negative_share over probes"),
        Variable("converged", (), "whether all outliers asked for are within tolerance", "", kind="bool"),
        Variable("iterations", (), "Lanczos steps per probe", kind="int"),
        Variable("products", (), "matrix-vector products used", kind="int"),
    ),
)


def compute(problem: Problem, params: DensityParams, context: Context) -> Mapping[str, Any]:
    """Stochastic Lanczos quadrature on the operator of the whole data set."""
    from landscape.core.linalg.quadrature import spectral_measure

    finite_loss(problem)
    with matrix(problem, params.operator) as operator:
        measure = spectral_measure(
            operator,
            outliers=params.outliers,
            probes=params.probes,
            steps=params.steps,
            tol=params.tol,
            seed=params.seed,
            on_progress=context.progress,
        )
    width = measure.kernel_width(params.kernel_width)
    trace, trace_se = measure.mean(measure.nodes)
    negative, negative_se = measure.mean((measure.nodes < -width).astype(np.float64))
    last = measure.nodes.shape[1] - measure.outliers
    return {
        "probe": np.arange(len(measure.nodes)),
        "nodes": measure.nodes,
        "weights": measure.weights,
        **_smoothed(measure.nodes, measure.weights, width),
        "outliers": measure.nodes[0, last:],
        "residuals": measure.residuals,
        "trace": trace * measure.size,
        "trace_se": trace_se * measure.size,
        "negative_share": negative,
        "negative_share_se": negative_se,
        "converged": measure.converged,
        "iterations": measure.iterations,
        "products": measure.products,
    }


def smooth(ds: xr.Dataset, width: float) -> xr.Dataset:
    """A density dataset smoothed anew from its nodes and weights.

    Args:
        ds: A result of ``landscape.density``.
        width: Standard deviation of the Gaussian kernel, in the unit of the eigenvalues.

    Returns:
        The dataset with new ``grid``, ``density``, ``density_se`` and ``kernel_width``; the rest is kept.

    Raises:
        InputError: If the width is not positive.
    """
    kept = ds.drop_vars(["grid", "density", "density_se", "kernel_width"])
    data = {str(n): kept.variables[n].values for n in kept.variables}
    return SCHEMA.dataset({**data, **_smoothed(ds["nodes"].values, ds["weights"].values, width)}, ds.attrs)


def _smoothed(nodes: Any, weights: Any, width: float) -> dict[str, Any]:
    # `WEIGHTLESS` of the quadrature, which cannot be imported here: figures are drawn without torch.
    grid = resolving_grid(nodes[weights > 1e-12], width)
    rows = np.array([gaussian_density(x, w, grid, width) for x, w in zip(nodes, weights, strict=True)])
    return {
        "grid": grid,
        "density": rows.mean(0),
        "density_se": _standard_error(rows),
        "kernel_width": width,
    }


def _standard_error(rows: Any) -> Any:
    """s/√p over probes (axis 0); NaN for a single probe."""
    if len(rows) < 2:
        return np.full(rows.shape[1:], np.nan)
    return rows.std(axis=0, ddof=1) / len(rows) ** 0.5


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """The density on a two-sided log axis, and how many eigenvalues lie beyond a value."""
    unit = loss_unit(datasets)
    finest = min(_resolution(ds) for ds in datasets.values())
    lines: list[Any] = []
    ticks: list[Any] = []
    counts: list[Any] = []
    for label, ds in datasets.items():
        lines.append(_shape(label, ds, finest))
        values, residuals = ds["outliers"].values, ds["residuals"].values
        if len(values):
            peaks = 1.0 / (_size(ds) * _widths(ds, values) * np.sqrt(2.0 * np.pi))
            texts = tuple(f"λ = {v:.5g} ± {r:.1g}" for v, r in zip(values, residuals, strict=True))
            ticks.append(Stems(values, peaks, series(label, ds), texts=texts))
        counts += _counts(label, ds)
    highest = max(float(np.max(line.y)) for line in lines)
    lowest = min(float(np.min(stems.y)) for stems in ticks) if ticks else 1e-6 * highest
    most = max((float(np.max(line.y)) for line in counts), default=1.0)
    first = next(iter(datasets.values()))
    about = (
        f"{matrix_names(datasets)} of the mean loss over {first.attrs.get('examples', '?')} examples,"
        f" {weight_decays(datasets)};"
        f" {first.sizes['probe']} probes of {int(first['iterations'])} Lanczos steps."
    )
    return [
        FigureSpec(
            "density",
            "Density of eigenvalues",
            Axis("eigenvalue λ", unit, scale="symlog", linthresh=finest),
            Axis("density", f"1/({unit})", scale="log", limits=(lowest / 4, 4 * highest)),
            (*lines, *ticks),
            f"Eigenvalue density of the {about} The Gaussian kernel's standard deviation is"
            f" {100 * RELATIVE:.0f} % of |λ|, and no less than the quadrature resolves ({_range(datasets)}"
            f" {unit}); the axis is linear within ±{finest:.2g}. Outliers, computed apart, stand out as"
            " high as the peak of one eigenvalue.",
            "Bands: ±2 standard errors over probes.",
        ),
        FigureSpec(
            "counts",
            "Number of eigenvalues beyond a value",
            Axis("|λ|", unit, scale="log"),
            Axis("eigenvalues beyond", scale="log", limits=(0.5, 2.0 * most)),
            tuple(counts),
            f"How many eigenvalues lie above |λ| (solid) and below −|λ| (dashed), from the smallest |λ| that"
            f" the quadrature resolves. No kernel. {about}",
            "Bands: ±2 standard errors over probes.",
        ),
    ]


def _size(ds: xr.Dataset) -> int:
    return int(ds.attrs["parameters_count"])


def _resolution(ds: xr.Dataset) -> float:
    """Half the distance of neighbouring nodes in the middle of the bulk, or the kernel width if larger."""
    last = ds.sizes["node"] - ds.sizes["outlier"]
    bulk = ds["nodes"].values[:, :last][ds["weights"].values[:, :last] > 1e-12]
    # Gauss nodes lie about as Chebyshev's do: m of them are π/m apart in the middle of [−1, 1].
    spacing = np.pi * np.ptp(bulk) / (2.0 * int(ds["iterations"])) if bulk.size else 0.0
    return max(float(spacing) / 2.0, float(ds["kernel_width"]))


def _widths(ds: xr.Dataset, at: Any) -> Any:
    """Kernel widths that look even on a log axis: a share of |λ|, but no less than is resolved."""
    return np.maximum(RELATIVE * np.abs(at), _resolution(ds))


def _shape(label: str, ds: xr.Dataset, finest: float) -> Line:
    """The density for a two-sided log axis."""
    nodes, weights = ds["nodes"].values, ds["weights"].values
    held = nodes[weights > 1e-12]
    low, high = (v + s * 3 * float(_widths(ds, v)) for v, s in ((held.min(), -1), (held.max(), 1)))
    reach = max(abs(low), abs(high), 2 * finest)
    # Even steps as the axis shows them: linear within ±finest, geometric beyond.
    half = np.concatenate([np.linspace(0.0, finest, 30)[:-1], np.geomspace(finest, reach, 400)])
    grid = np.concatenate([-half[:0:-1], half])
    grid = grid[(grid >= low) & (grid <= high)]
    rows = np.array(
        [gaussian_density(x, w, grid, _widths(ds, x)) for x, w in zip(nodes, weights, strict=True)]
    )
    return Line(grid, rows.mean(0), series(label, ds), *_band(rows))


def _counts(label: str, ds: xr.Dataset) -> list[Line]:
    """Positive and negative tail counts against |λ|."""
    nodes, weights = ds["nodes"].values, ds["weights"].values
    low, high = _resolution(ds), float(np.abs(nodes).max())
    at = np.geomspace(low, max(high, 2 * low), 400)
    lines = []
    for sign, style, side in ((1.0, "solid", "λ > 0"), (-1.0, "dash", "λ < 0")):
        rows = _size(ds) * np.array(
            [count_beyond(sign * x, w, at) for x, w in zip(nodes, weights, strict=True)]
        )
        there = rows.mean(0) > LEAST_COUNT  # a log axis ends before zero
        if there.any():
            who = replace(series(label, ds), label=f"{label}, {side}")
            shown = rows[:, there]
            lines.append(Line(at[there], shown.mean(0), who, *_band(shown), style=style))  # type: ignore[arg-type]
    return lines


def _band(rows: Any) -> tuple[Any, Any]:
    se = _standard_error(rows)
    return (None, None) if np.isnan(se).any() else (rows.mean(0) - 2 * se, rows.mean(0) + 2 * se)


def _range(datasets: Mapping[str, xr.Dataset]) -> str:
    values = [_resolution(ds) for ds in datasets.values()]
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Trace, mean eigenvalue and the share of negative eigenvalues."""
    unit = loss_unit({"": ds})
    width = float(ds["kernel_width"])
    return [
        Metric("tr (SLQ)", float(ds["trace"]), unit, f"trace by quadrature, ± {float(ds['trace_se']):.2g}"),
        Metric(
            "share λ < −σ",
            float(ds["negative_share"]),
            "1",
            f"share of eigenvalues below −σ, σ = {width:.2g} {unit}",
        ),
    ]


density = Analysis(
    name="density",
    title="Spectral density",
    description=(
        "The distribution of all eigenvalues of the Hessian ∇²L, or of the generalised Gauss-Newton"
        " matrix, of the mean loss with weight decay, which shifts it by λ_wd. Stochastic Lanczos quadrature"
        " (Ghorbani, Krishnan & Xiao 2019; Papyan 2020; Yao et al. 2020) with full reorthogonalisation and"
        " several Gaussian probes. The eigenvalues of largest magnitude are computed apart and added back"
        " as point masses 1/P, so that they neither carry random weights nor blur the bulk. Nodes and"
        " weights are kept: `landscape.analyses.curvature.density.smooth(ds, width)` smooths them anew."
        " Structure finer than the range of the bulk over the number of steps is not resolved."
    ),
    scope="checkpoint",
    params=DensityParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(
        forwards=1.0, gradients=3.5 * (10 + 3 * params.outliers + params.probes * params.steps)
    ),
)
