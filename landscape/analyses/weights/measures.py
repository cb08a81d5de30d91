"""``measures``: what is said to predict generalisation, from weights, margins and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class MeasuresParams(Params):
    """Options of ``measures``."""

    share: float = Field(0.1, gt=0.0, lt=1.0, description="quantile of the margins, as a share of examples")
    rise: float = Field(0.1, gt=0.0, lt=1.0, description="rise of the training error that σ is sought for")
    draws: int = Field(8, ge=2, description="draws of the noise; 2 or more, for an error")
    noise: tuple[Literal["flat", "relative"], ...] = Field(
        ("flat", "relative"), description="kinds of noise on the weights; none for no σ"
    )
    seed: int = Field(0, ge=0, description="seed of the noise")


_LAYER = ("layer",)

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("layer", _LAYER, "layer, in the model's order, then BatchNorms that follow none", "", "str"),
        Variable("noise", ("noise",), "kind of noise on the weights", "", "str"),
        Variable("bound", ("bound",), "end of an interval", "", "str"),
    ),
    variables=(
        Variable("folded", _LAYER, "BatchNorm that is folded into the layer", "", "str"),
        Variable("frobenius_norm", _LAYER, "‖W‖_F with BatchNorm folded in"),
        Variable("spectral_norm", _LAYER, "‖W‖₂ with BatchNorm folded in, filters as rows"),
        Variable("margin", (), "quantile of f_y − max f_j over examples, below 0 where wrong"),
        Variable("margin_interval", ("bound",), "95 % interval of margin, by order statistics"),
        Variable("margin_median", (), "median of the same"),
        Variable("path_norm", (), "path norm, NaN of a network with other than rectifiers and BatchNorm"),
        Variable("frobenius_sum", (), "Σ ‖W‖²_F over layers"),
        Variable("log_frobenius", (), "ln Π ‖W‖²_F over layers"),
        Variable("log_spectral", (), "ln Π ‖W‖²₂ over layers"),
        Variable("log_spectral_margin", (), "the same less ln margin²; NaN unless margin is above 0"),
        Variable("spectral_sum", (), "d (Π ‖W‖²₂)^(1/d) of d layers"),
        Variable(
            "log_spectral_complexity", (), "ln Π ‖W‖²₂ Σ ‖W‖²_F/‖W‖²₂ / margin² (Neyshabur et al. 2018)"
        ),
        Variable("sigma", ("noise",), "noise at which the expected training error has risen; flat: weights"),
        Variable("sigma_se", ("noise",), "standard error of sigma over draws of the noise"),
        Variable("parameters", (), "number of parameters", kind="int"),
        Variable("examples", (), "number of examples", kind="int"),
    ),
)


def compute(problem: Problem, params: MeasuresParams, context: Context) -> Mapping[str, Any]:
    """Norms from the weights, margins from a pass, noise from many."""
    from landscape.core.behaviour.calibration import predict
    from landscape.core.behaviour.margins import margins
    from landscape.core.stats.order_statistics import quantile_interval
    from landscape.core.surfaces.noise_tolerance import noise_tolerance
    from landscape.core.weights.folded_norms import folded_layers, path_norm

    made = predict(problem)
    gaps = made.by_example(margins(made.log_p, made.labels))
    margin, low, high = quantile_interval(gaps, params.share)
    layers = folded_layers(problem.module, lambda: problem.output(problem.first))
    frobenius = np.array([layer.frobenius_norm for layer in layers])
    spectral = np.array([layer.spectral_norm for layer in layers])
    inputs = problem.first.inputs
    shape = tuple(inputs.shape[1:]) if getattr(inputs, "is_floating_point", bool)() else ()
    passes, expected = 0, 2 * 12 * params.draws

    def step() -> None:
        nonlocal passes
        passes += 1
        context.progress(min(0.1 + 0.9 * passes / expected, 0.99))

    context.progress(0.1)
    found = [
        noise_tolerance(problem, kind, rise=params.rise, draws=params.draws, seed=params.seed, progress=step)
        for kind in params.noise
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_spectral = 2.0 * np.log(spectral).sum()
        log_margin = 2.0 * np.log(margin) if margin > 0 else np.nan
        complexity = log_spectral + np.log(np.square(frobenius / spectral).sum()) - log_margin
    context.progress(1.0)
    return {
        "layer": np.array([layer.name for layer in layers]),
        "noise": np.array(params.noise, dtype=object),
        "bound": np.array(["low", "high"]),
        "folded": np.array([layer.folded for layer in layers]),
        "frobenius_norm": frobenius,
        "spectral_norm": spectral,
        "margin": margin,
        "margin_interval": np.array([low, high]),
        "margin_median": np.median(gaps),
        "path_norm": path_norm(problem.module, shape) if shape else np.nan,
        "frobenius_sum": np.square(frobenius).sum(),
        "log_frobenius": 2.0 * np.log(frobenius).sum(),
        "log_spectral": log_spectral,
        "log_spectral_margin": log_spectral - log_margin,
        "spectral_sum": len(layers) * np.exp(log_spectral / len(layers)),
        "log_spectral_complexity": complexity,
        "sigma": np.array([f.sigma for f in found]),
        "sigma_se": np.array([f.error for f in found]),
        "parameters": problem.size,
        "examples": made.count,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Spectral norms by layer, and noise borne against margin."""
    from landscape.core.stats.intervals import reach

    norms: list[Any] = []
    noise: list[Any] = []
    for label, ds in datasets.items():
        who, depth = series(label, ds), np.linspace(0.0, 1.0, ds.sizes["layer"])
        texts = tuple(
            f"{name}{f' with {norm}' if norm else ''}"
            for name, norm in zip(ds["layer"].values, ds["folded"].values, strict=True)
        )
        norms += [Line(depth, ds["spectral_norm"].values, who)]
        norms += [Points(depth, ds["spectral_norm"].values, who, texts=texts)]
        if "flat" in ds["noise"].values:
            at = ds.sel(noise="flat")
            half = reach(draws_of(ds)) * float(at["sigma_se"])
            noise.append(Points([float(ds["margin"])], [float(at["sigma"])], who, [half]))
    figures = [
        FigureSpec(
            "spectral_norm",
            "Spectral norms by depth, BatchNorm folded in",
            Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02)),
            Axis("‖W‖₂", scale="log"),
            tuple(norms),
            "Largest singular value of each layer's matrix (convolutions: filters as rows) with the BatchNorm"
            " that reads its output folded in; a BatchNorm that reads no layer's stands at the end.",
        )
    ]
    if noise:
        first = next(iter(datasets.values()))
        figures.append(
            FigureSpec(
                "noise",
                "Noise that the weights bear, and margins",
                Axis("margin, lower quantile"),
                Axis("σ", scale="log"),
                tuple(noise),
                "Standard deviation of noise on every weight at which the expected training error has risen"
                f" by the chosen amount, against the quantile of the margins; {int(first['examples'])}"
                " examples.",
                Interval("over draws of the noise", mark="Bars"),
            )
        )
    return figures


def draws_of(ds: xr.Dataset) -> int:
    """Draws of the noise of a result."""
    import json

    return int(json.loads(ds.attrs.get("parameters", "{}")).get("draws", 8))


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Each measure as a number of the model."""
    known = {
        "margin": "quantile of the margins; larger is better",
        "path_norm": "root of the sum over paths of squared products",
        "frobenius_sum": "Σ ‖W‖²_F, BatchNorm folded in",
        "log_frobenius": "ln Π ‖W‖²_F",
        "log_spectral": "ln Π ‖W‖²₂",
        "log_spectral_margin": "ln Π ‖W‖²₂ / margin²",
        "spectral_sum": "d (Π ‖W‖²₂)^(1/d)",
        "log_spectral_complexity": "ln Π ‖W‖²₂ Σ ‖W‖²_F/‖W‖²₂ / margin²",
    }
    found = [Metric(name.replace("_", " "), float(ds[name]), "1", text) for name, text in known.items()]
    for kind in ds["noise"].values:
        value = float(ds["sigma"].sel(noise=kind))
        found.append(
            Metric(f"σ {kind}", value, "1", "noise at which the training error has risen", finding=True)
        )
    found.append(Metric("parameters", int(ds["parameters"]), "1", "number of parameters"))
    return found


measures = Analysis(
    name="measures",
    title="Measures of generalisation",
    description=(
        "What is said to predict generalisation, on training data: margins (a low quantile of f_y − max f_j,"
        " signed), the path norm (Neyshabur et al. 2015), sums and products of layers' norms, alone and over"
        " the margin (Bartlett et al. 2017; Neyshabur et al. 2018), and the noise on the weights at which the"
        " expected training error has risen by a tenth (PAC-Bayes: Neyshabur et al. 2017; Dziugaite & Roy"
        " 2017), the same for all weights or relative to each. The list is Jiang et al.'s (2020). BatchNorm"
        " is folded into the layer whose output it reads, as a pass tells. Distances from the start are in"
        " `weights`, sharpness in `sharpness`. Margins of logits grow with their scale: compare networks"
        " trained alike."
    ),
    scope="checkpoint",
    params=MeasuresParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=2.0 + 12.0 * params.draws * len(params.noise)),
)
