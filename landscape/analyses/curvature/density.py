"""``density``: the distribution of all eigenvalues, bulk and outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit, weight_decays
from landscape.analyses._shared.shared_scale import typical_highest, typical_lowest
from landscape.analyses.curvature._operator import finite_loss, matrix, matrix_names
from landscape.analyses.curvature._options import NOT_KEPT, Operator
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Stems, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.linalg.moment_bounds import Bracket, below, density_band
from landscape.core.stats.density import WEIGHTLESS, node_spacing, resolving_grid
from landscape.core.stats.intervals import reach, standard_error

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
        40,
        ge=0,
        description="most eigenvalues of largest magnitude that the first probe finds, taken out and added"
        " back exactly",
    )
    probes: int = Field(5, ge=1, description="random probes; their spread is the error band")
    steps: int = Field(40, ge=1, description="Lanczos steps (products) per probe")
    kernel_width: float = Field(
        0.005,
        gt=0,
        description="standard deviation of the Gaussian kernel over the range of the bulk; no less is taken"
        " than the distance of nodes in its middle, π/2 over the steps",
    )
    share_tol: float = Field(
        0.1, gt=0, description="width of the bracket of negative_share up to which it counts as converged"
    )
    tol: float = Field(3e-3, gt=0, description="residual allowed for outliers, relative to max |λ|")
    reorthogonalise: bool = Field(
        True,
        description="keep the vectors of all Lanczos steps, and keep them orthogonal; false, or if they do"
        " not fit into memory: three-term recurrences of two vectors, after one for outliers",
    )
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

NOTHING = (float("nan"), 0.0)  # below what is resolved nothing is known, beyond the largest |λ| there is none
LEAST_COUNT = 0.01

DENSITY_UNIT = f"1/({LOSS_UNIT})"

SCHEMA = Schema(
    version=2,
    coords=(
        Variable("grid", ("grid",), "eigenvalue λ", LOSS_UNIT),
        Variable("probe", ("probe",), "index of the probe", "", kind="int"),
    ),
    variables=(
        Variable("density", ("grid",), "density of eigenvalues, smoothed; integrates to 1", DENSITY_UNIT),
        Variable("density_se", ("grid",), "standard error of the density over probes", DENSITY_UNIT),
        Variable(
            "density_low",
            ("grid",),
            "lower end of its band: what the recurrences leave open, less the error over probes at 95 %",
            DENSITY_UNIT,
        ),
        Variable("density_high", ("grid",), "upper end of its band, alike", DENSITY_UNIT),
        Variable(
            "nodes",
            ("probe", "node"),
            "quadrature nodes: those of the bulk, then the outliers",
            LOSS_UNIT,
        ),
        Variable("weights", ("probe", "node"), "weights of the nodes; they sum to 1 for each probe"),
        Variable("alpha", ("probe", "step"), "diagonals of the bulk's Lanczos recurrences", LOSS_UNIT),
        Variable("beta", ("probe", "coupling"), "their off-diagonals", LOSS_UNIT),
        Variable("rounding", (), "eigenvalues nearer to 0 than this count as 0", LOSS_UNIT),
        Variable("outliers", ("outlier",), "eigenvalues taken out, by falling |λ|", LOSS_UNIT),
        Variable("residuals", ("outlier",), "residual norms ‖Au − λu‖ of the outliers", LOSS_UNIT),
        Variable("kernel_width", (), "standard deviation σ of the Gaussian kernel", LOSS_UNIT),
        Variable("trace", (), "trace, P Σ w x", LOSS_UNIT),
        Variable("trace_se", (), "standard error of the trace over probes", LOSS_UNIT),
        Variable("negative_share", (), "share of negative eigenvalues: the middle of its bracket"),
        Variable("negative_share_low", (), "lower end of its bracket, mean over probes"),
        Variable("negative_share_high", (), "upper end of its bracket, mean over probes"),
        Variable(
            "negative_share_se", (), "its error: half the bracket and the error over probes, in squares"
        ),
        Variable(
            "converged",
            (),
            "whether the bracket of negative_share is as narrow as asked for",
            "",
            kind="bool",
        ),
        Variable(
            "converged_notice",
            (),
            "what would narrow the bracket",
            "",
            kind="str",
            optional=True,
        ),
        Variable("notice", (), "why vectors were not kept orthogonal", "", kind="str", optional=True),
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
            reorthogonalise=params.reorthogonalise,
            seed=params.seed,
            on_progress=context.progress,
        )
    trace, trace_se = measure.mean(measure.nodes)
    # An eigenvalue that is 0 is not negative, whichever way it was rounded.
    negative = measure.share_below(-measure.rounding)
    low, high = (float(end) for end in negative.ends)
    narrow = high - low <= params.share_tol
    width = max(measure.kernel_width(params.kernel_width), measure.spacing)
    return {
        "probe": np.arange(len(measure.nodes)),
        "nodes": measure.nodes,
        "weights": measure.weights,
        "alpha": measure.alpha,
        "beta": measure.beta,
        "rounding": measure.rounding,
        **_smoothed(measure.nodes, measure.weights, measure.alpha, measure.beta, measure.residuals, width),
        "outliers": measure.nodes[0, measure.nodes.shape[1] - measure.outliers :],
        "residuals": measure.residuals,
        "trace": trace * measure.size,
        "trace_se": trace_se * measure.size,
        "negative_share": float(negative.middle),
        "negative_share_low": low,
        "negative_share_high": high,
        # Of few probes the error is itself uncertain: enlarged, so that two of them cover 95 %.
        "negative_share_se": float(
            np.hypot((high - low) / 2, reach(len(measure.nodes)) / 2 * negative.sampling_error)
        ),
        "converged": narrow,
        "converged_notice": "" if narrow else _wide_bracket(params),
        **({"notice": NOT_KEPT} if params.reorthogonalise and not measure.reorthogonalised else {}),
        "iterations": measure.iterations,
        "products": measure.products,
    }


def _wide_bracket(params: DensityParams) -> str:
    """The same sentence for all models, so that a report says it once."""
    return (
        f"{params.steps} Lanczos steps leave the share of negative eigenvalues open by more than"
        f" share_tol={params.share_tol:g}; its bracket is shown with it, and more steps narrow it"
    )


def smooth(ds: xr.Dataset, width: float) -> xr.Dataset:
    """A density dataset smoothed anew from its nodes and weights.

    Args:
        ds: A result of ``landscape.density``.
        width: Standard deviation of the Gaussian kernel, in the unit of the eigenvalues.

    Returns:
        The dataset with new ``grid``, ``density`` with error and band, and ``kernel_width``.

    Raises:
        InputError: If the width is not positive.
    """
    kept = ds.drop_vars(["grid", "density", "density_se", "density_low", "density_high", "kernel_width"])
    data = {str(n): kept.variables[n].values for n in kept.variables}
    nodes, weights, alpha, beta = (ds[name].values for name in ("nodes", "weights", "alpha", "beta"))
    found = _smoothed(nodes, weights, alpha, beta, ds["residuals"].values, width)
    return SCHEMA.dataset({**data, **found}, ds.attrs)


def _smoothed(
    nodes: Any, weights: Any, alpha: Any, beta: Any, residuals: Any, width: float
) -> dict[str, Any]:
    grid = resolving_grid(nodes[weights > WEIGHTLESS], width)
    rows, low, high = density_band(
        nodes, weights, alpha, beta, residuals, grid, lambda at: np.full(np.shape(at), width)
    )
    return {
        "grid": grid,
        "density": rows.mean(0),
        "density_se": standard_error(rows, 0),
        "density_low": low,
        "density_high": high,
        "kernel_width": width,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """The density on a two-sided log axis, and how many eigenvalues lie beyond a value."""
    unit = loss_unit(datasets)
    # Set by most models: one that resolves next to nothing would stretch the axis of all others out of sight.
    finest = typical_lowest(_resolution(ds) for ds in datasets.values())
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
        counts += _counts(label, ds, alone=len(datasets) == 1)
    highest = typical_highest(float(np.max(line.y)) for line in lines)
    lowest = typical_lowest((float(np.min(stems.y)) for stems in ticks), default=1e-6 * highest)
    most = max((float(np.max(line.y, initial=1.0)) for line in counts), default=1.0)
    first = next(iter(datasets.values()))
    about = (
        f"{matrix_names(datasets)} of the mean loss over {first.attrs.get('examples', '?')} examples,"
        f" {weight_decays(datasets)};"
        f" {first.sizes['probe']} {'probes' if first.sizes['probe'] > 1 else 'probe'} of"
        f" {int(first['iterations'])} Lanczos steps."
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
            f" {unit}); the axis is linear within ±{finest:.2g}. Outliers, taken out and added back, stand"
            " out as high as the peak of one eigenvalue.",
            _band_text(datasets),
        ),
        FigureSpec(
            "counts",
            "Number of eigenvalues beyond a value",
            Axis("|λ|", unit, scale="log"),
            Axis("eigenvalues beyond", scale="log", limits=(0.5, 2.0 * most)),
            tuple(counts),
            f"How many eigenvalues lie above |λ| (solid) and below −|λ| (dashed), from the smallest |λ| that"
            f" the quadrature resolves. No kernel. {about}",
            _band_text(datasets),
        ),
    ]


def _band_text(datasets: Mapping[str, xr.Dataset]) -> Interval:
    beyond = "over probes, beyond what the Lanczos recurrences leave open"
    return error_bars((ds.sizes["probe"] for ds in datasets.values()), beyond)


def _size(ds: xr.Dataset) -> int:
    return int(ds.attrs["parameters_count"])


def _resolution(ds: xr.Dataset) -> float:
    """The distance of neighbouring nodes in the middle of the bulk, or the kernel width if larger."""
    last = ds.sizes["node"] - ds.sizes["outlier"]
    nodes, weights = ds["nodes"].values[:, :last], ds["weights"].values[:, :last]
    return max(node_spacing(nodes, weights, int(ds["iterations"])), float(ds["kernel_width"]))


def _widths(ds: xr.Dataset, at: Any) -> Any:
    """Kernel widths that look even on a log axis: a share of |λ|, but no less than is resolved."""
    return np.maximum(RELATIVE * np.abs(at), _resolution(ds))


def _shape(label: str, ds: xr.Dataset, finest: float) -> Line:
    """The density for a two-sided log axis."""
    nodes, weights = ds["nodes"].values, ds["weights"].values
    held = nodes[weights > WEIGHTLESS]
    low, high = (v + s * 3 * float(_widths(ds, v)) for v, s in ((held.min(), -1), (held.max(), 1)))
    reach = max(abs(low), abs(high), 2 * finest)
    # Even steps as the axis shows them: linear within ±finest, geometric beyond.
    own = min(finest, float(_widths(ds, 0.0)) or finest)
    half = np.concatenate([np.linspace(0.0, own, 30)[:-1], np.geomspace(own, reach, 400)])
    grid = np.concatenate([-half[:0:-1], half])
    grid = grid[(grid >= low) & (grid <= high)]
    alpha, beta = ds["alpha"].values, ds["beta"].values
    residuals = ds["residuals"].values
    rows, under, over = density_band(nodes, weights, alpha, beta, residuals, grid, lambda at: _widths(ds, at))
    middle = rows.mean(0)
    # A band that reaches down to 0 has no lower edge on a logarithmic axis: it ends below the picture.
    return Line(grid, middle, series(label, ds), under.clip(min=1e-9 * middle.max()), over)


def _counts(label: str, ds: xr.Dataset, alone: bool) -> list[Line]:
    """Positive and negative tail counts against |λ|; beyond the largest |λ| they are 0.

    A side without eigenvalues is a line of zeros, which a log axis does not show, but which a median over
    models counts; of a model ``alone`` it is left out.
    """
    low, high = _resolution(ds), float(np.abs(ds["nodes"].values).max())
    at = np.geomspace(low, max(high, 2 * low), 400)
    lines = []
    for sign, style, side in ((1.0, "solid", "λ > 0"), (-1.0, "dash", "λ < 0")):
        found = _beyond(ds, sign, at)
        middle = found.middle
        error = np.nan_to_num(reach(ds.sizes["probe"]) * found.sampling_error)
        (under, over), there = found.ends, middle > LEAST_COUNT  # a log axis ends before zero
        if there.any() or not alone:
            who = replace(series(label, ds), label=f"{label}, {side}")
            band = ((under - error).clip(min=0.0)[there], (over + error)[there])
            if not there.any():
                lines.append(Line(at[[0, -1]], [0.0, 0.0], who, style=style, beyond=NOTHING))  # type: ignore[arg-type]
                continue
            lines.append(
                Line(at[there], middle[there], who, *band, style=style, beyond=NOTHING)  # type: ignore[arg-type]
            )
    return lines


def _beyond(ds: xr.Dataset, sign: float, at: Any) -> Bracket:
    """How many eigenvalues lie beyond sign · at, as a bracket (probes, at)."""
    alpha, beta, size = ds["alpha"].values, ds["beta"].values, _size(ds)
    known = (sign * ds["outliers"].values[:, None] > at).sum(0)
    if not alpha.shape[1]:
        return Bracket(*(np.tile(np.asarray(known, np.float64), (len(alpha), 1)) for _ in range(2)))
    # The mirror image of a recurrence has its diagonal turned round; beyond is then below.
    found = below(-sign * alpha, beta, -at)
    return found.scaled(size - ds.sizes["outlier"], known)


def _range(datasets: Mapping[str, xr.Dataset]) -> str:
    values = [_resolution(ds) for ds in datasets.values()]
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Trace, mean eigenvalue and the share of negative eigenvalues."""
    unit = loss_unit({"": ds})
    low, high = float(ds["negative_share_low"]), float(ds["negative_share_high"])
    half = reach(ds.sizes["probe"]) * float(ds["trace_se"])
    return [
        Metric(
            "tr (SLQ)",
            float(ds["trace"]),
            unit,
            "trace by quadrature",
            error=half,
        ),
        Metric(
            "share λ < 0",
            float(ds["negative_share"]),
            "1",
            f"share of negative eigenvalues, between {low:.3g} and {high:.3g} for these probes",
            error=reach(ds.sizes["probe"]) * float(ds["negative_share_se"]),
        ),
    ]


density = Analysis(
    name="density",
    title="Spectral density",
    description=(
        "The distribution of all eigenvalues of the Hessian ∇²L, or of the generalised Gauss-Newton"
        " matrix, of the mean loss with weight decay, which shifts it by λ_wd. Stochastic Lanczos quadrature"
        " (Ghorbani, Krishnan & Xiao 2019; Papyan 2020; Yao et al. 2020) with several Gaussian probes and,"
        " where memory allows, full reorthogonalisation."
        " The eigenvalues of largest magnitude that the first probe finds are taken"
        " out and added back as point masses 1/P, so that they neither carry random weights nor blur the"
        " bulk; the rest of that probe counts as one of the bulk. Nodes and"
        " weights are kept: `landscape.analyses.curvature.density.smooth(ds, width)` smooths them anew."
        " Structure finer than the range of the bulk over the number of steps is not resolved, and no finer"
        " kernel is taken. Shares, counts and the curve have brackets that hold for every probe (Gauss-Radau"
        " rules, inequalities of Chebyshev, Markov and Stieltjes), beside the error over probes."
    ),
    scope="checkpoint",
    params=DensityParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0, gradients=3.5 * params.probes * params.steps),
)
