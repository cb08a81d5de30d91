"""``corruptions``: accuracy and calibration on damaged images, by kind and severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.half_width import half_width
from landscape.analyses._shared.options import PixelMean, PixelStd
from landscape.analyses.behaviour._answers import ANSWERS, MEANS, counted, nats, record, share_interval
from landscape.analyses.behaviour._options import CorruptionName
from landscape.base.analysis import NEW_OPTION, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

SEVERITIES = (0, 1, 2, 3, 4, 5)
NATS = "nats/example"


class CorruptionsParams(Params):
    """Options of ``corruptions``."""

    kinds: tuple[CorruptionName, ...] = Field(
        (
            "rotation",
            "translation",
            "gaussian_noise",
            "shot_noise",
            "impulse_noise",
            "gaussian_blur",
            "contrast",
            "brightness",
            "pixelate",
        ),
        min_length=1,
        description="kinds of corruption",
    )
    benchmark: Annotated[Literal["imagenet-c", "cifar-c"], NEW_OPTION] = Field(
        "imagenet-c",
        description="whose amounts: those of photographs, or those of images of 32 pixels, weaker for noise,"
        " blur, contrast, brightness and pixelate",
    )
    bins: int = Field(15, ge=2, le=200, description="confidence bins of the calibration error")
    mean: PixelMean = ()
    std: PixelStd = ()
    seed: int = Field(0, ge=0, description="seed of noise and of directions")


EARLY, LEFT = 2, 0.5  # a severity at which a dial made for the images leaves this share of the right answers

DIMS = ("corruption", "severity")
SCORES = (
    ("accuracy", "share of right answers", "1"),
    ("nll", "mean negative log-likelihood", NATS),
    ("brier", "mean Brier score, summed over classes", "1"),
)

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("corruption", ("corruption",), "kind of corruption", "", kind="str"),
        Variable("severity", ("severity",), "severity; 0 = the images as they are", "", kind="int"),
        Variable("channel", ("channel",), "channel of the image", "", kind="int"),
        Variable("amount_unit", ("corruption",), "what the amount is counted in", "", kind="str"),
    ),
    variables=(
        *(
            variable
            for name, meaning, unit in SCORES
            for variable in (
                Variable(name, DIMS, meaning, unit),
                Variable(f"{name}_se", DIMS, f"standard error of {name} over examples", unit),
                Variable(f"{name}_change", DIMS, f"change of {name} from the clean images", unit),
                Variable(f"{name}_change_se", DIMS, f"standard error of {name}_change, paired", unit),
                Variable(f"mean_{name}", ("severity",), f"{name} averaged over the corruptions", unit),
            )
        ),
        Variable("ece", DIMS, "expected calibration error, equal-width bins"),
        Variable("mean_ece", ("severity",), "expected calibration error averaged over the corruptions"),
        Variable("amount", DIMS, "amount of corruption, in amount_unit; NaN at severity 0", ""),
        Variable("pixel_mean", ("channel",), "mean of the normalisation that was undone", "pixel range"),
        Variable("pixel_std", ("channel",), "scale of the normalisation that was undone", "pixel range"),
        Variable("examples", (), "number of examples", kind="int"),
        *ANSWERS,
    ),
)


def compute(problem: Problem, params: CorruptionsParams, context: Context) -> Mapping[str, Any]:
    """Predict on the clean images, then on each kind at each severity."""
    from landscape.core.behaviour.calibration import calibration_error, predict
    from landscape.core.behaviour.corruptions import CORRUPTIONS, corrupt
    from landscape.core.behaviour.perturbations import (
        PixelScale,
        changed_batches,
        image_shape,
        paired_answers,
    )

    channels = image_shape(problem)[0]
    scale = PixelScale.of(problem, params.mean, params.std)
    damage = partial(corrupt, benchmark=params.benchmark)
    shape = (len(params.kinds), len(SEVERITIES))
    parts = ("", "_se", "_change", "_change_se")
    data = {f"{name}{part}": np.full(shape, np.nan) for name, *_ in SCORES for part in parts}
    data |= {"ece": np.full(shape, np.nan), "amount": np.full(shape, np.nan)}
    clean = predict(problem)
    values = {"accuracy": "correct", "nll": "nll", "brier": "brier"}
    before = {name: getattr(clean, value) for name, value in values.items()}
    for row, kind in enumerate(params.kinds):
        for column, severity in enumerate(SEVERITIES):
            made = clean
            if severity:
                change = damage(kind, severity, params.seed)
                # once more for labels of pixels: each draws the same numbers from its start
                labels = damage(kind, severity, params.seed) if CORRUPTIONS[kind].moves else None
                made = predict(problem, changed_batches(problem, scale, change, labels))
                data["amount"][row, column] = CORRUPTIONS[kind].amounts_of(params.benchmark)[severity - 1]
            for name, value in values.items():
                now = before[name] if made is clean else getattr(made, value)
                scores = paired_answers(clean, before[name], made, now, answers=name == "accuracy")
                for part, score in zip(parts, scores, strict=True):
                    data[f"{name}{part}"][row, column] = score
            data["ece"][row, column] = calibration_error(made, params.bins)
            context.progress((row * shape[1] + column + 1) / (shape[0] * shape[1]))
    return {
        "corruption": np.array(params.kinds),
        "severity": np.array(SEVERITIES),
        "channel": np.arange(channels),
        "amount_unit": np.array([CORRUPTIONS[kind].unit for kind in params.kinds]),
        **data,
        **{f"mean_{name}": data[name].mean(0) for name in ("accuracy", "nll", "brier", "ece")},
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
        "examples": problem.examples,
        **record(clean),
    }


def _axes(unit: str) -> tuple[tuple[str, str, Axis], ...]:
    return (
        ("accuracy", "Accuracy", Axis("share of right answers", limits=(-0.02, 1.02))),
        ("nll", "Negative log-likelihood", Axis("NLL", unit)),
        ("ece", "Expected calibration error", Axis("expected calibration error")),
        ("brier", "Brier score", Axis("Brier score")),
    )


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Each score by severity, averaged over kinds; accuracy by kind; a map for each model."""
    first = next(iter(datasets.values()))
    severity = Axis("severity (0 = clean)", limits=(-0.1, 5.1))
    examples = counted(first, int(first["examples"]))
    kinds = {str(k) for ds in datasets.values() for k in ds["corruption"].values}
    strong = _strong(_order(kinds, first), datasets)
    figures = [
        FigureSpec(
            f"mean_{name}",
            f"{title} by severity, mean over corruptions",
            severity,
            axis,
            tuple(
                Line(ds["severity"].values, ds[f"mean_{name}"].values, series(label, ds), markers=True)
                for label, ds in datasets.items()
            ),
            f"{title} averaged over {', '.join(_order(kinds, first))}; amounts of {_benchmarks(datasets)};"
            f" {examples}.{strong}",
        )
        for name, title, axis in _axes(nats(datasets))
    ]
    for kind in _order(kinds, first):
        marks: list[Line] = []
        amounts: dict[str, None] = {}  # each way of saying them once, in order
        for label, ds in datasets.items():
            if kind not in ds["corruption"].values:
                continue
            part = ds.sel(corruption=kind)
            y = part["accuracy"].values
            low, high = share_interval(ds, y, part["accuracy_se"].values, int(ds["examples"]))
            marks.append(Line(part["severity"].values, y, series(label, ds), low, high, markers=True))
            steps = ", ".join(f"{a:g}" for a in part["amount"].values[1:])
            amounts[f"{steps} ({part['amount_unit'].item()})"] = None
        figures.append(
            FigureSpec(
                f"accuracy_{kind}",
                f"Accuracy under {kind.replace('_', ' ')}",
                severity,
                Axis("share of right answers", limits=(-0.02, 1.02)),
                tuple(marks),
                f"Amounts at severities 1 to 5: {' or '.join(amounts)}. {examples}."
                f"{_strong([kind], datasets)}",
                Interval("over examples", "by Wilson (1927)"),
            )
        )
    color = ColorAxis("share of right answers", limits=(0.0, 1.0))
    figures += [
        FigureSpec(
            f"map_{index}",
            f"Accuracy by corruption and severity: {label}",
            Axis(severity.label),
            Axis("corruption", categories=tuple(str(k) for k in ds["corruption"].values)),
            (
                Heatmap(
                    ds["severity"].values,
                    np.arange(ds.sizes["corruption"]),
                    ds["accuracy"].values,
                    color,
                    series=series(label, ds),
                ),
            ),
            f"Share of right answers on {examples}; severity 0 is the images as they are.",
        )
        for index, (label, ds) in enumerate(datasets.items())
    ]
    return figures


def _strong(kinds: Sequence[str], datasets: Mapping[str, xr.Dataset]) -> str:
    """Which kinds are so strong for these images that beyond `EARLY` there is little left to compare."""
    found = []
    for kind in kinds:
        parts = [ds.sel(corruption=kind)["accuracy"] for ds in datasets.values() if kind in ds["corruption"]]
        left = [float(part.sel(severity=EARLY) / part.sel(severity=0)) for part in parts]
        if np.median(left) < LEFT:
            found.append(kind.replace("_", " "))
    if not found:
        return ""
    return (
        f" Strong for these images, more than half of whose right answers are gone by severity {EARLY}:"
        f" {', '.join(found)}. The amounts are those of {_benchmarks(datasets)}; compare models below that"
        " severity."
    )


def _benchmarks(datasets: Mapping[str, xr.Dataset]) -> str:
    """Whose amounts results have."""
    names = {"imagenet-c": "photographs (ImageNet-C)", "cifar-c": "images of 32 pixels (CIFAR-C)"}
    options = (CorruptionsParams.model_validate_json(ds.attrs["parameters"]) for ds in datasets.values())
    return " or ".join(names[name] for name in sorted({given.benchmark for given in options}))


def _order(kinds: set[str], first: xr.Dataset) -> list[str]:
    """Kinds in the order of the first dataset, others after."""
    known = [str(k) for k in first["corruption"].values]
    return known + sorted(kinds - set(known))


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Clean accuracy, mean accuracy over all corruptions, and the worst kind."""
    damaged = ds["accuracy"].values[:, 1:]
    worst = int(damaged.mean(1).argmin())
    return [
        Metric(
            "clean accuracy",
            float(ds["mean_accuracy"][0]),
            "1",
            "share of right answers, clean images",
            error=half_width(ds, "accuracy", at=(0, 0)),
        ),
        Metric(
            "corrupted accuracy",
            float(damaged.mean()),
            "1",
            "share of right answers, mean over corruptions and severities 1 to 5",
            finding=True,
        ),
        Metric(
            "corrupted ECE",
            float(ds["ece"].values[:, 1:].mean()),
            "1",
            "expected calibration error, mean over corruptions and severities 1 to 5",
        ),
        Metric("worst", str(ds["corruption"].values[worst]), "1", "corruption of the lowest accuracy"),
    ]


corruptions = Analysis(
    name="corruptions",
    title="Robustness to common corruptions",
    description=(
        "Accuracy, negative log-likelihood, Brier score and expected calibration error on images that are"
        " rotated, moved, noisy, blurred, pale, bright or coarse, at five severities (after Hendrycks &"
        " Dietterich 2019; lengths as fractions of the image, for images of any size). Amounts are those of"
        " photographs, ImageNet-C, or of images of 32 pixels, CIFAR-C (option benchmark): on digits, mostly"
        " black, brightness and contrast leave little of the accuracy from severity 2 on, and captions say"
        " where. Rotation and translation, which neither has, have amounts of their own. Pixels from 0 to 1"
        " are damaged and cut to that range: the normalisation is undone before and redone after; without a"
        " given normalisation the data's own range counts as 0 to 1. Severities share their random numbers;"
        " changes are paired by example. " + MEANS + " Labels of pixels move with the pixels."
    ),
    scope="checkpoint",
    takes="predictive",
    params=CorruptionsParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0 + 5.0 * len(params.kinds)),
)
