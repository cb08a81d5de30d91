"""``attention_response``: what each attention head does to the spatial frequencies of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.options import PrefixTokens, TokenGrid
from landscape.analyses.features._captions import image_count
from landscape.analyses.features._options import FrequencyBins, Images
from landscape.base.analysis import Analysis, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Line, Points, Series, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach
from landscape.errors import InapplicableError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.features.attention import HeadCollector


class AttentionResponseParams(Params):
    """Options of ``attention_response``."""

    bins: FrequencyBins = 14
    prefix_tokens: PrefixTokens = None
    grid: TokenGrid = None
    images: Images = 128
    worst_images: int = Field(
        8, ge=1, description="images of the sample for which the worst gain is worked out"
    )


SCHEMA = Schema(
    version=3,
    coords=(
        Variable("layer", ("layer",), "attention, in firing order", "", kind="str"),
        Variable("head", ("head",), "index of the head", "", kind="int"),
        Variable("radius", ("radius",), "radial frequency on the patch grid (bin centre)", "cycles/patch"),
        Variable("depth", ("layer",), "depth, from 0 (first attention) to 1 (last)"),
        Variable("height", ("layer",), "patches of the grid from top to bottom", "patches", kind="int"),
        Variable("width", ("layer",), "patches of the grid from left to right", "patches", kind="int"),
        Variable("windows", ("layer",), "windows per image; 1 = the whole grid", "", kind="int"),
        Variable("prefix_tokens", ("layer",), "tokens before the grid, set apart", "", kind="int"),
    ),
    variables=(
        Variable("images", (), "number of images looked at, a random sample", kind="int"),
        Variable("gain", ("layer", "head", "radius"), "root of the mean gain² Σ_m |M_mk|² per bin"),
        Variable("gain_se", ("layer", "head", "radius"), "standard error of gain over images"),
        Variable("invariant_gain", ("layer", "head", "radius"), "root of the mean |M_kk|² per bin"),
        Variable("leakage", ("layer", "head"), "share of non-constant gain² that leaves its mode"),
        Variable("leakage_se", ("layer", "head"), "standard error of leakage over images"),
        Variable("mean_gain", ("layer", "head"), "gain of the constant mode"),
        Variable("gain_high_low", ("layer", "head"), "mean of ln of gain above over gain below 0.25"),
        Variable("gain_high_low_se", ("layer", "head"), "standard error of gain_high_low over images"),
        Variable(
            "worst_gain", ("layer", "head"), "mean of σ_max(HAH): the largest gain of any mixture of modes"
        ),
        Variable("worst_gain_se", ("layer", "head"), "standard error of worst_gain"),
        Variable("entropy", ("layer", "head"), "mean entropy of a patch's attention over all tokens", "nats"),
        Variable("entropy_se", ("layer", "head"), "standard error of entropy over images", "nats"),
        Variable("distance", ("layer", "head"), "mean distance of what a patch attends to", "patches"),
        Variable("distance_se", ("layer", "head"), "standard error of distance over images", "patches"),
        Variable("prefix_share", ("layer", "head"), "share of the attention of patches on prefix tokens"),
    ),
)


def collect(params: AttentionResponseParams) -> HeadCollector:
    """What looks at attention weights during the pass."""
    from landscape.core.features.attention import HeadCollector

    return HeadCollector(
        params.bins, params.prefix_tokens, params.worst_images, params.images, grid=params.grid
    )


def finish(collector: HeadCollector, params: AttentionResponseParams) -> dict[str, Any]:
    """The statistics as the variables of the schema."""
    layers = collector.complete()
    if not layers:
        raise InapplicableError(
            f"{collector.model_class} has no self-attention over a grid of patches;"
            " attention_response needs a vision transformer, with images (B, C, H, W) as inputs or a 2-D"
            " convolution that cuts the patches, or grid=(height, width) of the tokens."
        )
    table = collector.table
    with np.errstate(divide="ignore", invalid="ignore"):  # a gain of zero has no relative error
        gain = np.sqrt(table("gain2"))
        # To first order, the error of a root is that of the square over twice the root.
        gain_se = table("gain2", error=True) / (2.0 * gain)
    names = {"leakage": "leakage", "high_low": "gain_high_low", "worst": "worst_gain"}
    names |= {"entropy": "entropy", "distance": "distance"}
    data: dict[str, Any] = {}
    for key, name in names.items():
        data[name], data[f"{name}_se"] = table(key), table(key, error=True)
    rows = list(layers.values())
    return data | {
        "images": collector.examples,
        "layer": np.array(list(layers)),
        "head": np.arange(gain.shape[1]),
        "radius": collector.bins.centers.numpy(),
        "depth": np.linspace(0.0, 1.0, len(rows)),
        "height": np.array([row.grid.height for row in rows]),
        "width": np.array([row.grid.width for row in rows]),
        "windows": np.array([row.grid.windows for row in rows]),
        "prefix_tokens": np.array([row.grid.prefix for row in rows]),
        "gain": gain,
        "gain_se": gain_se,
        "invariant_gain": np.sqrt(table("kept2")),
        "mean_gain": table("mean_gain"),
        "prefix_share": table("prefix_share"),
    }


QUANTITIES = (
    ("gain_high_low", "High- against low-frequency gain of each head", "ln(gain high / gain low)", ""),
    ("leakage", "Leakage of each head", "share of gain² that leaves its mode", ""),
    ("worst_gain", "Worst non-constant gain of each head", "σ_max(HAH)", ""),
    ("entropy", "Entropy of attention", "entropy", "nats"),
    ("distance", "Distance of attention", "mean distance", "patches"),
)
CAPTIONS = {
    "gain_high_low": "Natural logarithm of the root mean gain² over modes at 0.25 < r ≤ 0.5 cycles/patch over"
    " that at 0 < r ≤ 0.25, averaged over images; below 0 a head is low-pass.",
    "leakage": "1 − Σ|M_kk|²/Σ|M_mk|² over non-constant modes k: 0 for a shift-invariant head, 1 if nothing"
    " stays in its mode.",
    "worst_gain": "Largest singular value of HAH, A the patch-to-patch weights, H = I − J/n: the largest gain"
    " of any pattern without its mean. Below 1 the head must smooth.",
    "entropy": "Mean over patches of −Σ A ln A over all tokens.",
    "distance": "Mean distance between a patch and the patches that it attends to, weighted by attention.",
}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Every head's numbers by depth; gains over frequency of each model by layer."""
    depth = Axis("depth (0 = first attention, 1 = last)", limits=(-0.04, 1.04))
    figures = []
    first = next(iter(datasets.values()))
    worst = AttentionResponseParams.model_validate_json(first.attrs["parameters"]).worst_images
    for key, title, label, unit in QUANTITIES:
        marks: list[Any] = [Guide(y=0.0, label="flat")] if key == "gain_high_low" else []
        marks += [Guide(y=1.0)] if key == "worst_gain" else []
        counts = [
            min(int(ds["images"]), worst) if key == "worst_gain" else int(ds["images"])
            for ds in datasets.values()
        ]
        for (who, ds), count in zip(datasets.items(), counts, strict=True):
            values = ds[key].values
            at, head = np.nonzero(np.isfinite(values))
            if not at.size:
                continue
            texts = tuple(f"{ds['layer'].values[i]}, head {j}" for i, j in zip(at, head, strict=True))
            marks.append(
                Points(
                    ds["depth"].values[at],
                    values[at, head],
                    series(who, ds),
                    reach(count) * ds[f"{key}_se"].values[at, head],
                    texts,
                )
            )
            marks.append(Line(ds["depth"].values, _mean_known(values, 1), series(who, ds)))
        n = image_count(datasets, worst if key == "worst_gain" else None)
        caption = f"{CAPTIONS[key]} {n} images. A point per head; lines: mean over heads."
        errors = error_bars(counts, "over images", "Bars")
        figures.append(FigureSpec(key, title, depth, Axis(label, unit), tuple(marks), caption, errors))
    values = np.concatenate([ds["gain"].values.ravel() for ds in datasets.values()])
    values = values[np.isfinite(values)]
    limits = (0.0, float(values.max()) * 1.05 + 1e-6) if values.size else None
    for index, (label, ds) in enumerate(datasets.items()):
        r, lines = ds["radius"].values, []
        for name, at, gain in zip(*(ds[k].values for k in ("layer", "depth", "gain")), strict=True):
            y = np.sqrt(_mean_known(gain**2, 0))
            known = np.isfinite(y)
            mark = Series(model=label, label=str(name))
            lines.append(Line(r[known], y[known], mark, markers=True, color_value=float(at)))
        figures.append(
            FigureSpec(
                f"gain_{index}",
                f"Gain of attention over frequency: {label}",
                Axis("radial frequency r", "cycles/patch", limits=(0.0, 0.72)),
                Axis("gain", limits=limits),
                tuple(lines),
                "Root mean gain² of the heads of each attention on the patch grid."
                " Colour: depth. Beyond r = 0.5 only the corners of the spectrum contribute.",
                color=ColorAxis("depth"),
            )
        )
    return figures


def _mean_known(values: Any, axis: int) -> Any:
    """Mean over the finite entries; NaN where there are none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis) / known.sum(axis)


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Heads, how many are low-pass, and mean leakage."""
    ratio, leakage = ds["gain_high_low"].values, ds["leakage"].values
    half = reach(int(ds["images"])) * ds["gain_high_low_se"].values
    low = int((ratio + half < 0).sum())
    high = int((ratio - half > 0).sum())
    return [
        Metric("heads", int(np.isfinite(ds["entropy"].values).sum()), "1", "attention heads"),
        Metric("low-pass heads", low, "1", "gain_high_low below 0 by a 95 % interval", finding=True),
        Metric("high-pass heads", high, "1", "gain_high_low above 0 by a 95 % interval"),
        Metric("mean leakage", float(_mean_known(leakage.ravel(), 0)), "1", "mean leakage of all heads"),
    ]


attention_response = Analysis(
    name="attention_response",
    title="Frequency response of attention heads",
    description=(
        "Each head's weights A between patches, taken as a linear filter on the patch grid: M = F A Fᴴ with"
        " the orthonormal transform F. gain²(k) = Σ_m |M_mk|² is what comes of mode k, |M_kk|² the part of"
        " it that a shift-invariant filter would give, the rest leakage into other modes; σ_max(HAH) bounds"
        " the gain of every pattern without its mean. That attention is a low-pass filter is a finding to"
        " test: it holds for smooth attention and fails for sharp attention. Class, distillation and"
        " register tokens are set apart: what patches give to them is prefix_share and missing from the"
        " gains. Weights are recomputed from queries and keys where a fused kernel hides them. The windows of"
        " windowed attention are put back to their places and analysed on the whole grid, where their"
        " matrix is block-diagonal; patterns constant on each window pass, so its worst gain is at least 1."
    ),
    scope="checkpoint",
    params=AttentionResponseParams,
    schema=SCHEMA,
    collect=collect,
    finish=finish,
    plots=plots,
    summary=summary,
    needs="attention",
    cost=lambda params: Cost(forwards=4.0),
)
