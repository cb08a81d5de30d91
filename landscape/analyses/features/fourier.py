"""``fourier``: the frequency content of every feature map, by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.options import BootstrapSeed, PrefixTokens, TokenGrid
from landscape.analyses.features._captions import image_count
from landscape.analyses.features._options import FrequencyBins, Images, Resamples
from landscape.base.analysis import Analysis, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Line, Points, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.features.unit_kinds import SYMBOL_LEGEND, UnitKind, symbol_key, symbols_of
from landscape.core.stats.intervals import reach, standard_error
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.features.spectra import SpectraCollector
    from landscape.core.features.units import Unit

SMALLEST_MAP = 7  # smaller maps have too few modes for a slope


class FourierParams(Params):
    """Options of ``fourier``."""

    layers: tuple[str, ...] = Field(
        ("*",), description="globs over module names; outputs without spatial axes are passed over"
    )
    kinds: tuple[UnitKind, ...] = Field(
        (), description="kinds of units to look at; none = every module, but no residual sums"
    )
    bins: FrequencyBins = 14
    prefix_tokens: PrefixTokens = None
    grid: TokenGrid = None
    images: Images = 128
    bootstrap: Resamples = 200
    seed: BootstrapSeed = 0


SCHEMA = Schema(
    version=3,
    coords=(
        Variable("layer", ("layer",), "module, in firing order", "", kind="str"),
        Variable("radius", ("radius",), "radial frequency (bin centre)", "cycles/pixel"),
        Variable("image", ("image",), "index of the image in the data", "", kind="int"),
        Variable("mode", ("mode",), "index of the mode on the diagonal", "", kind="int"),
        Variable("bound", ("bound",), "end of the 95 % bootstrap interval", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first layer) to 1 (last)"),
        Variable("kind", ("layer",), "kind of the unit", "", kind="str"),
        Variable("module_class", ("layer",), "class of the module", "", kind="str"),
        Variable("height", ("layer",), "height of the map", "pixels", kind="int"),
        Variable("width", ("layer",), "width of the map", "pixels", kind="int"),
        Variable("channels", ("layer",), "channels of the map", "", kind="int"),
        Variable("corner", ("radius",), "bin beyond 0.5 cycles/pixel: corners only", "", kind="bool"),
    ),
    variables=(
        Variable(
            "log_power",
            ("layer", "radius"),
            "ln of the mean power in a bin relative to the mean over all non-constant modes",
        ),
        Variable(
            "log_power_interval",
            ("bound", "layer", "radius"),
            "95 % bootstrap interval of log_power",
        ),
        Variable("images", (), "number of images looked at, a random sample", kind="int"),
        Variable("bin_count", ("layer", "radius"), "modes in the bin", kind="int"),
        Variable("high_low", ("layer",), "ln of high-band over low-band mean power (split at 0.25)"),
        Variable("high_low_interval", ("bound", "layer"), "95 % bootstrap interval of high_low"),
        Variable("slope", ("layer",), "slope of ln mean power against r, over the bins", "pixels/cycle"),
        Variable("slope_se", ("layer",), "standard error of the slope over images", "pixels/cycle"),
        Variable("ac_power", ("layer",), "mean power over all non-constant modes", "feature²"),
        Variable("image_power", ("layer", "image", "radius"), "mean power per image", "feature²"),
        Variable(
            "log_amplitude",
            ("layer", "mode"),
            "compatibility form: mean ln amplitude on the diagonal minus that of the constant mode",
        ),
        Variable("omega", ("layer", "mode"), "angular frequency of the mode per axis", "π rad/pixel"),
        Variable(
            "delta_log_amplitude",
            ("layer",),
            "compatibility form: Δ log amplitude of the highest mode on the diagonal",
        ),
        Variable(
            "delta_log_amplitude_se",
            ("layer",),
            "standard error of delta_log_amplitude over images",
        ),
    ),
)


def collect(params: FourierParams) -> SpectraCollector:
    """What looks at the maps during the pass."""
    from landscape.core.features.spectra import SpectraCollector
    from landscape.core.features.units import Selection

    return SpectraCollector(
        Selection(params.layers, params.kinds),
        params.bins,
        params.prefix_tokens,
        params.images,
        grid=params.grid,
    )


def finish(collector: SpectraCollector, params: FourierParams) -> dict[str, Any]:
    """The rows per image as the variables of the schema."""
    layers = collector.layers()
    if not layers:
        raise InputError(
            f"no output of {collector.model_class} matching {', '.join(params.layers)} is a map (B, C, H, W)"
            " or a grid of tokens made of one, with one row per example; fourier needs images (B, C, H, W) as"
            " inputs, a 2-D convolution, or grid=(height, width) of the tokens; series"
            " (B, C, T) have series_spectrum."
        )
    return _assemble(
        {name: layer.rows() for name, layer in layers.items()},
        [layer.shape for layer in layers.values()],
        [layer.counts for layer in layers.values()],
        [layer.radii for layer in layers.values()],
        [layer.unit for layer in layers.values()],
        collector.bins.centers.numpy(),
        collector.order.sort().values.numpy(),
        params,
    )


def _assemble(
    joined: dict[str, dict[str, Any]],
    shapes: list[tuple[int, int, int]],
    counts: list[Any],
    radii: list[Any],
    units: list[Unit],
    radius: Any,
    image: Any,
    params: FourierParams,
) -> dict[str, Any]:
    """The rows per image of all layers as the variables of the schema."""
    from landscape.core.stats.bootstrap import draw_counts, percentile_interval

    layers = list(joined)
    modes = max(kept["diagonal"].shape[1] for kept in joined.values())
    draws = draw_counts(len(image), params.bootstrap, params.seed)
    log_power = np.full((len(layers), len(radius)), np.nan)
    power_interval = np.full((2, *log_power.shape), np.nan)
    high_low = np.full(len(layers), np.nan)
    high_low_interval = np.full((2, len(layers)), np.nan)
    slope, slope_se = np.full(len(layers), np.nan), np.full(len(layers), np.nan)
    amplitude = np.full((len(layers), modes), np.nan)
    omega = np.full((len(layers), modes), np.nan)
    delta, delta_se = np.full(len(layers), np.nan), np.full(len(layers), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # dead layers are NaN or -inf, as they should
        for i, kept in enumerate(joined.values()):
            height, width = shapes[i][1:]
            filled = counts[i] > 0
            power = kept["power"][:, filled]
            log_power[i, filled] = np.log(power.mean(0) / kept["ac"].mean())
            draw_power = np.log(draws @ power / (draws @ kept["ac"])[:, None])
            power_interval[:, i, filled] = percentile_interval(draw_power, examples=len(image))
            high_low[i] = np.log(kept["high"].mean() / kept["low"].mean())
            high_low_interval[:, i] = percentile_interval(
                np.log(draws @ kept["high"] / (draws @ kept["low"])), examples=len(image)
            )
            if min(height, width) >= SMALLEST_MAP:
                x = radii[i][filled] - radii[i][filled].mean()
                slope[i] = log_power[i, filled] @ x / (x @ x)
                # the logarithm after the mean over images: that of one image's power is biased low
                slope_se[i] = _mean_and_error(power / power.mean(0) @ x / (x @ x))[1]
            diagonal = kept["diagonal"]
            relative = diagonal - diagonal[:, :1]
            amplitude[i, : diagonal.shape[1]] = relative.mean(0)
            omega[i, : diagonal.shape[1]] = 2.0 * np.arange(diagonal.shape[1]) / height
            delta[i], delta_se[i] = _mean_and_error(relative[:, -1])
    return {
        "layer": np.array(layers),
        "radius": radius,
        "image": image,
        "images": len(image),
        "mode": np.arange(modes),
        "bound": np.array(["low", "high"]),
        "depth": np.linspace(0.0, 1.0, len(layers)),
        "kind": np.array([u.kind for u in units]),
        "module_class": np.array([u.module_class for u in units]),
        "height": np.array([s[1] for s in shapes]),
        "width": np.array([s[2] for s in shapes]),
        "channels": np.array([s[0] for s in shapes]),
        "corner": radius > 0.5,
        "log_power": log_power,
        "log_power_interval": power_interval,
        "bin_count": np.array(counts).astype(np.int64),
        "high_low": high_low,
        "high_low_interval": high_low_interval,
        "slope": slope,
        "slope_se": slope_se,
        "ac_power": np.array([kept["ac"].mean() for kept in joined.values()]),
        "image_power": np.array([kept["power"] for kept in joined.values()], dtype=np.float32),
        "log_amplitude": amplitude,
        "omega": omega,
        "delta_log_amplitude": delta,
        "delta_log_amplitude_se": delta_se,
    }


def _mean_and_error(values: Any) -> tuple[float, float]:
    return float(values.mean()), float(standard_error(values))


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """High/low ratio and Δ log amplitude over depth for all models; spectra of each model by layer."""
    depth = Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02))
    images = image_count(datasets)
    key = symbol_key(k for ds in datasets.values() for k in ds["kind"].values)
    ratio: list[Any] = [Guide(y=0.0, label="white noise")]
    delta: list[Any] = []
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["depth"].values
        low, high = ds["high_low_interval"].values
        kinds = ds["kind"].values
        texts = tuple(f"{n}: {k}" for n, k in zip(ds["layer"].values, kinds, strict=True))
        symbols = symbols_of(kinds)
        ratio.append(Line(x, ds["high_low"].values, who, low, high))
        ratio.append(Points(x, ds["high_low"].values, who, texts=texts, symbols=symbols))
        y = ds["delta_log_amplitude"].values
        half = reach(int(ds["images"])) * ds["delta_log_amplitude_se"].values
        delta.append(Line(x, y, who, y - half, y + half))
        delta.append(Points(x, y, who, texts=texts, symbols=symbols))
    figures = [
        FigureSpec(
            "high_low",
            "High- against low-frequency power by depth",
            depth,
            Axis("ln(high-band / low-band mean power)"),
            tuple(ratio),
            "Mean power per mode at 0.25 < r ≤ 0.5 cycles/pixel over that at 0 < r ≤ 0.25, natural"
            f" logarithm; white noise is 0. {images} images. A point per unit in firing order"
            f" ({SYMBOL_LEGEND}); maps too small for both ranges of r are left out.",
            Interval("over images", "by the bootstrap"),
            symbols=key,
        ),
        FigureSpec(
            "delta_log_amplitude",
            "Δ log amplitude by depth (compatibility form)",
            depth,
            Axis("Δ log amplitude"),
            tuple(delta),
            "Mean ln(|FFT| + 10⁻⁶) of the highest mode on the diagonal minus that of the constant mode, as"
            " in Park & Kim (2022), Figure 8, but in evaluation mode. Depends on the size of the map and on"
            f" constant offsets; prefer the form above. {images} images.",
            error_bars((int(ds["images"]) for ds in datasets.values()), "over images"),
            symbols=key,
        ),
    ]
    values = np.concatenate([ds["log_power"].values.ravel() for ds in datasets.values()])
    values = values[np.isfinite(values)]
    limits = (float(values.min()) - 0.2, float(values.max()) + 0.2) if values.size else None
    for index, (label, ds) in enumerate(datasets.items()):
        r = ds["radius"].values
        lines = [
            Line(
                r[np.isfinite(y)],
                y[np.isfinite(y)],
                series(label, ds).__class__(model=label, label=str(name)),
                markers=True,
                color_value=float(at),
            )
            for name, y, at in zip(
                ds["layer"].values, ds["log_power"].values, ds["depth"].values, strict=True
            )
        ]
        figures.append(
            FigureSpec(
                f"spectrum_{index}",
                f"Radial power spectrum of each layer: {label}",
                Axis("radial frequency r", "cycles/pixel", limits=(0.0, 0.72)),
                Axis("ln relative power", limits=limits),
                (Guide(y=0.0, label="white noise"), Guide(x=0.5), *lines),
                "Mean power in each radial bin relative to the mean over all non-constant modes, natural"
                " logarithm; white noise is flat at 0. Colour: depth. Beyond r = 0.5 only the corners of"
                " the spectrum contribute.",
                color=ColorAxis("depth"),
            )
        )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """High/low ratio at the input end and at the output end."""
    ratio = ds["high_low"].values
    ratio = ratio[np.isfinite(ratio)]
    last = float(ratio[-1]) if ratio.size else float("nan")
    return [
        Metric("layers", ds.sizes["layer"], "1", "layers with spatial maps"),
        Metric(
            "ln high/low, last",
            last,
            "1",
            "ln high- over low-band power of the last spatial layer",
            finding=True,
        ),
    ]


fourier = Analysis(
    name="fourier",
    title="Fourier analysis of feature maps",
    description=(
        "The power spectrum of each layer's output over radial frequency, relative to its mean"
        " non-constant power: 0 for white noise, below 0 where the layer holds less than its share."
        " Orthonormal transform; power is averaged over images and channels before the logarithm, so dead"
        " channels and constant offsets do not matter. The compatibility form follows 'How do vision"
        " transformers work?' (Park & Kim 2022, Figures 2a and 8): mean log amplitude along the diagonal"
        " minus that of the constant mode; it looks along one 45° ray, leaves the Nyquist mode of even"
        " sizes out, gives white noise +½ ln 2, and moves with constant offsets and dead channels."
    ),
    scope="checkpoint",
    params=FourierParams,
    schema=SCHEMA,
    collect=collect,
    finish=finish,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=2.5),
)
