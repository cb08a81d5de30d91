"""``similarity``: other measures of similarity between layers and between models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.matrix_figure import dendrogram, matrix, model_map
from landscape.analyses._shared.options import PrefixTokens
from landscape.analyses.similarity._options import (
    COORDS,
    LEFT_OUT,
    Layers,
    MostLayers,
    Pairing,
    Spatial,
    Tokens,
)
from landscape.base.analysis import NEW_OPTION, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import ColorAxis, FigureSpec
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import answer_error, reach, standard_error

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class SimilarityParams(Params):
    """Options of ``similarity``."""

    layers: Layers = ()
    most_layers: MostLayers = 8
    sample: int = Field(256, ge=8, le=2048, description="largest number of examples, shared by all")
    neighbours: int = Field(10, ge=1, description="nearest neighbours of each example (at most a half)")
    variance: float = Field(0.99, gt=0.0, le=1.0, description="share of variance that SVCCA and PWCCA keep")
    tokens: Tokens = "flatten"
    spatial: Spatial = "flatten"
    prefix_tokens: PrefixTokens = None
    pairing: Pairing = "inputs"
    subsamples: Annotated[int, NEW_OPTION] = Field(
        10,
        ge=0,
        le=10_000,
        description="subsamples of the examples, without repeats, from which errors between layers are found;"
        " 0 or 1 = no errors",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")


UNITS, MODELS = ("unit_a", "unit_b"), ("model", "other")

BETWEEN = ("procrustes", "procrustes_angle", "svcca", "pwcca", "rsa", "mutual_neighbours")
_ERROR_UNITS = {"procrustes_angle": "radians", "model_angle": "radians", "jensen_shannon": "nats/example"}


def _error(name: str, dims: tuple[str, ...]) -> Variable:
    """The error of a measure; results of before have none."""
    what = "over examples" if name in ("agreement", "jensen_shannon") else "by subsamples of the examples"
    return Variable(
        f"{name}_se", dims, f"standard error of {name}, {what}", _ERROR_UNITS.get(name, "1"), optional=True
    )


SCHEMA = Schema(
    version=2,
    coords=COORDS,
    variables=(
        Variable("procrustes", UNITS, "squared Procrustes distance at unit norm (0 to 2), not a metric"),
        Variable(
            "procrustes_angle", UNITS, "Procrustes angle, a metric (0 to π/2)", "radians", optional=True
        ),
        Variable("svcca", UNITS, "mean canonical correlation of leading components"),
        Variable("pwcca", UNITS, "canonical correlation weighted by what its directions explain of unit_a"),
        Variable("rsa", UNITS, "rank correlation of distances between examples"),
        Variable("mutual_neighbours", UNITS, "share of nearest neighbours in common"),
        Variable("agreement", MODELS, "share of examples with the same predicted class"),
        Variable("jensen_shannon", MODELS, "mean Jensen-Shannon divergence of predictions", "nats/example"),
        Variable("weight_distance", MODELS, "Euclidean distance of the weights, if of one shape"),
        Variable(
            "model_angle",
            MODELS,
            "root mean square of the Procrustes angles between layers of one name",
            "radians",
            optional=True,
        ),
        *(_error(name, UNITS) for name in BETWEEN),
        *(_error(name, MODELS) for name in ("agreement", "jensen_shannon", "model_angle")),
        Variable("interval_factor", (), "standard errors between layers in a 95 % interval", optional=True),
        Variable("neighbours", (), "nearest neighbours of each example", kind="int"),
        Variable("examples", (), "number of examples in the sample", kind="int"),
        LEFT_OUT,
    ),
)


def compute(problems: Mapping[str, Problem], params: SimilarityParams, context: Context) -> Mapping[str, Any]:
    """One forward pass of a shared sample; every measure from the Gram matrices."""
    from landscape.core.similarity import measures
    from landscape.core.similarity.layer_choice import describe_left_out
    from landscape.core.similarity.subsampling import KeptLayer, subsample_errors
    from landscape.core.similarity.zoo_pass import FeatureRows, zoo_sample

    examples = min(params.sample, next(iter(problems.values())).examples)
    k = min(params.neighbours, examples // 2)
    units, kept, outputs, left_out = zoo_sample(
        problems,
        lambda features, layer: KeptLayer.of(features.cpu().numpy(), params.variance, k),
        layers=params.layers,
        most_layers=params.most_layers,
        sample=params.sample,
        policy=FeatureRows(params.tokens, params.spatial, params.prefix_tokens),
        seed=params.seed,
        pairing=params.pairing,
        progress=lambda fraction: context.progress(0.2 * fraction),
    )
    layers = [layer.whole for layer in kept]
    functions = (
        measures.procrustes,
        measures.procrustes_angle,
        measures.svcca,
        measures.rsa,
        measures.mutual_neighbours,
    )
    between = {f.__name__: np.full((len(units),) * 2, np.nan) for f in (*functions, measures.pwcca)}
    for i, one in enumerate(layers):
        for j, two in enumerate(layers[: i + 1]):
            for f in functions:
                between[f.__name__][[i, j], [j, i]] = f(one, two)
            between["pwcca"][i, j], between["pwcca"][j, i] = (
                measures.pwcca(one, two),
                measures.pwcca(two, one),
            )
        context.progress(0.2 + 0.1 * (i + 1) / len(layers))
    names, subjects = list(problems), list(problems.values())
    models = {
        name: np.full((len(names),) * 2, np.nan)
        for name in ("agreement", "jensen_shannon", "weight_distance")
    }
    for i, a in enumerate(outputs):
        for j, b in enumerate(outputs[: i + 1]):
            both = [i, j], [j, i]
            models["weight_distance"][both] = measures.weight_distance(subjects[i], subjects[j])
            if a is not None and b is not None:
                models["agreement"][both] = measures.agreement(a, b)
                models["jensen_shannon"][both] = measures.jensen_shannon(a, b)
    models["model_angle"] = _model_angles(names, units, between["procrustes_angle"])
    errors = subsample_errors(
        kept,
        draws=params.subsamples,
        variance=params.variance,
        k=k,
        seed=params.seed,
        derived=lambda found: {"model_angle": _model_angles(names, units, found["procrustes_angle"])},
        progress=lambda fraction: context.progress(0.3 + 0.7 * fraction),
    )
    errors |= _model_errors(outputs)
    labels = np.array([f"{model}: {layer}" for model, layer in units])
    return {
        "unit_a": labels,
        "unit_b": labels,
        "model_a": np.array([model for model, _ in units]),
        "model_b": np.array([model for model, _ in units]),
        "layer_a": np.array([layer for _, layer in units]),
        "layer_b": np.array([layer for _, layer in units]),
        "model": np.array(names),
        "other": np.array(names),
        **between,
        **models,
        **{f"{name}_se": value for name, value in errors.items()},
        **({"interval_factor": reach(params.subsamples)} if params.subsamples > 1 else {}),
        "neighbours": k,
        "examples": examples,
        **({"notice": notice} if (notice := describe_left_out(left_out)) else {}),
    }


def _model_errors(outputs: Sequence[Any]) -> dict[str, Any]:
    """Standard errors over examples of what is a mean over examples; 0 of a model with itself."""
    from landscape.core.similarity.measures import jensen_shannon_values

    found = {name: np.full((len(outputs),) * 2, np.nan) for name in ("agreement", "jensen_shannon")}
    for i, a in enumerate(outputs):
        for j, b in enumerate(outputs[: i + 1]):
            if (
                a is None
                or b is None
                or a.shape != b.shape
                or not (np.isfinite(a).all() and np.isfinite(b).all())
            ):
                continue
            both = [i, j], [j, i]
            same = (a.argmax(1) == b.argmax(1)).astype(np.float64)
            found["agreement"][both] = 0.0 if i == j else answer_error(same)
            found["jensen_shannon"][both] = 0.0 if i == j else standard_error(jensen_shannon_values(a, b))
    return found


def _model_angles(names: Sequence[str], units: Sequence[tuple[str, str]], angles: Any) -> Any:
    """Root mean square over the layers that two models share by name; NaN without any.

    A metric where all models have the same layers: distances along axes, put together as in space.
    """
    place = {unit: i for i, unit in enumerate(units)}
    layers = list(dict.fromkeys(layer for _, layer in units))
    found = np.full((len(names),) * 2, np.nan)
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            both = [la for la in layers if (one, la) in place and (two, la) in place]
            if both:
                shared = [angles[place[one, la], place[two, la]] for la in both]
                found[i, j] = np.sqrt(np.square(shared).mean())
    return found


BETWEEN_LAYERS = (
    ("procrustes", "Squared Procrustes distance", ColorAxis("squared distance", limits=(0.0, 2.0))),
    ("procrustes_angle", "Procrustes angle", ColorAxis("angle", "radians", limits=(0.0, np.pi / 2))),
    ("svcca", "SVCCA", ColorAxis("mean canonical correlation", limits=(0.0, 1.0))),
    ("pwcca", "PWCCA", ColorAxis("weighted canonical correlation", limits=(0.0, 1.0))),
    ("rsa", "RSA", ColorAxis("rank correlation", limits=(-1.0, 1.0), kind="diverging")),
    ("mutual_neighbours", "Mutual nearest neighbours", ColorAxis("share in common", limits=(0.0, 1.0))),
)
BETWEEN_MODELS = (
    ("agreement", "Agreement of predictions", ColorAxis("share of examples", limits=(0.0, 1.0))),
    ("jensen_shannon", "Jensen-Shannon divergence of predictions", ColorAxis("divergence", "nats/example")),
    ("weight_distance", "Distance of weights", ColorAxis("Euclidean distance")),
)


def _meaning(name: str) -> str:
    """What a matrix shows, as a caption begins."""
    said = SCHEMA[name].meaning.replace("unit_a", "the layer of the row")
    return said[0].upper() + said[1:]


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """A matrix for each measure, the tree of models by their predictions, and maps of models."""
    figures: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        note = f"One shared sample of {int(ds['examples'])} examples."
        units = [str(u) for u in ds["unit_a"].values]
        names = [str(n) for n in ds["model"].values]
        borders = [i + 0.5 for i, (a, b) in enumerate(pairwise(ds["model_a"].values)) if a != b]
        for name, title, color in BETWEEN_LAYERS:
            if name not in ds:  # of an older result
                continue
            caption = f"{_meaning(name)}, layers in firing order; lines part models. {note}"
            axes, values = ("layer", units), ds[name].values
            spec = matrix(f"{name}_{index}", f"{title}: {label}", axes, axes, values, color, caption, borders)
            figures.append(_with_errors(spec, ds, name, color, axes, borders))
        for name, title, color in BETWEEN_MODELS:
            if not np.isfinite(ds[name].values).any():
                continue
            caption = f"{_meaning(name)}. {note}"
            axes, values = ("model", names), ds[name].values
            spec = matrix(f"{name}_{index}", f"{title}: {label}", axes, axes, values, color, caption)
            figures.append(_with_errors(spec, ds, name, color, axes))
        tree = dendrogram(
            f"tree_{index}",
            f"Tree of models by their predictions: {label}",
            names,
            ds["jensen_shannon"].values,
            "Jensen-Shannon divergence",
            "nats/example",
            f"Average linkage; models join at their mean divergence. {note}",
        )
        maps = [
            model_map(
                f"map_{index}",
                f"Map of models by their predictions: {label}",
                names,
                np.sqrt(ds["jensen_shannon"].values),
                "√nats",
                f"Distance: root of the Jensen-Shannon divergence, which is a metric. {note}",
            )
        ]
        if "model_angle" in ds:
            maps.append(
                model_map(
                    f"angle_map_{index}",
                    f"Map of models by their layers: {label}",
                    names,
                    ds["model_angle"].values,
                    "radians",
                    f"Distance: {SCHEMA['model_angle'].meaning}. {note}",
                )
            )
        figures += [figure for figure in (tree, *maps) if figure is not None]
    return figures


def _with_errors(
    spec: FigureSpec,
    ds: xr.Dataset,
    name: str,
    color: ColorAxis,
    axes: tuple[str, list[str]],
    borders: Sequence[float] = (),
) -> FigureSpec:
    """A matrix that says how wide its intervals are, and has them as another matrix to be chosen."""
    half = _half_width(ds, name)
    off = None if half is None else half[~np.eye(len(half), dtype=bool)]
    if half is None or off is None or not np.isfinite(off).any():
        return spec
    unit = f" {color.unit}" if color.unit else ""
    said = f"Known to ± {np.nanmedian(off):.2g}{unit} (95 %) in the median, ± {np.nanmax(off):.2g} at most"
    errors = matrix(
        f"{spec.name}_error",
        f"{spec.title} (half of the 95 % interval)",
        axes,
        axes,
        half,
        ColorAxis(f"half interval of the {color.label}", color.unit),
        f"How far other examples may move each value, at this number of them. {said}.",
        borders,
    )
    other = replace(errors, choice="half of the 95 % interval")
    return replace(spec, caption=f"{spec.caption} {said}.", choice="value", others=(other,))


def _half_width(ds: xr.Dataset, name: str) -> Any:
    """Half of the 95 % interval of each value; ``None`` in results of before."""
    if f"{name}_se" not in ds:
        return None
    over_examples = name in ("agreement", "jensen_shannon")
    factor = reach(int(ds["examples"])) if over_examples else float(ds["interval_factor"])
    return factor * ds[f"{name}_se"].values


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How alike the models' predictions are."""
    above = np.triu_indices(ds.sizes["model"], 1)
    agreement, divergence = ds["agreement"].values[above], ds["jensen_shannon"].values[above]
    nothing = float("nan")

    def error(name: str) -> float:
        """Of a mean over pairs: no larger than the mean of their errors, since all have the same examples."""
        half = _half_width(ds, name)
        return nothing if half is None or not above[0].size else float(half[above].mean())

    return [
        Metric("models", ds.sizes["model"], "1", "models compared"),
        Metric(
            "agreement",
            float(agreement.mean()) if agreement.size else nothing,
            "1",
            "share of equal predictions, mean over pairs of models",
            finding=True,
            error=error("agreement"),
        ),
        Metric(
            "divergence",
            float(divergence.mean()) if divergence.size else nothing,
            "nats/example",
            "Jensen-Shannon divergence of predictions, mean over pairs of models",
            error=error("jensen_shannon"),
        ),
        *_between_models(ds, error),
    ]


def _between_models(ds: xr.Dataset, error: Callable[[str], float]) -> list[Metric]:
    """How far the layers of the models are apart."""
    if "model_angle" not in ds:
        return []
    angles = ds["model_angle"].values[np.triu_indices(ds.sizes["model"], 1)]
    if not np.isfinite(angles).any():
        return []
    return [
        Metric(
            "angle of layers",
            float(np.nanmean(angles)),
            "radians",
            "root mean square of the Procrustes angles of layers of one name, mean over pairs of models",
            error=error("model_angle"),
        )
    ]


def _cost(params: SimilarityParams, problem: Problem | None = None) -> Cost:
    """A pass, and decompositions for every pair of layers, in the cube of the sample.

    Measured: 0.08 s for a pair of layers with 256 examples, and a tenth of that for each subsample of half.
    """
    layers = params.most_layers
    if problem is not None:
        from landscape.core.similarity.layer_choice import choose_layers

        layers = len(choose_layers(problem, params.layers, params.most_layers).names)
    each = 0.08 * (params.sample / 256) ** 3 * (1 + params.subsamples / 10)
    return Cost(forwards=1.0, seconds_per_pair=each * layers**2)


similarity = Analysis(
    name="similarity",
    title="Similarity by other measures",
    description=(
        "Between layers: Procrustes distance, squared (Ding et al. 2021) and as an angle, which is a metric"
        " (Williams et al. 2021), SVCCA (Raghu et al. 2017), PWCCA (Morcos et"
        " al. 2018: row unit_a against column unit_b is weighted by unit_a), representational"
        " similarity analysis (Kriegeskorte et al. 2008) and mutual nearest neighbours (Huh et al. 2024);"
        " none sees a scale of the features, and none but PWCCA a rotation. Between models: agreement of"
        " predictions, their"
        " Jensen-Shannon divergence, and the distance of weights of one architecture. Errors between layers"
        " are by subsamples of the examples without repeats (Shao & Wu 1989). All on one shared"
        " sample of the inputs; SVCCA, PWCCA and Procrustes depend on its size, so compare equal sizes only;"
        " the first two tell little where components outnumber half the examples."
    ),
    scope="group",
    params=SimilarityParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
