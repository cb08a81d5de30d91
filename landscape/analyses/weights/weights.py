"""``weights``: singular values, ranks, tails and spikes of every layer, without data or gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.given_weights import given_weights
from landscape.analyses._shared.tails import VERDICTS, Resamples, tail_of, tail_variables, tail_verdict
from landscape.base.analysis import DATA_BUILDER, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Points, series
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError
from landscape.imports import REFERENCE

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from landscape.core.problem.problem import Problem
    from landscape.core.weights.matrices import LayerWeight


class WeightsParams(Params):
    """Options of ``weights``."""

    layers: Annotated[tuple[str, ...], Field(description="globs over names of layers")] = ("*",)
    resamples: Resamples = 200
    map_norms: bool = Field(
        False, description="also the norms of convolutions as maps of whole pictures; asks for one batch"
    )
    initial_state: Annotated[str, DATA_BUILDER] = Field(
        "",
        pattern=f"^$|{REFERENCE}",
        description="package.module:function of the weights at initialisation, by name: distances from there",
    )
    initial_state_kwargs: dict[str, Any] = Field({}, description="its keyword arguments")
    seed: int = Field(0, ge=0, description="seed of the resamples")


_LAYER = ("layer",)

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("layer", _LAYER, "layer with a matrix of weights, in the model's order", "", kind="str"),
        Variable("depth", _LAYER, "depth, from 0 (first layer) to 1 (last)"),
        Variable("module_class", _LAYER, "class of the layer", "", kind="str"),
    ),
    variables=(
        Variable("rows", _LAYER, "rows of the matrix: outputs or filters", kind="int"),
        Variable("columns", _LAYER, "columns of the matrix: inputs × taps", kind="int"),
        Variable("singular_value", ("layer", "rank"), "singular values, falling, then NaN"),
        Variable("spectral_norm", _LAYER, "largest singular value of the matrix"),
        Variable("frobenius_norm", _LAYER, "root of the sum of squares of all entries"),
        Variable("stable_rank", _LAYER, "stable rank ‖W‖²_F/‖W‖²₂"),
        Variable("effective_rank", _LAYER, "effective rank exp H(s/Σs)"),
        *tail_variables("eigenvalues of WᵀW", _LAYER),
        Variable("alpha_hat", _LAYER, "α̂ = α log₁₀ λ_max of WᵀW"),
        tail_verdict(_LAYER),
        Variable("noise_scale", _LAYER, "standard deviation of the entries if the bulk is noise"),
        Variable("bulk_lower", _LAYER, "lower edge of the Marchenko-Pastur law of WᵀW/N, N the longer side"),
        Variable("bulk_upper", _LAYER, "upper edge of the same law"),
        Variable("spikes", _LAYER, "eigenvalues as large as noise has them in one or two of 100 matrices"),
        Variable("map_norm", _LAYER, "norm of a convolution as a map of pictures", optional=True),
        Variable(
            "map_norm_bound", _LAYER, "bound on the distance to the nearest singular value", optional=True
        ),
        Variable("distance", _LAYER, "Frobenius distance from initialisation", optional=True),
        Variable("relative_distance", _LAYER, "the same over the norm at initialisation", optional=True),
    ),
)


def compute(problem: Problem, params: WeightsParams, context: Context) -> Mapping[str, Any]:
    """Singular values of each layer, and all that follows from them."""
    import torch

    from landscape.core.weights.matrices import layer_weights
    from landscape.core.weights.spectra import effective_rank, noise_bulk, stable_rank

    layers = layer_weights(problem.module, params.layers)
    initial = given_weights(
        context,
        "initial",
        params.initial_state,
        params.initial_state_kwargs,
        "weights",
        "the weights at initialisation are",
    )
    shapes = _shapes(problem) if params.map_norms else {}
    values, columns = [], []
    for number, layer in enumerate(layers):
        matrix = layer.matrix()
        s = torch.linalg.svdvals(matrix).cpu().numpy()
        values.append(s)
        # Rounding leaves eigenvalues of zero a little above it, where they would be the longest tail of all.
        some = s[s > s[0] * max(matrix.shape) * torch.finfo(layer.weight.dtype).eps]
        tail = tail_of(np.square(some), params.resamples, params.seed)
        bulk = noise_bulk(s, *matrix.shape)
        columns.append(
            {
                "rows": matrix.shape[0],
                "columns": matrix.shape[1],
                "spectral_norm": s[0],
                "frobenius_norm": float(np.linalg.norm(s)),
                "stable_rank": stable_rank(s),
                "effective_rank": effective_rank(s),
                **tail,
                "alpha_hat": tail["alpha"] * 2.0 * np.log10(s[0]) if s[0] > 0 else np.nan,
                "noise_scale": bulk.scale,
                "bulk_lower": bulk.lower,
                "bulk_upper": bulk.upper,
                "spikes": bulk.spikes,
                **(_map_norm(layer, shapes, params.seed) if params.map_norms else {}),
                **({} if initial is None else _distance(layer, initial)),
            }
        )
        context.progress((number + 1) / len(layers))
    width = max(map(len, values))
    padded = [np.pad(s, (0, width - len(s)), constant_values=np.nan) for s in values]
    return {
        "layer": np.array([layer.name for layer in layers]),
        "depth": np.linspace(0.0, 1.0, len(layers)),
        "module_class": np.array([type(layer.module).__name__ for layer in layers]),
        "singular_value": np.stack(padded),
        **{name: np.array([column[name] for column in columns]) for name in columns[0]},
    }


def _distance(layer: LayerWeight, initial: Mapping[str, Tensor]) -> dict[str, float]:
    """How far a layer is from where it began."""
    start = initial.get(layer.parameter)
    if start is None or tuple(start.shape) != tuple(layer.weight.shape):
        found = "lack it" if start is None else f"have shape {tuple(start.shape)}"
        raise InputError(
            f"weight '{layer.parameter}' has shape {tuple(layer.weight.shape)}, but those at initialisation"
            f" {found}; give the state_dict of the same model before training."
        )
    before = start.detach().to(layer.weight.device).double()
    distance = float((layer.weight.detach().double() - before).norm())
    norm = float(before.norm())
    return {"distance": distance, "relative_distance": distance / norm if norm > 0 else float("nan")}


def _shapes(problem: Problem) -> dict[int, tuple[int, ...]]:
    """Shape of one input of each convolution that fires, by the layer's identity."""
    import torch

    from landscape.core.weights.matrices import is_convolution

    found: dict[int, tuple[int, ...]] = {}

    def keep(module: Any, inputs: tuple[Any, ...]) -> None:
        found[id(module)] = tuple(inputs[0].shape[1:])

    handles = [m.register_forward_pre_hook(keep) for m in problem.module.modules() if is_convolution(m)]
    try:
        with torch.no_grad():
            problem.output(problem.first)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _map_norm(layer: LayerWeight, shapes: Mapping[int, tuple[int, ...]], seed: int) -> dict[str, float]:
    from landscape.core.weights.map_norm import map_norm

    shape = shapes.get(id(layer.module))
    value, bound = (np.nan, np.nan) if shape is None else map_norm(layer.module, shape, seed=seed)
    return {"map_norm": value, "map_norm_bound": bound}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Ranks and tails by depth, all models on one axis."""
    ranks: list[Any] = []
    tails: list[Any] = []
    for label, ds in datasets.items():
        who, depth = series(label, ds), ds["depth"].values
        full = np.minimum(ds["rows"].values, ds["columns"].values)
        share = ds["stable_rank"].values / full
        texts = tuple(
            f"{n}: {r} × {c}, {k:g} spikes"
            for n, r, c, k in zip(
                *(ds[v].values for v in ("layer", "rows", "columns", "spikes")), strict=True
            )
        )
        ranks += [Line(depth, share, who), Points(depth, share, who, texts=texts)]
        alpha, verdicts = ds["alpha"].values, ds["tail"].values
        texts = tuple(
            f"{n}: {v}, p = {p:.2g}, {k} values"
            for n, v, p, k in zip(
                *(ds[v].values for v in ("layer", "tail", "alpha_p", "alpha_count")), strict=True
            )
        )
        symbols = tuple(VERDICTS.get(str(v), "cross") for v in verdicts)
        error = 2.0 * ds["alpha_se"].values
        tails.append(Points(depth, alpha, who, error, texts, symbols))
    axis = Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02))
    present = {str(v) for ds in datasets.values() for v in ds["tail"].values}
    return [
        FigureSpec(
            "rank",
            "Stable rank of the weights by depth",
            axis,
            Axis("stable rank / full rank", scale="log"),
            tuple(ranks),
            "‖W‖²_F/‖W‖²₂ of each layer over the shorter side of its matrix (convolutions: filters × inputs"
            " and taps): 1 where all singular values are equal, less where few of them carry the weights.",
        ),
        FigureSpec(
            "alpha",
            "Tails of the weights' eigenvalues by depth",
            axis,
            Axis("exponent α"),
            (*tails, Guide(y=2.0, label="infinite mean")),
            "Exponent of the best power-law tail p(λ) ∝ λ^−α of the eigenvalues of WᵀW (Clauset et al. 2009)."
            " Circles: at least 50 values and a p-value of at least 0.1; triangles: fewer values, which tell"
            " nothing; crosses: power law rejected.",
            error_bars([1000], "over resamples, the start of the tail chosen anew", "Bars"),
            symbols=tuple((symbol, word) for word, symbol in VERDICTS.items() if word in present),
        ),
    ]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Means over layers."""
    stands = ds["tail"].values == "power law"
    alpha = float(ds["alpha"].values[stands].mean()) if stands.any() else float("nan")
    full = np.minimum(ds["rows"].values, ds["columns"].values)
    with np.errstate(divide="ignore"):
        norm = float(np.log10(ds["spectral_norm"].values).mean())
    spikes = ds["spikes"].values
    return [
        Metric(
            "stable rank / full", float((ds["stable_rank"].values / full).mean()), meaning="mean over layers"
        ),
        Metric("α", alpha, meaning="mean of alpha over layers whose tail is a power law; NaN if none is"),
        Metric("power-law layers", int(stands.sum()), meaning="layers whose tail is a power law"),
        Metric("log₁₀ ‖W‖₂", norm, meaning="mean over layers of the logarithm of the spectral norm"),
        Metric(
            "spikes",
            float(np.nansum(spikes)) if np.isfinite(spikes).any() else float("nan"),
            meaning="eigenvalues that stand out of noise, over all layers",
        ),
    ]


def _cost(params: WeightsParams, problem: Problem | None = None) -> Cost:
    """A decomposition of each layer, and a fit for each resample, which costs however small the layer is."""
    forwards = 0.1 if params.map_norms else 0.0
    if problem is None:
        return Cost(forwards=forwards, seconds_per_million=1.0 + 0.01 * params.resamples)
    from landscape.core.weights.matrices import layer_weights

    seconds = 0.2
    for layer in layer_weights(problem.module, params.layers):
        rows = len(layer.weight)
        least = min(rows, layer.weight.numel() // max(rows, 1))
        seconds += 3e-3 + params.resamples * (5e-5 + 1.2e-6 * least) + 5e-10 * layer.weight.numel() * least
    return Cost(forwards=forwards, seconds_per_million=seconds / (problem.size / 1e6))


weights = Analysis(
    name="weights",
    title="Weights of the layers",
    description=(
        "Singular values of every layer's weights, without data or gradients: stable rank, effective rank"
        " (Roy & Vetterli 2007), the tail of the eigenvalues of WᵀW with its Kolmogorov-Smirnov distance,"
        " p-value, number of values and likelihood ratios (Clauset, Shalizi & Newman 2009; Martin & Mahoney"
        " 2021), and the eigenvalues that stand out of the noise that fits the rest (Marchenko & Pastur 1967;"
        " Gavish & Donoho 2014; Johnstone 2001). Convolutions are matrices of filters × (inputs · taps);"
        " their norm as maps of pictures is another number, which `map_norms` asks for. An exponent of few"
        " values, or with a small p-value, means nothing."
    ),
    scope="checkpoint",
    params=WeightsParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
    inputs=("initial",),
)
