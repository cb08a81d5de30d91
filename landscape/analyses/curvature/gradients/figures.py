"""The pictures of ``gradients``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import error_bars, loss_unit, weight_decays
from landscape.analyses.curvature._along_training import along_training
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Mark, Points, series
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["plots"]


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Noise scale, signal-to-noise ratio by depth, spectrum of the covariance, overlap with the Hessian."""
    counts = sorted({ds.sizes["example"] for ds in datasets.values()})
    about = f"{' or '.join(map(str, counts))} examples, {weight_decays(datasets)}"
    found = [_noise(datasets, about), *_noise_in_training(datasets, about), _ratio(datasets, about)]
    if any(ds.sizes["eigenpair"] for ds in datasets.values()):
        found.append(_spectrum(datasets, about))
    if any("overlap" in ds for ds in datasets.values()):
        found.append(_overlap(datasets, about))
    return found


def _noise(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = []
    ends = [float(ds[n]) for ds in datasets.values() for n in ("noise_scale", "noise_scale_low")]
    ends += [float(ds["noise_scale_high"]) for ds in datasets.values()]
    known = [v for v in ends if np.isfinite(v) and v > 0] or [1.0]
    top = 3.0 * max(known)
    for index, (label, ds) in enumerate(datasets.items()):
        low, high = float(ds["noise_scale_low"]), float(ds["noise_scale_high"])
        value = float(ds["noise_scale"])
        who = series(label, ds)
        texts = (f"{value:.4g} examples, {low:.3g} to {high:.3g} (95 %)",)
        if np.isfinite(low) and low > 0:
            marks.append(Line([index, index], [low, min(high, top)], who))
        marks.append(Points([index], [value], who, texts=texts))
    return FigureSpec(
        "noise_scale",
        "Noise scale of the gradient",
        Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
        Axis("noise scale", "examples", scale="log", limits=(min(known) / 2, top)),
        tuple(marks),
        "tr Σ/‖∇L‖² with the covariance Σ of the gradients of examples and ‖∇L‖² debiased: in batches of so"
        f" many examples the gradient is as large as its noise. Of {about}. A model without a dot: its"
        " gradient is not told from noise.",
        "Lines: 95 % intervals over examples (jackknife of the inverse); those that end at the top have no"
        " upper end.",
    )


def _noise_in_training(datasets: Mapping[str, xr.Dataset], about: str) -> list[FigureSpec]:
    figure = FigureSpec(
        "training",
        "Noise scale along training",
        Axis(""),
        Axis("noise scale", "examples", scale="log"),
        (),
        f"tr Σ/‖∇L‖² of {about}.",
    )
    return along_training(datasets, figure, "noise_scale")


def _ratio(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = [Guide(y=0.0)]
    sizes: list[float] = []
    for label, ds in datasets.items():
        depth, ratio = np.linspace(0.0, 1.0, ds.sizes["layer"]), ds["layer_gsnr"].values
        error = reach(ds.sizes["example"]) * ds["layer_gsnr_se"].values
        size = ds["layer_size"].values
        texts = tuple(f"{n} ({s:,})" for n, s in zip(ds["layer"].values, size, strict=True))
        marks.append(Points(depth, ratio, series(label, ds), error, texts))
        clear = np.abs(ratio)[np.isfinite(ratio) & (np.abs(ratio) > error)]
        sizes += clear.tolist()
    return FigureSpec(
        "gsnr",
        "Signal-to-noise ratio of the gradient by depth",
        Axis("depth (0 = first layer, 1 = last)", limits=(-0.03, 1.03)),
        Axis("signal-to-noise ratio", scale="symlog", linthresh=min(sizes, default=1.0)),
        tuple(marks),
        "Squared gradient over its variance among examples, (∇L)²/Σ, less the bias 1/N, mean over the"
        f" parameters of each layer. Of {about}. The axis is linear within the smallest value that is clear"
        " of its error.",
        error_bars((ds.sizes["example"] for ds in datasets.values()), "over examples", "Bars"),
    )


def _spectrum(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = []
    for label, ds in datasets.items():
        values = ds["eigenvalues"].values
        there = values > 0
        rank = np.arange(1, len(values) + 1)
        who = series(label, ds)
        marks.append(Line(rank[there], values[there], who, markers=True))
    unit = loss_unit(datasets).replace("/", "²/") + "²"
    return FigureSpec(
        "spectrum",
        "Leading eigenvalues of the gradients' covariance",
        Axis("rank", scale="log"),
        Axis("eigenvalue of Σ", unit, scale="log"),
        tuple(marks),
        f"Eigenvalues of the covariance Σ of the gradients of {about}, by rank; a power law p(λ) ∝ λ^−α is a"
        f" straight line of slope −1/(α − 1).{_tails(datasets)}",
    )


def _tails(datasets: Mapping[str, xr.Dataset]) -> str:
    """What the fits of the tails say, in a sentence."""
    said = [
        f"{label}: α = {float(ds['alpha']):.3g} ± {2 * float(ds['alpha_se']):.2g} from"
        f" {int(ds['alpha_count'])} values, p = {float(ds['alpha_p']):.2g}, {ds['tail'].item()}"
        for label, ds in datasets.items()
        if str(ds["tail"].item()) != "none"
    ]
    return f" Fits of tails ({'; '.join(said)})." if 0 < len(said) <= 4 else ""


def _overlap(datasets: Mapping[str, xr.Dataset], about: str) -> FigureSpec:
    marks: list[Mark] = []
    chance: list[float] = []
    for label, ds in datasets.items():
        if "overlap" not in ds:
            continue
        x: Any = ds["eigenpair"].values + 1
        marks.append(Line(x, ds["hessian_overlap"].values, series(label, ds), markers=True, style="solid"))
        marks.append(Line(x, np.cumsum(ds["gradient_share"].values), series(label, ds), style="dot"))
        chance.append(ds.sizes["eigenpair"] / float(ds.attrs["parameters_count"]))
    marks.append(Guide(y=max(chance), label="random directions"))
    return FigureSpec(
        "overlap",
        "Leading spaces of Hessian and gradient covariance",
        Axis("rank of the eigenvector"),
        Axis("share", limits=(0.0, 1.05)),
        tuple(marks),
        "Solid: share of each leading eigenvector of the Hessian, by falling |λ|, in the span of as many"
        " leading eigenvectors of Σ. Dotted: share of the squared gradient ‖∇L‖² in the first eigenvectors of"
        f" Σ, as a running sum. Of {about}.",
        symbols=(("solid", "eigenvectors of the Hessian"), ("dot", "gradient, running sum")),
    )
