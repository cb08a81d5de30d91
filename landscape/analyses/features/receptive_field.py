"""``receptive_field``: which pixels move the middle of each layer's maps, and how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.options import PrefixTokens, TokenGrid
from landscape.analyses.features._captions import image_count
from landscape.analyses.features._options import Layers, MeasuredKinds
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Points, series
from landscape.base.schema import Schema, Variable
from landscape.core.features.unit_kinds import SYMBOL_LEGEND, UnitKind, symbol_key, symbols_of
from landscape.core.stats.intervals import reach
from landscape.errors import InapplicableError, InputError

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from landscape.core.data.batches import Batch
    from landscape.core.problem.problem import Problem

PICTURES = 6
"""So many layers are shown as pictures, evenly spaced by depth."""

FAINTEST = 1e-4
"""Pixels fainter than this, relative to the brightest of all pictures, are drawn alike."""

KINDS: tuple[UnitKind, ...] = ("convolution", "attention", "mlp", "block", "downsampling")


class ReceptiveFieldParams(Params):
    """Options of ``receptive_field``."""

    layers: Layers = ("*",)
    kinds: MeasuredKinds = KINDS
    most_layers: Annotated[int, Field(ge=1, description="evenly spaced ones, if more layers match")] = 12
    images: Annotated[
        int,
        Field(
            ge=1,
            description="at most so many images, a random sample: the errors show what more would bring",
        ),
    ] = 64
    shares: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        Field(min_length=1, description="shares of the field of which the sides are told"),
    ] = (0.2, 0.5, 0.99)
    prefix_tokens: PrefixTokens = None
    grid: TokenGrid = None


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("layer", ("layer",), "layer, in firing order", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first layer) to 1 (last)"),
        Variable("kind", ("layer",), "kind of the layer", "", kind="str"),
        Variable("axis", ("axis",), "axis of the picture", "", kind="str"),
        Variable("share", ("share",), "share of the field"),
    ),
    variables=(
        Variable("images", (), "number of images looked at, a random sample", kind="int"),
        Variable(
            "field",
            ("layer", "y", "x"),
            "mean of |∂ Σ_c z_c(middle)/∂x(p)| over images, of sum 1",
        ),
        Variable("variance", ("layer", "axis"), "variance of the field along an axis", "pixels²"),
        Variable("variance_se", ("layer", "axis"), "standard error of variance over images", "pixels²"),
        Variable("side", ("layer", "share"), "side of the least square that holds the share", "pixels"),
        Variable(
            "support",
            ("layer", "axis"),
            "extent of all pixels that move the layer at all: the theoretical field, where no weight is 0",
            "pixels",
        ),
    ),
)


def compute(problem: Problem, params: ReceptiveFieldParams, context: Context) -> Mapping[str, Any]:
    """A gradient of the middle of each layer by the pixels."""
    from landscape.core.features.receptive_field import receptive_fields, side_holding
    from landscape.core.features.units import Selection
    from landscape.core.inputs.pixel_scale import image_shape
    from landscape.core.problem.batchnorm import running_layers

    image_shape(problem)  # refuses what are no pictures of one size
    if problem.batchnorm == "batch" and running_layers(problem.module):
        raise InputError(
            "with batchnorm='batch' the features of an image depend on the others of its batch; take"
            " batchnorm='checkpoint'."
        )
    selection = Selection(params.layers, params.kinds)
    tokens = {"prefix_tokens": params.prefix_tokens, "grid": params.grid}
    first = next(_images(problem, 1))
    names = list(receptive_fields(problem, [first], selection, **tokens))  # type: ignore[arg-type]
    if not names:
        raise InapplicableError(
            f"no layer of {type(problem.module).__name__} matching {', '.join(params.layers)} is of the kinds"
            f" {', '.join(params.kinds) or 'any'} and has maps; name other kinds, or none for every module."
        )
    if len(names) > params.most_layers:
        places = np.linspace(0, len(names) - 1, params.most_layers).round().astype(int)
        names = [names[i] for i in np.unique(places)]
    seen = 0

    def watched() -> Iterator[tuple[Batch, Tensor]]:
        nonlocal seen
        for batch, pixels in _images(problem, params.images):
            yield batch, pixels
            seen += batch.size
            context.progress(seen / min(params.images, problem.examples))

    fields = receptive_fields(problem, watched(), selection, names=names, **tokens)  # type: ignore[arg-type]
    found = [fields[name] for name in names]
    variances = [one.variance() for one in found]
    with np.errstate(invalid="ignore"):
        pictures = np.stack([one.total / one.total.sum() for one in found])
    return {
        "layer": np.array(names),
        "depth": np.linspace(0.0, 1.0, len(names)),
        "kind": np.array([one.unit.kind for one in found]),
        "axis": np.array(["height", "width"]),
        "share": np.array(params.shares),
        "images": seen,
        "field": pictures,
        "variance": np.stack([value for value, _ in variances]),
        "variance_se": np.stack([error for _, error in variances]),
        "side": np.stack([side_holding(one.total, params.shares) for one in found]),
        "support": np.stack([one.support() for one in found]),
    }


def _images(problem: Problem, count: int) -> Iterator[tuple[Batch, Tensor]]:
    """A fair sample of the examples, each batch with its images."""
    from landscape.core.data.subsample import sample
    from landscape.core.inputs.pixel_scale import image_of

    for batch in sample(problem.batches, count):
        yield batch, image_of(batch)


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Pictures of the fields of all models on one scale, and their width by depth."""
    images = image_count(datasets)
    marks: list[Any] = []
    for label, ds in datasets.items():
        who, depth = series(label, ds), ds["depth"].values
        variance = ds["variance"].mean("axis").values
        deviation = np.sqrt(variance)
        error = np.sqrt(np.square(ds["variance_se"].values).sum(1)) / 2.0
        with np.errstate(invalid="ignore", divide="ignore"):
            half = reach(int(ds["images"])) * error / (2.0 * deviation)
        kinds = ds["kind"].values
        texts = tuple(
            f"{n}: {k}, support {h:g} × {w:g}"
            for n, k, (h, w) in zip(ds["layer"].values, kinds, ds["support"].values, strict=True)
        )
        marks += [
            Line(depth, deviation, who, deviation - half, deviation + half),
            Points(depth, deviation, who, texts=texts, symbols=symbols_of(kinds)),
        ]
    return [
        _pictures(datasets, images),
        FigureSpec(
            "width",
            "Width of the effective receptive field by depth",
            Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02)),
            Axis("standard deviation", "pixels"),
            tuple(marks),
            "Root of the variance of the effective receptive field, averaged over height and width, of the"
            f" middle of each layer's maps, on {images} images (Luo et al. 2016). Points by kind:"
            f" {SYMBOL_LEGEND}.",
            error_bars((int(ds["images"]) for ds in datasets.values()), "over images"),
            symbols=symbol_key(k for ds in datasets.values() for k in ds["kind"].values),
        ),
    ]


def _pictures(datasets: Mapping[str, xr.Dataset], images: str) -> FigureSpec:
    """A row of pictures for each model, a column for each depth."""
    height = max(ds.sizes["y"] for ds in datasets.values())
    width = max(ds.sizes["x"] for ds in datasets.values())
    gap = max(1, round(0.08 * max(height, width)))
    rows, columns = len(datasets), min(PICTURES, max(ds.sizes["layer"] for ds in datasets.values()))
    wanted = np.linspace(0.0, 1.0, columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for row, ds in enumerate(datasets.values()):
        y = np.arange(height) * ds.sizes["y"] // height  # pictures of several sizes: nearest pixels
        x = np.arange(width) * ds.sizes["x"] // width
        for column, at in enumerate(wanted):
            picture = ds["field"].values[np.abs(ds["depth"].values - at).argmin()][np.ix_(y, x)]
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = picture[::-1]  # row 0 of a picture is its top
    brightest = float(np.nanmax(canvas)) if np.isfinite(canvas).any() else 1.0
    canvas = np.where(np.isnan(canvas), np.nan, np.maximum(canvas, FAINTEST * brightest))
    color = ColorAxis("share of the field", "1/pixel", scale="log", limits=(FAINTEST * brightest, brightest))
    places = [
        (np.arange(canvas.shape[axis]) - (size - 1) / 2) / (size + gap)
        for axis, size in ((1, width), (0, height))
    ]
    return FigureSpec(
        "fields",
        "Effective receptive fields by depth",
        Axis("depth (0 = first layer, 1 = last)", categories=tuple(f"{at:.1f}" for at in wanted)),
        Axis("model", categories=tuple(datasets)),
        (Heatmap(places[0], places[1], canvas, color),),
        "Mean of |∂ Σ_c z_c/∂x(p)| over"
        f" {images} images, z the middle of a layer's maps, as a share of its sum: each picture is the whole"
        " image, all on one logarithmic scale; layers are those next to the depths shown.",
        equal=True,
    )


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The last layer's field."""
    last = ds.isel(layer=-1)
    half = int(np.abs(ds["share"].values - 0.5).argmin())
    share = float(ds["share"].values[half])
    deviation = float(np.sqrt(last["variance"].values.mean()))
    return [
        Metric("field width, last", deviation, "pixels", "standard deviation of the last layer's field"),
        Metric(
            f"side of {100 * share:g} %, last",
            float(last["side"].values[half]),
            "pixels",
            f"side of the least square that holds {100 * share:g} % of the last layer's field",
        ),
        Metric(
            "support, last",
            float(last["support"].values.max()),
            "pixels",
            "larger extent of the pixels that move the last layer at all",
        ),
    ]


receptive_field = Analysis(
    name="receptive_field",
    title="Effective receptive fields",
    description=(
        "How much each pixel moves the middle of a layer's maps: the mean over images of |∂ Σ_c z_c(middle) /"
        " ∂x(p)| ('Understanding the effective receptive field', Luo et al. 2016; Ding et al. 2022), its"
        " variance along both axes, the sides of the squares that hold given shares, and the extent of all"
        " pixels that move it at all. Outputs and gradients are taken as they are, not rectified; of tokens"
        " the middle patch counts."
    ),
    scope="checkpoint",
    params=ReceptiveFieldParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0, example_gradients=float(params.images * params.most_layers)),
)
