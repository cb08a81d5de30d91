"""Predictive uncertainty under dataset shift (Ovadia et al., NeurIPS 2019).

    python analysis_scripts/uncertainty_under_shift.py [--quick | --size natural --data DIR | --full]

Trains LeNets on random parts of the images: few of them without dropout, which over-fit (A), and more with
dropout in training, as published (B). Temperatures, ensembles, dropout and variational layers are then asked
for their errors while images change more and more, and for photographs. Run it again to go on.
"""

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import models
from landscape.reference.training import CrossEntropy, Divergence
from landscape.reference.uncertainty import mc_dropout, temperature_scaled, variational_network
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.settings import CIFAR10_PIXELS, COLOUR_LENET, DIGIT_PIXELS

LENET = {"channels": [8, 16], "hidden": 64, "kernel": 5, "stride": 2}
PUBLISHED = {"channels": [32, 64], "hidden": 128}
DROPOUT = {"dropout": 0.3, "last_dropout": 0.3}
ADAM = {"optimizer": "adamw", "batch_size": 64, "schedule": "cosine"}
MEASURE = {**DIGIT_PIXELS, "ood_data": ["landscape.reference.data:patches"]}
ALL = {**MEASURE, "shifts": ["rotation_wide", "roll", "gaussian_noise"]}
FEW = {**MEASURE, "shifts": ["gaussian_noise"], "intensities": [0.2], "bootstrap": 2}
CORRUPTED = ["gaussian_noise", "gaussian_blur", "contrast", "pixelate"]
COLOUR = {**CIFAR10_PIXELS, "ood_data": ["landscape.reference.data:colour_patches"], "shifts": CORRUPTED}
OWN = ("vanilla", "temperature", "ensemble", "ensemble-T")
OTHERS = ("mc-dropout", "ll-dropout", "svi", "ll-svi")


def sized(data, more, held, epochs, parts, samples, net, measure):
    """A size: images of A, how many of B, and how many to fit temperatures on; epochs of A and B."""
    own = {"parts": parts, "samples": samples, "net": net, "measure": measure}
    return Size(data=data, more=more, held=held, epochs=epochs, **own)


SIZES = {
    "quick": sized(Data.digits(60, 30), 80, 30, (1, 1), 1, 2, LENET, FEW),
    "default": sized(Data.digits(1000, 250), 2000, 500, (30, 12), 5, 10, LENET, ALL),
    "natural": sized(Data.natural(2000, 250), 4000, 500, (25, 10), 5, 10, COLOUR_LENET, COLOUR),
    "full": sized(Data.digits(1000, 1000), 3500, 500, (30, 20), 10, 100, PUBLISHED, ALL),
}


def averages(of: str, mark: str = "") -> list[Average]:
    """The temperature of each network of a kind, their ensemble, and the temperature of that."""
    return [
        Average(f"temperature{mark}", of, temperature_scaled, fit="validation", each=True),
        Average(f"ensemble{mark}", of, DeepEnsemble),
        Average(f"ensemble-T{mark}", of, temperature_scaled, fit="validation"),
    ]


def overfitted(size: Size, part: int) -> Cohort:
    """Setting A: networks without dropout, with dropout, and with variational layers, on few images."""
    data = size.data.part(part).validated(size.held)
    training = {**ADAM, "lr": 0.002, "epochs": size.epochs[0]}
    bound = {**ADAM, "lr": 0.005, "epochs": size.epochs[0], "objective": CrossEntropy() + Divergence()}
    layers = {"builder": "landscape.reference.models:lenet", "kwargs": size.net, "samples": size.samples}
    recipes = [
        kind("vanilla", models.lenet, size.net, training),
        kind("dropout-net", models.lenet, {**size.net, **DROPOUT}, training),
        kind("ll-dropout-net", models.lenet, {**size.net, "last_dropout": 0.3}, training),
        kind("svi", variational_network, layers, bound),
        kind("ll-svi", variational_network, {**layers, "layers": "last"}, bound),
    ]
    masks = {"samples": size.samples}
    made = [
        *averages("vanilla"),
        Average("mc-dropout", "dropout-net", mc_dropout, masks, each=True),
        Average("ll-dropout", "ll-dropout-net", mc_dropout, masks, each=True),
    ]
    measure = [On("test", "uncertainty", size.measure, (*OWN, *OTHERS))]
    alone = tuple(recipe.group for recipe in recipes[1:])
    return Cohort(recipes, data, measure, f"A-{part}", averages=made, first_seed=alone)


def regularised(size: Size, part: int) -> Cohort:
    """Setting B, as published: every network is trained with dropout, on more images and for less long."""
    data = size.data.subset(size.more).part(part).validated(size.held)
    recipe = kind(
        "vanilla-B", models.lenet, {**size.net, **DROPOUT}, {**ADAM, "lr": 0.002, "epochs": size.epochs[1]}
    )
    masks = {"samples": size.samples}
    made = [*averages("vanilla-B", "-B"), Average("mc-dropout-B", "vanilla-B", mc_dropout, masks, each=True)]
    return Cohort([recipe], data, [On("test", "uncertainty", size.measure)], f"B-{part}", averages=made)


def cohorts(size: Size) -> list[Cohort]:
    """Both settings on the same random parts."""
    return [make(size, part) for make in (overfitted, regularised) for part in range(size.parts)]


def grown(ds):
    """By how much the calibration error at the strongest shifts exceeds that of unchanged images."""
    return float(ds["ece"].values[:, -1].mean() - ds["ece"].values[0, 0])


NLL, BRIER, ECE = (
    (effects.shifted(name), unit) for name, unit in (("nll", "nats"), ("brier", ""), ("ece", ""))
)
AUROC = effects.ood_auroc, "AUROC"
PLAIN, WORSE = "has a lower NLL under shift than one network", "under shift than a temperature"
PHOTOS = "tells photographs better than a temperature"
MASKS, BAYES = "Monte Carlo dropout", "variational inference"
LAST = "of the last layer has a higher NLL than of all"
COOLED = "with a temperature an ensemble has a lower NLL than one network with one"
ROWS = [  # claim, effect, larger in, than in
    (f"A: {MASKS} {PLAIN}", NLL, "vanilla", "mc-dropout"),
    (f"B: {MASKS} {PLAIN}", NLL, "vanilla-B", "mc-dropout-B"),
    (f"A: {BAYES} {PLAIN}", NLL, "vanilla", "svi"),
    (f"A: an ensemble {PLAIN}", NLL, "vanilla", "ensemble"),
    (f"B: an ensemble {PLAIN}", NLL, "vanilla-B", "ensemble-B"),
    (f"A: {BAYES} {LAST}", NLL, "ll-svi", "svi"),
    (f"A: dropout {LAST}", NLL, "ll-dropout", "mc-dropout"),
    (f"A: an ensemble has a lower NLL {WORSE}", NLL, "temperature", "ensemble"),
    (f"A: an ensemble has a lower Brier score {WORSE}", BRIER, "temperature", "ensemble"),
    (f"A: an ensemble is better calibrated {WORSE}", ECE, "temperature", "ensemble"),
    (f"B: an ensemble has a lower NLL {WORSE}", NLL, "temperature-B", "ensemble-B"),
    (f"B: an ensemble has a lower Brier score {WORSE}", BRIER, "temperature-B", "ensemble-B"),
    (f"B: an ensemble is better calibrated {WORSE}", ECE, "temperature-B", "ensemble-B"),
    (f"A: {COOLED}", NLL, "temperature", "ensemble-T"),
    (f"B: {COOLED}", NLL, "temperature-B", "ensemble-T-B"),
    (f"A: an ensemble {PHOTOS}", AUROC, "ensemble", "temperature"),
    (f"B: an ensemble {PHOTOS}", AUROC, "ensemble-B", "temperature-B"),
    (f"A: {MASKS} {PHOTOS}", AUROC, "mc-dropout", "temperature"),
    (f"A: {BAYES} {PHOTOS}", AUROC, "svi", "temperature"),
]
WORSENING = ("vanilla", "temperature", "mc-dropout", "svi", "ensemble", "vanilla-B", "ensemble-B")
FINDINGS = [
    Finding(f"calibration worsens under shift: {who}", grown, "uncertainty", above_zero=who, by_cohort=True)
    for who in WORSENING
] + [
    Finding(claim, effect, "uncertainty", more=more, than=than, unit=unit, by_cohort=True)
    for claim, (effect, unit), more, than in ROWS
]

NAMES = ("mean_nll", "mean_ece", "ood_auroc")
STUDY = Study(
    name="shift",
    script=__file__,
    paper="Ovadia et al. 2019",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("uncertainty", NAMES, (*OWN, *OTHERS), "A", by_cohort=True),
        Figure("uncertainty", NAMES, (*(f"{one}-B" for one in OWN), "mc-dropout-B"), "B", by_cohort=True),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
