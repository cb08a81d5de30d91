"""``transfer``: what each unit does to the spatial frequencies of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.options import BootstrapSeed, PrefixTokens, TokenGrid
from landscape.analyses.features._captions import image_count
from landscape.analyses.features._options import (
    UNITS,
    FrequencyBins,
    Images,
    Layers,
    MeasuredKinds,
    Resamples,
)
from landscape.base.analysis import Analysis, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Line, Points, Series, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.features.unit_kinds import SYMBOL_LEGEND, symbol_key, symbols_of
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.features.transfer import TransferCollector, TransferRows

SMALLEST_MAP = 7  # smaller maps have too few modes for a slope


class TransferParams(Params):
    """Options of ``transfer``."""

    layers: Layers = ("*",)
    kinds: MeasuredKinds = UNITS
    bins: FrequencyBins = 14
    prefix_tokens: PrefixTokens = None
    grid: TokenGrid = None
    coherence_channels: int = Field(
        8, ge=1, description="at most so many channels, evenly spaced, enter the coherence"
    )
    flat_slope: float = Field(
        0.05, ge=0.0, description="slopes of ln T of no more than this, in pixels/cycle, count as flat"
    )
    level: float = Field(
        0.05, gt=0.0, lt=1.0, description="level of significance after correction for all layers"
    )
    images: Images = 128
    bootstrap: Resamples = 200
    seed: BootstrapSeed = 0


SCHEMA = Schema(
    version=2,
    coords=(
        Variable("layer", ("layer",), "unit, in firing order; a residual sum ends in +", "", kind="str"),
        Variable("radius", ("radius",), "radial frequency of the input (bin centre)", "cycles/pixel"),
        Variable("bound", ("bound",), "end of the 95 % bootstrap interval", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first unit) to 1 (last)"),
        Variable("kind", ("layer",), "kind of the unit", "", kind="str"),
        Variable("module_class", ("layer",), "class of the module", "", kind="str"),
        Variable("height", ("layer",), "height of the input map", "pixels", kind="int"),
        Variable("width", ("layer",), "width of the input map", "pixels", kind="int"),
        Variable("stride", ("layer",), "height of the input over that of the output"),
    ),
    variables=(
        Variable("images", (), "number of images looked at, a random sample", kind="int"),
        Variable("transfer", ("layer", "radius"), "T = √(output power / input power) per bin"),
        Variable("transfer_interval", ("bound", "layer", "radius"), "95 % bootstrap interval of transfer"),
        Variable(
            "coherence", ("layer", "radius"), "share of output power linear in the same channel's input"
        ),
        Variable("coherence_floor", (), "coherence of unrelated signals at this number of images"),
        Variable(
            "gain_high_low", ("layer",), "ln of T in the high band over T in the low band (split at 0.25)"
        ),
        Variable("gain_high_low_interval", ("bound", "layer"), "95 % bootstrap interval of gain_high_low"),
        Variable("slope", ("layer",), "mean over images of the slope of ln T against r", "pixels/cycle"),
        Variable("slope_se", ("layer",), "bootstrap standard error of slope", "pixels/cycle"),
        Variable("p_value", ("layer",), "two-sided p-value of a slope of zero"),
        Variable("p_corrected", ("layer",), "p_value corrected for all layers (Holm)"),
        Variable("verdict", ("layer",), "low-pass, high-pass, flat or unmeasured", "", kind="str"),
        Variable("aliasing", ("layer",), "share of output power folded from above the new Nyquist frequency"),
        Variable("aliasing_interval", ("bound", "layer"), "95 % bootstrap interval of aliasing"),
        Variable("aliasing_share", ("layer", "radius"), "aliasing per bin of the frequency it shows up at"),
    ),
)


def collect(params: TransferParams) -> TransferCollector:
    """What looks at inputs and outputs during the pass."""
    from landscape.core.features.transfer import TransferCollector
    from landscape.core.features.units import Selection

    selection = Selection(params.layers, params.kinds)
    return TransferCollector(
        selection,
        params.bins,
        params.prefix_tokens,
        params.coherence_channels,
        params.images,
        grid=params.grid,
    )


def finish(collector: TransferCollector, params: TransferParams) -> dict[str, Any]:
    """The rows per image as the variables of the schema."""
    from landscape.core.stats.bootstrap import draw_counts
    from landscape.core.stats.hypothesis import holm

    layers = collector.layers()
    if not layers:
        raise InputError(
            f"no unit of {collector.model_class} matching {', '.join(params.layers)} takes and gives maps"
            " (B, C, H, W) or grids of tokens made of them; transfer needs images (B, C, H, W) as inputs, a"
            " 2-D convolution, or grid=(height, width) of the tokens."
        )
    draws = draw_counts(collector.examples, params.bootstrap, params.seed)
    with np.errstate(divide="ignore", invalid="ignore"):  # dead units are NaN, as they should
        found = [_measure(layer, collector, params, draws) for layer in layers.values()]
    data: dict[str, Any] = {key: np.stack([f[key] for f in found]) for key in found[0]}
    for key in ("transfer_interval", "gain_high_low_interval", "aliasing_interval"):
        data[key] = np.moveaxis(data[key], 1, 0)
    data["p_corrected"] = holm(data["p_value"])
    sizes = [(*layer.size_in, layer.size_in[0] / layer.shape[1]) for layer in layers.values()]
    return data | {
        "layer": np.array(list(layers)),
        "radius": collector.bins.centers.numpy(),
        "bound": np.array(["low", "high"]),
        "depth": np.linspace(0.0, 1.0, len(layers)),
        "kind": np.array([layer.unit.kind for layer in layers.values()]),
        "module_class": np.array([layer.unit.module_class for layer in layers.values()]),
        "height": np.array([s[0] for s in sizes]),
        "width": np.array([s[1] for s in sizes]),
        "stride": np.array([float(s[2]) for s in sizes]),
        "images": collector.examples,
        "coherence_floor": 1.0 / collector.examples,
        "verdict": np.array(
            [_verdict(s, p, params) for s, p in zip(data["slope"], data["p_corrected"], strict=True)]
        ),
    }


def _measure(
    layer: TransferRows, collector: TransferCollector, params: TransferParams, draws: Any
) -> dict[str, Any]:
    """All variables of one unit."""
    from landscape.core.stats.bootstrap import percentile_interval
    from landscape.core.stats.hypothesis import mean_test, row_slopes

    rows, bins = layer.rows(), len(layer.counts)
    filled = layer.counts > 0
    inputs, outputs = rows["inputs"][:, filled], rows["outputs"][:, filled]
    n = len(inputs)
    transfer, interval = np.full(bins, np.nan), np.full((2, bins), np.nan)
    transfer[filled] = np.sqrt(outputs.mean(0) / inputs.mean(0))
    interval[:, filled] = percentile_interval(np.sqrt(draws @ outputs / (draws @ inputs)), examples=n)
    bands = [rows[key] for key in ("out_high", "in_high", "out_low", "in_low")]
    slope, slope_se, p_value = np.nan, np.nan, np.nan
    if min(layer.shape[1:]) >= SMALLEST_MAP:
        each = row_slopes(layer.radii[filled], 0.5 * np.log(outputs / inputs))
        slope, slope_se, p_value = mean_test(each, params.bootstrap, params.seed)
    aliasing, aliasing_interval, share = np.nan, np.full(2, np.nan), np.full(bins, np.nan)
    if "alias" in rows:
        aliasing = rows["alias_energy"].mean() / rows["energy"].mean()
        aliasing_interval = percentile_interval(
            draws @ rows["alias_energy"] / (draws @ rows["energy"]), examples=n
        )
        share[filled] = rows["alias"][:, filled].mean(0) / outputs.mean(0)
    return {
        "transfer": transfer,
        "transfer_interval": interval,
        "coherence": layer.coherent_share(collector.bins),
        "gain_high_low": np.array(_log_gain(*(b.mean() for b in bands))),
        "gain_high_low_interval": percentile_interval(_log_gain(*(draws @ b for b in bands)), examples=n),
        "slope": np.array(slope),
        "slope_se": np.array(slope_se),
        "p_value": np.array(p_value),
        "aliasing": np.array(aliasing),
        "aliasing_interval": aliasing_interval,
        "aliasing_share": share,
    }


def _log_gain(out_high: Any, in_high: Any, out_low: Any, in_low: Any) -> Any:
    return 0.5 * np.log(out_high / in_high / (out_low / in_low))


def _verdict(slope: float, p: float, params: TransferParams) -> str:
    if not np.isfinite(p):
        return "unmeasured"
    if p >= params.level or abs(slope) <= params.flat_slope:
        return "flat"
    return "low-pass" if slope < 0 else "high-pass"


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """High/low gain by depth with kinds marked; aliasing; responses of each model by unit."""
    depth = Axis("depth (0 = first unit, 1 = last)", limits=(-0.02, 1.02))
    gain: list[Any] = [Guide(y=0.0, label="flat")]
    alias: list[Any] = []
    images = f"{image_count(datasets)} images"
    errors = Interval("over images", "by the bootstrap", "Bars")
    for label, ds in datasets.items():
        who = series(label, ds)
        x, y = ds["depth"].values, ds["gain_high_low"].values
        low, high = ds["gain_high_low_interval"].values
        facts = zip(*(ds[key].values for key in ("layer", "kind", "verdict")), strict=True)
        texts = tuple(f"{name}: {kind}, {verdict}" for name, kind, verdict in facts)
        symbols = symbols_of(ds["kind"].values)
        gain.append(Points(x, y, who, (high - low) / 2, texts, symbols))
        folds = np.isfinite(ds["aliasing"].values)
        if folds.any():
            low, high = ds["aliasing_interval"].values[:, folds]
            alias.append(
                Points(
                    x[folds],
                    ds["aliasing"].values[folds],
                    who,
                    (high - low) / 2,
                    tuple(str(n) for n in ds["layer"].values[folds]),
                )
            )
    figures = [
        FigureSpec(
            "gain_high_low",
            "High- against low-frequency gain of each unit by depth",
            depth,
            Axis("ln(T high / T low)"),
            tuple(gain),
            "Natural logarithm of the amplitude gain at 0.25 < r ≤ 0.5 cycles/pixel over that at"
            f" 0 < r ≤ 0.25 of the unit's input: below 0 a unit is low-pass. {images}. Kinds:"
            f" {SYMBOL_LEGEND}.",
            errors,
            symbols=symbol_key(k for ds in datasets.values() for k in ds["kind"].values),
        )
    ]
    if alias:
        figures.append(
            FigureSpec(
                "aliasing",
                "Aliasing energy at each downsampling",
                depth,
                Axis("aliasing energy / output energy"),
                tuple(alias),
                "Power of the change of the output when all input frequencies that the output cannot hold"
                f" are taken away, over the output's power without the mean. {images}.",
                errors,
            )
        )
    values = np.concatenate([ds["transfer"].values.ravel() for ds in datasets.values()])
    values = values[np.isfinite(values) & (values > 0)]
    limits = (float(values.min()) / 1.2, float(values.max()) * 1.2) if values.size else None
    for index, (label, ds) in enumerate(datasets.items()):
        r = ds["radius"].values
        lines = [
            Line(
                r[np.isfinite(y)],
                y[np.isfinite(y)],
                Series(model=label, label=f"{name} ({kind})"),
                color_value=float(at),
            )
            for name, kind, y, at in zip(
                *(ds[key].values for key in ("layer", "kind", "transfer", "depth")), strict=True
            )
        ]
        figures.append(
            FigureSpec(
                f"transfer_{index}",
                f"Transfer functions: {label}",
                Axis("radial frequency r of the input", "cycles/pixel", limits=(0.0, 0.72)),
                Axis("T(r)", scale="log", limits=limits),
                (Guide(y=1.0, label="as it was"), *lines),
                "Root of the mean output power per channel over the mean input power per channel in each"
                " radial bin. Colour: depth. Beyond r = 0.5 only the corners of the spectrum contribute."
                f" {ds.sizes['radius']} bins, {int(ds['images'])} images.",
                color=ColorAxis("depth"),
            )
        )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How many units are low-pass, high-pass and flat, and the worst aliasing."""
    verdicts = ds["verdict"].values
    aliasing = ds["aliasing"].values
    aliasing = aliasing[np.isfinite(aliasing)]
    return [
        *(
            Metric(name, int((verdicts == name).sum()), "1", f"units found {name} after correction")
            for name in ("low-pass", "high-pass", "flat")
        ),
        Metric(
            "worst aliasing",
            float(aliasing.max()) if aliasing.size else float("nan"),
            "1",
            "largest share of output energy folded from above the new Nyquist frequency",
        ),
    ]


transfer = Analysis(
    name="transfer",
    title="Transfer functions of units",
    description=(
        "For every convolution, attention, MLP, norm layer, block, downsampling and residual sum: T(r) ="
        " √(output power / input power) over radial frequency, powers averaged over images and channels"
        " before the ratio; the response of a residual sum is that from its shortcut to the sum. A unit that"
        " strides is compared on the modes that its output can hold, amplitude against amplitude. Coherence"
        " is Σ|S_xy|²/S_xx over Σ S_yy with the spectra summed over images, channel by channel: 1 for a"
        " linear filter of each channel, lower the more a unit mixes channels or makes new frequencies;"
        " only for units that keep the shape. Verdicts: Student's t on the per-image slopes of ln T against"
        " r with bootstrap errors, corrected by Holm's method. Aliasing energy of a downsampling unit, which"
        " is known by its class or by its smaller output: it is run again on its input without the"
        " frequencies that its output cannot hold; for linear units the change is what was folded. Modes at"
        " the output's Nyquist frequency, where two of the input meet and neither is the output's own, are"
        " left out: of white noise, a stride of s then folds 1 − 1/s² at every size, and an ideal low-pass"
        " nothing."
    ),
    scope="checkpoint",
    params=TransferParams,
    schema=SCHEMA,
    collect=collect,
    finish=finish,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=3.5),
)
