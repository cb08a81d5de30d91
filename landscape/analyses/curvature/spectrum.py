"""``spectrum``: the extreme eigenvalues of the Hessian or Gauss-Newton matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, loss_unit, weight_decays
from landscape.analyses._shared.shared_scale import typical_lowest
from landscape.analyses._shared.tails import Resamples, tail_of, tail_variables, tail_verdict
from landscape.analyses.curvature._along_training import along_training
from landscape.analyses.curvature._operator import finite_loss, matrix, matrix_names
from landscape.analyses.curvature._options import Operator
from landscape.analyses.curvature._resume import resumed_eigenpairs, start_from
from landscape.analyses.curvature._unresolved import as_asked, unresolved
from landscape.base.analysis import NEW_OPTION, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Stems, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.linalg.eigenpairs import Eigenpairs, EigenProgress
    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem


class SpectrumParams(Params):
    """Options of ``spectrum``."""

    k: int = Field(10, ge=1, description="number of eigenpairs")
    engine: Literal["landscape", "pyhessian"] = Field(
        "landscape",
        description="landscape: Lanczos; pyhessian: power iteration as in PyHessian 0.1, to reproduce papers",
    )
    which: Literal["LM", "LA", "SA", "BE"] = Field(
        "LM",
        description="LM largest magnitude, LA largest, SA smallest, BE both ends",
    )
    operator: Operator = "hessian"
    tol: float = Field(
        1e-3,
        gt=0,
        description="residual at which a pair counts as converged, relative to max |λ|; for pyhessian also"
        " the change of λ that ends its iteration",
    )
    max_products: int | None = Field(
        None, ge=1, description="most matrix-vector products; none = 500 + 20 k, or 100 k for pyhessian"
    )
    search: bool = Field(
        True,
        description="whether to search for missed copies of eigenvalues, for about 10 more products; without,"
        " or with pyhessian, which never searches, copies may be missing and `complete` is false",
    )
    vectors: bool = Field(False, description="whether to keep the eigenvectors")
    resamples: Annotated[Resamples, NEW_OPTION] = 200
    seed: int = Field(0, ge=0, description="seed of the starting vectors and of the resamples")


SCHEMA = Schema(
    version=1,
    coords=(Variable("eigenpair", ("eigenpair",), "index in the order of `which`", "", kind="int"),),
    variables=(
        Variable("eigenvalues", ("eigenpair",), "eigenvalue λ", LOSS_UNIT),
        Variable(
            "residuals",
            ("eigenpair",),
            "residual norm ‖Au − λu‖, a bound on the error of λ",
            LOSS_UNIT,
        ),
        Variable(
            "resolved",
            ("eigenpair",),
            "whether the residual, or rounding, is at most a tenth of the eigenvalue's own |λ|",
            "",
            kind="bool",
            optional=True,
        ),
        Variable(
            "converged",
            (),
            "whether every residual is within tolerance, and at the ends of the spectrum every eigenvalue"
            " resolved or 0 to rounding",
            "",
            kind="bool",
        ),
        Variable(
            "notice", (), "which eigenvalues are not resolved, and what would", "", kind="str", optional=True
        ),
        Variable(
            "complete",
            (),
            "whether no eigenvalue was missed: a search ended without a find, or all were computed",
            "",
            kind="bool",
        ),
        Variable("products", (), "matrix-vector products used", kind="int"),
        Variable("loss", (), "loss at the checkpoint", LOSS_UNIT),
        Variable("gradient_norm", (), "norm of the gradient at the checkpoint", LOSS_UNIT),
        Variable("eigenvectors", ("parameter", "eigenpair"), "unit eigenvectors", "1", optional=True),
        *tail_variables("the largest eigenvalues, less weight decay", optional=True),
        tail_verdict(optional=True),
    ),
)


def compute(problem: Problem, params: SpectrumParams, context: Context) -> Mapping[str, Any]:
    """Extreme eigenpairs of the operator of the whole data set."""
    from landscape.core.linalg.reductions import length

    loss = finite_loss(problem)
    with matrix(problem, params.operator) as operator:
        solve = _by_pyhessian if params.engine == "pyhessian" else _by_lanczos
        found = solve(problem, operator, params, context)
    double = problem.dtype.itemsize == 8
    data = {
        "eigenpair": np.arange(len(found.values)),
        "eigenvalues": found.values.cpu().numpy(),
        "residuals": found.residuals.cpu().numpy(),
        "resolved": found.resolved.cpu().numpy(),
        "converged": as_asked(found, params.which, double),
        "notice": unresolved(found, params.which, double),
        "complete": found.complete,
        "products": found.products,
        "loss": loss,
        "gradient_norm": length(problem.gradient()),
    }
    if params.which != "SA":
        data |= _tail(data, problem.weight_decay, params)
    if params.vectors and found.vectors is not None:
        data["eigenvectors"] = found.vectors.cpu().numpy()
    return data


def _tail(data: Mapping[str, Any], weight_decay: float, params: SpectrumParams) -> Mapping[str, Any]:
    """The power law of the positive eigenvalues, all of which from the least of them on are known."""
    values = data["eigenvalues"]
    largest = values[: (len(values) + 1) // 2] if params.which == "BE" else values
    # Of largest magnitude: what is smaller than a negative one among them may have been passed over.
    floor = np.abs(values).min() if params.which == "LM" else -np.inf
    known = data["resolved"][: len(largest)] & (largest >= floor)
    # Weight decay adds the same to each, and a power law that is moved is none.
    return tail_of(largest[known] - weight_decay, params.resamples, params.seed)


def _by_lanczos(
    problem: Problem, operator: SymmetricOperator, params: SpectrumParams, context: Context
) -> Eigenpairs:
    """Block Lanczos, continued where an interrupted run has stopped."""
    from landscape.core.problem.fingerprint import describe

    start = start_from(context.inputs.get("start"))
    context.ledger.require("start", "" if start is None else describe(start))

    def report(progress: EigenProgress) -> None:
        # the search for missed pairs takes about as long again as a fifth of the iteration
        done = progress.converged / params.k
        before = 0.8 if params.search else 1.0
        context.progress(0.9 + 0.1 * done if progress.checking else before * done)

    return resumed_eigenpairs(
        operator,
        params.k,
        context.ledger,
        "lanczos",
        which=params.which,
        tol=params.tol,
        max_products=params.max_products,
        seed=params.seed,
        start=start,
        vectors=params.vectors,
        search=params.search,
        on_progress=report,
    )


def _by_pyhessian(
    problem: Problem, operator: SymmetricOperator, params: SpectrumParams, context: Context
) -> Eigenpairs:
    """PyHessian's power iteration, which knows eigenvalues of largest magnitude only."""
    from landscape.core.linalg.pyhessian import power_iteration

    if params.which != "LM" or context.inputs.get("start") is not None:
        raise InputError(
            "PyHessian's power iteration finds eigenvalues of largest magnitude from random vectors: use"
            " which='LM' and no start, or engine='landscape'."
        )
    return power_iteration(
        operator,
        problem.space.shapes,
        params.k,
        tol=params.tol,
        max_products=params.max_products,
        seed=params.seed,
        on_progress=context.progress,
    )


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Eigenvalues as stems with their residuals, all models on the same axes."""
    unit = loss_unit(datasets)
    marks = []
    for label, ds in datasets.items():
        values, residuals = ds["eigenvalues"].values, ds["residuals"].values
        known = _resolved(ds)
        texts = tuple(
            f"λ = {v:.5g} ± {r:.1g}" + ("" if sure else ", not resolved")
            for v, r, sure in zip(values, residuals, known, strict=True)
        )
        x = ds["eigenpair"].values + 1  # back ends set models apart
        marks.append(Stems(x, values, series(label, ds), error=residuals, texts=texts))
    examples = next(iter(datasets.values())).attrs.get("examples", "?")
    matrices = matrix_names(datasets)
    return [
        FigureSpec(
            "eigenvalues",
            "Extreme eigenvalues",
            Axis("rank"),
            Axis("eigenvalue λ", unit),
            tuple(marks),
            f"Eigenvalues of the {matrices} of the mean loss over {examples} examples,"
            f" {weight_decays(datasets)}.{_doubt(datasets)}",
            Interval(
                "of each eigenvalue",
                "residual norms, which bound the error",
                "Bars",
                level=None,
                note="Mostly they are smaller than the markers.",
            ),
        ),
        *along_training(datasets, _training_figure(datasets, unit, matrices), "eigenvalues"),
    ]


def _doubt(datasets: Mapping[str, xr.Dataset]) -> str:
    """Sentences on results in which eigenvalues may be missing, or are not told from 0."""
    open_ones = sum(not bool(ds["complete"]) for ds in datasets.values())
    where = "" if open_ones == len(datasets) else f" in {open_ones} of {len(datasets)} results"
    missing = f" Copies of eigenvalues may be missing{where}: a search for them was left out or did not end."
    counts = [int((~_resolved(ds)).sum()) for ds in datasets.values()]
    small = (
        f" Of {sum(counts)} of {sum(ds.sizes['eigenpair'] for ds in datasets.values())} eigenvalues the error"
        " is not small against themselves: they are not told from 0."
    )
    return (missing if open_ones else "") + (small if any(counts) else "")


def _resolved(ds: xr.Dataset) -> Any:
    """Which eigenvalues are known against themselves (eigenpair,); of older results by their residuals."""
    if "resolved" in ds:
        return ds["resolved"].values
    return ds["residuals"].values <= 0.1 * np.abs(ds["eigenvalues"].values)


def _training_figure(datasets: Mapping[str, xr.Dataset], unit: str, matrix: str) -> FigureSpec:
    sizes = [np.abs(ds["eigenvalues"].values) for ds in datasets.values()]
    smallest = typical_lowest(float(s[s > 0].min(initial=np.inf)) for s in sizes)
    linear = float(10.0 ** np.floor(np.log10(smallest)))
    return FigureSpec(
        "training",
        "Eigenvalues along training",
        Axis(""),
        Axis("eigenvalue λ", unit, scale="symlog", linthresh=linear),
        (),
        f"Eigenvalues of the {matrix} of the mean loss, {weight_decays(datasets)} (points), and the largest"
        f" (curve) at each checkpoint; the axis is linear within ±{linear:g} {unit}.",
    )


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The top eigenvalue and how many of those found are negative."""
    values = ds["eigenvalues"].values
    unit = loss_unit({"": ds})
    return [
        Metric("λ max", float(values.max()), unit, "largest eigenvalue found"),
        Metric("λ < 0", int((values < 0).sum()), "1", _negative(ds)),
        Metric("‖∇L‖", float(ds["gradient_norm"]), unit, "gradient norm at the checkpoint"),
        *_exponent(ds),
    ]


def _exponent(ds: xr.Dataset) -> list[Metric]:
    """The exponent of the tail, of results that ask for enough eigenvalues to tell."""
    if "tail" not in ds or str(ds["tail"].item()) != "power law":
        return []
    said = f"exponent of the tail of {int(ds['alpha_count'])} eigenvalues, ± {float(ds['alpha_se']):.2g}"
    return [Metric("α", float(ds["alpha"]), "1", f"{said} (standard error), p = {float(ds['alpha_p']):.2g}")]


def _negative(ds: xr.Dataset) -> str:
    """What the number of negative eigenvalues is, and how many of all may have the other sign."""
    values = ds["eigenvalues"].values
    open_ones = int((ds["residuals"].values >= np.abs(values)).sum())
    doubt = f"; the sign of {open_ones} is within their error" if open_ones else ""
    return f"negative ones among the {len(values)} found{doubt}"


def _cost(params: SpectrumParams) -> Cost:
    """About 8 + 2 k products, and 10 for the search."""
    products = 8 + 2 * params.k + (10 if params.search else 0)
    return Cost(forwards=1.0, gradients=1.0 + 3.5 * min(products, params.max_products or 10**9))


spectrum = Analysis(
    name="spectrum",
    title="Hessian spectrum",
    description=(
        "Extreme eigenvalues of the Hessian ∇²L, or of the generalised Gauss-Newton matrix, of the mean"
        " loss with weight decay, which adds λ_wd to each. Computed by Lanczos with full"
        " reorthogonalisation (Wu & Simon 2000) and a search for missed copies; power iteration, as in"
        " PyHessian (Yao et al. 2020), cannot separate λ from −λ′ of equal size; engine='pyhessian' runs it"
        " all the same, to reproduce papers, with its residuals. The input `start` may be the spectrum of a"
        " neighbouring checkpoint, with its eigenvectors; it saves up to a seventh of the products where"
        " these have hardly turned. A power law is fitted to the largest eigenvalues found (Clauset, Shalizi"
        " & Newman 2009; Xie, Tang, Cai, Sun & Li 2022), with error, p-value and likelihood ratios: it takes"
        " 50 of them to tell, so k of 60 or more, and says nothing of those below the least. BatchNorm uses"
        " its running statistics unless the problem says otherwise."
    ),
    scope="checkpoint",
    params=SpectrumParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
    inputs=("start",),
)
