"""``trace``: the sum of all eigenvalues, in total and by layer, with the Frobenius norm and the diagonal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit, weight_decays
from landscape.analyses._shared.shared_scale import typical_highest, typical_lowest
from landscape.analyses.curvature._along_training import along_training
from landscape.analyses.curvature._operator import finite_loss, matrix, matrix_names
from landscape.analyses.curvature._options import Operator
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Points, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class TraceParams(Params):
    """Options of ``trace``."""

    operator: Operator = "hessian"
    method: Literal["hutch++", "hutchinson", "xtrace"] = Field(
        "hutch++",
        description="hutch++ takes the large eigenvalues exactly; hutchinson samples all; xtrace (Epperly et"
        " al. 2024) uses every probe for both, and takes the fewest products where eigenvalues fall fast. It"
        " keeps 48 vectors as long as the parameters at least; where these do not fit into memory, hutch++"
        " takes its place",
    )
    engine: Literal["landscape", "pyhessian"] = Field(
        "landscape",
        description="pyhessian: Hutchinson's estimator with the stopping rule of PyHessian 0.1, to reproduce"
        " papers; method is then left out of account",
    )
    rel_se: float = Field(0.02, gt=0, description="standard error wanted, relative to the trace")
    max_products: int = Field(1000, ge=16, description="most matrix-vector products")
    diagonal: bool = Field(False, description="whether to keep the diagonal")
    seed: int = Field(0, ge=0, description="seed of the probes")


SCHEMA = Schema(
    version=1,
    coords=(Variable("layer", ("layer",), "parameter tensor, in the model's order", "", kind="str"),),
    variables=(
        Variable("trace", (), "trace, the sum of all eigenvalues", LOSS_UNIT),
        Variable("trace_se", (), "standard error of the trace; 0 if exact", LOSS_UNIT),
        Variable("frobenius", (), "Frobenius norm, the root of the sum of λ²", LOSS_UNIT),
        Variable("frobenius_se", (), "standard error of the Frobenius norm", LOSS_UNIT),
        Variable("layer_trace", ("layer",), "trace of the layer's diagonal block", LOSS_UNIT),
        Variable("layer_trace_se", ("layer",), "standard error of layer_trace", LOSS_UNIT),
        Variable("layer_size", ("layer",), "entries of the parameter tensor", kind="int"),
        Variable("diagonal", ("entry",), "diagonal, in the order of θ", LOSS_UNIT, optional=True),
        Variable("diagonal_se", ("entry",), "standard error of the diagonal", LOSS_UNIT, optional=True),
        Variable("sketch", (), "dimension of the subspace in which all is exact", kind="int"),
        Variable("samples", (), "independent probes of the rest", kind="int"),
        Variable("products", (), "matrix-vector products used", kind="int"),
        Variable("converged", (), "whether the standard error reached its target", "", kind="bool"),
        Variable(
            "estimator",
            (),
            "what estimated it: hutch++, hutchinson or xtrace; exact: nothing was sampled",
            "",
            kind="str",
            optional=True,
        ),
        Variable(
            "notice", (), "which estimator was asked for, and why it was not used", "", "str", optional=True
        ),
    ),
)


def compute(problem: Problem, params: TraceParams, context: Context) -> Mapping[str, Any]:
    """One set of products gives the trace, the layers' traces, the norm and the diagonal."""
    from landscape.core.linalg.pyhessian import MAX_ITERATIONS, pyhessian_trace
    from landscape.core.linalg.trace import estimate_trace

    finite_loss(problem)
    options: dict[str, Any] = {
        "rel_se": params.rel_se,
        "diagonal": params.diagonal,
        "seed": params.seed,
        "on_progress": context.progress,
    }
    with matrix(problem, params.operator) as operator:
        if params.engine == "pyhessian":
            # With a higher limit it would not be what papers ran.
            most = min(params.max_products, MAX_ITERATIONS)
            found = pyhessian_trace(operator, problem.space.shapes, max_products=most, **options)
        else:
            found = estimate_trace(
                operator,
                method=params.method,
                max_products=params.max_products,
                sizes=problem.space.sizes,
                **options,
            )
    data = {
        "layer": np.array(problem.space.names),
        "trace": found.trace,
        "trace_se": found.trace_se,
        "frobenius": found.frobenius,
        "frobenius_se": found.frobenius_se,
        "layer_trace": found.blocks.numpy(),
        "layer_trace_se": found.blocks_se.numpy(),
        "layer_size": np.array(problem.space.sizes),
        "sketch": found.sketch,
        "samples": found.samples,
        "products": found.products,
        "converged": found.converged,
        "estimator": found.estimator,
        **_replaced(params, found.estimator),
    }
    if found.diagonal is not None and found.diagonal_se is not None:
        data["diagonal"] = found.diagonal.numpy()
        data["diagonal_se"] = found.diagonal_se.numpy()
    return data


def _replaced(params: TraceParams, estimator: str) -> Mapping[str, str]:
    """The same sentence for all models, so that a report says it once."""
    if params.engine == "pyhessian" or params.method != "xtrace" or estimator in ("xtrace", "exact"):
        return {}
    return {
        "notice": "XTrace would have kept more vectors than fit into memory; Hutch++ took its place with a"
        " sketch of as many as fit, to the same error by more products"
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Traces of the models side by side, and the mean eigenvalue of each layer over depth."""
    unit = loss_unit(datasets)
    totals, layers = [], []
    for index, (label, ds) in enumerate(datasets.items()):
        who = series(label, ds)
        trace, se = float(ds["trace"]), float(ds["trace_se"])
        note = (f"{trace:.5g} ± {se:.2g}, ‖H‖ = {float(ds['frobenius']):.4g}",)
        factor = _reach(ds)
        totals.append(Points([index], [trace], who, error=[factor * se], texts=note))
        size = ds["layer_size"].values
        mean, error = ds["layer_trace"].values / size, factor * ds["layer_trace_se"].values / size
        texts = tuple(f"{name} ({n:,})" for name, n in zip(ds["layer"].values, size, strict=True))
        layers.append(Points(np.linspace(0.0, 1.0, ds.sizes["layer"]), mean, who, error=error, texts=texts))
    examples = next(iter(datasets.values())).attrs.get("examples", "?")
    about = f"{matrix_names(datasets)} of the mean loss over {examples} examples, {weight_decays(datasets)}"
    bars = error_bars((int(ds["samples"]) for ds in datasets.values()), "over probes", "Bars")
    return [
        FigureSpec(
            "trace",
            "Trace",
            Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
            Axis("trace", unit, scale=_scale(datasets)),
            tuple(totals),
            f"Trace of the {about}.",
            bars,
        ),
        *along_training(datasets, _training_figure(unit, about, _scale(datasets)), "trace"),
        FigureSpec(
            "layers",
            "Mean eigenvalue of each layer's block",
            Axis("depth (0 = first parameter, 1 = last)", limits=(-0.03, 1.03)),
            Axis("trace / number of entries", unit, scale="symlog", linthresh=_smallest(layers)),
            tuple(layers),
            f"Trace of the diagonal block of each parameter tensor over its number of entries; {about}.",
            bars,
        ),
    ]


def _reach(ds: xr.Dataset) -> float:
    """Standard errors in a 95 % interval; of an exact trace, which has no probes, any number of zero."""
    return reach(max(int(ds["samples"]), 2))


def _training_figure(unit: str, about: str, scale: Literal["linear", "log"]) -> FigureSpec:
    return FigureSpec(
        "training",
        "Trace along training",
        Axis(""),
        Axis("trace", unit, scale=scale),
        (),
        f"Trace of the {about}.",
    )


def _scale(datasets: Mapping[str, xr.Dataset]) -> Literal["linear", "log"]:
    """Logarithmic where models differ by decades."""
    values = [float(ds["trace"]) for ds in datasets.values()]
    return "log" if min(values) > 0 and max(values) > 20 * min(values) else "linear"


def _smallest(layers: Sequence[Points]) -> float:
    """Where the axis turns linear: the smallest value that stands clear of its error."""
    y = [np.abs(np.asarray(p.y)) for p in layers]
    largest = typical_highest(float(values.max(initial=0.0)) for values in y)
    clear = [v[(v > np.asarray(p.error)) & (v > 1e-6 * largest)] for v, p in zip(y, layers, strict=True)]
    return typical_lowest((float(v.min()) for v in clear if v.size), default=largest)


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The trace and the Frobenius norm."""
    unit = loss_unit({"": ds})
    return [
        Metric(
            "trace",
            float(ds["trace"]),
            unit,
            "sum of all eigenvalues",
            error=_reach(ds) * float(ds["trace_se"]),
        ),
        Metric("‖H‖", float(ds["frobenius"]), unit, "Frobenius norm of the matrix"),
    ]


trace = Analysis(
    name="trace",
    title="Trace",
    description=(
        "The trace of the Hessian ∇²L, or of the generalised Gauss-Newton matrix, of the mean loss with"
        " weight decay, which adds P λ_wd. Hutch++ (Meyer et al. 2021) with a sketch of adaptive size"
        " (Persson et al. 2022) takes the large eigenvalues exactly and samples the rest; plain Hutchinson,"
        " on request, or XTrace (Epperly et al. 2024), which uses each probe for both. PyHessian's form of"
        " plain Hutchinson (Yao et al. 2020), engine='pyhessian', ends by a rule that says nothing of the"
        " error. Samples are added until the standard error reaches"
        " its target. The same products give the trace of each layer's diagonal block (HAWQ, Dong et al."
        " 2020), the Frobenius norm and, on request, the diagonal, all with standard errors."
    ),
    scope="checkpoint",
    params=TraceParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(
        forwards=1.0,
        gradients=3.5 * min(600 if params.method == "hutchinson" else 60, params.max_products),
    ),
)
