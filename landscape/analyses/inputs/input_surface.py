"""``input_surface``: the loss around each image, along an attack and across it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit
from landscape.analyses._shared.half_width import half_width
from landscape.analyses._shared.loss_colors import loss_colors
from landscape.analyses._shared.options import PixelMean, PixelStd
from landscape.analyses.inputs._parts import Images128, by_part, reader_of
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Heatmap, Line, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import answer_error, reach, standard_error
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.inputs.images import Images
    from landscape.core.problem.problem import Problem

Array = NDArray[np.float64]
PIXELS = "pixel range"
WORDS = {
    "fgsm": "the step of the fast gradient sign method",
    "gradient": "the gradient of the cross-entropy",
    "pgd": "the perturbation of projected gradient descent",
    "fisher": "the top eigenvector of the Fisher matrix",
    "random": "a random direction",
    "random_sign": "random signs",
    "fgsm_of": "the step of the fast gradient sign method of another model",
}


class InputSurfaceParams(Params):
    """Options of ``input_surface``."""

    first: Literal["fgsm", "gradient", "pgd", "fisher", "random"] = Field(
        "fgsm", description="direction of the line, and first of the plane, for each image its own"
    )
    second: Literal["random_sign", "random", "fgsm_of"] = Field(
        "random_sign",
        description="second direction of the plane: random signs, a Gaussian's, or the step of the fast"
        " gradient sign method of another model, the input surrogate (library use)",
    )
    radius: float = Field(0.1, gt=0, description="norm of the longest step, pixels from 0 to 1")
    points: int = Field(
        25, ge=3, le=1_000_000, description="points of the line, from the image to the radius"
    )
    plane: int = Field(11, ge=3, le=3000, description="points along each axis of the plane")
    norm: Literal["linf", "l2"] = Field("linf", description="in which both directions have norm 1")
    clip: bool = Field(True, description="cut changed pixels to 0 to 1")
    images: Images128 = 128
    mean: PixelMean = ()
    std: PixelStd = ()
    seed: int = Field(0, ge=0, description="seed of random directions and points")


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("step", ("step",), "step along the first direction", PIXELS),
        Variable("along", ("along",), "step along the first direction, in the plane", PIXELS),
        Variable("across", ("across",), "step along the second direction", PIXELS),
        Variable("channel", ("channel",), "channel of the image", "", kind="int"),
    ),
    variables=(
        Variable("loss", ("step",), "mean loss over images", LOSS_UNIT),
        Variable("loss_se", ("step",), "standard error of loss over images", LOSS_UNIT),
        Variable(
            "loss_change_se", ("step",), "standard error of the change from the images, paired", LOSS_UNIT
        ),
        Variable("error", ("step",), "share of wrong answers"),
        Variable("error_se", ("step",), "standard error of error over images"),
        Variable("plane_loss", ("along", "across"), "mean loss over images, in the plane", LOSS_UNIT),
        Variable("plane_loss_se", ("along", "across"), "standard error of plane_loss over images", LOSS_UNIT),
        Variable("plane_error", ("along", "across"), "share of wrong answers, in the plane"),
        Variable("plane_error_se", ("along", "across"), "standard error of plane_error over images"),
        Variable(
            "distorted", (), "share of images that are right at both ends of the line and wrong between"
        ),
        Variable("distorted_se", (), "standard error of distorted over images"),
        Variable("peak", (), "where on the line the mean loss is largest, as a share of it; 1 = at its end"),
        Variable(
            "linearity",
            (),
            "largest distance of the loss from its tangent along the line, mean over images",
            LOSS_UNIT,
        ),
        Variable("linearity_se", (), "standard error of linearity over images", LOSS_UNIT),
        Variable(
            "gradient_cosine",
            (),
            "cosine between gradients at an image and at a random point of the ball, mean over images",
        ),
        Variable("gradient_cosine_se", (), "standard error of gradient_cosine over images"),
        Variable("images", (), "number of images", kind="int"),
        Variable("pixel_mean", ("channel",), "mean of the normalisation that was undone", PIXELS),
        Variable("pixel_std", ("channel",), "scale of the normalisation that was undone", PIXELS),
    ),
)


def compute(problem: Problem, params: InputSurfaceParams, context: Context) -> Mapping[str, Any]:
    """Evaluate line and plane of every image, part by part."""
    from landscape.core.inputs.directions import first_direction, loss_along, second_direction
    from landscape.core.inputs.images import image_parts

    scale, parts = image_parts(problem, params.mean, params.std, params.images, reader_of(problem))
    surrogate = _surrogate(problem, parts[0], params, context)
    steps = np.linspace(0.0, params.radius, params.points)
    along = np.linspace(0.0, params.radius, params.plane)
    across = np.linspace(-params.radius, params.radius, params.plane)

    def measure(images: Images, report: Callable[[float], None]) -> Mapping[str, Array]:
        return loss_along(
            images,
            first_direction(images, params.first, params.radius, params.norm, params.seed),
            second_direction(images, params.second, params.norm, params.seed, surrogate),
            params.radius,
            steps.tolist(),
            (along.tolist(), across.tolist()),
            norm=params.norm,
            clip=params.clip,
            seed=params.seed,
            on_step=report,
        )

    axes = {"losses": 1, "wrong": 1, "plane_losses": 2, "plane_wrong": 2, "linearity": 0, "cosine": 0}
    found = by_part(parts, context, measure, axes)
    losses, wrong = found["losses"], found["wrong"]
    between = (wrong[0] == 0) & (wrong[-1] == 0) & (wrong.max(0) > 0)
    loss = losses.mean(1)
    # the largest of losses that are all equal is no peak, and NaN has no place
    peak = float(steps[np.argmax(loss)] / params.radius) if np.isfinite(loss).all() else float("nan")
    cosine = found["cosine"][~np.isnan(found["cosine"])]
    return {
        "step": steps,
        "along": along,
        "across": across,
        "channel": np.arange(len(scale.mean)),
        **_mean("loss", losses),
        "loss_change_se": _mean("change", losses - losses[0])["change_se"],
        **_mean("error", wrong, answer_error),
        **_mean("plane_loss", found["plane_losses"]),
        **_mean("plane_error", found["plane_wrong"], answer_error),
        **_mean("distorted", between.astype(np.float64), answer_error),
        "peak": peak,
        **_mean("linearity", found["linearity"]),
        **_mean("gradient_cosine", cosine),
        "images": losses.shape[1],
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
    }


def _surrogate(
    problem: Problem, images: Images, params: InputSurfaceParams, context: Context
) -> Problem | None:
    """The other model on the same form of images, if the plane takes one."""
    from landscape.core.inputs.pixel_scale import image_of
    from landscape.core.problem.losses import LOSSES
    from landscape.core.problem.problem import Problem

    given = context.inputs.get("surrogate")
    if (given is None) != (params.second != "fgsm_of"):
        raise InputError(
            "input_surface with second='fgsm_of' takes another model as the input surrogate: a torch module"
            " on the same images, landscape.input_surface(problem, second='fgsm_of', surrogate=model)."
        )
    if given is None:
        return None
    data = image_of(images.batch), images.batch.target
    loss = problem.loss_name if problem.loss_name in LOSSES else "cross_entropy"
    return Problem(given, loss, data, device=problem.device, dtype=problem.dtype)


def _mean(name: str, values: Array, error: Callable[[Any], Any] = standard_error) -> dict[str, Any]:
    """Mean over images, the last axis, and its standard error; NaN where there are too few."""
    n = values.shape[-1]
    hole = np.full(values.shape[:-1], np.nan)
    return {
        name: values.mean(-1) if n else hole,
        f"{name}_se": error(values) if n else hole,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Loss and error along the line, all models on shared axes; a plane for each model."""
    import json

    first = next(iter(datasets.values()))
    options = json.loads(first.attrs["parameters"])
    norm = {"linf": "ℓ∞", "l2": "ℓ2"}[options["norm"]]
    step, unit = Axis(f"step along the first direction, {norm} norm", PIXELS), loss_unit(datasets)
    marks: dict[str, list[Any]] = {"loss": [], "error": []}
    for label, ds in datasets.items():
        for name, lines in marks.items():
            y, half = ds[name].values, reach(int(ds["images"])) * ds[f"{name}_se"].values
            lines.append(Line(ds["step"].values, y, series(label, ds), y - half, y + half))
    counts = sorted({int(ds["images"]) for ds in datasets.values()})
    images = (
        f"{' to '.join(str(c) for c in (counts[0], counts[-1])) if len(counts) > 1 else counts[0]} images."
    )
    what = f"Along {WORDS[options['first']]}, for each image its own. {images}"
    errors = error_bars(counts, "over images")
    figures = [
        FigureSpec(
            "loss",
            "Loss along a direction in input space",
            step,
            Axis(
                "loss", unit, loss_colors("loss", unit, [ds["loss"].values for ds in datasets.values()]).scale
            ),
            tuple(marks["loss"]),
            what,
            errors,
        ),
        FigureSpec(
            "error",
            "Errors along a direction in input space",
            step,
            Axis("share of wrong answers", limits=(-0.02, 1.02)),
            tuple(marks["error"]),
            what,
            errors,
        ),
    ]
    color = loss_colors("loss", unit, [ds["plane_loss"].values for ds in datasets.values()])
    figures += [
        FigureSpec(
            f"plane_{index}",
            f"Loss surface in input space: {label}",
            Axis("second direction", PIXELS),
            Axis("first direction", PIXELS),
            (
                Heatmap(
                    ds["across"].values,
                    ds["along"].values,
                    ds["plane_loss"].values,
                    color,
                    contours=True,
                    series=series(label, ds),
                ),
            ),
            f"Mean loss at x + a d₁ + b d₂: d₁ is {WORDS[options['first']]}, d₂ {WORDS[options['second']]},"
            f" both of {norm} norm 1. {images} Colours are shared by all models.",
        )
        for index, (label, ds) in enumerate(datasets.items())
    ]
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The rise of the loss, and the signs of overfitting to one step."""
    unit = loss_unit({"": ds})
    return [
        Metric(
            "rise",
            float(ds["loss"].max(skipna=False) - ds["loss"][0]),
            unit,
            "largest mean loss minus that of the images",
        ),
        Metric(
            "distorted",
            float(ds["distorted"]),
            "1",
            "share right at both ends of the line and wrong between",
            error=half_width(ds, "distorted", "images"),
        ),
        Metric("peak", float(ds["peak"]), "1", "where the mean loss is largest, as a share of the line"),
        Metric(
            "linearity", float(ds["linearity"]), unit, "largest distance of the loss from its tangent, mean"
        ),
        Metric(
            "gradient cosine",
            float(ds["gradient_cosine"]),
            "1",
            "between gradients at an image and at a random point of the ball",
        ),
    ]


input_surface = Analysis(
    name="input_surface",
    title="Loss surface in input space",
    description=(
        "The loss at x + a d₁ and over the plane x + a d₁ + b d₂ through each image x, averaged over images;"
        " lengths in pixels from 0 to 1. d₁ is an attack's direction, d₂ a random one or"
        " the attack of another model: the loss along it says how far attacks carry over. An image is"
        " distorted if it is right at both ends of the line and wrong between, the mark of overfitting to one"
        " step (Kim et al. 2021); the loss is linear as far as it stays by its tangent (Qin et al. 2019), and"
        " gradients within the ball have a cosine near 1 (Andriushchenko & Flammarion 2020)."
    ),
    scope="checkpoint",
    params=InputSurfaceParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    inputs=("surrogate",),
    cost=lambda params: Cost(
        forwards=2.0 * (params.points + params.plane**2), gradients=5.0 + 20.0 * (params.first == "pgd")
    ),
)
