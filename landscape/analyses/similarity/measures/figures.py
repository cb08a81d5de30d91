"""The pictures of ``similarity``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.matrix_figure import dendrogram, matrix, model_map
from landscape.analyses.similarity.measures.schema import SCHEMA
from landscape.base.figure import ColorAxis, FigureSpec
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["half_width", "plots"]

BETWEEN_LAYERS = (
    ("procrustes", "Squared Procrustes distance", ColorAxis("squared distance", limits=(0.0, 2.0))),
    ("procrustes_angle", "Procrustes angle", ColorAxis("angle", "radians", limits=(0.0, np.pi / 2))),
    ("svcca", "SVCCA", ColorAxis("mean canonical correlation", limits=(0.0, 1.0))),
    ("pwcca", "PWCCA", ColorAxis("weighted canonical correlation", limits=(0.0, 1.0))),
    ("rsa", "RSA", ColorAxis("rank correlation", limits=(-1.0, 1.0), kind="diverging")),
    ("mutual_neighbours", "Mutual nearest neighbours", ColorAxis("share in common", limits=(0.0, 1.0))),
)
BETWEEN_MODELS = (
    ("agreement", "Agreement of predictions", ColorAxis("share of examples", limits=(0.0, 1.0))),
    ("jensen_shannon", "Jensen-Shannon divergence of predictions", ColorAxis("divergence", "nats/example")),
    ("weight_distance", "Distance of weights", ColorAxis("Euclidean distance")),
)


def _meaning(name: str) -> str:
    """What a matrix shows, as a caption begins."""
    said = SCHEMA[name].meaning.replace("unit_a", "the layer of the row")
    return said[0].upper() + said[1:]


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """A matrix for each measure, the tree of models by their predictions, and maps of models."""
    figures: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        note = f"One shared sample of {int(ds['examples'])} examples."
        units = [str(u) for u in ds["unit_a"].values]
        names = [str(n) for n in ds["model"].values]
        borders = [i + 0.5 for i, (a, b) in enumerate(pairwise(ds["model_a"].values)) if a != b]
        for name, title, color in BETWEEN_LAYERS:
            if name not in ds:  # of an older result
                continue
            caption = f"{_meaning(name)}, layers in firing order; lines part models. {note}"
            axes, values = ("layer", units), ds[name].values
            spec = matrix(f"{name}_{index}", f"{title}: {label}", axes, axes, values, color, caption, borders)
            figures.append(_with_errors(spec, ds, name, color, axes, borders))
        for name, title, color in BETWEEN_MODELS:
            if not np.isfinite(ds[name].values).any():
                continue
            caption = f"{_meaning(name)}. {note}"
            axes, values = ("model", names), ds[name].values
            spec = matrix(f"{name}_{index}", f"{title}: {label}", axes, axes, values, color, caption)
            figures.append(_with_errors(spec, ds, name, color, axes))
        tree = dendrogram(
            f"tree_{index}",
            f"Tree of models by their predictions: {label}",
            names,
            ds["jensen_shannon"].values,
            "Jensen-Shannon divergence",
            "nats/example",
            f"Average linkage; models join at their mean divergence. {note}",
        )
        maps = [
            model_map(
                f"map_{index}",
                f"Map of models by their predictions: {label}",
                names,
                np.sqrt(ds["jensen_shannon"].values),
                "√nats",
                f"Distance: root of the Jensen-Shannon divergence, which is a metric. {note}",
            )
        ]
        if "model_angle" in ds:
            maps.append(
                model_map(
                    f"angle_map_{index}",
                    f"Map of models by their layers: {label}",
                    names,
                    ds["model_angle"].values,
                    "radians",
                    f"Distance: {SCHEMA['model_angle'].meaning}. {note}",
                )
            )
        figures += [figure for figure in (tree, *maps) if figure is not None]
    return figures


def _with_errors(
    spec: FigureSpec,
    ds: xr.Dataset,
    name: str,
    color: ColorAxis,
    axes: tuple[str, list[str]],
    borders: Sequence[float] = (),
) -> FigureSpec:
    """A matrix that says how wide its intervals are, and has them as another matrix to be chosen."""
    half = half_width(ds, name)
    off = None if half is None else half[~np.eye(len(half), dtype=bool)]
    if half is None or off is None or not np.isfinite(off).any():
        return spec
    unit = f" {color.unit}" if color.unit else ""
    said = f"Known to ± {np.nanmedian(off):.2g}{unit} (95 %) in the median, ± {np.nanmax(off):.2g} at most"
    errors = matrix(
        f"{spec.name}_error",
        f"{spec.title} (half of the 95 % interval)",
        axes,
        axes,
        half,
        ColorAxis(f"half interval of the {color.label}", color.unit),
        f"How far other examples may move each value, at this number of them. {said}.",
        borders,
    )
    other = replace(errors, choice="half of the 95 % interval")
    return replace(spec, caption=f"{spec.caption} {said}.", choice="value", others=(other,))


def half_width(ds: xr.Dataset, name: str) -> Any:
    """Half of the 95 % interval of each value; ``None`` in results of before."""
    if f"{name}_se" not in ds:
        return None
    over_examples = name in ("agreement", "jensen_shannon")
    factor = reach(int(ds["examples"])) if over_examples else float(ds["interval_factor"])
    return factor * ds[f"{name}_se"].values
