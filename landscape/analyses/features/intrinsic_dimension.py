"""``intrinsic_dimension``: how many dimensions features fill by depth, and units that add none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.options import PrefixTokens
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class DimensionParams(Params):
    """Options of ``intrinsic_dimension``."""

    layers: tuple[str, ...] = Field(
        (),
        description="globs over module names; none = the outputs of blocks, or every module of a model that"
        " has none; activations, such as '*.act*', for saturated units",
    )
    most_layers: int = Field(
        16, ge=1, description="of more, evenly spaced ones in firing order are taken, with both ends"
    )
    sample: int = Field(256, ge=8, le=2048, description="largest number of examples")
    tau: float = Field(0.025, ge=0.0, description="share of the mean modulus below which a unit is dormant")
    prefix_tokens: PrefixTokens = None
    seed: int = Field(0, ge=0, description="seed of the sample")


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("layer", ("layer",), "layer, in firing order", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first layer) to 1 (last)"),
    ),
    variables=(
        Variable("entries", ("layer",), "numbers that a layer puts out for an example", kind="int"),
        Variable("participation_ratio", ("layer",), "(tr Σ)²/tr Σ² of the features' covariance Σ"),
        Variable("participation_ratio_se", ("layer",), "standard error of participation_ratio over examples"),
        Variable("two_nn", ("layer",), "dimension by TwoNN, n / Σ ln(r₂/r₁)"),
        Variable("two_nn_half", ("layer",), "two_nn of half the examples: apart where n is too small"),
        Variable("dead", ("layer",), "share of entries that are the same for all examples"),
        Variable("dormant", ("layer",), "share of entries with a mean modulus of at most τ times the mean"),
        Variable("duplicate", ("layer",), "share of the other entries that are a multiple of one before"),
        Variable("saturated", ("layer",), "share of values near an end of an activation that has two"),
        Variable("examples", (), "number of examples in the sample", kind="int"),
        Variable("notice", (), "outputs left out", "", kind="str", optional=True),
    ),
)


def compute(problem: Problem, params: DimensionParams, context: Context) -> Mapping[str, Any]:
    """One forward pass of a sample; each layer is measured as it fires."""
    from landscape.core.features.unit_states import saturation, unit_states
    from landscape.core.similarity.layer_choice import describe_left_out
    from landscape.core.similarity.zoo_pass import FeatureRows, zoo_sample
    from landscape.core.stats.dimension import participation_ratio, two_nn

    modules = dict(problem.module.named_modules())

    def measure(features: Any, layer: str) -> dict[str, Any]:
        centred = features - features.mean(0)
        gram = (centred @ centred.T).cpu().numpy()
        half = len(gram) // 2
        states = unit_states(features, params.tau)
        value, error = participation_ratio(gram)
        return {
            "entries": features.shape[1],
            "participation_ratio": value,
            "participation_ratio_se": error,
            "two_nn": two_nn(gram),
            "two_nn_half": two_nn(gram[:half, :half]),  # the sample comes in a random order
            "dead": states.dead,
            "dormant": states.dormant,
            "duplicate": states.duplicate,
            "saturated": saturation(features, modules.get(layer.split("#")[0])),
        }

    units, found, _, left_out = zoo_sample(
        {"": problem},
        measure,
        layers=params.layers,
        most_layers=params.most_layers,
        sample=params.sample,
        policy=FeatureRows("flatten", "flatten", params.prefix_tokens),
        seed=params.seed,
        centred=False,
        progress=context.progress,
    )
    return {
        **{name: np.array([layer[name] for layer in found]) for name in found[0]},
        "layer": np.array([layer for _, layer in units]),
        "depth": np.linspace(0.0, 1.0, len(units)),
        "examples": min(params.sample, problem.examples),
        **({"notice": notice} if (notice := describe_left_out(left_out)) else {}),
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Both dimensions over depth, and of the first shares of units that add nothing."""
    depth = Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02))
    counts = sorted({int(ds["examples"]) for ds in datasets.values()})
    examples = " or ".join(map(str, counts)) + " examples"
    ratio: list[Any] = []
    nearest: list[Any] = []
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["depth"].values
        texts = tuple(
            f"{name}: {n} entries" for name, n in zip(ds["layer"].values, ds["entries"].values, strict=True)
        )
        y = ds["participation_ratio"].values
        half = reach(int(ds["examples"])) * ds["participation_ratio_se"].values
        low = np.where(y > half, y - half, np.nan)  # a logarithmic axis has no place for zero
        ratio += [Line(x, y, who, np.where(np.isnan(low), y, low), y + half), Points(x, y, who, texts=texts)]
        nearest += [
            Line(x, ds["two_nn"].values, who),
            Points(x, ds["two_nn"].values, who, texts=texts),
            Points(x, ds["two_nn_half"].values, who, texts=texts, hollow=True),
        ]
    figures = [
        FigureSpec(
            "participation_ratio",
            "Directions that features fill, by depth",
            depth,
            Axis("participation ratio", scale="log"),
            tuple(ratio),
            "(tr Σ)²/tr Σ² of the covariance Σ of a layer's outputs, both parts without the bias of few"
            f" examples in many dimensions. A point per layer in firing order; {examples}.",
            error_bars((int(ds["examples"]) for ds in datasets.values()), "over examples"),
        ),
        FigureSpec(
            "two_nn",
            "Intrinsic dimension by depth",
            depth,
            Axis("TwoNN dimension", scale="log"),
            tuple(nearest),
            "Dimension of the set that a layer's outputs lie on, from the distances to the two nearest"
            " neighbours (Facco et al. 2017; by depth: Ansuini et al. 2019). Outlines: the same from half the"
            f" examples; where they lie apart, the number of examples matters. {examples.capitalize()}.",
        ),
    ]
    return [*figures, *_units(datasets, depth)]


SHARES = ("dead", "dormant", "duplicate", "saturated")


def _units(datasets: Mapping[str, xr.Dataset], depth: Axis) -> list[FigureSpec]:
    """Shares of entries that add nothing: one picture for each that any layer has."""
    figures = []
    for name in SHARES:
        if not any(np.nanmax(ds[name].values, initial=0.0) > 0 for ds in datasets.values()):
            continue
        marks: list[Any] = []
        for label, ds in datasets.items():
            who, x, y = series(label, ds), ds["depth"].values, ds[name].values
            marks += [Line(x, y, who), Points(x, y, who, texts=tuple(map(str, ds["layer"].values)))]
        meaning = SCHEMA[name].meaning
        figures.append(
            FigureSpec(
                name,
                f"{name.capitalize()} units by depth",
                depth,
                Axis("share of values" if name == "saturated" else "share of entries"),
                tuple(marks),
                f"{meaning[0].upper()}{meaning[1:]}.",
            )
        )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Dimensions of the last layer, the largest on the way, and the largest shares of idle units."""
    found = [
        Metric("participation ratio, last", float(ds["participation_ratio"][-1]), "1", "of the last layer"),
        Metric("TwoNN, last", float(ds["two_nn"][-1]), "1", "intrinsic dimension of the last layer"),
        Metric("TwoNN, largest", float(ds["two_nn"].max()), "1", "largest intrinsic dimension of a layer"),
    ]
    idle = ("dead", "dormant", "duplicate")
    return [
        *found,
        *(Metric(f"{n}, most", float(ds[n].max()), "1", f"largest share of {n} entries") for n in idle),
    ]


intrinsic_dimension = Analysis(
    name="intrinsic_dimension",
    title="Dimension of features",
    description=(
        "How many dimensions the outputs of each layer fill over examples: the participation ratio of their"
        " covariance, without the bias of few examples, and the intrinsic dimension by TwoNN (Facco et al."
        " 2017; along the depth of networks Ansuini et al. 2019: it rises and falls, and is lower at the end"
        " where networks generalise better), also from half the examples, since it grows with their number"
        " where dimensions are many. Of the entries of each output the shares that are dead (the same number"
        " for every example), dormant (Sokar et al. 2023) and duplicate (a positive multiple of another, with"
        " an offset), and of activations with two ends the share of saturated values."
    ),
    scope="checkpoint",
    params=DimensionParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=4.0),
)
