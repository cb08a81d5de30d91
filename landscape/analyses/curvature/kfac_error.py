"""``kfac_error``: how far KFAC, EKFAC and the diagonal are from the Gauss-Newton matrix, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.curvature._operator import finite_loss
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Mark, Points, Series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.curvature.kfac.eigen_blocks import KroneckerOperator
    from landscape.core.problem.problem import Problem

Approximation = Literal["kfac", "ekfac", "diagonal"]

SYMBOLS = {"kfac": "circle", "ekfac": "diamond", "diagonal": "triangle"}
NAMES = {"kfac": "KFAC", "ekfac": "EKFAC", "diagonal": "diagonal"}


class KfacErrorParams(Params):
    """Options of ``kfac_error``."""

    approximations: tuple[Approximation, ...] = Field(
        ("kfac", "ekfac", "diagonal"), min_length=1, description="which approximations are judged"
    )
    setting: Literal["expand", "reduce"] = Field(
        "expand",
        description="what positions that share a weight are: examples of their own, or parts of one",
    )
    roots: Literal["exact", "mc"] = Field(
        "exact", description="one backward pass for each output, or random ones"
    )
    samples: int = Field(1, ge=1, description="random backward passes, of roots='mc'")
    sketch: int = Field(8, ge=0, description="directions in which norms are exact, two products each")
    probes: int = Field(16, ge=6, description="random probes of the rest, one product each")
    tol: float = Field(1e-3, gt=0, description="residual of the largest eigenvalues, relative to them")
    seed: int = Field(0, ge=0, description="seed of probes, starting vectors and random passes")


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("approximation", ("approximation",), "approximation", "", kind="str"),
        Variable("layer", ("layer",), "layer, in the model's order", "", kind="str"),
    ),
    variables=(
        Variable("error", ("approximation", "layer"), "‖G − Ĝ‖/‖G‖ of the layer's block, Frobenius norms"),
        Variable("error_se", ("approximation", "layer"), "standard error of error; 0 if exact"),
        Variable(
            "total_error", ("approximation",), "the same of the whole matrix, what lies between layers in it"
        ),
        Variable("total_error_se", ("approximation",), "standard error of total_error; 0 if exact"),
        Variable("top", ("layer",), "largest eigenvalue of the layer's block", LOSS_UNIT),
        Variable("top_residual", ("layer",), "its residual, which bounds its error", LOSS_UNIT),
        Variable("approximate_top", ("approximation", "layer"), "the approximation's, exact", LOSS_UNIT),
        Variable("total_top", (), "largest eigenvalue of the whole matrix", LOSS_UNIT),
        Variable("total_top_residual", (), "its residual, which bounds its error", LOSS_UNIT),
        Variable("total_approximate_top", ("approximation",), "the approximation's, exact", LOSS_UNIT),
        Variable(
            "kind", ("layer",), "form of the layer's block; diagonal where it has no factors", "", kind="str"
        ),
        Variable("layer_size", ("layer",), "parameters of the layer", kind="int"),
        Variable("products", (), "products with the whole matrix or a layer's block", kind="int"),
    ),
)


def compute(problem: Problem, params: KfacErrorParams, context: Context) -> Mapping[str, Any]:
    """Factors by a few passes; then products with the whole matrix and with each layer's block."""
    from landscape.core.curvature.blocks import DiagonalBlock
    from landscape.core.curvature.kfac.factors import diagonal_ggn, ekfac, kfac
    from landscape.core.curvature.operator import ggn
    from landscape.core.linalg.eigenpairs import eigenpairs
    from landscape.core.linalg.relative_error import relative_errors
    from landscape.core.seeds import spread_seed

    finite_loss(problem)
    bare = copy.copy(problem)
    bare.weight_decay = 0.0  # λI is in both alike, and would only make errors look smaller
    how: dict[str, Any] = {"roots": params.roots, "samples": params.samples, "seed": params.seed}
    chosen = list(dict.fromkeys(params.approximations))
    made = {
        name: diagonal_ggn(bare, **how)
        if name == "diagonal"
        else (kfac if name == "kfac" else ekfac)(bare, setting=params.setting, **how)
        for name in chosen
    }
    # the diagonal calls all of its blocks diagonal: the kinds are those of the factors
    factored = [made[name] for name in chosen if name != "diagonal"]
    layers = (factored[0] if factored else kfac(bare, setting=params.setting, **how)).layers
    errors, tops = [], []
    with ggn(bare) as G:
        for number, block in enumerate([None, *layers]):
            matrix = G if block is None else DiagonalBlock(G, sorted(block.members))
            others: dict[str, KroneckerOperator] = {
                n: o if block is None else o.layer(block.name) for n, o in made.items()
            }
            errors.append(
                relative_errors(
                    matrix,
                    others,
                    sketch=params.sketch,
                    probes=params.probes,
                    seed=spread_seed(params.seed, number),
                )
            )
            top = eigenpairs(
                matrix, 1, which="LA", tol=params.tol, seed=params.seed, vectors=False, search=False
            )
            tops.append(
                (
                    float(top.values[0]),
                    float(top.residuals[0]),
                    {n: float(o.eigenvalues()[0]) for n, o in others.items()},
                    matrix.products,
                )
            )
            context.progress((number + 1) / (len(layers) + 1))
    return {
        "approximation": np.array(chosen),
        "layer": np.array([b.name for b in layers]),
        "error": np.array([[e[n].value for e in errors[1:]] for n in chosen]),
        "error_se": np.array([[e[n].error for e in errors[1:]] for n in chosen]),
        "total_error": np.array([errors[0][n].value for n in chosen]),
        "total_error_se": np.array([errors[0][n].error for n in chosen]),
        "top": np.array([t[0] for t in tops[1:]]),
        "top_residual": np.array([t[1] for t in tops[1:]]),
        "approximate_top": np.array([[t[2][n] for t in tops[1:]] for n in chosen]),
        "total_top": tops[0][0],
        "total_top_residual": tops[0][1],
        "total_approximate_top": np.array([tops[0][2][n] for n in chosen]),
        "kind": np.array([b.kind for b in layers]),
        "layer_size": np.array([b.values.numel() for b in layers]),
        "products": sum(t[3] for t in tops),
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Errors by layer of each model, and of whole matrices."""
    specs = []
    for index, (label, ds) in enumerate(datasets.items()):
        suffix, who = (f"-{index + 1}", f": {label}") if len(datasets) > 1 else ("", "")
        specs += [_errors(f"error{suffix}", who, ds), _tops(f"top{suffix}", who, ds)]
    return [_totals(datasets), *specs]


def _layers(ds: xr.Dataset) -> Axis:
    names = tuple(str(n) for n in ds["layer"].values)
    return Axis("layer", categories=names, limits=(-0.5, len(names) - 0.5))


def _apart(count: int) -> Any:
    """Places of the approximations beside each other."""
    return np.linspace(-0.2, 0.2, count) if count > 1 else np.zeros(1)


def _errors(name: str, who: str, ds: xr.Dataset) -> FigureSpec:
    marks: list[Mark] = [Guide(y=1.0, label="the error of zero")]
    factor = reach(_probes(ds))
    for shift, kind in zip(_apart(ds.sizes["approximation"]), ds["approximation"].values, strict=True):
        one = ds.sel(approximation=kind)
        marks.append(
            _points(np.arange(ds.sizes["layer"]) + shift, one["error"], factor * one["error_se"], str(kind))
        )
    return FigureSpec(
        name,
        f"Relative error of each layer's block{who}",
        _layers(ds),
        Axis("‖G − Ĝ‖ / ‖G‖", limits=None),
        tuple(marks),
        "Distance of approximations of the Gauss-Newton matrix from each layer's exact block, in Frobenius"
        f" norms; {ds.attrs.get('examples', '?')} examples, without weight decay. Layers without factors have"
        " their diagonal throughout.",
        Interval(
            f"over {_probes(ds)} probes",
            f"±{factor:.3g} standard errors",
            "Bars",
            note="Most are smaller than the markers.",
        ),
    )


def _tops(name: str, who: str, ds: xr.Dataset) -> FigureSpec:
    marks: list[Mark] = [Guide(y=1.0, label="exact")]
    for shift, kind in zip(_apart(ds.sizes["approximation"]), ds["approximation"].values, strict=True):
        ratio = ds["approximate_top"].sel(approximation=kind) / ds["top"]
        marks.append(
            _points(
                np.arange(ds.sizes["layer"]) + shift, ratio, ratio * ds["top_residual"] / ds["top"], str(kind)
            )
        )
    return FigureSpec(
        name,
        f"Largest eigenvalue of each layer's block{who}",
        _layers(ds),
        Axis("λ₁(Ĝ) / λ₁(G)"),
        tuple(marks),
        "Largest eigenvalue of the approximation of each layer's block over that of the block itself.",
        Interval(how="residuals, most smaller than the markers", mark="Bars", level=None),
    )


def _totals(datasets: Mapping[str, xr.Dataset]) -> FigureSpec:
    kinds = list(dict.fromkeys(str(k) for ds in datasets.values() for k in ds["approximation"].values))
    marks: list[Mark] = []
    for shift, kind in zip(_apart(len(kinds)), kinds, strict=True):
        rows = [
            (i, ds.sel(approximation=kind))
            for i, ds in enumerate(datasets.values())
            if kind in ds["approximation"]
        ]
        x = np.array([i for i, _ in rows]) + shift
        bars = np.array([reach(_probes(ds)) * float(ds["total_error_se"]) for _, ds in rows])
        marks.append(_points(x, np.array([float(ds["total_error"]) for _, ds in rows]), bars, kind))
    return FigureSpec(
        "total",
        "Relative error of the whole matrix",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        Axis("‖G − Ĝ‖ / ‖G‖"),
        tuple(marks),
        "Distance of block-diagonal approximations from the whole Gauss-Newton matrix, in Frobenius norms:"
        " what they get wrong within layers, and all that lies between layers, which they leave out.",
        Interval("over the probes", mark="Bars"),
    )


def _points(x: Any, y: Any, error: Any, kind: str) -> Points:
    y, error = np.asarray(y), np.asarray(error)
    texts = tuple(f"{NAMES[kind]}: {v:.4g} ± {e:.2g}" for v, e in zip(y, error, strict=True))
    return Points(
        x, y, Series(label=NAMES[kind]), error=error, texts=texts, symbols=(SYMBOLS[kind],) * len(y)
    )


def _probes(ds: xr.Dataset) -> int:
    import json

    return int(json.loads(ds.attrs["parameters"])["probes"]) if "parameters" in ds.attrs else 16


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The error of each approximation in the median layer and of the whole."""
    found = []
    for kind in (str(k) for k in ds["approximation"].values):
        one = ds.sel(approximation=kind)
        note = f"‖G − Ĝ‖/‖G‖ in the median layer; of the whole matrix {float(one['total_error']):.3g}"
        found.append(Metric(f"error of {NAMES[kind]}", float(one["error"].median()), "1", note))
    return found


kfac_error = Analysis(
    name="kfac_error",
    title="Error of KFAC",
    description=(
        "How far Kronecker-factored approximations of the Gauss-Newton matrix are from it: ‖G − Ĝ‖/‖G‖ in"
        " Frobenius norms and the largest eigenvalue, for each layer's block and for the whole matrix. KFAC"
        " (Martens & Grosse 2015; Grosse & Martens 2016 for convolutions; Eschenhagen et al. 2023 for shared"
        " weights), EKFAC (George et al. 2018), and the exact diagonal beside them. Linear layers,"
        " convolutions and embeddings have factors; norms' scales, and weights that are used in ways that"
        " have none, such as tied embeddings, have the diagonal. Norms are exact in a sketch of the matrix"
        " and sampled beyond it, with standard errors; weight decay is left out."
    ),
    scope="checkpoint",
    params=KfacErrorParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    # about ten layers, whose blocks cost less than half of what the whole does, and a dozen Lanczos steps
    cost=lambda params: Cost(
        forwards=1.0,
        gradients=40.0 + 2.0 * 5 * (2 * params.sketch + params.probes + 12),
    ),
)
