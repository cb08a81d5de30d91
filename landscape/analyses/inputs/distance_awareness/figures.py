"""Pictures of ``distance_awareness``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analyses.inputs._parts import empirical_distribution
from landscape.base.figure import Axis, FigureSpec, Line, Points, series

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

BINS = 20
"""Bins of distance in which confidence is averaged."""


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Expansions of pairs, by kind too; ends of the Jacobian; norms of layers; doubt against distance."""
    mapped = {who: ds for who, ds in datasets.items() if "expansion" in ds}
    figures = [*_expansion_figures(mapped)] if mapped else []
    apart = {who: ds for who, ds in datasets.items() if "point_entropy" in ds}
    for space, name in (("input", "inputs"), ("feature", "features")):
        shown = {who: ds for who, ds in apart.items() if ds[f"point_{space}_distance"].notnull().any()}
        if shown:
            figures.append(_confidence(shown, f"point_{space}_distance", name))
    return figures


def _confidence(datasets: Mapping[str, xr.Dataset], variable: str, name: str) -> FigureSpec:
    """Mean confidence of the other data by distance: in feature space each model has a scale of its own."""
    farthest = max(float(ds[variable].max()) for ds in datasets.values()) or 1.0
    lines = []
    for who, ds in datasets.items():
        reach = farthest if name == "inputs" else float(ds[variable].max()) or 1.0
        edges = np.linspace(0.0, reach, BINS + 1)
        place = np.clip(np.digitize(ds[variable].values, edges) - 1, 0, BINS - 1)
        count = np.bincount(place, minlength=BINS)
        total = np.bincount(place, ds["point_confidence"].values, BINS)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        lines.append(Line((edges[1:] + edges[:-1]) / 2, mean, series(who, ds), markers=True))
    return FigureSpec(
        f"confidence_{name}",
        f"Confidence against the distance between {name}",
        Axis(f"distance of the {name} to those of the nearest example"),
        Axis("mean confidence", limits=(-0.02, 1.02)),
        tuple(lines),
        f"Mean over the other data in each of {BINS} bins of distance. A model that knows its distance from"
        " its data is less sure the further away it is.",
    )


def _expansion_figures(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    lines, spreads, ends, norms = [], [], [], []
    step = 0.6 / max(len(datasets), 2)
    for place, (who, ds) in enumerate(datasets.items()):
        ratios = ds["expansion"].values[0]
        x, y = empirical_distribution(np.where(ratios <= 0, -np.inf, ratios))
        if len(x):
            lines.append(Line(x, y, series(who, ds)))
        values = ds["expansion_spread"].values
        spreads.append(
            Points(
                np.arange(len(values)) + (place - (len(datasets) - 1) / 2) * step,
                np.where(np.isfinite(values), values, np.nan),
                series(who, ds),
            )
        )
        if "jacobian_largest" in ds:
            # what is not resolved is rounding about zero: a feature that no input moves there
            smallest = np.where(ds["jacobian_resolved"].values, ds["jacobian_smallest"].values, np.nan)
            ends.append(Points(smallest, ds["jacobian_largest"].values, series(who, ds)))
        if "layer_norm" in ds:
            depth = np.linspace(0.0, 1.0, ds.sizes["layer"])
            values = np.where(ds["layer_norm"].values > 0, ds["layer_norm"].values, np.nan)
            norms.append(Points(depth, values, series(who, ds), texts=tuple(map(str, ds["layer"].values))))
    kinds = next(iter(datasets.values()))["pair_kind"].values
    same = all(np.array_equal(ds["pair_kind"].values, kinds) for ds in datasets.values())
    figures = []
    if lines:
        figures.append(
            FigureSpec(
                "expansion",
                "Expansion of distances between examples",
                Axis("‖h − h′‖/‖x − x′‖", scale="log"),
                Axis("share of pairs", limits=(-0.02, 1.02)),
                tuple(lines),
                "Share of pairs of examples whose distance the features expand by at most so much. A steep"
                " step is a map that keeps distances up to a factor.",
            )
        )
    if same:
        figures.append(
            FigureSpec(
                "spread",
                "How unevenly distances are expanded",
                Axis("example and", categories=tuple(map(str, kinds)), limits=(-0.5, len(kinds) - 0.5)),
                Axis("99 % over 1 % quantile of the expansion", scale="log"),
                tuple(spreads),
                "1 for a map that keeps all distances up to one factor. Pairs are two examples, an example"
                " and itself moved at random by a part of the median distance, an example and one of other"
                " data.",
            )
        )
    if ends:
        figures.append(
            FigureSpec(
                "jacobian",
                "Extreme singular values of the Jacobian of the features",
                Axis("smallest singular value", scale="log"),
                Axis("largest singular value", scale="log"),
                tuple(ends),
                "Each point is an example. A small step can be expanded by the largest and, within as many"
                " directions as there are features or inputs, shrunk to the smallest. Examples whose"
                " smallest is no more than rounding, such as where a feature is dead, are left out.",
            )
        )
    if norms:
        figures.append(
            FigureSpec(
                "layer_norms",
                "Spectral norms of the layers",
                Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02)),
                Axis("spectral norm", scale="log"),
                tuple(norms),
                "Of linear layers and convolutions; of these as maps of whole pictures, stride and padding"
                " included.",
            )
        )
    return figures
