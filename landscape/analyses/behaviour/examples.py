"""``examples``: which examples are hard, for whom, and whether models err on the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.class_names import class_names
from landscape.analyses._shared.matrix_figure import matrix
from landscape.analyses.behaviour._answers import ANSWERS, MEANS, check_same_answers, record
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, Bars, ColorAxis, FigureSpec, Heatmap, Points, Series
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.behaviour.calibration import Predictions
    from landscape.core.problem.problem import Problem

PAIR = ("model", "other")


class ExamplesParams(Params):
    """Options of ``examples``."""

    training: bool = Field(
        False,
        description="whether the models, in the order given, are checkpoints of one run, so that it is"
        " counted when each example is learnt and how often it is forgotten",
    )
    pictures: int = Field(
        12, ge=0, le=64, description="how many images to keep, those on which groups (or models) differ most"
    )


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("model", ("model",), "model", "", kind="str"),
        Variable("other", ("other",), "other model of a pair", "", kind="str"),
        Variable("example", ("example",), "number of the example in the data", "", kind="int"),
        Variable("set", ("set",), "group of models", "", kind="str"),
    ),
    variables=(
        Variable("label", ("example",), "true class; of several answers that of the first", "", kind="int"),
        Variable("right", ("model", "example"), "share of the example's answers that are right"),
        Variable("true_probability", ("model", "example"), "mean probability of what is true"),
        Variable("confidence", ("example",), "true_probability, mean over models"),
        Variable("variability", ("example",), "true_probability, standard deviation over models"),
        Variable("correctness", ("example",), "share of models that are right"),
        Variable("model_set", ("model",), "group of each model", "", kind="str"),
        Variable("set_correctness", ("set", "example"), "share of a group's models that are right"),
        Variable("set_probability", ("set", "example"), "true_probability, mean over a group's models"),
        Variable("observed_consistency", PAIR, "share of examples both right or both wrong"),
        Variable("expected_consistency", PAIR, "observed_consistency of independent errors"),
        Variable("error_consistency", PAIR, "Cohen's κ of being right: 1 same errors, 0 as by chance"),
        Variable("error_consistency_se", PAIR, "standard error of error_consistency over examples"),
        Variable(
            "learnt",
            ("example",),
            "first model in order from which on the example stays right; NaN if never",
            "checkpoint",
            optional=True,
        ),
        Variable(
            "forgotten", ("example",), "times right and then wrong at the next model", "1", optional=True
        ),
        Variable("pictured", ("shown",), "number of the example of a picture", "", "int", optional=True),
        Variable(
            "picture",
            ("shown", "row", "column"),
            "image, mean over channels, its own range brought to 0 to 1",
            "",
            optional=True,
        ),
        *ANSWERS,
    ),
)


def compute(problems: Mapping[str, Problem], params: ExamplesParams, context: Context) -> Mapping[str, Any]:
    """Predict once with each model; everything comes from the predictions."""
    from landscape.core.behaviour.across_models import learning, true_probability
    from landscape.core.behaviour.calibration import predict

    if params.training and len(problems) < 3:
        raise InputError(
            f"training = true counts over the checkpoints of a run; {len(problems)} are too few."
        )
    made: list[Predictions] = []
    for problem in problems.values():
        made.append(predict(problem))
        check_same_answers("examples", made[0], made[-1])
        context.progress(len(made) / (len(problems) + 1))
    first = made[0]
    right = np.stack([m.by_example(m.correct) for m in made])
    sure = np.stack([m.by_example(true_probability(m.log_p, m.labels, m.truth)) for m in made])
    names = list(problems)
    groups = [str(context.groups.get(name, "")) for name in names]
    sets = list(dict.fromkeys(groups))
    members = [[i for i, group in enumerate(groups) if group == one] for one in sets]
    by_set = {
        "set_correctness": np.stack([right[of].mean(0) for of in members]),
        "set_probability": np.stack([sure[of].mean(0) for of in members]),
    }
    numbers = np.arange(first.count) if first.numbers is None else first.numbers
    data: dict[str, Any] = {
        "model": np.array(names),
        "other": np.array(names),
        "example": numbers,
        "set": np.array(sets),
        "label": first.labels[np.unique(first.clusters, return_index=True)[1]],
        "right": right,
        "true_probability": sure,
        "confidence": sure.mean(0),
        "variability": sure.std(0),
        "correctness": right.mean(0),
        "model_set": np.array(groups),
        **by_set,
        **_pairs(made),
        **record(first),
    }
    if params.training:
        data |= learning(right)._asdict()
    spread = np.ptp(by_set["set_probability"] if len(sets) > 1 else sure, axis=0)
    most = np.argsort(-np.nan_to_num(spread, nan=-1.0), kind="stable")[: params.pictures]
    pictures = _pictures(next(iter(problems.values())), numbers[most])
    if pictures is not None:
        data |= {"pictured": numbers[most], "picture": pictures}
    context.progress(1.0)
    return data


def _pairs(made: Sequence[Predictions]) -> dict[str, Any]:
    """Error consistency of each two models."""
    from landscape.core.behaviour.across_models import error_consistency
    from landscape.core.stats.intervals import answered_error

    names = ("observed_consistency", "expected_consistency", "error_consistency", "error_consistency_se")
    data = {name: np.full((len(made), len(made)), np.nan) for name in names}
    for i, a in enumerate(made):
        for j, b in enumerate(made):
            found = error_consistency(a.correct, b.correct)
            error = a.error(found.influence)
            # a model errs as itself, whatever the examples
            error = error if i == j else answered_error(error, a.count)
            values = (found.observed, found.expected, found.kappa, error)
            for name, value in zip(names, values, strict=True):
                data[name][i, j] = value
    return data


def _pictures(problem: Problem, numbers: Any) -> Any:
    """Images of these examples (n, rows, columns); ``None`` if inputs are no images, or there are none."""
    images = {}
    wanted, start = set(numbers.tolist()), 0
    for batch in problem.batches:
        inputs = batch.inputs
        if getattr(inputs, "ndim", 0) != 4 or not inputs.is_floating_point() or inputs.shape[1] > 4:
            return None
        for number in wanted & set(range(start, start + batch.size)):
            images[number] = inputs[number - start].double().mean(0).cpu().numpy()
        start += batch.size
    if not images or len({image.shape for image in images.values()}) > 1:
        return None
    stack = np.stack([images[number] for number in numbers.tolist()])
    low, high = stack.min((1, 2), keepdims=True), stack.max((1, 2), keepdims=True)
    return (stack - low) / np.where(high > low, high - low, 1.0)


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Data map, images on which groups differ, error consistency; over a run what was forgotten."""
    figures: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        figures.append(_data_map(index, label, ds))
        figures += [_images(index, label, ds)] if "picture" in ds else []
        names = [str(m) for m in ds["model"].values]
        caption = (
            "Cohen's κ of being right on the same examples: 1 the same errors, 0 as independent errors of"
            f" these accuracies would have it (Geirhos et al. 2020). {ds.sizes['example']} examples."
        )
        color = ColorAxis("error consistency κ", limits=(-1.0, 1.0), kind="diverging")
        kappa, axes = ds["error_consistency"].values, ("model", names)
        title = f"Error consistency: {label}"
        figures.append(matrix(f"error_consistency_{index}", title, axes, axes, kappa, color, caption))
        figures += [_forgetting(index, label, ds)] if "forgotten" in ds else []
    return figures


KINDS = (
    ("right by every model", "circle", 1),
    ("right by some", "triangle", 0),
    ("right by none", "cross", -1),
)
"""Kinds of examples, the points they are drawn as, and what sets them apart in `_data_map`."""


def _data_map(index: int, label: str, ds: xr.Dataset) -> FigureSpec:
    """Swayamdipta's map: spread against mean of the probability of what is true."""
    x, y, share = (ds[name].values for name in ("variability", "confidence", "correctness"))
    marks = []
    named = class_names(ds, ds["label"].values)
    side = np.where(share == 1.0, 1, np.where(share == 0.0, -1, 0))
    side[np.isnan(share)] = 2  # unknown: drawn with none
    for name, symbol, kind in KINDS:
        there = np.flatnonzero(side == kind)
        texts = tuple(f"example {ds['example'].values[i]}, {named[i]}" for i in there)
        if len(there):
            marks.append(Points(x[there], y[there], Series(model=name), None, texts, (symbol,) * len(there)))
    over = "checkpoints" if "forgotten" in ds else "models"
    return FigureSpec(
        f"data_map_{index}",
        f"Data map: {label}",
        Axis(f"standard deviation over {over}", limits=(-0.01, 0.51)),
        Axis("mean probability of the true class", limits=(-0.02, 1.02)),
        tuple(marks),
        f"Each point an example, over {ds.sizes['model']} {over} (Swayamdipta et al. 2020): easy at the top,"
        " hard at the bottom, on the right those that they differ on.",
    )


def _images(index: int, label: str, ds: xr.Dataset) -> FigureSpec:
    """The kept images side by side, each with its number, and who gives what to its true class."""
    pictures, numbers = ds["picture"].values, ds["pictured"].values
    across = min(6, len(pictures))
    down = -(-len(pictures) // across)
    height, width = pictures.shape[1] + 1, pictures.shape[2] + 1
    sheet = np.full((down * height - 1, across * width - 1), np.nan)
    for i, picture in enumerate(pictures):
        row, column = (i // across) * height, (i % across) * width
        # drawn from the bottom up
        sheet[sheet.shape[0] - row - height + 1 : sheet.shape[0] - row, column : column + width - 1] = (
            picture[::-1]
        )
    sets = [str(s) for s in ds["set"].values]
    several = len(sets) > 1
    who = sets if several else [str(m) for m in ds["model"].values]
    values = ds["set_probability" if several else "true_probability"].values
    place = {int(n): i for i, n in enumerate(ds["example"].values)}
    named = class_names(ds, ds["label"].values)
    words = []
    for number in numbers.tolist():
        of = values[:, place[number]]
        best, least = int(np.nanargmax(of)), int(np.nanargmin(of))
        words.append(
            f"{number} ({named[place[number]]}: {who[best]} {of[best]:.2f}, {who[least]} {of[least]:.2f})"
        )
    x = Axis("pixel column", limits=(-0.5, sheet.shape[1] - 0.5))
    y = Axis("pixel row", limits=(-0.5, sheet.shape[0] - 0.5))
    color = ColorAxis("brightness", "range of each image", limits=(0.0, 1.0))
    return FigureSpec(
        f"images_{index}",
        f"Images on which {'groups' if several else 'models'} differ most: {label}",
        x,
        y,
        (Heatmap(np.arange(sheet.shape[1]), np.arange(sheet.shape[0]), sheet, color),),
        "From the left, top row first, by number in the data, with the highest and the lowest probability of"
        f" the true class: {'; '.join(words)}.",
        equal=True,
    )


def _forgetting(index: int, label: str, ds: xr.Dataset) -> FigureSpec:
    """How many examples were forgotten how often."""
    times = ds["forgotten"].values
    times = times[np.isfinite(times)]
    counts = np.bincount(np.round(times).astype(int))
    never = int(np.isnan(ds["learnt"].values).sum())
    marks: list[Any] = [Bars(np.arange(len(counts)), counts, Series(label="examples"))]
    return FigureSpec(
        f"forgotten_{index}",
        f"Examples forgotten: {label}",
        Axis(
            "times forgotten",
            categories=tuple(map(str, range(len(counts)))),
            limits=(-0.5, len(counts) - 0.5),
        ),
        Axis("examples"),
        tuple(marks),
        f"Right at one of {ds.sizes['model']} checkpoints and wrong at the next (Toneva et al. 2019);"
        f" {never} of {ds.sizes['example']} examples are not right at the end.",
    )


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How hard examples are, and how alike errors are."""
    pairs = ~np.eye(ds.sizes["model"], dtype=bool)
    kappa = ds["error_consistency"].values[pairs]
    share = ds["correctness"].values
    found = [
        Metric(
            "error consistency",
            float(kappa.mean()) if kappa.size else float("nan"),
            "1",
            "Cohen's κ of being right on the same examples, mean over pairs",
            finding=True,
        ),
        Metric(
            "right by all", _share(share == 1.0, share), "1", "share of examples that all models have right"
        ),
        Metric(
            "right by none", _share(share == 0.0, share), "1", "share of examples that no model has right"
        ),
        Metric("variability", float(ds["variability"].mean()), "1", "mean over examples"),
    ]
    if "forgotten" in ds:
        often = ds["forgotten"].values
        found.append(Metric("forgotten", _share(often > 0, often), "1", "share of examples ever forgotten"))
    return found


def _share(which: Any, values: Any) -> float:
    """Share of examples; NaN if any of them is unknown."""
    return float("nan") if np.isnan(values).any() else float(which.mean())


examples = Analysis(
    name="examples",
    title="Hard examples",
    description=(
        "Of each example the probability of what is true, its mean and its standard deviation over models:"
        " the data map of Swayamdipta et al. (2020). Of each two models whether they err on the same ones: κ,"
        " the share that both have right or both wrong over what independent errors of their accuracies would"
        " give (Geirhos et al. 2020), which unlike raw agreement does not rise with accuracy. The images on"
        " which groups differ most, by the spread of the groups' means, are kept. Over the checkpoints of one"
        " run, in order (training = true): from which on an example stays right, and how often it was"
        " forgotten (Toneva et al. 2019, of checkpoints in place of steps). " + MEANS
    ),
    scope="group",
    params=ExamplesParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0),
)
