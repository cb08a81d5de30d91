"""``collapse``: how near the features of a classifier are to one point for each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
from pydantic import Field

from landscape.analyses._shared.class_names import class_names
from landscape.analyses.features._options import Layers
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Points, Violin, series
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from landscape.core.data.batches import Batch
    from landscape.core.problem.problem import Problem

FEW = 10
"""Examples of a class below which its own mean and spread are little more than noise."""

_NAMED = 4  # results whose nearest classes a caption names


class CollapseParams(Params):
    """Options of ``collapse``."""

    layers: Layers = ("*",)
    most_layers: Annotated[int, Field(ge=1, description="evenly spaced ones, if more layers match")] = 40
    alignment_examples: Annotated[
        int, Field(ge=4, description="at most so many examples, a random sample, for the alignment of layers")
    ] = 512
    seed: int = Field(0, ge=0, description="seed of that sample")


_NUMBERS = {
    "nc1": "NC1, tr(Σ_W Σ_B⁺)/K: within-class spread of features, in units of that between class means",
    "nc1_trace_ratio": "tr Σ_W / tr Σ_B, another form of NC1",
    "nc1_distance_variance": "mean of (v_i + v_j)/2‖μ_i − μ_j‖² over pairs of classes, a third form of NC1",
    "nc2_norms": "NC2, spread of the lengths of centred class means over their mean; 0 if equal",
    "nc2_angles": "NC2, standard deviation of the cosines between centred class means; 0 if equal",
    "nc2_simplex": "NC2, mean distance of these cosines from −1/(K − 1); 0 for a simplex",
    "nc2_weight_norms": "NC2 of the rows of the last layer: spread of lengths",
    "nc2_weight_angles": "NC2 of the rows of the last layer: standard deviation of cosines",
    "nc2_weight_simplex": "NC2 of the rows of the last layer: mean distance of cosines from −1/(K − 1)",
    "nc3": "NC3, distance of last layer and centred class means, each of norm 1; from 0 (alike) to 2",
    "nc4": "NC4, share of examples whose answer is the class of the nearest mean",
    "accuracy": "share of examples whose answer is their label",
    "nearest_mean_accuracy": "share of examples whose nearest class mean is that of their label",
}

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("class", ("class",), "classes of which there are examples", "", kind="int"),
        Variable("layer", ("layer",), "layer, in firing order", "", kind="str"),
        Variable("depth", ("layer",), "depth, from 0 (first layer) to 1 (last)"),
    ),
    variables=(
        Variable("examples", (), "number of examples whose label counts", kind="int"),
        Variable("class_examples", ("class",), "number of examples of the class", kind="int"),
        Variable("width", (), "number D of features that the last layer reads", kind="int"),
        Variable("possible", (), "whether D ≥ K − 1, so that there is room for a simplex", "", kind="bool"),
        *(Variable(name, (), meaning) for name, meaning in _NUMBERS.items()),
        Variable("cosine", ("class", "other"), "cosine between centred class means"),
        Variable("alignment", ("layer",), "centred kernel alignment of the layer with the labels, unbiased"),
        Variable("alignment_examples", (), "number of examples of the alignment", kind="int"),
    ),
)


def compute(problem: Problem, params: CollapseParams, context: Context) -> Mapping[str, Any]:
    """Class means in one pass, the spread about them in another, the alignment on a sample."""
    from landscape.core.features.collapse import ClassMeans, ClassScatter, self_duality, simplex_of

    head = _head(problem)
    parts = 2 * len(problem.batches)
    means: ClassMeans | None = None
    for done, (features, labels, logits) in enumerate(_features(problem, head)):
        means = ClassMeans(logits.shape[1]) if means is None else means
        means.add(features, labels)
        context.progress(0.8 * (done + 1) / parts)
    if means is None or len(means.present) < 2:
        raise InputError("collapse compares classes; the data hold labels of fewer than two.")
    scatter = ClassScatter(means)
    for done, (features, labels, logits) in enumerate(_features(problem, head)):
        scatter.add(features, labels, logits.argmax(1))
        context.progress(0.4 + 0.8 * (done + 1) / parts)
    found, present = means.means(), means.present
    weight = cast("Tensor", problem.module.get_submodule(head).weight).detach().cpu()[present]
    corners, rows = simplex_of(found), simplex_of(weight)
    layers, alignment, count = _alignment(problem, params)
    context.progress(1.0)
    return {
        "class": present.numpy(),
        "layer": np.array(layers),
        "depth": np.linspace(0.0, 1.0, len(layers)),
        "examples": scatter.examples,
        "class_examples": means.counts[present].numpy(),
        "width": found.shape[1],
        "possible": bool(found.shape[1] >= len(present) - 1),
        "nc1": scatter.nc1,
        "nc1_trace_ratio": scatter.trace_ratio,
        "nc1_distance_variance": scatter.distance_variance,
        "nc2_norms": corners.norms,
        "nc2_angles": corners.angles,
        "nc2_simplex": corners.gap,
        "nc2_weight_norms": rows.norms,
        "nc2_weight_angles": rows.angles,
        "nc2_weight_simplex": rows.gap,
        "nc3": self_duality(weight, found),
        "nc4": scatter.agreement / scatter.examples,
        "accuracy": scatter.right / scatter.examples,
        "nearest_mean_accuracy": scatter.nearest / scatter.examples,
        "cosine": corners.cosines.numpy(),
        "alignment": alignment,
        "alignment_examples": count,
    }


def _head(problem: Problem) -> str:
    """The name of the last linear layer, of a classifier with one class index per example."""
    from landscape.core.posterior.head import find_head

    target = problem.first.target
    if problem.reading.axis is None or target.ndim != 1 or target.is_floating_point():
        raise InputError("collapse needs a classifier with one class index for each example.")
    try:
        return find_head(problem.module, lambda: problem.output(problem.first)[0])
    except InputError as error:
        raise InputError(
            f"collapse looks at what the last linear layer reads; the output of"
            f" {type(problem.module).__name__} is not that of a linear layer."
        ) from error


def _features(problem: Problem, head: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Features, labels and logits of the examples whose label counts, by batch."""
    import torch

    from landscape.core.posterior.head import read_by

    layer = problem.module.get_submodule(head)
    for batch in problem.batches:
        with torch.no_grad():
            read, (logits, labels) = read_by(layer, partial(problem.output, batch))
        features = read.detach()
        if features.ndim != 2 or logits.ndim != 2:
            raise InputError(
                f"collapse needs one vector of features for each example; the last layer reads"
                f" {tuple(features.shape)}."
            )
        counts = problem.reading.counts(labels, logits.shape[1])
        if bool(counts.any()):
            yield features[counts], labels[counts], logits[counts]


def _alignment(problem: Problem, params: CollapseParams) -> tuple[list[str], Any, int]:
    """Names of layers, the alignment of each with one-hot labels, and on how many examples."""
    import torch

    from landscape.core.features.hooks import watch_outputs
    from landscape.core.similarity.cka import gram, hsic, normalized
    from landscape.core.similarity.layer_choice import choose_layers

    names = choose_layers(problem, params.layers, params.most_layers).names
    total: Any = None
    count = 0
    for batch in _sample(problem, params):
        grams: dict[str, Tensor] = {}
        eps: dict[str, float] = {}

        receive = partial(_keep_gram, set(names), grams, eps)
        with watch_outputs(problem.module, receive), torch.no_grad():
            logits, labels = problem.output(batch)
        counts = problem.reading.counts(labels, logits.shape[1])
        if int(counts.sum()) < 4:
            continue
        onehot = torch.nn.functional.one_hot(labels[counts].long(), logits.shape[1]).double()
        stack = torch.stack([*(grams[n][counts][:, counts] for n in names), gram(onehot)])
        errors = torch.tensor([*(eps[n] for n in names), 0.0], dtype=torch.float64, device=stack.device)
        part = hsic(stack, "unbiased", errors)
        total = part if total is None else total + part
        count += int(counts.sum())
    if total is None:
        return names, np.full(len(names), np.nan), 0
    return names, normalized(total)[-1, :-1], count


def _keep_gram(
    names: set[str], grams: dict[str, Tensor], eps: dict[str, float], name: str, output: Tensor
) -> None:
    """Keep the Gram matrix of an output, and how far it is rounded."""
    from landscape.core.similarity.cka import gram, rounding

    if name in names:
        rows = output.detach().flatten(1)
        grams[name], eps[name] = gram(rows).double(), rounding(rows)


def _sample(problem: Problem, params: CollapseParams) -> Iterator[Batch]:
    """Examples in random order, where they can be mixed: of sorted data a batch holds one class."""
    import torch

    from landscape.core.data.batches import Examples, batches_joinable

    batches = problem.batches
    if not batches_joinable(batches) or problem.batchnorm == "batch":
        yield from batches
        return
    generator = torch.Generator().manual_seed(params.seed % 2**63)
    order = torch.randperm(problem.examples, generator=generator)[: params.alignment_examples]
    size = max(batch.size for batch in batches)
    examples = Examples(batches)
    for rows in torch.split(order, size):
        yield examples.take(rows)


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Alignment by depth, and the cosines between class means of each model."""
    lines: list[Any] = []
    violins: list[Any] = []
    counts, nearest = set(), []
    for index, (label, ds) in enumerate(datasets.items()):
        who = series(label, ds)
        texts = tuple(str(n) for n in ds["layer"].values)
        depth, alignment = ds["depth"].values, ds["alignment"].values
        lines += [Line(depth, alignment, who), Points(depth, alignment, who, texts=texts)]
        cosines = ds["cosine"].values
        violins.append(Violin(index, cosines[np.triu_indices(len(cosines), 1)], who))
        if index < _NAMED:
            nearest.append(f"{label}: {_nearest(ds)}")
        counts.add(len(cosines))
    guides = [Guide(y=-1.0 / (k - 1), label=f"simplex of {k}") for k in sorted(counts)]
    examples = sorted({int(ds["alignment_examples"]) for ds in datasets.values()})
    return [
        FigureSpec(
            "alignment",
            "Alignment of the layers with the labels by depth",
            Axis("depth (0 = first layer, 1 = last)", limits=(-0.02, 1.02)),
            Axis("alignment with the labels"),
            tuple(lines),
            "Centred kernel alignment (linear, unbiased) of each layer's outputs with the one-hot labels, on"
            f" {' or '.join(map(str, examples))} examples: 1 where each class is one point and all are as far"
            " apart.",
        ),
        FigureSpec(
            "cosines",
            "Angles between class means",
            Axis("model", categories=tuple(datasets)),
            Axis("cosine", limits=(-1.05, 1.05)),
            (*violins, *guides),
            "Cosines between all pairs of class means of the features that the last layer reads, the mean of"
            " these means taken off. Collapsed features have them all at −1/(K − 1) (Papyan et al. 2020)."
            f" Nearest to each other are {'; '.join(nearest)}.",
        ),
    ]


def _nearest(ds: xr.Dataset) -> str:
    """The two classes whose means have the largest cosine, and that cosine."""
    cosines = np.array(ds["cosine"].values, dtype=float)
    names = class_names(ds, ds["class"].values)
    np.fill_diagonal(cosines, -np.inf)
    a, b = np.unravel_index(np.argmax(np.nan_to_num(cosines, nan=-np.inf)), cosines.shape)
    return f"{names[min(a, b)]} and {names[max(a, b)]} ({cosines[a, b]:.2f})"


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The four conditions."""
    few = int(ds["class_examples"].min())
    warning = f"; a class has only {few} examples, which is too few" if few < FEW else ""
    room = "" if bool(ds["possible"]) else "; K − 1 classes have no room for a simplex in so few features"
    return [
        Metric("NC1", float(ds["nc1"]), meaning=f"{_NUMBERS['nc1']}{warning}"),
        Metric("NC2", float(ds["nc2_simplex"]), meaning=f"{_NUMBERS['nc2_simplex']}{room}"),
        Metric("NC3", float(ds["nc3"]), meaning=_NUMBERS["nc3"]),
        Metric("NC4", float(ds["nc4"]), meaning=_NUMBERS["nc4"]),
        Metric(
            "alignment of the last layer",
            float(ds["alignment"].values[-1]),
            meaning="centred kernel alignment of the last layer with the labels",
        ),
    ]


collapse = Analysis(
    name="collapse",
    title="Neural collapse",
    description=(
        "How near the features that the last linear layer reads are to one point for each class (NC1, in"
        " three forms that are in use), these points to a simplex (NC2), the last layer to the points (NC3),"
        " and its answers to the nearest point (NC4), after Papyan, Han & Donoho (2020); and the alignment of"
        " each layer with the labels by depth. Each class counts alike. With few examples per class the means"
        " are little more than noise, and NC1 is too small; K classes need K − 1 features."
    ),
    scope="checkpoint",
    params=CollapseParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=6.0),
)
