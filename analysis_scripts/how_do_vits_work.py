"""Convolution and attention: curvature, frequencies and positions (Park & Kim, ICLR 2022).

    python analysis_scripts/how_do_vits_work.py [--quick | --full]

Trains a residual network, vision transformers (class token or average pooling, few heads or many, all the
data or a part), a windowed transformer and AlterNet on the same images; analyses all of them; and says which
of the paper's findings hold. Run it again to go on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

import landscape.studies.effects as read
from landscape.reference import models
from landscape.reference.training.recipe import Recipe
from landscape.studies.claims import above, contrast
from landscape.studies.options import options, run
from landscape.studies.study import Data, Study, Trained, by_seed, measured, of_kinds, size, spectra, together
from landscape.zoo.spec import SectionSpec

PAPER = "Park & Kim 2022 (ViT)"

Results = Mapping[str, Mapping[str, xr.Dataset]]


@dataclass(frozen=True)
class Setting:
    """How large the study is.

    Attributes:
        images: Examples for training and for testing, of digits.
        few: Examples of the small training set.
        epochs: Passes through the data, for the residual networks.
        token_epochs: The same for the transformers, which learn more slowly.
        training: Of every model.
        batches: Mini-batches of 16 whose Hessians are looked at, for each model.
        looked_at: Images for features, lesions and noise.
        cnn: Arguments of the residual networks.
        vit: Arguments of the transformers.
        windowed: Arguments of the windowed transformer.
        many_heads: Heads of the transformer with many.
    """

    images: tuple[int, int]
    few: int
    epochs: int
    token_epochs: int
    training: Mapping[str, Any]
    batches: int
    looked_at: int
    cnn: Mapping[str, Any]
    vit: Mapping[str, Any]
    windowed: Mapping[str, Any]
    many_heads: int


ADAMW = {"optimizer": "adamw", "weight_decay": 0.05, "batch_size": 64, "schedule": "warmup_cosine"}
SMALL: dict[str, Any] = {
    "cnn": {"width": 8, "blocks": [2, 2, 2]},
    "vit": {"dim": 48, "depth": 4, "heads": 2, "patch": 4},
    "windowed": {"dim": 24, "depths": [2, 2], "heads": [2, 4], "window": 7, "patch": 2},
}
TINY: dict[str, Any] = {
    "cnn": {"width": 4, "blocks": [2, 2, 2]},
    "vit": {"dim": 12, "depth": 2, "heads": 1, "patch": 4},
    "windowed": {"dim": 8, "depths": [2, 2], "heads": [2, 4], "window": 7, "patch": 2},
}
CIFAR: dict[str, Any] = {
    "cnn": {"width": 64, "blocks": [3, 4, 6, 3], "in_channels": 3, "classes": 100},
    "vit": {
        "dim": 192,
        "depth": 12,
        "heads": 3,
        "patch": 2,
        "image": 32,
        "in_channels": 3,
        "classes": 100,
        "mlp_ratio": 4,
        "drop_path": 0.1,
    },
    "windowed": {
        "dim": 96,
        "depths": [2, 2, 6, 2],
        "heads": [3, 6, 12, 24],
        "window": 4,
        "patch": 1,
        "image": 32,
        "in_channels": 3,
        "classes": 100,
        "mlp_ratio": 4,
        "drop_path": 0.1,
    },
}
STRONG = {"augment": "rand_crop_flip", "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1}
SETTINGS = {
    "quick": Setting(
        (160, 100), 80, 2, 2, {**ADAMW, "lr": 3e-3, "augment": "shift"}, 2, 24, many_heads=4, **TINY
    ),
    "default": Setting(
        (2000, 1000), 400, 12, 32, {**ADAMW, "lr": 3e-3, "augment": "shift"}, 16, 128, many_heads=12, **SMALL
    ),
    "full": Setting(
        (50_000, 10_000),
        5000,
        300,
        300,
        {**ADAMW, "lr": 1.25e-4, "batch_size": 96, **STRONG},
        312,
        256,
        many_heads=12,
        **CIFAR,
    ),
}


def main() -> None:
    """Run the study."""
    study = Study("vits", options("how_do_vits_work", __doc__.splitlines()[0], seeds=5))
    setting = SETTINGS[study.options.size]
    full = study.options.size == "full"
    data = Data.cifar(100, study.options.data) if full else Data.digits(*setting.images)
    few = replace(data, train=replace(data.train, kwargs={**data.train.kwargs, "count": setting.few}))
    everything = recipes(setting)
    trained = study.train(everything, data)
    trained_few = study.train([few_examples(everything, setting)], few)
    curved = curvature(study, trained, data, setting)
    curved |= curvature(study, trained_few, few, setting)
    looked = features(study, trained, data, setting)
    claim_curvature(study, curved, trained, trained_few)
    claim_frequency(study, looked, trained)
    claim_positions(study, looked, trained)
    claim_alternet(study, curved, trained)
    draw(study, curved, looked, [*trained, *trained_few])
    study.finish()


def recipes(s: Setting) -> list[Recipe]:
    """One recipe for each kind of model."""
    stages = len(s.cnn["blocks"])
    local = {
        **s.cnn,
        "attentions": [0] + [1] * (stages - 1),
        "heads": [2**i for i in range(stages)],
        "window": 4 if "in_channels" in s.cnn else 7,
    }
    if "drop_path" in s.vit:
        local["drop_path"] = s.vit["drop_path"]
    kinds = {
        "resnet": (models.resnet, {**s.cnn, "preact": True}),
        "vit": (models.vit, dict(s.vit)),
        "vit-gap": (models.vit, {**s.vit, "pool": "gap"}),
        "vit-heads": (models.vit, {**s.vit, "heads": s.many_heads}),
        "windowed": (models.windowed, dict(s.windowed)),
        "alternet": (models.alternet, local),
    }
    epochs = {name: s.epochs if name in ("resnet", "alternet") else s.token_epochs for name in kinds}
    return [
        Recipe(name, make, kwargs, {**s.training, "epochs": epochs[name]}, {"kind": name})
        for name, (make, kwargs) in kinds.items()
    ]


def few_examples(everything: Sequence[Recipe], s: Setting) -> Recipe:
    """The transformer, to be trained on a small set for about as many steps."""
    vit = next(r for r in everything if r.group == "vit")
    training = {**vit.training, "epochs": s.token_epochs * s.images[0] // s.few}
    return replace(vit, group="vit-few", training=training, tags={"kind": "vit-few"})


def curvature(study: Study, trained: Sequence[Trained], data: Data, s: Setting) -> dict[str, xr.Dataset]:
    """Spectra of mini-batch Hessians on augmented training data, by model."""
    few = trained[0].recipe.group == "vit-few"
    sections = spectra(study.options.seeds, s.training, s.batches, s.few if few else s.images[0])
    found = study.analyse("curvature-few" if few else "curvature", trained, data.train, sections)
    return together(found, "batch_spectra")


def features(study: Study, trained: Sequence[Trained], data: Data, s: Setting) -> Results:
    """Frequencies, variance, lesions, noise and similarity of layers, on held-out data."""
    units = ("residual_sum", "attention", "mlp", "convolution")
    n = s.looked_at
    blocks = tuple(f"blocks.{index}" for index in range(s.vit["depth"]))
    sections = [
        SectionSpec("fourier", "fourier", {"kinds": ("residual_sum",), "images": n}, examples=n),
        SectionSpec("transfer", "transfer", {"kinds": units, "images": n}, examples=n),
        SectionSpec("variance", "feature_variance", {"kinds": units, "images": n}, examples=n),
        SectionSpec("lesion", "lesion", {"replacements": ("remove",)}, examples=2 * n),
        SectionSpec("noise", "frequency_noise", {"heat_steps": 1, "sigma": 0.5}, examples=2 * n),
        SectionSpec("cka", "cka", {"layers": ("stages.?.?",)}, ("resnet-*",), n),
        SectionSpec("cka_vit", "cka", {"layers": blocks}, ("vit-gap-*",), n),
        SectionSpec("calibration", "calibration", {}),
        SectionSpec("attention", "attention_response", {"images": n}, ("vit*", "alternet-*"), n),
    ]
    found = study.analyse("features", trained, data.test, sections)
    return {**found, "cka": {**found["cka"], **found["cka_vit"]}}


def claim_curvature(
    study: Study, curved: Mapping[str, xr.Dataset], trained: Sequence[Trained], few: Sequence[Trained]
) -> None:
    """Negative and positive eigenvalues of mini-batch Hessians."""
    everything = [*trained, *few]

    def nep(group: str) -> list[float]:
        return measured(curved, everything, group, lambda ds: ds["negative_proportion"])

    def ape(group: str) -> list[float]:
        return measured(curved, everything, group, read.log_mean_positive)

    def sizes(*groups: str) -> str:
        return "; ".join(size(everything, group) for group in groups)

    for text, larger, smaller in (
        ("ViT has more negative Hessian eigenvalues than ResNet", "vit", "resnet"),
        ("ViT on less data has more negative eigenvalues", "vit-few", "vit"),
        ("average pooling lowers ViT's share of negative eigenvalues", "vit", "vit-gap"),
        ("more heads lower ViT's share of negative eigenvalues", "vit", "vit-heads"),
        (
            "windows and two stages, patch 2, lower the share of negative eigenvalues of ViT with pooling",
            "vit-gap",
            "windowed",
        ),
    ):
        note = sizes(larger, smaller)
        study.judge(contrast(text, PAPER, nep(larger), nep(smaller), unit="of eigenvalues", note=note))
    for text, larger, smaller in (
        ("ResNet has larger positive eigenvalues than ViT", "resnet", "vit"),
        ("more heads lower ViT's positive eigenvalues", "vit", "vit-heads"),
    ):
        note = sizes(larger, smaller)
        study.judge(contrast(text, PAPER, ape(larger), ape(smaller), unit="ln of the mean", note=note))


def claim_frequency(study: Study, looked: Results, trained: Sequence[Trained]) -> None:
    """Low-pass attention, high-pass convolutions and MLPs, variance, and noise of one frequency band.

    Of the transformers, the one with average pooling: with a class token, the patches of the last block reach
    no output.
    """

    def gain(group: str, after: str) -> list[float]:
        return measured(looked["transfer"], trained, group, lambda ds: read.gain_after(ds, after))

    def growth(group: str, after: str) -> list[float]:
        return measured(looked["variance"], trained, group, lambda ds: read.growth_after(ds, after))

    unit = "ln high over low"
    heads = measured(looked["attention"], trained, "vit-gap", lambda ds: -ds["gain_high_low"].mean())
    study.judge(above("attention heads of ViT are low-pass", PAPER, heads, unit=unit, note="mean over heads"))
    branch = measured(looked["transfer"], trained, "vit-gap", lambda ds: -read.mean_gain(ds, "attention"))
    study.judge(above("attention branches of ViT are low-pass", PAPER, branch, unit=unit))
    lowered = -np.array(gain("vit-gap", "attention"))
    study.judge(above("adding attention lowers high frequencies in ViT", PAPER, lowered, unit=unit))
    study.judge(above("adding MLPs raises high frequencies in ViT", PAPER, gain("vit-gap", "mlp"), unit=unit))
    study.judge(
        above(
            "adding convolutions raises high frequencies in ResNet",
            PAPER,
            gain("resnet", "convolution"),
            unit=unit,
            note="blocks that keep the shape",
        )
    )
    unit = "ln of variance"
    shrunk = -np.array(growth("vit-gap", "attention"))
    study.judge(
        above(
            "adding attention lowers the variance of feature maps in ViT",
            PAPER,
            shrunk,
            unit=unit,
            note="from the second block on",
        )
    )
    study.judge(
        above(
            "adding MLPs raises the variance of feature maps in ViT",
            PAPER,
            growth("vit-gap", "mlp"),
            unit=unit,
        )
    )

    def harm(group: str) -> list[float]:
        return measured(looked["noise"], trained, group, read.high_frequency_harm)

    study.judge(
        contrast(
            "high-frequency noise harms ResNet more than ViT",
            PAPER,
            harm("resnet"),
            harm("vit"),
            unit="points of accuracy",
            note="bands at 0.7 to 0.9 π",
        )
    )


def claim_positions(study: Study, looked: Results, trained: Sequence[Trained]) -> None:
    """Attention at the ends of stages, and likeness of layers."""
    ends = measured(looked["lesion"], trained, "windowed", read.end_of_stage)
    study.judge(
        above(
            "attention at the end of a stage matters more than at its beginning (windowed transformer)",
            PAPER,
            ends,
            unit="nats of loss when removed",
            note="the last of two; it is also the one with shifted windows",
        )
    )

    middle = measured(looked["lesion"], trained, "vit", read.middle)
    study.judge(
        above(
            "attention in the middle of ViT matters more than at its ends",
            PAPER,
            middle,
            unit="nats of loss when removed",
            note="the paper says so of deep ones",
        )
    )

    def alike(group: str) -> list[float]:
        return by_seed(trained, group, lambda m: read.likeness(looked["cka"].get(group), m.name))

    study.judge(
        contrast(
            "layers of ViT are more alike than those of ResNet, which has blocks",
            PAPER,
            alike("vit-gap"),
            alike("resnet"),
            unit="CKA",
            note="mean over pairs of outputs of blocks",
        )
    )


def claim_alternet(study: Study, curved: Mapping[str, xr.Dataset], trained: Sequence[Trained]) -> None:
    """AlterNet against its parents."""

    def accuracy(group: str) -> list[float]:
        return by_seed(trained, group, lambda m: 100 * m.result.test_accuracy)

    unit = "points of accuracy"
    for parent in ("resnet", "vit"):
        study.judge(
            contrast(
                f"AlterNet is more accurate than {'ResNet' if parent == 'resnet' else 'ViT'}",
                PAPER,
                accuracy("alternet"),
                accuracy(parent),
                unit=unit,
                note=f"{size(trained, 'alternet')}; {size(trained, parent)}",
            )
        )

    study.judge(
        contrast(
            "AlterNet has smaller positive eigenvalues than ResNet",
            PAPER,
            measured(curved, trained, "resnet", read.log_mean_positive),
            measured(curved, trained, "alternet", read.log_mean_positive),
            unit="ln of the mean",
            note=f"{size(trained, 'resnet')}; {size(trained, 'alternet')}",
        )
    )


def draw(study: Study, curved: Mapping[str, xr.Dataset], looked: Results, trained: Sequence[Trained]) -> None:
    """Pictures of all seeds on shared axes; likeness of layers of the first."""

    def drawn(label: str, results: Mapping[str, xr.Dataset], kinds: Sequence[str], *names: str) -> None:
        study.draw(of_kinds(results, trained, *kinds), *names, tag=label, models=trained)

    drawn("spectra", curved, ("resnet", "vit", "vit-few"), "density")
    drawn("spectra", curved, (), "violins")
    chosen = {
        "fourier": ("high_low", "delta_log_amplitude"),
        "variance": ("spatial_variance",),
    }
    for label, names in chosen.items():
        drawn(label, looked[label], ("resnet", "vit-gap", "alternet"), *names)
    drawn("transfer", looked["transfer"], ("resnet", "vit-gap"), "gain_high_low")
    for name in ("delta_loss_remove", "delta_accuracy_remove"):
        drawn("lesion", looked["lesion"], ("resnet", "vit"), name)
    drawn("noise", looked["noise"], ("resnet", "vit", "alternet"), "accuracy_change")
    drawn("attention", looked["attention"], (), "gain_high_low")
    for group in ("resnet", "vit-gap"):
        if group in looked["cka"]:
            study.draw({group: looked["cka"][group]}, "block_0_0", tag=f"cka_{group}")


if __name__ == "__main__":
    run(main)
