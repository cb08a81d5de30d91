"""``feature_variance``: how much features vary over space and over images, by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.options import PrefixTokens, TokenGrid
from landscape.analyses.features._captions import image_count
from landscape.analyses.features._options import UNITS, Images, Layers, MeasuredKinds
from landscape.base.analysis import Analysis, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, series
from landscape.base.schema import Schema, Variable
from landscape.core.features.unit_kinds import SYMBOL_LEGEND, symbol_key, symbols_of
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.features.variance import VarianceCollector


class FeatureVarianceParams(Params):
    """Options of ``feature_variance``."""

    layers: Layers = ("*",)
    kinds: MeasuredKinds = UNITS
    prefix_tokens: PrefixTokens = None
    grid: TokenGrid = None
    images: Images = 128


SCHEMA = Schema(
    version=2,
    coords=(
        Variable("layer", ("layer",), "unit, in firing order; a residual sum ends in +", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first unit) to 1 (last)"),
        Variable("kind", ("layer",), "kind of the unit", "", kind="str"),
        Variable("module_class", ("layer",), "class of the module", "", kind="str"),
    ),
    variables=(
        Variable("images", (), "number of images looked at, a random sample", kind="int"),
        Variable(
            "spatial_variance",
            ("layer",),
            "variance over space of each channel of each image, averaged",
            "feature²",
        ),
        Variable(
            "spatial_variance_se",
            ("layer",),
            "standard error of spatial_variance over images",
            "feature²",
        ),
        Variable(
            "sample_variance",
            ("layer",),
            "variance over images of each entry of the feature, averaged over entries",
            "feature²",
        ),
    ),
)


def collect(params: FeatureVarianceParams) -> VarianceCollector:
    """What looks at outputs during the pass."""
    from landscape.core.features.units import Selection
    from landscape.core.features.variance import VarianceCollector

    return VarianceCollector(
        Selection(params.layers, params.kinds), params.prefix_tokens, params.images, grid=params.grid
    )


def finish(collector: VarianceCollector, params: FeatureVarianceParams) -> dict[str, Any]:
    """The variances as the variables of the schema."""
    found = collector.units()
    if not found:
        raise InputError(
            f"no unit of {collector.model_class} matching {', '.join(params.layers)} is of the kinds"
            f" {', '.join(params.kinds) or 'any'} and gives one feature per example; name other kinds,"
            " such as linear, or none for every module."
        )
    units = list(found.values())
    return {
        "images": collector.examples,
        "layer": np.array(list(found)),
        "depth": np.linspace(0.0, 1.0, len(units)),
        "kind": np.array([u.unit.kind for u in units]),
        "module_class": np.array([u.unit.module_class for u in units]),
        "spatial_variance": np.array([float(u.space.mean) for u in units]),
        "spatial_variance_se": np.array([float(u.space.error) for u in units]),
        "sample_variance": np.array([u.samples.value for u in units]),
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Both variances over depth, all models on one axis."""
    figures = []
    images = image_count(datasets)
    for key, title, caption in (
        (
            "spatial_variance",
            "Variance of feature maps over space by depth",
            "Variance over the pixels or patches of each channel of each image (divided by n − 1), averaged"
            " over channels and images, as in Park & Kim (2022), Figure 9.",
        ),
        (
            "sample_variance",
            "Variance of features over images by depth",
            "Variance over images of each entry of a feature (divided by n − 1), averaged over entries.",
        ),
    ):
        marks: list[Any] = []
        for label, ds in datasets.items():
            who, x, y = series(label, ds), ds["depth"].values, ds[key].values
            y = np.where(y > 0, y, np.nan)  # a logarithmic axis has no place for zero
            low = high = None
            if f"{key}_se" in ds:
                half = reach(int(ds["images"])) * ds[f"{key}_se"].values
                low, high = np.where(y > half, y - half, y), y + half
            kinds = ds["kind"].values
            texts = tuple(f"{n}: {k}" for n, k in zip(ds["layer"].values, kinds, strict=True))
            symbols = symbols_of(kinds)
            marks += [Line(x, y, who, low, high), Points(x, y, who, texts=texts, symbols=symbols)]
        figures.append(
            FigureSpec(
                key,
                title,
                Axis("depth (0 = first unit, 1 = last)", limits=(-0.02, 1.02)),
                Axis("variance", "feature²", scale="log"),
                tuple(marks),
                f"{caption} {images} images. A point per unit in firing order ({SYMBOL_LEGEND}).",
                error_bars((int(ds["images"]) for ds in datasets.values()), "over images"),
                symbols=symbol_key(k for ds in datasets.values() for k in ds["kind"].values),
            )
        )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Both variances of the last unit that has them."""
    metrics = []
    for key, name in (("spatial_variance", "spatial"), ("sample_variance", "over images")):
        values = ds[key].values
        values = values[np.isfinite(values)]
        last = float(values[-1]) if values.size else float("nan")
        metrics.append(Metric(f"variance {name}, last", last, "feature²", f"{key} of the last unit"))
    return metrics


feature_variance = Analysis(
    name="feature_variance",
    title="Variance of features",
    description=(
        "The variance of every unit's output: over space within a channel of an image ('How do vision"
        " transformers work?', Park & Kim 2022, Figure 9: attention tends to lower it, convolutions tend to"
        " raise it), and over images at each entry, under its own name. Class and other prefix tokens are"
        " left out of grids of tokens. Units without spatial axes have the second only."
    ),
    scope="checkpoint",
    params=FeatureVarianceParams,
    schema=SCHEMA,
    collect=collect,
    finish=finish,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=2.0),
)
