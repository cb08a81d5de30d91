"""The pictures of ``block_spectra``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analyses._shared.captions import loss_unit, weight_decays
from landscape.analyses.curvature._operator import matrix_names
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Mark, Points, Series, series
from landscape.core.stats.spectral_distance import FINEST, Spectrum, bin_edges, bin_masses

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

MOST_NAMES = 40
"""Names of blocks that an axis holds; of more, their numbers stand."""

MOST_CURVES = 6
"""Densities drawn in one picture."""


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Distances of the blocks and some of their densities, by model; the reach of all blocks by depth."""
    unit = loss_unit(datasets)
    first = next(iter(datasets.values()))
    about = (
        f"{matrix_names(datasets)} of the mean loss over {first.attrs.get('examples', '?')} examples,"
        f" {weight_decays(datasets)}"
    )
    found = [_reach(datasets, unit, about)]
    for index, (label, ds) in enumerate(datasets.items()):
        found += [_distances(index, label, ds, about), _densities(index, label, ds, unit, about)]
    return found


def _reach(datasets: Mapping[str, xr.Dataset], unit: str, about: str) -> FigureSpec:
    marks: list[Mark] = []
    for label, ds in datasets.items():
        depth = np.linspace(0.0, 1.0, ds.sizes["block"])
        largest = ds["largest"].values
        texts = tuple(
            f"{n} ({s:,}), {k:.3g} to {v:.3g}"
            for n, s, k, v in zip(
                *(ds[name].values for name in ("block", "block_size", "smallest", "largest")), strict=True
            )
        )
        there = largest > 0
        kept = tuple(text for text, use in zip(texts, there, strict=True) if use)
        marks.append(Points(depth[there], largest[there], series(label, ds), texts=kept))
    return FigureSpec(
        "largest",
        "Largest eigenvalue of each diagonal block by depth",
        Axis("depth (0 = first block, 1 = last)", limits=(-0.03, 1.03)),
        Axis("largest eigenvalue", unit, scale="log"),
        tuple(marks),
        f"Largest eigenvalue found of each diagonal block of the {about}.",
    )


def _names(ds: xr.Dataset) -> tuple[str, ...]:
    names = [str(n) for n in ds["block"].values]
    return tuple(names if len(names) <= MOST_NAMES else (str(i + 1) for i in range(len(names))))


def _distances(index: int, label: str, ds: xr.Dataset, about: str) -> FigureSpec:
    names = _names(ds)
    numbered = "" if ds.sizes["block"] <= MOST_NAMES else " Blocks are numbered in the model's order."
    low, high = float(ds["mean_distance_low"]), float(ds["mean_distance_high"])
    at = np.arange(len(names))
    mean = (
        f" Mean over pairs: {float(ds['mean_distance']):.3g}, {low:.3g} to {high:.3g} (95 % over probes)."
        if len(names) > 1
        else ""
    )
    return FigureSpec(
        f"distances_{index}",
        f"Distances between the spectra of blocks: {label}",
        Axis("block", categories=names),
        Axis("block", categories=names),
        (Heatmap(at, at, ds["js_distance"].values, ColorAxis("Jensen-Shannon distance", limits=(0.0, 1.0))),),
        "Root of the Jensen-Shannon divergence, in bits, between the eigenvalue densities of each two"
        f" diagonal blocks of the {about}: 0 for equal densities, 1 for densities apart. Each pair is"
        f" smoothed by one Gaussian kernel, of a fifth of |λ| but no less than is resolved.{mean}{numbered}",
    )


def _densities(index: int, label: str, ds: xr.Dataset, unit: str, about: str) -> FigureSpec:
    """Densities per decade of |λ| would hide what is near 0: masses of bins, on an axis linear about it."""
    count = ds.sizes["block"]
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_CURVES)).round().astype(int))
    rows = [ds.isel(block=int(i)) for i in chosen]
    spectra = [Spectrum(d["nodes"].values, d["weights"].values, float(d["resolution"])) for d in rows]
    largest = max(s.largest for s in spectra) or 1.0
    marks: list[Mark] = []
    finest_of_all = np.inf
    for d, spectrum in zip(rows, spectra, strict=True):
        finest = max(spectrum.resolution, FINEST * spectrum.largest) or 1.0
        finest_of_all = min(finest_of_all, finest)
        edges = bin_edges(spectrum.largest, finest)
        each = bin_masses(spectrum, edges, finest) / np.diff(edges)
        middle = edges[:-1] / 2 + edges[1:] / 2
        density = each.mean(0)
        name = str(d["block"].item())
        who = Series(label=f"{name} ({int(d['block_size']):,})")
        place = float(np.flatnonzero(ds["block"].values == name)[0]) / max(count - 1, 1)
        shown = density > 1e-7 * density.max()
        marks.append(Line(middle[shown], density[shown], who, color_value=place))
    return FigureSpec(
        f"densities_{index}",
        f"Eigenvalue densities of some blocks: {label}",
        Axis("eigenvalue λ", unit, scale="symlog", linthresh=float(min(finest_of_all, largest))),
        Axis("density", f"1/({unit})", scale="log"),
        tuple(marks),
        f"Eigenvalue densities of {len(chosen)} of the {count} diagonal blocks of the {about}, evenly spaced"
        " by depth (number of parameters in brackets), each smoothed by a Gaussian kernel of a fifth of |λ|"
        f" but no less than is resolved; mean over {ds.sizes['probe']} probes. The eigenvalues of blocks are"
        " none of the whole matrix: they lie within its ends.",
        color=ColorAxis("depth (0 = first block, 1 = last)", limits=(0.0, 1.0)),
    )
