"""``robustness``: accuracy against the size of perturbations made to change the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.options import PixelMean, PixelStd
from landscape.analyses.inputs._parts import (
    by_part,
    empirical_distribution,
    images_in,
    median_interval,
    reader_of,
)
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Line, series
from landscape.base.interval import Interval
from landscape.base.schema import Schema, Variable
from landscape.core.stats.hypothesis import wilson
from landscape.core.stats.intervals import answer_error, reach, share_error, standard_error

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.inputs.images import Images
    from landscape.core.problem.problem import Problem

Array = NDArray[np.float64]
AttackName = Literal["fgsm", "pgd", "random"]
RADII = {"linf": tuple(n / 255 for n in (1, 2, 4, 8, 16, 32, 64)), "l2": (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)}
PIXELS = "pixel range"
NAMES = {"linf": "ℓ∞", "l2": "ℓ2"}
BINS = 12


class RobustnessParams(Params):
    """Options of ``robustness``."""

    norm: Literal["linf", "l2"] = Field("linf", description="in which perturbations are small")
    radii: tuple[float, ...] = Field(
        (),
        description="norms of the perturbations, pixels from 0 to 1; none = 1, 2, 4 ... 64 of 255 for linf,"
        " 0.05, 0.1 ... 1.6 for l2",
    )
    attacks: tuple[AttackName, ...] = Field(
        ("fgsm", "pgd", "random"), min_length=1, description="attacks; random is the control"
    )
    steps: int = Field(20, ge=1, description="steps of pgd")
    restarts: int = Field(1, ge=1, description="starts of pgd: the image, then random ones")
    objective: Literal["cross_entropy", "margin"] = Field(
        "margin", description="what pgd makes large: the loss, or another logit minus that of the label"
    )
    targets: int = Field(3, ge=1, description="with margin, how many of the nearest classes pgd tries")
    distance: bool = Field(
        True, description="whether to look for the least perturbation, by DeepFool and on the way to pgd's"
    )
    images: int = Field(256, ge=2, description="at most so many images, a random sample")
    mean: PixelMean = ()
    std: PixelStd = ()
    seed: int = Field(0, ge=0, description="seed of random starts and directions")

    @model_validator(mode="after")
    def _sizes(self) -> RobustnessParams:
        if any(not radius >= 0 for radius in self.radii):
            raise ValueError(f"radii are not negative; got {min(self.radii)}")
        if len(set(self.attacks)) < len(self.attacks):
            raise ValueError("each attack is named once")
        return self


CURVE = ("attack", "radius")
SCHEMA = Schema(
    version=1,
    coords=(
        Variable("attack", ("attack",), "attack", "", kind="str"),
        Variable("radius", ("radius",), "norm that a perturbation has at most", PIXELS),
        Variable("image", ("image",), "number of the image in the data", "", kind="int"),
        Variable("frequency", ("frequency",), "mean radial frequency of the modes of a bin", "cycles/pixel"),
        Variable("channel", ("channel",), "channel of the image", "", kind="int"),
    ),
    variables=(
        Variable("accuracy", CURVE, "share of right answers under an attack"),
        Variable("accuracy_se", CURVE, "standard error of accuracy over images"),
        Variable("worst", ("radius",), "share of images whose answer no attack changed: an upper bound"),
        Variable("worst_se", ("radius",), "standard error of worst over images"),
        Variable("gap", ("radius",), "accuracy under fgsm minus that under pgd; NaN without both"),
        Variable("gap_se", ("radius",), "standard error of gap, paired by image"),
        Variable(
            "distance",
            ("image",),
            "norm of the least perturbation found that changes the answer: an upper"
            " bound; 0 where it is wrong, infinite where none was found",
            PIXELS,
            unbounded=True,
        ),
        Variable("median_distance", (), "median of distance over images", PIXELS, unbounded=True),
        Variable("median_distance_low", (), "lower end of its 95 % interval", PIXELS, unbounded=True),
        Variable("median_distance_high", (), "upper end of its 95 % interval", PIXELS, unbounded=True),
        Variable(
            "perturbation_power",
            ("frequency",),
            "power per mode of pgd's perturbations, mean over images; 1 = white noise of the same energy",
        ),
        Variable("perturbation_power_se", ("frequency",), "standard error of perturbation_power over images"),
        Variable("modes", ("frequency",), "Fourier modes in the bin", kind="int"),
        Variable("flat_share", (), "share of images at which the gradient of the loss is zero"),
        Variable("notice", (), "signs of gradient masking; empty if there are none", "", kind="str"),
        Variable("pixel_mean", ("channel",), "mean of the normalisation that was undone", PIXELS),
        Variable("pixel_std", ("channel",), "scale of the normalisation that was undone", PIXELS),
    ),
)


def compute(problem: Problem, params: RobustnessParams, context: Context) -> Mapping[str, Any]:
    """Attack the images part by part, then put the parts together."""
    from landscape.core.inputs.images import image_parts
    from landscape.core.inputs.robustness import Threat, attack_images, perturbation_power

    scale, parts = image_parts(problem, params.mean, params.std, params.images, reader_of(problem))
    radii = tuple(sorted({0.0, *(params.radii or RADII[params.norm])}))
    threat = Threat(
        params.norm,
        radii,
        params.steps,
        params.restarts,
        params.objective,
        _targets(params, parts[0]),
        params.distance,
        params.seed,
    )

    def measure(images: Images, report: Callable[[float], None]) -> Mapping[str, Array]:
        return attack_images(images, threat, params.attacks, report)

    found = by_part(parts, context, measure, {"right": 2, "distance": 0, "perturbation": 0, "flat": 0})
    right = found["right"]
    # What a smaller perturbation changes, a larger ball holds too.
    unchanged = np.minimum.accumulate(right.min(0), axis=0)
    if params.distance:
        unchanged = unchanged * (found["distance"] > np.array(radii)[:, None])
    power, frequency, modes = perturbation_power(found["perturbation"], BINS)
    median, low, high = median_interval(found["distance"])
    gap = np.full((len(radii), right.shape[2]), np.nan)
    if {"fgsm", "pgd"} <= set(params.attacks):
        gap = right[params.attacks.index("fgsm")] - right[params.attacks.index("pgd")]
    channels = len(scale.mean)
    return {
        "attack": np.array(params.attacks),
        "radius": np.array(radii),
        "image": found["image"],
        "frequency": frequency,
        "channel": np.arange(channels),
        **_mean("accuracy", right),
        **_mean("worst", unchanged),
        **_gap(gap, np.array(radii)),
        "distance": found["distance"],
        "median_distance": median,
        "median_distance_low": low,
        "median_distance_high": high,
        **_power(power),
        "modes": modes.astype(np.int64),
        "flat_share": float(found["flat"].mean()),
        "notice": _masking(params.attacks, right, float(found["flat"].mean())),
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
    }


def _targets(params: RobustnessParams, images: Images) -> int:
    """No more classes than there are others."""
    import torch

    with torch.no_grad():
        classes = images.take(torch.tensor([0]))(images.pixels[:1]).shape[1]
    return min(params.targets, classes - 1)


def _gap(gap: Array, radii: Array) -> dict[str, Array]:
    """Mean difference of answers over images; at a radius of 0 it is 0 and has no error."""
    error = np.where(radii > 0, share_error(gap), 0.0)
    return {"gap": gap.mean(-1), "gap_se": np.where(np.isnan(gap).any(-1), np.nan, error)}


def _mean(name: str, values: Array) -> dict[str, Array]:
    """Share of right answers over images, the last axis, and its standard error."""
    return {
        name: values.mean(-1),
        f"{name}_se": answer_error(values),
    }


def _power(power: Array) -> dict[str, Array]:
    """Mean over the images that have a perturbation."""
    known = power[~np.isnan(power).all(1)]
    if not len(known):
        empty = np.full(power.shape[1], np.nan)
        return {"perturbation_power": empty, "perturbation_power_se": empty}
    return {"perturbation_power": known.mean(0), "perturbation_power_se": standard_error(known, 0)}


FLAT = 0.05
"""Share of zero gradients that is worth a warning."""


def _masking(attacks: Sequence[str], right: Array, flat: float) -> str:
    """Signs that attacks by gradients fail and the accuracy under them means little (Athalye et al. 2018)."""
    rows = {name: right[index] for index, name in enumerate(attacks)}
    signs = []
    if "fgsm" in rows and "pgd" in rows and (rows["pgd"].mean(1) > rows["fgsm"].mean(1)).any():
        signs.append("one step changes more answers than many do")
    if "fgsm" in rows and _surely((rows["fgsm"][1:] - rows["fgsm"][:-1])[1:]):
        signs.append("the accuracy under fgsm rises with the radius")
    if "fgsm" in rows and "random" in rows and _surely(rows["fgsm"] - rows["random"]):
        signs.append("random perturbations change more answers than fgsm")
    if flat > FLAT:
        signs.append(f"the gradient of the loss is zero at {flat:.0%} of the images")
    if not signs:
        return ""
    return "; ".join(signs) + ": gradients may be masked, and true robustness lower than these numbers say"


def _surely(differences: Array) -> bool:
    """Whether the mean of any row (images along it) is above 0 by more than its error, at 95 %."""
    if not differences.size:
        return False
    mean = differences.mean(1)
    return bool((mean > reach(differences.shape[1]) * standard_error(differences)).any())


DASHES: dict[str, Literal["solid", "dash", "dot"]] = {"pgd": "solid", "fgsm": "dash", "random": "dot"}
WORDS = {"pgd": "many steps (pgd)", "fgsm": "one step (fgsm)", "random": "random directions"}


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Accuracy over the radius, by attack; distances; the gap of one step; frequencies of perturbations."""
    radius = _radius_axis(datasets)
    share = Axis("share of right answers", limits=(-0.02, 1.02))
    marks: dict[str, list[Any]] = {name: [] for name in ("worst", "attacks", "distance", "gap", "power")}
    marks["gap"].append(Guide(y=0.0))
    marks["power"].append(Guide(y=1.0, label="white noise"))
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["radius"].values
        count = np.full(x.shape, float(ds.sizes["image"]))
        worst = ds["worst"].values
        marks["worst"].append(Line(x, worst, who, *wilson(worst, count), markers=True))
        for attack in (str(a) for a in ds["attack"].values):
            y = ds["accuracy"].sel(attack=attack).values
            marks["attacks"].append(Line(x, y, who, style=DASHES[attack], markers=True))
        if np.isfinite(ds["distance"].values).any():
            marks["distance"].append(Line(*empirical_distribution(ds["distance"].values), who))
        gap, se = ds["gap"].values, ds["gap_se"].values
        if np.isfinite(gap).any():
            half = reach(ds.sizes["image"]) * se
            marks["gap"].append(Line(x, gap, who, gap - half, gap + half, markers=True))
        power, se = ds["perturbation_power"].values, ds["perturbation_power_se"].values
        if np.isfinite(power).any():
            known = np.isfinite(power)
            x, y, half = ds["frequency"].values[known], power[known], reach(ds.sizes["image"]) * se[known]
            marks["power"].append(Line(x, y, who, y - half, y + half, markers=True))
    made = {str(attack) for ds in datasets.values() for attack in ds["attack"].values}
    images, counts = f"{images_in(datasets)} images.", [ds.sizes["image"] for ds in datasets.values()]
    bound = "Attacks give upper bounds: what they do not change, others may."
    figures = [
        FigureSpec(
            "worst",
            "Accuracy under the strongest attack found",
            radius,
            share,
            tuple(marks["worst"]),
            f"Share of images whose answer is right and no attack of the norm at most that changes."
            f" {bound} {images}",
            Interval("over images", "by Wilson (1927)"),
        ),
        FigureSpec(
            "attacks",
            "Accuracy by attack",
            radius,
            share,
            tuple(marks["attacks"]),
            "Solid: projected gradient descent; dashed: one step along the sign of the gradient"
            f" (fgsm); dotted: random directions, the control. {images}",
            symbols=tuple((DASHES[attack], WORDS[attack]) for attack in DASHES if attack in made),
        ),
    ]
    if marks["distance"]:
        figures.append(
            FigureSpec(
                "distance",
                "Distance to the nearest wrong answer found",
                replace(radius, scale="linear"),
                Axis("share of images", limits=(-0.02, 1.02)),
                tuple(marks["distance"]),
                "Share of images whose answer a perturbation of at most that norm changes; at 0, those whose"
                f" answer is wrong already. DeepFool and the attacks above; {images}",
            )
        )
    if len(marks["gap"]) > 1:
        figures.append(
            FigureSpec(
                "gap",
                "What one step misses",
                radius,
                Axis("accuracy, fgsm − pgd"),
                tuple(marks["gap"]),
                "Accuracy under fgsm minus that under pgd: large where training against one step was"
                f" overfitted, negative where gradients are masked. {images}",
                error_bars(counts, "paired by image"),
            )
        )
    if len(marks["power"]) > 1:
        figures.append(
            FigureSpec(
                "power",
                "Which frequencies the attack uses",
                Axis("radial frequency", "cycles/pixel"),
                Axis("power per mode, white noise = 1"),
                tuple(marks["power"]),
                "Radial power of pgd's perturbations, each at the radius that changes the answer first, else"
                f" the largest; relative to white noise of the same energy. {images}",
                error_bars(counts, "over images"),
            )
        )
    return figures


def _radius_axis(datasets: Mapping[str, xr.Dataset]) -> Axis:
    """Radii that double from one to the next would crowd at the start of a linear axis."""
    norms = sorted({NAMES[_option(ds, "norm")] for ds in datasets.values()})
    label = f"{' or '.join(norms)} norm of the perturbation"
    radii = np.concatenate([ds["radius"].values for ds in datasets.values()])
    least = float(radii[radii > 0].min(initial=np.inf))
    if np.isfinite(least) and radii.max() >= 16 * least:
        return Axis(label, PIXELS, scale="symlog", linthresh=least)
    return Axis(label, PIXELS)


def _option(ds: xr.Dataset, name: str) -> Any:
    import json

    return json.loads(ds.attrs["parameters"])[name]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Accuracy without attack and under the strongest at the middle radius; median distance."""
    middle = ds.sizes["radius"] // 2
    radius = float(ds["radius"][middle])
    half = reach(ds.sizes["image"]) * ds["worst_se"].values
    ends = float(ds["median_distance_high"]) - float(ds["median_distance_low"])
    clean = "share of right answers without attack"
    return [
        Metric("clean accuracy", float(ds["worst"][0]), "1", clean, error=float(half[0])),
        Metric(
            f"accuracy at {radius:.3g}",
            float(ds["worst"][middle]),
            "1",
            f"share of right answers under the strongest attack, {NAMES[_option(ds, 'norm')]} norm",
            finding=True,
            error=float(half[middle]),
        ),
        Metric(
            "median distance",
            float(ds["median_distance"]),
            PIXELS,
            "least perturbation found that changes the answer, median over images",
            error=ends / 2 if np.isfinite(ends) else float("nan"),
        ),
        Metric("masked", bool(str(ds["notice"].item())), "1", "whether there are signs of gradient masking"),
    ]


def _cost(params: RobustnessParams) -> Cost:
    radii = len(params.radii or RADII[params.norm])
    goals = params.targets if params.objective == "margin" else 1
    steps = radii * params.restarts * goals * (params.steps + 1) * ("pgd" in params.attacks)
    # about half of the images are changed by half of the radii and need no more work
    gradients = radii + 0.5 * steps + radii + 10.0 + 60.0 * params.distance
    return Cost(forwards=1.0, example_gradients=gradients * params.images)


robustness = Analysis(
    name="robustness",
    title="Robustness to adversarial perturbations",
    description=(
        "Accuracy on images changed by perturbations of bounded norm that are made to change the answer:"
        " the fast gradient sign method (Goodfellow et al. 2015), projected gradient descent (Madry et al."
        " 2018) and, as a control, random directions. Norms are in pixels from 0 to 1, and changed pixels"
        " stay in that range: the normalisation is undone before and redone after; without a given"
        " normalisation the data's own range counts as 0 to 1. By default PGD makes the logit of each of the"
        " nearest classes exceed that of the label, which is exact for linear models; the cross-entropy is"
        " not, and overstates robustness. The least perturbation is looked for by DeepFool"
        " (Moosavi-Dezfooli et al. 2016). Everything found is an upper bound of the true robustness; signs"
        " that gradients are masked (Athalye et al. 2018) are reported."
    ),
    scope="checkpoint",
    params=RobustnessParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)
