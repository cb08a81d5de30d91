"""``series_spectrum``: the frequency content along time of every layer of a network of series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.options import BootstrapSeed
from landscape.analyses.features._options import Images, Resamples
from landscape.base.analysis import Analysis, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Line, Points, Series, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.features.unit_kinds import SYMBOL_LEGEND, UnitKind, symbol_key, symbols_of
from landscape.errors import InapplicableError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.features.series import SeriesCollector


class SeriesSpectrumParams(Params):
    """Options of ``series_spectrum``."""

    layers: tuple[str, ...] = Field(
        ("*",), description="globs over module names; what is no series is passed over"
    )
    kinds: tuple[UnitKind, ...] = Field((), description="kinds of units to look at; none = every module")
    bins: int = Field(16, ge=2, le=10_000, description="bins of frequency from 0 to 0.5 cycles/sample")
    channels_last: bool = Field(False, description="whether inputs are (B, T, C), not (B, C, T)")
    images: Images = 128
    bootstrap: Resamples = 200
    seed: BootstrapSeed = 0


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("layer", ("layer",), "module, in firing order", "", kind="str"),
        Variable("frequency", ("frequency",), "frequency (bin centre)", "cycles/sample"),
        Variable("example", ("example",), "index of the example in the data", "", kind="int"),
        Variable("bound", ("bound",), "end of the 95 % bootstrap interval", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first layer) to 1 (last)"),
        Variable("kind", ("layer",), "kind of the unit", "", kind="str"),
        Variable("length", ("layer",), "length of the series", "samples", kind="int"),
        Variable("channels", ("layer",), "channels of the series", "", kind="int"),
    ),
    variables=(
        Variable(
            "log_power",
            ("layer", "frequency"),
            "ln of the mean power in a bin relative to the mean over all non-constant modes",
        ),
        Variable(
            "log_power_interval", ("bound", "layer", "frequency"), "95 % bootstrap interval of log_power"
        ),
        Variable("bin_count", ("layer", "frequency"), "modes in the bin", kind="int"),
        Variable("high_low", ("layer",), "ln of high-band over low-band mean power (split at 0.25)"),
        Variable("high_low_interval", ("bound", "layer"), "95 % bootstrap interval of high_low"),
        Variable("ac_power", ("layer",), "mean power over all non-constant modes", "feature²"),
        Variable("example_power", ("layer", "example", "frequency"), "mean power per example", "feature²"),
        Variable("examples", (), "number of examples looked at, a random sample", kind="int"),
    ),
)


def collect(params: SeriesSpectrumParams) -> SeriesCollector:
    """What looks at the series during the pass."""
    from landscape.core.features.series import SeriesCollector
    from landscape.core.features.units import Selection

    chosen = Selection(params.layers, params.kinds)
    return SeriesCollector(chosen, params.bins, params.images, channels_last=params.channels_last)


def finish(collector: SeriesCollector, params: SeriesSpectrumParams) -> dict[str, Any]:
    """The rows per example as the variables of the schema."""
    from landscape.core.stats.bootstrap import draw_counts, percentile_interval

    layers = collector.layers()
    if not layers:
        raise InapplicableError(
            f"no output of {collector.model_class} matching {', '.join(params.layers)} is a series (B, C, T):"
            " series_spectrum needs inputs of that form, or a 1-D convolution; images have fourier."
        )
    n, names = params.bins, list(layers)
    example = collector.order.sort().values.numpy()
    draws = draw_counts(len(example), params.bootstrap, params.seed)
    rows = np.stack([collector.rows(layer) for layer in layers.values()])  # (layers, examples, bins + 3)
    power, (ac, high, low) = rows[..., :n], np.moveaxis(rows[..., n:], -1, 0)

    with np.errstate(divide="ignore", invalid="ignore"):  # dead layers are NaN or -inf, as they should
        log_power = np.log(power.mean(1) / ac.mean(1)[:, None])
        drawn = [np.log(draws @ p / (draws @ a)[:, None]) for p, a in zip(power, ac, strict=True)]
        bands = [np.log(draws @ h / (draws @ w)) for h, w in zip(high, low, strict=True)]
        high_low = np.log(high.mean(1) / low.mean(1))
    count = len(example)
    power_interval = np.stack([percentile_interval(d, examples=count) for d in drawn], axis=1)
    return {
        "layer": np.array(names),
        "frequency": collector.bins.centers.numpy(),
        "example": example,
        "examples": count,
        "bound": np.array(["low", "high"]),
        "depth": np.linspace(0.0, 1.0, len(names)),
        "kind": np.array([layer.unit.kind for layer in layers.values()]),
        "length": np.array([layer.length for layer in layers.values()]),
        "channels": np.array([layer.channels for layer in layers.values()]),
        "log_power": log_power,
        "log_power_interval": power_interval,
        "bin_count": np.stack(
            [collector.bins.averages(layer.length)[1].numpy() for layer in layers.values()]
        ).astype(np.int64),
        "high_low": high_low,
        "high_low_interval": np.stack([percentile_interval(b, examples=count) for b in bands], axis=1),
        "ac_power": ac.mean(1),
        "example_power": power,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """High/low ratio over depth for all models; the spectra of each model by layer."""
    counts = " or ".join(dict.fromkeys(str(int(ds["examples"])) for ds in datasets.values()))
    marks: list[Any] = [Guide(y=0.0, label="white noise")]
    for label, ds in datasets.items():
        who, x, y = series(label, ds), ds["depth"].values, ds["high_low"].values
        kinds = ds["kind"].values
        texts = tuple(f"{n}: {k}" for n, k in zip(ds["layer"].values, kinds, strict=True))
        marks.append(Line(x, y, who, *ds["high_low_interval"].values))
        marks.append(Points(x, y, who, texts=texts, symbols=symbols_of(kinds)))
    figures = [
        FigureSpec(
            "high_low",
            "High- against low-frequency power along time, by depth",
            Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02)),
            Axis("ln(high-band / low-band mean power)"),
            tuple(marks),
            "Mean power per mode at 0.25 < f ≤ 0.5 cycles/sample over that at 0 < f ≤ 0.25, natural"
            f" logarithm; white noise is 0. {counts} examples. A point per unit in firing order"
            f" ({SYMBOL_LEGEND}). A layer that strides has a sample of its own, so that its 0.5 is a lower"
            " frequency of the input.",
            Interval("over examples", "by the bootstrap"),
            symbols=symbol_key(k for ds in datasets.values() for k in ds["kind"].values),
        )
    ]
    for index, (label, ds) in enumerate(datasets.items()):
        f = ds["frequency"].values
        layers = zip(ds["layer"].values, ds["log_power"].values, ds["depth"].values, strict=True)
        lines = [
            Line(
                f[np.isfinite(y)],
                y[np.isfinite(y)],
                Series(model=label, label=str(name)),
                markers=True,
                color_value=float(at),
            )
            for name, y, at in layers
        ]
        figures.append(
            FigureSpec(
                f"spectrum_{index}",
                f"Power spectrum of each layer along time: {label}",
                Axis("frequency f", "cycles/sample", limits=(0.0, 0.5)),
                Axis("ln relative power"),
                (Guide(y=0.0, label="white noise"), *lines),
                "Mean power in each bin of frequency relative to the mean over all non-constant modes,"
                " natural logarithm; white noise is flat at 0. Colour: depth.",
                color=ColorAxis("depth"),
            )
        )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """High/low ratio at the output end."""
    ratio = ds["high_low"].values
    ratio = ratio[np.isfinite(ratio)]
    last = float(ratio[-1]) if ratio.size else float("nan")
    meaning = "ln high- over low-band power of the last layer of series"
    return [
        Metric("layers", ds.sizes["layer"], "1", "layers that are series"),
        Metric("ln high/low, last", last, "1", meaning, finding=True),
    ]


series_spectrum = Analysis(
    name="series_spectrum",
    title="Spectra of series along time",
    description=(
        "The power spectrum along time of each layer's output (B, C, T), as of audio and sensors, relative to"
        " its mean non-constant power: 0 for white noise, below 0 where the layer holds less than its share."
        " Orthonormal transform in one dimension, the mean over time taken off first; power is averaged over"
        " examples and channels before the logarithm. Series are what comes of inputs (B, C, T) of real"
        " numbers and of 1-D convolutions; images and words are none."
    ),
    scope="checkpoint",
    params=SeriesSpectrumParams,
    schema=SCHEMA,
    collect=collect,
    finish=finish,
    plots=plots,
    summary=summary,
    needs="series",
    cost=lambda params: Cost(forwards=1.5),
)
