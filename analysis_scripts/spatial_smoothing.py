"""Spatial smoothing against plain networks (Park & Kim, ICML 2022).

    python analysis_scripts/spatial_smoothing.py [--quick | --full]

Trains networks with dropout with and without smoothing at the ends of their stages, and those that the paper
calls special cases of smoothing: average pooling in the head, pre-activation, ReLU6. Analyses all of them,
and says which of the paper's findings hold. Run it again to go on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import landscape.studies.effects as read
from landscape.reference import models
from landscape.reference.training.recipe import Recipe
from landscape.studies.claims import above, contrast
from landscape.studies.ensembles import Ensemble, figure
from landscape.studies.mc_dropout import mc_dropout, plots
from landscape.studies.options import options, run
from landscape.studies.recalibrate import without_dropout
from landscape.studies.study import Data, Study, Trained, by_seed, measured, of_kinds, size, spectra, together
from landscape.zoo.spec import SectionSpec

PAPER = "Park & Kim 2022 (smoothing)"
ENSEMBLES = "Lakshminarayanan et al. 2017"

Results = Mapping[str, Mapping[str, xr.Dataset]]


@dataclass(frozen=True)
class Setting:
    """How large the study is.

    Attributes:
        images: Examples for training and for testing, of digits.
        training: Of every model.
        batches: Mini-batches of 16 whose Hessians are looked at.
        looked_at: Images for features and corruptions.
        samples: Numbers of dropout samples.
        resnet: Arguments of the residual networks.
        vgg: Arguments of the plain convolutional networks.
        surface: Evaluations of a loss surface.
    """

    images: tuple[int, int]
    training: Mapping[str, Any]
    batches: int
    looked_at: int
    samples: tuple[int, ...]
    resnet: Mapping[str, Any]
    vgg: Mapping[str, Any]
    surface: int


SGD = {"optimizer": "sgd", "weight_decay": 5e-4, "schedule": "step"}
CIFAR = {"in_channels": 3, "classes": 100, "dropout": 0.3}
SETTINGS = {
    "quick": Setting(
        (160, 100),
        {**SGD, "lr": 0.05, "epochs": 6, "batch_size": 32, "augment": "shift"},
        2,
        32,
        (1, 2, 10),
        {"width": 4, "dropout": 0.3},
        {"width": 4, "dropout": 0.3},
        25,
    ),
    "default": Setting(
        (1000, 1000),
        {**SGD, "lr": 0.05, "epochs": 30, "batch_size": 32, "augment": "shift"},
        10,
        250,
        (1, 2, 5, 10, 20, 50),
        {"width": 8, "blocks": [1, 1, 1], "dropout": 0.3},
        {"width": 8, "blocks": [1, 1, 2], "dropout": 0.3},
        121,
    ),
    "full": Setting(
        (50_000, 10_000),
        {**SGD, "lr": 0.1, "epochs": 200, "batch_size": 128, "augment": "crop_flip"},
        312,
        1000,
        (1, 2, 5, 10, 20, 50),
        {"width": 64, "blocks": [2, 2, 2, 2], **CIFAR},
        {"width": 64, "blocks": [2, 2, 3, 3], "image": 32, **CIFAR},
        441,
    ),
}


def main() -> None:
    """Run the study."""
    study = Study("smoothing", options("spatial_smoothing", __doc__.splitlines()[0], seeds=5))
    setting = SETTINGS[study.options.size]
    full = study.options.size == "full"
    data = Data.cifar(100, study.options.data) if full else Data.digits(*setting.images)
    trained = study.train(recipes(setting), data)
    settled = without_dropout(study, trained, data)
    curved = [
        *spectra(study.options.seeds, setting.training, setting.batches, setting.images[0]),
        SectionSpec(
            "surface",
            "surface",
            {"evaluations": setting.surface},
            tuple(f"{g}-s{study.options.seeds[0]}" for g in ("plain", "smooth")),
            128,
        ),
    ]
    results = study.analyse("train", settled, data.train, curved)
    results["batch_spectra"] = together(results, "batch_spectra")
    n = setting.looked_at
    averaged = SectionSpec("mc_dropout", f"{plots.__module__}:{mc_dropout.name}", {"counts": setting.samples})
    behaviour = [
        SectionSpec("corruptions", "corruptions", {}, examples=n),
        SectionSpec("noise", "frequency_noise", {"heat_steps": 1, "sigma": 0.5}, examples=n),
        SectionSpec("variance", "feature_variance", {"kinds": ("convolution", "residual_sum")}, examples=n),
    ]
    results |= study.analyse("dropout", trained, data.test, [averaged])
    results |= study.analyse("test", settled, data.test, behaviour)
    claim_averaging(study, results, trained)
    claim_landscape(study, results, settled)
    claim_special_cases(study, results, settled)
    claim_ensembles(study, settled, data)
    draw(study, results, trained)
    study.finish()


def recipes(s: Setting) -> list[Recipe]:
    """One recipe for each kind of model."""
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain": (models.resnet, dict(s.resnet)),
        "smooth": (models.resnet, {**s.resnet, "smooth": "same"}),
        "preact": (models.resnet, {**s.resnet, "preact": True}),
        "relu6": (models.resnet, {**s.resnet, "activation": "relu6"}),
        "vgg-mlp": (models.vgg, {**s.vgg, "head": "mlp"}),
        "vgg-gap": (models.vgg, {**s.vgg, "head": "gap"}),
        "vgg-smooth": (models.vgg, {**s.vgg, "head": "mlp", "smooth": "same"}),
    }
    return [Recipe(n, make, kwargs, s.training, {"kind": n}) for n, (make, kwargs) in kinds.items()]


def claim_averaging(study: Study, results: Results, trained: Sequence[Trained]) -> None:
    """Smoothing acts like more samples of an ensemble."""

    def score(group: str, name: str, place: int) -> list[float]:
        return measured(results["mc_dropout"], trained, group, lambda ds: ds[name].values[place])

    samples = next(iter(results["mc_dropout"].values()))["samples"].values
    most = int(samples[-1])
    for kind, plain, smooth in (("ResNet", "plain", "smooth"), ("VGG", "vgg-mlp", "vgg-smooth")):
        for place, count in ((0, 1), (-1, most)):
            text = f"smoothing lowers the NLL of {kind} with dropout, {count} sample{'s' * (count > 1)}"
            study.judge(
                contrast(text, PAPER, score(plain, "nll", place), score(smooth, "nll", place), unit="nats")
            )
    accuracy = [100 * np.array(score(group, "accuracy", 0)) for group in ("smooth", "plain")]
    study.judge(
        contrast(
            "smoothing raises the accuracy of ResNet with dropout, 1 sample", PAPER, *accuracy, unit="points"
        )
    )
    study.judge(
        contrast(
            "smoothing lowers the calibration error of ResNet with dropout, 1 sample",
            PAPER,
            score("plain", "ece", 0),
            score("smooth", "ece", 0),
        )
    )
    study.judge(
        contrast(
            f"2 samples with smoothing are no worse than {most} without (ResNet)",
            PAPER,
            score("plain", "nll", -1),
            score("smooth", "nll", 1),
            unit="nats",
            note="decided only if they are better, or worse",
        )
    )
    spread = [
        measured(results["mc_dropout"], trained, group, lambda ds: np.log(ds["feature_variance"]))
        for group in ("plain", "smooth")
    ]
    study.judge(
        contrast(
            "smoothing lowers the variance of features over dropout masks (ResNet)",
            PAPER,
            *spread,
            unit="ln of variance",
            note="feature maps after the last stage, relative to their mean square",
        )
    )


def claim_landscape(study: Study, results: Results, trained: Sequence[Trained]) -> None:
    """Flatter losses, and robustness."""

    def ape(group: str) -> list[float]:
        return measured(results["batch_spectra"], trained, group, read.log_mean_positive)

    study.judge(
        contrast(
            "smoothing lowers the positive Hessian eigenvalues of ResNet",
            PAPER,
            ape("plain"),
            ape("smooth"),
            unit="ln of the mean",
        )
    )

    def robust(group: str) -> list[float]:
        return measured(
            results["corruptions"], trained, group, lambda ds: 100 * ds["mean_accuracy"].values[1:].mean()
        )

    study.judge(
        contrast(
            "smoothing raises the accuracy of ResNet on corrupted images",
            PAPER,
            robust("smooth"),
            robust("plain"),
            unit="points",
            note="mean over nine corruptions and five severities, no dropout",
        )
    )

    def harm(group: str) -> list[float]:
        return measured(results["noise"], trained, group, read.high_frequency_harm)

    study.judge(
        contrast(
            "smoothing protects ResNet from high-frequency noise",
            PAPER,
            harm("plain"),
            harm("smooth"),
            unit="points",
            note="bands at 0.7 to 0.9 π",
        )
    )


def claim_special_cases(study: Study, results: Results, trained: Sequence[Trained]) -> None:
    """Average pooling, pre-activation and ReLU6 do what smoothing does."""

    def nll(group: str) -> list[float]:
        return measured(results["mc_dropout"], trained, group, lambda ds: ds["nll"].values[0])

    def plain_nll(group: str) -> list[float]:
        return by_seed(trained, group, lambda m: m.result.test_loss)

    def ape(group: str) -> list[float]:
        return measured(results["batch_spectra"], trained, group, read.log_mean_positive)

    for what, without, with_it in (
        ("average pooling in place of an MLP head", "vgg-mlp", "vgg-gap"),
        ("pre-activation", "plain", "preact"),
        ("ReLU6 in place of ReLU", "plain", "relu6"),
    ):
        note = f"{size(trained, without)}; {size(trained, with_it)}"
        text = f"{what} lowers the NLL with dropout, 1 sample"
        study.judge(contrast(text, PAPER, nll(without), nll(with_it), unit="nats", note=note))
        text = f"{what} lowers the NLL without dropout"
        study.judge(contrast(text, PAPER, plain_nll(without), plain_nll(with_it), unit="nats", note=note))
        text = f"{what} lowers the positive Hessian eigenvalues"
        study.judge(contrast(text, PAPER, ape(without), ape(with_it), unit="ln of the mean"))


def claim_ensembles(study: Study, trained: Sequence[Trained], data: Data) -> None:
    """Deep ensembles, and smoothing on top of them."""
    found = {
        kind: Ensemble([m for m in trained if m.recipe.group == kind], data.test, study.options.device)
        for kind in ("plain", "smooth")
    }
    most = len(study.options.seeds)
    note = "no dropout; jackknife over seeds"
    study.judge(
        above(
            f"an ensemble of {most} is more accurate than its members (ResNet)",
            ENSEMBLES,
            100 * found["plain"].by_seed(found["plain"].gain),
            unit="points",
            note=note,
        )
    )
    study.judge(
        contrast(
            f"smoothing lowers the NLL of an ensemble of {most} (ResNet)",
            PAPER,
            *(found[kind].by_seed(found[kind].nll) for kind in ("plain", "smooth")),
            unit="nats",
            note=note,
        )
    )
    study.draw(figure(found))


def draw(study: Study, results: Results, trained: Sequence[Trained]) -> None:
    """Pictures of all seeds on shared axes; surfaces of the first."""
    pair = ("plain", "smooth")

    def drawn(label: str, kinds: Sequence[str], *names: str) -> None:
        study.draw(of_kinds(results[label], trained, *kinds), *names, tag=label, models=trained)

    for tag, kinds in (
        ("resnet", ("plain", "smooth", "preact", "relu6")),
        ("vgg", ("vgg-mlp", "vgg-smooth", "vgg-gap")),
    ):
        curves = plots(of_kinds(results["mc_dropout"], trained, *kinds))
        study.draw(curves, tag=f"mc_{tag}", models=trained)
    drawn("batch_spectra", pair, "density")
    drawn("batch_spectra", (), "violins")
    study.draw(results["surface"], tag="surface")
    chosen = {
        "noise": ("accuracy_change",),
        "corruptions": ("mean_accuracy", "mean_nll"),
        "variance": ("spatial_variance",),
    }
    for label, names in chosen.items():
        drawn(label, pair, *names)


if __name__ == "__main__":
    run(main)
