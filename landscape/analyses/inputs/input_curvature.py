"""``input_curvature``: how steep and how curved the loss is as a function of each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, loss_unit
from landscape.analyses._shared.options import PixelMean, PixelStd
from landscape.analyses.inputs._parts import (
    Images128,
    by_part,
    empirical_distribution,
    images_in,
    median_interval,
    reader_of,
)
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, series
from landscape.base.schema import Schema, Variable

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.inputs.images import Images
    from landscape.core.problem.problem import Problem

Array = NDArray[np.float64]
PIXELS = "pixel range"
CURVATURE = "nats/pixel²"
LOSS_CURVATURE = f"{LOSS_UNIT}/pixel²"


class InputCurvatureParams(Params):
    """Options of ``input_curvature``."""

    k: int = Field(1, ge=1, description="number of largest eigenvalues of each matrix")
    hessian: bool = Field(True, description="whether to work out the Hessian beside the Fisher matrix")
    images: Images128 = 128
    tolerance: float = Field(
        1e-3, gt=0, description="largest residual allowed, relative to the largest |eigenvalue| of the image"
    )
    products: int = Field(100, ge=4, description="most products with each Hessian")
    probes: int = Field(
        8, ge=2, description="random vectors for the trace of a Hessian that is no Fisher matrix"
    )
    mean: PixelMean = ()
    std: PixelStd = ()
    seed: int = Field(0, ge=0, description="seed of starting vectors and probes")


EACH = (
    ("loss", "loss of the image", LOSS_UNIT),
    ("margin", "logit of the label minus the largest other", "1"),
    ("gradient_norm", "ℓ2 norm of the gradient of the loss", f"{LOSS_UNIT}/pixel"),
    ("gradient_l1", "ℓ1 norm of that gradient: the rise by an ℓ∞ perturbation", f"{LOSS_UNIT}/pixel"),
    ("distance", "margin over the ℓ2 norm of its gradient: distance to a wrong answer, first order", PIXELS),
    ("fisher_top", "largest eigenvalue of the Fisher matrix", CURVATURE),
    ("fisher_trace", "trace of the Fisher matrix", CURVATURE),
    ("fisher_rank", "effective rank tr²/‖F‖² of the Fisher matrix", "1"),
    ("fisher_share", "share λ₁/tr of the largest eigenvalue in the trace of the Fisher matrix", "1"),
    ("hessian_top", "largest eigenvalue of the Hessian", LOSS_CURVATURE),
    ("hessian_bottom", "smallest eigenvalue of the Hessian", LOSS_CURVATURE),
    ("hessian_trace", "trace of the Hessian", LOSS_CURVATURE),
)
"""Numbers of each image, each with its median and interval."""

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("image", ("image",), "number of the image in the data", "", kind="int"),
        Variable("channel", ("channel",), "channel of the image", "", kind="int"),
    ),
    variables=(
        *(
            Variable(name, ("image",), meaning, unit, unbounded=name == "distance")
            for name, meaning, unit in EACH
        ),
        *(
            Variable(
                f"median_{name}{end}", (), f"{what} {name} over images", unit, unbounded=name == "distance"
            )
            for name, _, unit in EACH
            for end, what in (
                ("", "median of"),
                ("_low", "lower end of the 95 % interval of the median of"),
                ("_high", "upper end of the 95 % interval of the median of"),
            )
        ),
        Variable("fisher_values", ("image", "rank"), "largest eigenvalues of the Fisher matrix", CURVATURE),
        Variable("hessian_values", ("image", "rank"), "largest eigenvalues of the Hessian", LOSS_CURVATURE),
        Variable(
            "residual", ("image",), "largest ‖Hu − λu‖ of the ends of the Hessian's spectrum", LOSS_CURVATURE
        ),
        Variable(
            "bottom_residual", ("image",), "‖Hu − λu‖ of hessian_bottom alone", LOSS_CURVATURE, optional=True
        ),
        Variable("converged", ("image",), "whether it is within the tolerance", "", kind="bool"),
        Variable("notice", (), "on smallest eigenvalues that are not resolved", "", "str", optional=True),
        Variable(
            "same",
            ("image",),
            "whether the Hessian is the Fisher matrix, by products with a random vector",
            "",
            kind="bool",
        ),
        Variable("pixel_mean", ("channel",), "mean of the normalisation that was undone", PIXELS),
        Variable("pixel_std", ("channel",), "scale of the normalisation that was undone", PIXELS),
    ),
)


def compute(problem: Problem, params: InputCurvatureParams, context: Context) -> Mapping[str, Any]:
    """Curvature of each image, part by part."""
    from landscape.core.inputs.curvature import image_curvature
    from landscape.core.inputs.images import image_parts

    scale, parts = image_parts(problem, params.mean, params.std, params.images, reader_of(problem))

    def measure(images: Images, report: Callable[[float], None]) -> Mapping[str, Array]:
        return image_curvature(
            images,
            count=params.k,
            hessian=params.hessian,
            tolerance=params.tolerance,
            most=params.products,
            probes=params.probes,
            seed=params.seed,
            on_step=report,
        )

    names = [name for name, *_ in EACH if name != "fisher_share"]
    axes = dict.fromkeys(
        [*names, "fisher_values", "hessian_values", "residual", "bottom_residual", "converged", "same"], 0
    )
    found: dict[str, Any] = by_part(parts, context, measure, axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        found["fisher_share"] = found["fisher_top"] / found["fisher_trace"]
    for name, *_ in EACH:
        ends = median_interval(found[name])
        found |= dict(zip((f"median_{name}", f"median_{name}_low", f"median_{name}_high"), ends, strict=True))
    return {
        **found,
        "converged": found["converged"].astype(bool),
        "same": found["same"].astype(bool),
        "channel": np.arange(len(scale.mean)),
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
        "notice": _unresolved(found["hessian_bottom"], found["bottom_residual"]),
    }


def _unresolved(bottom: Array, residual: Array) -> str:
    """A sentence on images whose smallest eigenvalue, far smaller than the largest, may be all error."""
    count = int((residual > 0.1 * np.abs(bottom)).sum())
    if 2 * count <= len(bottom):
        return ""
    return (
        f"the smallest eigenvalue of the Hessian is not resolved for {count} of {len(bottom)} images: its"
        " residual is not small against itself; a smaller tolerance and more products resolve it"
    )


DISTRIBUTIONS = (
    (
        "fisher_top",
        "Largest eigenvalue of the input-space Fisher matrix",
        "λ₁ of the Fisher matrix",
        "nats/pixel²",
    ),
    ("fisher_trace", "Trace of the input-space Fisher matrix", "tr F", "nats/pixel²"),
    ("gradient_norm", "Gradient of the loss by the image", "‖∇ₓ loss‖", ""),
    ("distance", "Distance to a wrong answer, first order", "margin / ‖∇ margin‖", PIXELS),
)


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Distributions over images, models on the same axes; margin against curvature; ends of the Hessian."""
    images = f"{images_in(datasets)} images."
    figures = []
    for name, title, label, unit in DISTRIBUTIONS:
        lines: list[Line] = []
        positive = name != "distance"
        for who, ds in datasets.items():
            values = ds[name].values
            # what is not above 0 has no place on a logarithmic axis
            x, y = empirical_distribution(np.where(values <= 0, -np.inf, values) if positive else values)
            if len(x):
                lines.append(Line(x, y, series(who, ds)))
        if not lines:
            continue
        unit = unit or f"{loss_unit(datasets)}/pixel"
        axis = Axis(label, unit, scale="log" if positive else "linear")
        share = Axis("share of images", limits=(-0.02, 1.02))
        figures.append(
            FigureSpec(
                name,
                title,
                axis,
                share,
                tuple(lines),
                f"Share of images with at most this value. Pixels count from 0 to 1. {images}",
            )
        )
    points = tuple(
        Points(ds["margin"].values, np.where(ds["fisher_top"] > 0, ds["fisher_top"], np.nan), series(who, ds))
        for who, ds in datasets.items()
    )
    figures.append(
        FigureSpec(
            "margin",
            "Margin and curvature",
            Axis("margin of the logits"),
            Axis("λ₁ of the Fisher matrix", CURVATURE, scale="log"),
            points,
            f"Each point is an image: curvature is large where the answer is in doubt. {images}",
        )
    )
    apart = {who: ds for who, ds in datasets.items() if np.isfinite(ds["hessian_top"].values).any()}
    if apart:
        ends = [
            Points(ds["hessian_bottom"].values, ds["hessian_top"].values, series(who, ds))
            for who, ds in apart.items()
        ]
        large = max(float(np.nanmedian(np.abs(ds["hessian_top"].values))) for ds in apart.values()) or 1.0
        figures.append(
            FigureSpec(
                "hessian",
                "Ends of the spectrum of the input-space Hessian",
                Axis("smallest eigenvalue", CURVATURE, scale="symlog", linthresh=large / 100),
                Axis("largest eigenvalue", CURVATURE, scale="symlog", linthresh=large / 100),
                tuple(ends),
                "Each point is an image. Networks of linear pieces (ReLU, max pooling) have no negative"
                f" curvature: there the Hessian is the Fisher matrix. {images}",
            )
        )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Medians over images."""
    metrics = [
        Metric(
            "λ₁(F)",
            float(ds["median_fisher_top"]),
            CURVATURE,
            "largest eigenvalue of the Fisher matrix, median",
        ),
        Metric("tr F", float(ds["median_fisher_trace"]), CURVATURE, "trace of the Fisher matrix, median"),
        Metric("λ₁/tr", float(ds["median_fisher_share"]), "1", "share of the largest eigenvalue, median"),
        Metric(
            "‖∇ₓ‖",
            float(ds["median_gradient_norm"]),
            f"{loss_unit({'': ds})}/pixel",
            "norm of the gradient of the loss by the image, median",
        ),
        Metric(
            "distance", float(ds["median_distance"]), PIXELS, "first-order distance to a wrong answer, median"
        ),
    ]
    if np.isfinite(ds["median_hessian_bottom"]):
        metrics.append(
            Metric(
                "λ_min(H)",
                float(ds["median_hessian_bottom"]),
                f"{loss_unit({'': ds})}/pixel²",
                "smallest eigenvalue of the Hessian, median",
            )
        )
    return metrics


input_curvature = Analysis(
    name="input_curvature",
    title="Curvature of the loss in input space",
    description=(
        "Gradient, Fisher matrix and Hessian of the loss as a function of each image, in pixels from 0 to 1."
        " The Fisher matrix F = Jᵀ(diag p − ppᵀ)J of the predicted classes about the image, of rank K − 1 at"
        " most, is exact for up to 64 classes (beyond, by Lanczos and random probes): KL(p(x) ‖ p(x + d)) ≈"
        " ½ dᵀFd, so that virtual adversarial training penalises its"
        " largest eigenvalue (Miyato et al. 2018) and consistency under Gaussian noise its trace"
        " (Tsiligkaridis & Tsiligkaridis 2023). Where logits are linear in pieces the Hessian of the"
        " cross-entropy is the same matrix; elsewhere the ends of its spectrum are found by Lanczos for all"
        " images at once, since images do not depend on one another, and its trace by random probes"
        " (Hutchinson)."
    ),
    scope="checkpoint",
    params=InputCurvatureParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(
        forwards=1.0,
        example_gradients=params.images * (13.0 + params.hessian * 3.0 * (params.products / 2 + 8)),
    ),
)
