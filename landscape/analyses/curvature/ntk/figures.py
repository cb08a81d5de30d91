"""The pictures of ``ntk``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analyses.curvature._along_training import along_training
from landscape.base.figure import Axis, FigureSpec, Line, Mark, Points, series
from landscape.base.interval import Interval

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]

UNIT = "output²"


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Spectrum, labels in its leading space, alignment and rank of all models."""
    first = next(iter(datasets.values()))
    about = f"empirical tangent kernel Θ = JJᵀ of all outputs of {first.attrs.get('examples', '?')} examples"
    aligned = {n: ds for n, ds in datasets.items() if np.isfinite(float(ds["alignment"]))}
    found = [_spectrum(datasets, about)]
    if aligned:
        found += [_labels(aligned, about), _alignment(aligned, about)]
        figure = FigureSpec(
            "training",
            "Alignment of kernel and targets along training",
            Axis(""),
            Axis("yᵀΘy / (‖Θ‖ ‖y‖²)"),
            (),
            f"Alignment of the {about} with the centred targets.",
        )
        found += along_training(aligned, figure, "alignment")
    return found


def _spectrum(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = []
    for label, ds in datasets.items():
        values = ds["eigenvalues"].values
        there = values > 0
        rank = (np.arange(len(values)) + 1)[there]
        marks.append(Line(rank, values[there], series(label, ds), markers=True))
    return FigureSpec(
        "eigenvalues",
        "Leading eigenvalues of the tangent kernel",
        Axis("rank", scale="log"),
        Axis("eigenvalue of Θ", UNIT, scale="log"),
        tuple(marks),
        f"Eigenvalues of the {about}, by rank.",
    )


def _labels(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Line] = []
    for label, ds in datasets.items():
        rank = np.arange(1, ds.sizes["eigenpair"] + 1)
        marks.append(Line(rank, np.cumsum(ds["label_share"].values), series(label, ds), markers=True))
    # Shares of a few percent are a flat line at the foot of an axis from 0 to 1.
    ends = [np.asarray(mark.y)[-1] for mark in marks]
    top = max((float(end) for end in ends if np.isfinite(end)), default=1.0)
    return FigureSpec(
        "labels",
        "Share of the targets in the kernel's leading eigenvectors",
        Axis("number of eigenvectors"),
        Axis("share of ‖y‖²", limits=(0.0, 1.05 * (top if 0.0 < top < 0.5 else 1.0))),
        tuple(marks),
        f"Share of the centred targets y, one-hot of classes, in the span of the leading eigenvectors of the"
        f" {about}, as a running sum.",
    )


def _alignment(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = []
    for label, ds in datasets.items():
        rank, value = float(ds["effective_rank"]), float(ds["alignment"])
        half = (float(ds["alignment_high"]) - float(ds["alignment_low"])) / 2
        low, high = float(ds["effective_rank_low"]), float(ds["effective_rank_high"])
        texts = (f"effective rank {rank:.4g}, {low:.4g} to {high:.4g}; alignment {value:.4g} ± {half:.2g}",)
        marks.append(Line([low, high], [value, value], series(label, ds)))
        marks.append(Points([rank], [value], series(label, ds), error=[half], texts=texts))
    return FigureSpec(
        "alignment",
        "Alignment and effective rank of the tangent kernel",
        Axis("effective rank exp H(λ/Σλ)"),
        Axis("alignment yᵀΘy / (‖Θ‖ ‖y‖²)"),
        tuple(marks),
        f"Alignment of the {about} with the centred targets y, ‖Θ‖ being its Frobenius"
        " norm, against its effective rank.",
        Interval("over probes", "by Student's factor", "Bars"),
    )
