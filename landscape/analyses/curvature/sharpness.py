"""``sharpness``: how far the loss rises about a checkpoint, at worst and on average."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit, weight_decays
from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._unresolved import unresolved
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach, standard_error

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.ledger import Piece
    from landscape.core.data.batches import Batch
    from landscape.core.problem.problem import Problem

__all__ = ["SharpnessParams", "sharpness"]

Positive = Annotated[float, Field(gt=0)]

RADII = {"l2": (0.05, 0.1, 0.2, 0.5, 1.0), "linf": (0.0005, 0.001, 0.002, 0.005, 0.01)}
"""A ball of ℓ∞ lets each of P parameters move as far as that of ℓ2 lets all together."""

TOL = 0.01  # of a largest eigenvalue alone, whose error is about its square


class SharpnessParams(Params):
    """Options of ``sharpness``."""

    ball: Literal["l2", "linf"] = Field("l2", description="norm p of ‖T⁻¹ε‖ ≤ ρ: 2 or ∞")
    scale: Literal["parameter", "filter", "none"] = Field(
        "parameter", description="T: |θ|, the norm of the filter that a parameter is in, or 1"
    )
    eta: float = Field(0.0, ge=0, description="added to |θ| and to norms of filters in T")
    radii: tuple[Positive, ...] = Field(
        (), description="radii ρ; none: 0.05 to 1, or for linf a hundredth of that"
    )
    subset: int | None = Field(
        None,
        ge=1,
        description="examples m of each subset that has a worst point of its own; none: all of them",
    )
    subsets: int = Field(8, ge=1, description="how many such subsets at most, disjoint and at random")
    ascent_steps: int = Field(5, ge=0, description="gradient steps to the worst point of each radius")
    restarts: int = Field(0, ge=0, description="random starts beside the one along the gradient")
    sigmas: tuple[Positive, ...] = Field(
        (0.01, 0.02, 0.05, 0.1, 0.2), description="sizes σ of the noise σTε of the average case"
    )
    samples: int = Field(16, ge=2, description="pairs ±ε of the average case")
    max_products: int = Field(400, ge=16, description="most matrix-vector products for tr(THT)")
    rel_se: float = Field(0.05, gt=0, description="standard error wanted of tr(THT), relative to it")
    normalise_logits: bool = Field(
        False, description="divide the logits of each example by their spread, whose scale decides sharpness"
    )
    seed: int = Field(0, ge=0, description="seed of subsets, starts, noise and probes")


def _pair(name: str, dims: tuple[str, ...], meaning: str, over: str) -> tuple[Variable, Variable]:
    return (
        Variable(name, dims, meaning, LOSS_UNIT),
        Variable(f"{name}_se", dims, f"standard error of {name} over {over}", LOSS_UNIT),
    )


SUBSETS = "subsets; NaN for one"
SCHEMA = Schema(
    version=1,
    coords=(
        Variable("radius", ("radius",), "radius ρ of the ball ‖T⁻¹ε‖ ≤ ρ"),
        Variable("sigma", ("sigma",), "size σ of the noise σTε"),
    ),
    variables=(
        *_pair(
            "sharpness",
            ("radius",),
            "largest rise of the loss found within ρ, mean over subsets; a lower bound",
            SUBSETS,
        ),
        *_pair(
            "sharpness_first_order",
            ("radius",),
            "rise at the worst point of the linearised loss, mean over subsets",
            SUBSETS,
        ),
        *_pair("linear_rise", ("radius",), "rise ρ‖T∇L‖ of the linearised loss, mean over subsets", SUBSETS),
        *_pair("average", ("sigma",), "mean rise of the loss under noise σTε", "pairs of draws"),
        *_pair(
            "average_second_order",
            ("sigma",),
            "the same to second order, ½σ² tr(THT)",
            "random probes; 0 if exact",
        ),
        *_pair("scaled_trace", (), "trace of THT", "random probes; 0 if exact"),
        Variable("adaptive_curvature", (), "largest eigenvalue of THT", LOSS_UNIT),
        Variable("adaptive_curvature_error", (), "its residual norm", LOSS_UNIT),
        Variable("loss", (), "loss at the checkpoint", LOSS_UNIT),
        Variable("logit_scale", (), "root mean square of logits about their mean over classes; NaN without"),
        Variable("subset_size", (), "examples m in each subset", kind="int"),
        Variable("subset_count", (), "subsets that the worst case is a mean over", kind="int"),
        Variable("converged", (), "whether eigenvalue and trace are as exact as asked for", "", "bool"),
        Variable("notice", (), "what is not, and what would help", "", "str", optional=True),
    ),
)


def compute(problem: Problem, params: SharpnessParams, context: Context) -> Mapping[str, Any]:
    """Worst case, average case, curvature; a run that is killed keeps the finished ones."""
    from landscape.core.curvature.average_sharpness import least_error
    from landscape.core.curvature.normalised_logits import logit_scale, normalised_logits

    scale = logit_scale(problem)
    if params.normalise_logits:
        problem = normalised_logits(problem)
    loss = finite_loss(problem)
    shares = {"worst": 0.5, "average": 0.3, "curvature": 0.2}
    found: dict[str, Any] = {}
    before = 0.0
    for name, share in shares.items():

        def inside(fraction: float, before: float = before, share: float = share) -> None:
            context.progress(before + share * min(fraction, 1.0))

        stage = partial(STAGES[name], problem, params, inside)
        (piece,) = context.ledger.collect([name], lambda _, stage=stage: stage())  # type: ignore[misc]
        found |= piece
        before += share
        context.progress(before)
    half = 0.5 * np.square(params.sigmas)
    found["notice"] = str(found["notice"])
    norm = float(found.pop("_norm", 0.0))
    floor = least_error(
        np.array(params.sigmas), found["average"], params.samples, float(found["scaled_trace"]), norm
    )
    found["average_se"] = np.maximum(found["average_se"], floor)  # NaN of one pair stays
    return {
        **found,
        "radius": np.array(_radii(params)),
        "sigma": np.array(params.sigmas),
        "average_second_order": half * float(found["scaled_trace"]),
        "average_second_order_se": half * float(found["scaled_trace_se"]),
        "loss": loss,
        "logit_scale": scale,
    }


def _radii(params: SharpnessParams) -> tuple[float, ...]:
    return params.radii or RADII[params.ball]


def _worst(problem: Problem, params: SharpnessParams, progress: Callable[[float], None]) -> Piece:
    """Each subset's own worst points."""
    from landscape.core.curvature.adaptive_sharpness import adaptive_sharpness
    from landscape.core.seeds import spread_seed

    parts = [[*problem.shard]] if params.subset is None else _subsets(problem, params)
    rows = []
    for index, part in enumerate(parts):

        def inside(fraction: float, index: int = index) -> None:
            progress((index + fraction) / len(parts))

        result = adaptive_sharpness(
            problem if params.subset is None else problem.on(part),
            _radii(params),
            steps=params.ascent_steps,
            eta=params.eta,
            scale=params.scale,
            ball=params.ball,
            restarts=params.restarts,
            seed=spread_seed(params.seed, index) if index else params.seed,
            on_progress=inside,
        )
        rows.append((result.ascent, result.first_order, result.linear))
    values = np.array(rows)
    found: dict[str, Any] = {}
    for column, name in enumerate(("sharpness", "sharpness_first_order", "linear_rise")):
        found[name] = values[:, column].mean(0)
        found[f"{name}_se"] = standard_error(values[:, column], 0)
    size = problem.examples if params.subset is None else sum(batch.size for batch in parts[0])
    return {**found, "subset_size": np.array(size), "subset_count": np.array(len(parts))}


def _subsets(problem: Problem, params: SharpnessParams) -> list[list[Batch]]:
    """Disjoint subsets of m examples each, in micro-batches no larger than those of the problem."""
    from landscape.core.data.minibatches import split_into_minibatches

    assert params.subset is not None
    most = max(batch.size for batch in problem.batches)
    draw = np.random.default_rng(params.seed)
    dealt = split_into_minibatches(problem.batches, params.subset, shuffle=None, generator=draw)
    return [dealt[i].split(most) for i in range(min(params.subsets, len(dealt)))]


def _average(problem: Problem, params: SharpnessParams, progress: Callable[[float], None]) -> Piece:
    from landscape.core.curvature.adaptive_sharpness import parameter_scales
    from landscape.core.curvature.average_sharpness import average_sharpness

    result = average_sharpness(
        problem,
        parameter_scales(problem, params.eta, params.scale),
        params.sigmas,
        samples=params.samples,
        seed=params.seed,
        on_progress=progress,
    )
    return {"average": result.rise, "average_se": result.rise_se}


def _curvature(problem: Problem, params: SharpnessParams, progress: Callable[[float], None]) -> Piece:
    """The largest eigenvalue and the trace of THT."""
    from landscape.core.curvature.adaptive_sharpness import parameter_scales
    from landscape.core.curvature.operator import hessian
    from landscape.core.linalg.eigenpairs import eigenpairs
    from landscape.core.linalg.trace import estimate_trace

    with hessian(problem) as H:
        scaled = H.rescale(parameter_scales(problem, params.eta, params.scale))
        top = eigenpairs(scaled, 1, "LA", tol=TOL, seed=params.seed)
        traced = estimate_trace(
            scaled,
            rel_se=params.rel_se,
            max_products=params.max_products,
            seed=params.seed,
            on_progress=progress,
        )
    notices = [unresolved(top, "LA", problem.dtype.itemsize == 8, "eigenvalues of THT")]
    if not traced.converged:
        notices.append(
            f"the error of tr(THT) is above rel_se={params.rel_se:g} after {params.max_products} products;"
            " more max_products lower it"
        )
    return {
        "adaptive_curvature": top.values[0].numpy(),
        "adaptive_curvature_error": top.residuals[0].numpy(),
        "scaled_trace": np.array(traced.trace),
        "scaled_trace_se": np.array(traced.trace_se),
        "_norm": np.array(traced.frobenius),
        "converged": np.array(top.converged and traced.converged),
        "notice": np.array(". ".join(filter(None, notices))),
    }


STAGES: dict[str, Callable[..., Any]] = {"worst": _worst, "average": _average, "curvature": _curvature}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """The worst rise against the radius, and the mean rise against the noise."""
    unit = loss_unit(datasets)
    chosen = [_said(ds) for ds in datasets.values()]
    balls = " or ".join(dict.fromkeys(f"‖T⁻¹ε‖{'₂' if c['ball'] == 'l2' else '∞'} ≤ ρ" for c in chosen))
    scales = " or ".join(dict.fromkeys(_SCALES[c["scale"]] for c in chosen))
    first = next(iter(datasets.values()))
    about = (
        f"T is {scales}. Mean loss over {first.attrs.get('examples', '?')} examples,"
        f" {weight_decays(datasets)}{_logits(chosen)}."
    )
    worst: list[Line] = []
    for label, ds in datasets.items():
        for name, words, style in (
            ("sharpness", "ascent", "solid"),
            ("sharpness_first_order", "first order", "dash"),
        ):
            factor = reach(int(ds["subset_count"])) if int(ds["subset_count"]) > 1 else 0.0
            half = factor * np.nan_to_num(ds[f"{name}_se"].values)
            worst.append(_line(ds, "radius", name, half, label, words, style))
    means: list[Line] = []
    for label, ds in datasets.items():
        half = reach(int(_said(ds)["samples"])) * ds["average_se"].values
        means.append(_line(ds, "sigma", "average", half, label, "mean over noise", "solid"))
        half = 2.0 * ds["average_second_order_se"].values
        means.append(_line(ds, "sigma", "average_second_order", half, label, "½σ² tr(THT)", "dash"))
    subsets = sorted({int(ds["subset_size"]) for ds in datasets.values()})
    return [
        FigureSpec(
            "worst",
            "Worst-case sharpness",
            Axis("radius ρ", scale="log"),
            Axis("rise of the loss", unit, scale=_scale(worst)),
            tuple(worst),
            f"Rise of the loss at the worst point found within {balls} (a lower bound), by projected gradient"
            f" ascent (solid) and at the worst point of the linearised loss (dashed); each subset of"
            f" {' or '.join(map(str, subsets))} examples has a worst point of its own. {about}",
            error_bars([int(ds["subset_count"]) for ds in datasets.values()], "over subsets"),
        ),
        FigureSpec(
            "average",
            "Average-case sharpness",
            Axis("size of the noise σ", scale="log"),
            Axis("mean rise of the loss", unit, scale=_scale(means)),
            tuple(means),
            "Mean rise of the loss under Gaussian noise σTε (solid), and to second order ½σ² tr(THT)"
            f" (dashed); where they part, the loss is no quadratic. {about}",
            error_bars([int(c["samples"]) for c in chosen], "over pairs of draws, and over probes"),
        ),
    ]


_SCALES = {"none": "1", "parameter": "|θ|", "filter": "the norm of each parameter's filter"}


def _said(ds: xr.Dataset) -> dict[str, Any]:
    return dict(json.loads(ds.attrs["parameters"]))


def _logits(chosen: Sequence[Mapping[str, Any]]) -> str:
    """What a caption says of the scale of logits, which a reader has to know."""
    return "; logits normalised" if all(c["normalise_logits"] for c in chosen) else "; logits as they are"


def _line(ds: xr.Dataset, x: str, name: str, half: Any, label: str, words: str, style: Any) -> Line:
    middle: Any = ds[name].values
    who = replace(series(label, ds), label=f"{label}, {words}")
    if not np.any(half > 0):
        return Line(ds[x].values, middle, who, markers=True, style=style)
    # On a logarithmic axis a band must end above zero.
    low = np.where(middle > 0, np.maximum(middle - half, 0.02 * middle), middle - half)
    return Line(ds[x].values, middle, who, low, middle + half, markers=True, style=style)


def _scale(lines: Sequence[Line]) -> Literal["linear", "log"]:
    return "log" if all(bool((np.asarray(line.y) > 0).all()) for line in lines) else "linear"


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Worst and mean rise at the middle radius and noise, and the curvature behind them."""
    unit = loss_unit({"": ds})
    r, s = ds.sizes["radius"] // 2, ds.sizes["sigma"] // 2
    se = reach(int(_said(ds)["samples"])) * float(ds["average_se"][s])
    count = int(ds["subset_count"])
    error = f", ± {reach(count) * float(ds['sharpness_se'][r]):.2g} (95 %)" if count > 1 else ""
    return [
        Metric(
            "sharpness",
            float(ds["sharpness"][r]),
            unit,
            f"largest rise of the loss found within ρ = {float(ds['radius'][r]):g}, m ="
            f" {int(ds['subset_size'])}{error}",
            finding=True,
        ),
        Metric(
            "average sharpness",
            float(ds["average"][s]),
            unit,
            f"mean rise under noise of σ = {float(ds['sigma'][s]):g}, ± {se:.2g} (95 %)",
        ),
        Metric("tr THT", float(ds["scaled_trace"]), unit, "trace in units of T"),
        Metric("λmax THT", float(ds["adaptive_curvature"]), unit, "largest eigenvalue in units of T"),
        Metric(
            "logit scale",
            float(ds["logit_scale"]),
            "1",
            "spread of the logits over classes, which moves all these",
        ),
    ]


def _cost(params: SharpnessParams) -> Cost:
    """Subsets share the data, so that they cost no more than all of it."""
    climbs = len(_radii(params)) * (1 + params.restarts)
    products = 30 + min(params.max_products, 120)
    return Cost(
        forwards=3.0 + climbs * (params.ascent_steps + 1) + 2.0 * params.samples * len(params.sigmas),
        gradients=1.0 + climbs * params.ascent_steps + 2.5 * products,
    )


sharpness = Analysis(
    name="sharpness",
    title="Sharpness",
    description=(
        "How far the loss rises about a checkpoint. Worst case (Foret et al. 2021; Kwon et al. 2021): mean"
        " over subsets S of m examples of max L_S(θ + ε) − L_S(θ) over ‖T⁻¹ε‖_p ≤ ρ, with p = 2 or ∞ and T ="
        " 1, |θ| or the norms of filters; found by projected gradient ascent, so that it is a lower bound."
        " Average case (Andriushchenko et al. 2023): E L(θ + σTε) − L(θ) over Gaussian ε in pairs ±ε, and to"
        " second order ½σ² tr(THT); the largest eigenvalue of THT beside it. L includes weight decay."
        " Sharpness depends on m, which is part of the result, and on the scale of the logits, which is"
        " reported and which normalise_logits takes out; BatchNorm takes the statistics that the problem"
        " says. With m given, errors are over subsets; of all the examples together there is one maximum and"
        " no error."
    ),
    scope="checkpoint",
    params=SharpnessParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
