"""Spatial smoothing against plain networks (Park & Kim, ICML 2022).

    python analysis_scripts/spatial_smoothing.py [--quick | --size natural --data DIR | --full]

Trains networks with dropout with and without smoothing at the ends of their stages, and those that the paper
calls special cases of smoothing: average pooling in the head, pre-activation, ReLU6. Analyses all of them,
and says which of the paper's findings hold. Run it again to go on where it was stopped.
"""

from landscape.reference import models
from landscape.studies import Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies import quantities as q
from landscape.studies.measure import frequency_noise, spectra
from landscape.studies.settings import CIFAR100, SGD

PAIR = ("plain", "smooth")
STEPS, DECAY = {**SGD, "schedule": "step"}, SGD["weight_decay"]
SMALL = {**STEPS, "lr": 0.05, "batch_size": 32, "augment": "shift"}
COLOUR, CIFAR = {"in_channels": 3, "dropout": 0.3}, {**CIFAR100, "dropout": 0.3}
SIZES = {
    "quick": Size(
        data=Data.digits(train=96, test=60, side=14),
        training={**SMALL, "epochs": 1},
        **{"vgg_epochs": 1, "penalty": 0.0, "benchmark": "imagenet-c"},
        **{"hessian_batches": 1, "eigenvalues": 2, "images": 12, "surface_evaluations": 25},
        samples=(1, 2, 4),  # dropout masks averaged
        resnet={"width": 2, "blocks": [1, 1, 1], "dropout": 0.3},
        vgg={"width": 2, "dropout": 0.3, "image": 14},
    ),
    "default": Size(
        data=Data.digits(train=1000, test=1000),
        training={**SMALL, "epochs": 30},
        **{"vgg_epochs": 30, "penalty": 0.0, "benchmark": "imagenet-c"},
        **{"hessian_batches": 10, "eigenvalues": 5, "images": 250, "surface_evaluations": 121},
        samples=(1, 2, 5, 10, 20, 50),
        resnet={"width": 8, "blocks": [1, 1, 1], "dropout": 0.3},
        vgg={"width": 8, "blocks": [1, 1, 2], "dropout": 0.3},
    ),
    "natural": Size(
        data=Data.natural(train=5000, test=1000),
        training={**SMALL, "augment": "crop_flip", "epochs": 20},
        **{"vgg_epochs": 30, "penalty": DECAY, "benchmark": "cifar-c"},
        **{"hessian_batches": 8, "eigenvalues": 5, "images": 500, "surface_evaluations": 121},
        samples=(1, 2, 5, 10, 20, 50),
        resnet={"width": 8, "blocks": [1, 1, 1], **COLOUR},
        vgg={"width": 8, "blocks": [1, 1, 2], "image": 32, **COLOUR},
    ),
    "full": Size(
        data=Data.cifar(100),
        training={**STEPS, "lr": 0.1, "epochs": 200, "batch_size": 128, "augment": "crop_flip"},
        **{"vgg_epochs": 200, "penalty": DECAY, "benchmark": "cifar-c"},
        **{"hessian_batches": 312, "eigenvalues": 5, "images": 1000, "surface_evaluations": 441},
        samples=(1, 2, 5, 10, 20, 50),
        resnet={"width": 64, "blocks": [2, 2, 2, 2], **CIFAR},
        vgg={"width": 64, "blocks": [2, 2, 3, 3], "image": 32, **CIFAR},
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """Seven kinds of model, looked at without dropout but for Monte Carlo dropout itself."""
    longer = {**size.training, "epochs": size.vgg_epochs}
    recipes = [
        kind("plain", models.resnet, size.resnet, size.training),
        kind("smooth", models.resnet, {**size.resnet, "smooth": "same"}, size.training),
        kind("preact", models.resnet, {**size.resnet, "preact": True}, size.training),
        kind("relu6", models.resnet, {**size.resnet, "activation": "relu6"}, size.training),
        kind("vgg-mlp", models.vgg, {**size.vgg, "head": "mlp"}, longer),
        kind("vgg-gap", models.vgg, {**size.vgg, "head": "gap"}, longer),
        kind("vgg-smooth", models.vgg, {**size.vgg, "head": "mlp", "smooth": "same"}, longer),
    ]
    n, surface, units = size.images, size.surface_evaluations, ("convolution", "residual_sum")
    masks = {"counts": size.samples, "features": "stages"}
    measure = [
        spectra(size.data, size.training, size.hessian_batches, size.eigenvalues),
        On("train", "surface", {"evaluations": surface}, PAIR, seeds="first", examples=128),
        On("test", "mc_dropout", masks, with_dropout=True),
        On("test", "corruptions", {"benchmark": size.benchmark}, examples=n),
        frequency_noise(examples=n),
        On("test", "feature_variance", {"kinds": units}, examples=n, label="variance"),
    ]
    return [Cohort(recipes, size.data, measure, without_dropout=True, weight_decay=size.penalty)]


LESS, MORE = {"more": "plain", "than": "smooth"}, {"more": "smooth", "than": "plain"}
VGG = {"more": "vgg-mlp", "than": "vgg-smooth"}


def special_case(what: str, without: str, with_it: str) -> list[Finding]:
    """Something does what smoothing does."""
    kinds = {"more": without, "than": with_it}
    return [
        q.mc_dropout(f"{what} lowers the NLL with dropout, 1 sample", "nll", sizes=True, **kinds),
        q.loss(f"{what} lowers the NLL without dropout", **kinds),
        q.positive_eigenvalues(f"{what} lowers the positive Hessian eigenvalues", **kinds),
    ]


def findings(size: Size) -> list[Finding]:
    """Averaging, landscape and robustness, special cases, ensembles."""
    most, n = size.samples[-1], size.seeds
    lower, accuracy = "smoothing lowers the", "smoothing raises the accuracy of ResNet"
    variance = f"{lower} variance of features over dropout masks (ResNet)"
    maps = "feature maps after the last stage, relative to their mean square"
    two = f"2 samples with smoothing are no worse than {most} without (ResNet)"
    decided = {"than_effect": effects.mc_score("nll", 2), "note": "decided only if they are better, or worse"}
    images = "mean over nine corruptions and five severities, no dropout"
    together = f"an ensemble of {n} is more accurate than its members (ResNet)"
    return [
        q.mc_dropout(f"{lower} NLL of ResNet with dropout, 1 sample", "nll", **LESS),
        q.mc_dropout(f"{lower} NLL of ResNet with dropout, {most} samples", "nll", most, **LESS),
        q.mc_dropout(f"{lower} NLL of VGG with dropout, 1 sample", "nll", **VGG),
        q.mc_dropout(f"{lower} NLL of VGG with dropout, {most} samples", "nll", most, **VGG),
        q.mc_dropout(f"{accuracy} with dropout, 1 sample", "accuracy", **MORE),
        q.mc_dropout(f"{lower} calibration error of ResNet with dropout, 1 sample", "ece", **LESS),
        q.mc_dropout(two, "nll", most, **decided, **LESS),
        q.mask_variance(variance, note=maps, **LESS),
        q.positive_eigenvalues(f"{lower} positive Hessian eigenvalues of ResNet", **LESS),
        q.corrupted_accuracy(f"{accuracy} on corrupted images", note=images, **MORE),
        q.noise_harm("smoothing protects ResNet from high-frequency noise", unit="points", **LESS),
        *special_case("average pooling in place of an MLP head", "vgg-mlp", "vgg-gap"),
        *special_case("pre-activation", "plain", "preact"),
        *special_case("ReLU6 in place of ReLU", "plain", "relu6"),
        q.ensemble_gain(together, above_zero="plain", paper="Lakshminarayanan et al. 2017"),
        q.ensemble_nll(f"{lower} NLL of an ensemble of {n} (ResNet)", **LESS),
    ]


STUDY = Study(
    name="smoothing",
    script=__file__,
    paper="Park & Kim 2022 (smoothing)",
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=[
        Figure("ensemble", kinds=PAIR, tag=""),
        Figure("mc_dropout", kinds=("plain", "smooth", "preact", "relu6"), tag="mc_resnet"),
        Figure("mc_dropout", kinds=("vgg-mlp", "vgg-smooth", "vgg-gap"), tag="mc_vgg"),
        Figure("batch_spectra", "density", PAIR),
        Figure("batch_spectra", "violins"),
        Figure("surface"),
        Figure("noise", "accuracy_change", PAIR),
        Figure("corruptions", ("mean_accuracy", "mean_nll"), PAIR),
        Figure("variance", "spatial_variance", PAIR),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
