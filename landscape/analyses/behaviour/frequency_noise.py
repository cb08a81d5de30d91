"""``frequency_noise``: which frequencies of noise does a model stumble over?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit
from landscape.analyses._shared.half_width import half_width
from landscape.analyses._shared.options import PixelMean, PixelStd
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Line, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class FrequencyNoiseParams(Params):
    """Options of ``frequency_noise``."""

    frequencies: tuple[float, ...] = Field(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        description="centres of the bands, in π rad/pixel",
    )
    width: float = Field(0.1, gt=0.0, description="width of a band, in π rad/pixel")
    sigma: float = Field(0.3, gt=0.0, description="standard deviation of the noise before a band is cut out")
    energy: Literal["noise", "equal"] = Field(
        "noise",
        description="noise = as cut out, so wider rings hold more; equal = every band scaled to rms sigma",
    )
    draws: int = Field(1, ge=1, description="draws of the noise per example and band")
    heat_steps: int = Field(7, ge=1, le=63, description="Fourier modes along each axis of the heat map")
    heat_rms: float = Field(0.125, gt=0.0, description="root mean square of the single modes' noise")
    mean: PixelMean = ()
    std: PixelStd = ()
    clip: bool = Field(False, description="cut changed pixels to 0...1")
    seed: int = Field(0, ge=0, description="seed of the noise, the same for every band")


def _over_bands(name: str, meaning: str, unit: str = "1") -> tuple[Variable, ...]:
    dims = ("frequency",)
    return (
        Variable(name, dims, f"{meaning} under noise of a band", unit),
        Variable(f"{name}_se", dims, f"standard error of {name} over examples", unit),
        Variable(f"{name}_change", dims, f"change of {name} from the clean images", unit),
        Variable(f"{name}_change_se", dims, f"standard error of {name}_change, paired by example", unit),
    )


def _over_modes(name: str, meaning: str, unit: str = "1") -> tuple[Variable, ...]:
    dims = ("row_frequency", "column_frequency")
    return (
        Variable(f"heat_{name}_change", dims, f"change of {meaning} under noise of one Fourier mode", unit),
        Variable(f"heat_{name}_change_se", dims, f"standard error of heat_{name}_change, paired", unit),
    )


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("frequency", ("frequency",), "centre of the band", "π rad/pixel"),
        Variable("row_frequency", ("row_frequency",), "vertical frequency", "cycles/pixel"),
        Variable("column_frequency", ("column_frequency",), "horizontal frequency", "cycles/pixel"),
        Variable("channel", ("channel",), "channel of the image", "", kind="int"),
    ),
    variables=(
        *_over_bands("loss", "data loss", LOSS_UNIT),
        *_over_bands("accuracy", "share of right answers"),
        Variable("noise_rms", ("frequency",), "expected root mean square of the noise", "pixel range"),
        Variable("modes", ("frequency",), "Fourier modes in the band", kind="int"),
        Variable("clean_loss", (), "data loss on the images as they are", LOSS_UNIT),
        Variable("clean_accuracy", (), "share of right answers on the images as they are"),
        *_over_modes("loss", "data loss", LOSS_UNIT),
        *_over_modes("accuracy", "the share of right answers"),
        Variable("pixel_mean", ("channel",), "mean of the normalisation that was undone", "pixel range"),
        Variable("pixel_std", ("channel",), "scale of the normalisation that was undone", "pixel range"),
        Variable("examples", (), "number of examples", kind="int"),
    ),
)


def compute(problem: Problem, params: FrequencyNoiseParams, context: Context) -> Mapping[str, Any]:
    """Measure on the clean images, on each band's noise, and on each mode of half the plane."""
    from landscape.core.behaviour.perturbations import (
        PixelScale,
        band_mask,
        band_noise,
        basis_noise,
        image_shape,
        measure_changed,
        paired,
        symmetric_modes,
    )

    channels, height, width = image_shape(problem)
    scale = PixelScale.of(problem, params.mean, params.std)
    clean = problem.measure()
    ky, kx = symmetric_modes(height, params.heat_steps), symmetric_modes(width, params.heat_steps)
    half = [(int(a), int(b)) for a in ky for b in kx if (a, b) >= (0, 0)]
    steps = len(params.frequencies) * params.draws + len(half)
    done = 0

    def measure(draw: int, noise: Any) -> Any:
        """One pass over images with noise ``noise(shape, rng)`` added."""
        nonlocal done
        # The band is no part of the seed: all bands filter the same noise, so that they can be compared.
        rng = np.random.default_rng((params.seed, draw))

        def change(pixels: Any, _: int) -> Any:
            changed = pixels + noise(tuple(pixels.shape), rng).to(pixels)
            return changed.clamp(0.0, 1.0) if params.clip else changed

        result = measure_changed(problem, scale, change)
        done += 1
        context.progress(done / steps)
        return result

    names = ("", "_se", "_change", "_change_se")
    data: dict[str, Any] = {f"{k}{n}": [] for k in ("loss", "accuracy") for n in names}
    noise_rms, modes = [], []
    for center in params.frequencies:
        mask, count = band_mask(height, width, np.pi * center, np.pi * params.width / 2)
        rms = params.sigma if params.energy == "equal" else None

        def noise(shape: Any, rng: Any, mask: Any = mask, rms: Any = rms) -> Any:
            return band_noise(shape, mask, rng, params.sigma, rms)

        measures = [measure(draw, noise) for draw in range(params.draws)]
        for name, value in zip(
            names, paired(clean.spread_losses, [m.spread_losses for m in measures]), strict=True
        ):
            data[f"loss{name}"].append(value)
        for name, value in zip(
            names, paired(clean.correct, [m.correct for m in measures], answers=True), strict=True
        ):
            data[f"accuracy{name}"].append(value)
        modes.append(count)
        share = count / (height * width) if rms is None else float(count > 0)
        noise_rms.append(params.sigma * share**0.5)
    heat = {
        f"heat_{k}_{n}": np.full((len(ky), len(kx)), np.nan)
        for k in ("loss", "accuracy")
        for n in ("change", "change_se")
    }
    for mode in half:

        def wave(shape: Any, rng: Any, mode: Any = mode) -> Any:
            return basis_noise(shape, mode, rng, params.heat_rms)

        result = measure(0, wave)
        for place in (mode, (-mode[0], -mode[1])):  # a cosine is that of the opposite mode too
            at = int(np.flatnonzero(ky == place[0])[0]), int(np.flatnonzero(kx == place[1])[0])
            _, _, *change = paired(clean.spread_losses, [result.spread_losses])
            heat["heat_loss_change"][at], heat["heat_loss_change_se"][at] = change
            _, _, *change = paired(clean.correct, [result.correct], answers=True)
            heat["heat_accuracy_change"][at], heat["heat_accuracy_change_se"][at] = change
    return {
        "frequency": np.array(params.frequencies),
        "row_frequency": ky / height,
        "column_frequency": kx / width,
        "channel": np.arange(channels),
        **{name: np.array(values) for name, values in data.items()},
        "noise_rms": np.array(noise_rms),
        "modes": np.array(modes),
        "clean_loss": clean.data_loss,
        "clean_accuracy": clean.accuracy,
        **heat,
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
        "examples": problem.examples,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Change of accuracy and loss over the frequency of the noise; a heat map for each model."""
    unit = loss_unit(datasets)
    x = Axis("frequency of the noise", "π rad/pixel", limits=(0.0, 1.0))
    figures = []
    for name, label, y_unit in (("accuracy", "share of right answers", ""), ("loss", "loss", unit)):
        if not any(np.isfinite(ds[f"{name}_change"].values).any() for ds in datasets.values()):
            continue
        marks: list[Any] = [Guide(y=0.0, label="clean images")]
        for who, ds in datasets.items():
            y = ds[f"{name}_change"].values
            half = reach(int(ds["examples"])) * ds[f"{name}_change_se"].values
            marks.append(Line(ds["frequency"].values, y, series(who, ds), y - half, y + half, markers=True))
        figures.append(
            FigureSpec(
                f"{name}_change",
                f"{name.capitalize()} by the frequency of added noise",
                x,
                Axis(f"change of the {label}", y_unit),
                tuple(marks),
                f"Change of the {label} from the clean images. {_noise(datasets)}",
                error_bars((int(ds["examples"]) for ds in datasets.values()), "paired by example"),
            )
        )
    return [*figures, *_heat_maps(datasets, unit)]


def _noise(datasets: Mapping[str, xr.Dataset]) -> str:
    import json

    ds = next(iter(datasets.values()))
    options = json.loads(ds.attrs["parameters"])
    energy = "cut out of" if options["energy"] == "noise" else "scaled to the rms of"
    return (
        f"Noise in rings {options['width']:g}π rad/pixel wide, {energy} white noise of standard deviation"
        f" {options['sigma']:g} (of the pixel range 0 to 1), added before normalisation;"
        f" {int(ds['examples'])} examples."
    )


def _heat_maps(datasets: Mapping[str, xr.Dataset], unit: str) -> list[FigureSpec]:
    import json

    known = all(np.isfinite(ds["heat_accuracy_change"].values).any() for ds in datasets.values())
    name = "accuracy" if known else "loss"
    values = {label: ds[f"heat_{name}_change"].values for label, ds in datasets.items()}
    if not any(np.isfinite(v).any() for v in values.values()):
        return []
    most = max(float(np.nanmax(np.abs(v))) for v in values.values() if np.isfinite(v).any())
    limits = (-most, most) if most > 0 else None
    what = "share of right answers" if known else "loss"
    color = ColorAxis(f"change of the {what}", "" if known else unit, limits=limits, kind="diverging")
    return [
        FigureSpec(
            f"heat_map_{index}",
            f"Fourier heat map: {label}",
            Axis("horizontal frequency", "cycles/pixel"),
            Axis("vertical frequency", "cycles/pixel"),
            (
                Heatmap(
                    ds["column_frequency"].values,
                    ds["row_frequency"].values,
                    values[label],
                    color,
                    series=series(label, ds),
                ),
            ),
            f"Change of the {what} under noise of a single Fourier mode with random sign per image and"
            f" channel, rms {json.loads(ds.attrs['parameters'])['heat_rms']:g} of the pixel range (Yin et al."
            f" 2019); the centre is a constant offset. {int(ds['examples'])} examples; colours are shared by"
            " all models.",
            equal=True,
        )
        for index, (label, ds) in enumerate(datasets.items())
    ]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The loss of accuracy in the lowest and the highest band, and where the loss grows most."""
    change, loss = ds["accuracy_change"].values, ds["loss_change"].values
    worst = float(ds["frequency"].values[np.nanargmax(loss)]) if np.isfinite(loss).any() else float("nan")
    return [
        Metric(
            "accuracy change, first band",
            float(change[0]),
            "1",
            "change of accuracy in the first band",
            error=half_width(ds, "accuracy_change", at=(0,)),
        ),
        Metric(
            "accuracy change, last band",
            float(change[-1]),
            "1",
            "change of accuracy in the last band",
            error=half_width(ds, "accuracy_change", at=(-1,)),
        ),
        Metric("worst frequency", worst, "π rad/pixel", "band in which the loss grows most", finding=True),
    ]


def _cost(params: FrequencyNoiseParams) -> Cost:
    modes = (2 * ((params.heat_steps + 1) // 2) - 1) ** 2
    return Cost(forwards=1.0 + len(params.frequencies) * params.draws + (modes + 1) / 2)


frequency_noise = Analysis(
    name="frequency_noise",
    title="Robustness to noise by frequency",
    description=(
        "Loss and accuracy on x + Re F⁻¹(M_f ⊙ F(δ)), white noise δ of which a ring of radial frequencies is"
        " kept (Park & Kim 2022, Figure 2b), and on single Fourier modes (heat maps of Yin et al. 2019)."
        " Noise is added to pixels: the normalisation is undone before and redone after. Without a given"
        " normalisation the data's own range counts as 0 to 1. As cut out, rings of higher frequency hold"
        " more modes and so more energy: see noise_rms, or choose energy = equal. Changes are paired by"
        " example; the same δ serves every band. Modes at the Nyquist frequency are left out of the heat map."
    ),
    scope="checkpoint",
    takes="predictive",
    params=FrequencyNoiseParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
