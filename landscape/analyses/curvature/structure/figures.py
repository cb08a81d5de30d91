"""The pictures of ``structure``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import error_bars, loss_unit, weight_decays
from landscape.base.figure import (
    Axis,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Mark,
    Points,
    series,
)
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Gradient, split, layers, norms and effective dimension; all models on the same axes."""
    unit = loss_unit(datasets)
    first = next(iter(datasets.values()))
    color = ColorAxis("share of ‖u‖²", limits=(0.0, max(_largest(ds) for ds in datasets.values())))
    about = f"mean loss over {first.attrs.get('examples', '?')} examples, {weight_decays(datasets)}"
    return [
        _alignment(datasets, about),
        _split(datasets, unit, about),
        *(_layers(i, label, ds, color, about) for i, (label, ds) in enumerate(datasets.items())),
        _norms(datasets, unit, about),
        _dimension(datasets, unit),
        # of results of before sharpness had an analysis of its own
        *([_sharpness(datasets, unit)] if all("sharpness" in ds for ds in datasets.values()) else []),
    ]


def _alignment(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = []
    for label, ds in datasets.items():
        x, share = ds["eigenpair"].values + 1, ds["gradient_share"].values
        marks.append(Bars(x, share, series(label, ds)))
        marks.append(Line(x, np.cumsum(share), series(label, ds), markers=True))
    classes = {int(ds["classes"]) for ds in datasets.values() if "classes" in ds}
    if len(classes) == 1 and max(classes) < max(ds.sizes["eigenpair"] for ds in datasets.values()):
        marks.append(Guide(x=classes.pop() + 0.5, label="number of classes"))
    return FigureSpec(
        "gradient",
        "Share of the gradient in the leading eigenvectors",
        Axis("rank of the eigenvector"),
        Axis("share of ‖∇L‖²", limits=(0.0, 1.05)),
        tuple(marks),
        "Share (u·∇L)²/‖∇L‖² of the squared gradient norm along each eigenvector of the Hessian, by falling"
        f" |λ|, and above it the running sum of the shares. Hessian and gradient of the {about}.",
    )


def _split(datasets: Mapping[str, xr.Dataset], unit: str, about: str) -> FigureSpec:
    marks: list[Mark] = [Guide(y=0.0)]
    for label, ds in datasets.items():
        part, rest = ds["ggn_quotient"].values, ds["residual_quotient"].values
        texts = tuple(f"rank {i}, λ = {v:.4g}" for i, v in enumerate(ds["eigenvalues"].values, 1))
        marks.append(Points(part, rest, series(label, ds), texts=texts))
    positive = all(bool((ds["ggn_quotient"] > 0).all()) for ds in datasets.values())
    return FigureSpec(
        "split",
        "Gauss-Newton and residual part of the leading eigenvalues",
        Axis("Gauss-Newton part uᵀGu", unit, scale="log" if positive else "linear"),
        Axis("residual part uᵀ(H − G)u", unit),
        tuple(marks),
        "Each eigenvector u of largest |λ| of the Hessian H: what the generalised Gauss-Newton matrix G and"
        f" the residual H − G contribute to λ = uᵀGu + uᵀ(H − G)u. Matrices of the {about}.",
    )


def _layers(index: int, label: str, ds: xr.Dataset, color: ColorAxis, about: str) -> FigureSpec:
    """Layers down, eigenvectors across; beside them the gradient and an even spread."""
    size = ds["layer_size"].values
    columns = [ds["layer_share"].values, ds["gradient_layer_share"].values[:, None]]
    columns.append((size / size.sum())[:, None])
    z = np.concatenate(columns, axis=1)
    names = [*(str(i + 1) for i in ds["eigenpair"].values), "∇L", "even"]
    layers = [f"{name} ({n:,})" for name, n in zip(ds["layer"].values, size, strict=True)]
    k = ds.sizes["eigenpair"]
    return FigureSpec(
        f"layers_{index}",
        f"Layers of the leading eigenvectors: {label}",
        Axis("rank of the eigenvector, by falling |λ|", categories=tuple(names)),
        Axis("layer (number of parameters)", categories=tuple(layers)),
        (
            Heatmap(np.arange(len(names)), np.arange(len(layers)), z, color),
            Guide(x=k - 0.5),
        ),
        f"Share of each layer in the squared norm of the eigenvectors of the Hessian of the {about}; of the"
        " gradient (∇L); and of a vector spread evenly over all parameters (even). Columns sum to 1.",
    )


def _largest(ds: xr.Dataset) -> float:
    """The largest share of a layer in an eigenvector or in the gradient."""
    shares = [ds["layer_share"].values.ravel(), ds["gradient_layer_share"].values]
    return float(np.nanmax(np.concatenate(shares)))


def _norms(datasets: Mapping[str, xr.Dataset], unit: str, about: str) -> FigureSpec:
    x = np.arange(3.0)
    marks = [
        Points(
            x + 0.08 * (index - (len(datasets) - 1) / 2),
            [float(ds[f"{p}frobenius"]) for p in ("", "ggn_", "residual_")],
            series(label, ds),
            error=[2 * float(ds[f"{p}frobenius_se"]) for p in ("", "ggn_", "residual_")],
        )
        for index, (label, ds) in enumerate(datasets.items())
    ]
    return FigureSpec(
        "norms",
        "Norms of the Hessian and of its parts",
        Axis("matrix", categories=("H", "G", "R = H − G"), limits=(-0.5, 2.5)),
        Axis("Frobenius norm", unit, scale="log"),
        tuple(marks),
        f"Frobenius norms of the Hessian H of the {about}, of its Gauss-Newton part G and of the residual R.",
        error_bars([], "over probes", "Bars"),
    )


def _dimension(datasets: Mapping[str, xr.Dataset], unit: str) -> FigureSpec:
    marks = []
    for label, ds in datasets.items():
        error = np.nan_to_num(reach(_probes(ds)) * ds["effective_dimension_se"].values)
        low = ds["effective_dimension_low"].values - error
        high = ds["effective_dimension_high"].values + error
        # On a logarithmic axis a band must end above zero.
        middle: Any = ds["effective_dimension"].values
        marks.append(
            Line(ds["alpha"].values, middle, series(label, ds), np.maximum(low, 0.05 * middle), high, True)
        )
    return FigureSpec(
        "dimension",
        "Effective dimension",
        Axis("α", unit, scale="log"),
        Axis("Σ λ/(λ + α)", scale="log"),
        tuple(marks),
        "Number of directions that the data determine against a prior of precision α, over the eigenvalues λ"
        " of the Gauss-Newton matrix without weight decay.",
        error_bars(map(_probes, datasets.values()), "over probes, beyond bounds of the quadrature's error"),
    )


def _probes(ds: xr.Dataset) -> int:
    """How many probes the effective dimension comes from."""
    return int(json.loads(ds.attrs["parameters"])["probes"])


def _sharpness(datasets: Mapping[str, xr.Dataset], unit: str) -> FigureSpec:
    marks = []
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["radius"].values
        marks.append(Line(x, ds["sharpness"].values, replace(who, label=f"{label}, ascent"), markers=True))
        linear = replace(who, label=f"{label}, first order")
        marks.append(Line(x, ds["sharpness_first_order"].values, linear, markers=True, style="dash"))
    positive = all(
        bool((ds[n] > 0).all()) for ds in datasets.values() for n in ("sharpness", "sharpness_first_order")
    )
    return FigureSpec(
        "sharpness",
        "Adaptive sharpness",
        Axis("relative change of the parameters ρ", scale="log"),
        Axis("rise of the loss", unit, scale="log" if positive else "linear"),
        tuple(marks),
        "Rise of the loss at the worst point found within ‖ε/(|θ| + η)‖ ≤ ρ: by projected gradient ascent"
        " (solid), and at the worst point of the linearised loss (dashed).",
    )
