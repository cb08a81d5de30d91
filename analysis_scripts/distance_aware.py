"""Deterministic uncertainty by distance (Liu et al., NeurIPS 2020; Postels et al., ICML 2022).

    python analysis_scripts/distance_aware.py [--quick]

Trains residual networks on two half moons and on digits: plain, with bounded layers, with a Gaussian process
head (SNGP), with kernels of distances (DUQ), with a decoder (MIR). Densities, variances and distances stand
against softmax and ensembles far from the data and under shift. Run it again to go on where it was stopped.
"""

from functools import partial

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import data as examples
from landscape.reference import models
from landscape.reference.training import CrossEntropy, KernelLoss, Reconstruction
from landscape.reference.uncertainty import duq_network, feature_density, mir_network, sngp, sngp_network
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.quantities import accuracy_by_doubt, detection, order

SIDE, FAR = 14, 1.0  # pixels along an edge; what is far from moons of radius 1
ADAM = {"optimizer": "adamw", "schedule": "cosine"}
OTHER = [f"distance_aware:{images}" for images in ("patches", "inverted", "quarters")]

SIZES = {
    "quick": Size(
        data=Data.digits(80, 40, side=SIDE),
        **{"epochs": (1, 1), "parts": 1, "points": 60, "features": 16, "degrees": [180], "noise": [0.38]},
        **{"moons": {"width": 8, "depth": 2}, "resnet": {"width": 2, "blocks": [1]}, "bootstrap": 2},
    ),
    "default": Size(
        data=Data.digits(2000, 400, side=SIDE),
        **{"epochs": (60, 8), "parts": 5, "points": 500, "features": 512, "noise": [], "bootstrap": 20},
        **{"moons": {"width": 128, "depth": 6}, "resnet": {"width": 8}},
        degrees=list(range(20, 200, 20)),
    ),
}
IMAGES = (examples.patches, examples.inverted_digits, examples.quartered_digits)
patches, inverted, quarters = (partial(images, 400, size=SIDE) for images in IMAGES)
grid = partial(examples.plane_grid, 4.0, 41)


def moons(size, part):
    """Networks of the plane, asked on a grid."""
    data = Data.table(examples.two_moons, 2, part=part, count=size.points)
    training = {**ADAM, "lr": 1e-3, "weight_decay": 1e-4, "batch_size": 128, "epochs": size.epochs[0]}
    of = {"builder": "landscape.reference.models:residual_mlp", "kwargs": size.moons, "shape": [2]}
    recipes = [
        kind("plain", models.residual_mlp, size.moons, training),
        kind("bound", models.bounded, {**of, "bound": 0.95}, training),
        kind("head-net", sngp_network, {**of, "count": 2 * size.features, "bound": None}, training),
        kind("sngp-net", sngp_network, {**of, "count": 2 * size.features, "bound": 0.95}, training),
    ]
    averages = [
        Average("moons-ensemble", "plain", DeepEnsemble),
        Average("head", "head-net", sngp, fit="train"),
        Average("moons-sngp", "sngp-net", sngp, fit="train"),
    ]
    measure = [On("train", "distance_awareness", {"other_data": ["distance_aware:grid"]}, label="moons")]
    alone = tuple(recipe.group for recipe in recipes[1:])
    return Cohort(recipes, data, measure, f"moons-{part}", averages=averages, first_seed=alone)


def digits(size, part):
    """Networks of digits that turn and drown in noise, and other images."""
    data = Data.digits(size.data.examples, size.data.test.kwargs["count"], side=SIDE, seed=part)
    training = {**ADAM, "lr": 0.005, "batch_size": 64, "epochs": size.epochs[1]}
    of = {"builder": "landscape.reference.models:resnet", "kwargs": size.resnet}
    bounded = {**of, "shape": [1, SIDE, SIDE], "bound": 3.0}
    kernels = {**of, "embedding": 64, "length": 0.3, "momentum": 0.99}
    decoded = {**training, "objective": CrossEntropy() + 1.0 * Reconstruction()}
    recipes = [
        kind("softmax", models.resnet, size.resnet, training),
        kind("softmax-bound", models.bounded, bounded, training),
        kind("softmax-tight", models.bounded, {**bounded, "bound": 1.0}, training),
        kind("digits-sngp-net", sngp_network, {**bounded, "count": size.features}, training),
        kind("mir-net", mir_network, {**of, "shape": [1, SIDE, SIDE]}, decoded),
        kind("duq", duq_network, kernels, {**training, "objective": KernelLoss(0.05)}),
    ]
    diagonal = {"covariance": "diagonal", "normalise": True, "classes": "predicted"}
    averages = [
        Average("ensemble", "softmax", DeepEnsemble),
        Average("density", "softmax", feature_density, fit="train", each=True),
        Average("ddu", "softmax-bound", feature_density, fit="train"),
        Average("ddu-tight", "softmax-tight", feature_density, fit="train"),
        Average("mir", "mir-net", feature_density, diagonal, fit="train"),
        Average("sngp", "digits-sngp-net", sngp, fit="train"),
    ]
    scored = {"mean": [0.1307], "std": [0.3081], "bootstrap": size.bootstrap}
    turned = {"shifts": ["rotation_wide"], "intensities": size.degrees, "ood_data": OTHER}
    noisy = {"shifts": ["gaussian_noise"], "intensities": size.noise}
    shown = ("softmax", "duq", *(average.name for average in averages))
    measure = [
        On("test", "uncertainty", {**scored, **turned}, shown, label="turned"),
        On("test", "uncertainty", {**scored, **noisy}, shown, label="noisy"),
        On("train", "distance_awareness", kinds=("softmax", "softmax-*", "*-net"), label="maps"),
    ]
    alone = tuple(recipe.group for recipe in recipes[1:])
    return Cohort(recipes, data, measure, f"digits-{part}", averages=averages, first_seed=alone)


def cohorts(size):
    """Random points and random digits."""
    return [make(size, part) for make in (moons, digits) for part in range(size.parts)]


SURE, DOUBT = (effects.far_confidence(FAR), "probability"), (effects.doubt_by_distance("confidence"), "ρ")
EVEN, VARIANCE = (effects.log_expansion_spread, "ln ratio"), (effects.doubt_by_distance("score"), "ρ")
AWAY, MORE = "far from moons SNGP is less sure than", "SNGP's doubt follows the distance from moons more than"
OF, TELLS = "distances more alike", "tells other images better than"
ROWS = [  # claim, whose results, effect, larger in, than in
    (f"{AWAY} one network", "moons", SURE, "plain", "moons-sngp"),
    (f"{AWAY} an ensemble", "moons", SURE, "moons-ensemble", "moons-sngp"),
    (f"{AWAY} its head without bound", "moons", SURE, "head", "moons-sngp"),
    (f"{MORE} that of one network", "moons", DOUBT, "moons-sngp", "plain"),
    ("with the bound variances follow the distance from moons more", "moons", VARIANCE, "moons-sngp", "head"),
    (f"moons: the bound expands {OF}, one network", "moons", EVEN, "plain", "bound"),
    (f"moons: the bound expands {OF}, Gaussian process head", "moons", EVEN, "head-net", "sngp-net"),
    (f"digits: the bound 3 expands {OF}", "maps", EVEN, "softmax", "softmax-bound"),
    (f"digits: the bound 1 expands {OF}", "maps", EVEN, "softmax", "softmax-tight"),
]  # fmt: skip
FINDINGS = [
    Finding(claim, effect, of, more=more, than=than, unit=unit, paper="Liu et al. 2020", by_cohort=True)
    for claim, of, (effect, unit), more, than in ROWS
]
LIKE = {"density": "a density", "ddu": "DDU", "sngp": "SNGP", "duq": "DUQ", "mir": "MIR"}
FINDINGS += [detection(f"{LIKE[who]} {TELLS} softmax", "turned", who, "softmax") for who in LIKE]
for bound, who in ((3, "ddu"), (1, "ddu-tight")):
    FINDINGS += [detection(f"a density with bound {bound} {TELLS} one without", "turned", who, "density")]
BEST, FALLS = "an ensemble orders errors better than", "accuracy follows doubt of an ensemble more than of"
AT = [("turned", "turned by 180°", False), ("noisy", "under the strongest noise", False)]
ALL = [("turned", "all turns together", True), ("noisy", "all noise together", True)]
for who in ("ddu", "sngp", "duq", "mir"):
    FINDINGS += [order(f"{at}, {BEST} {LIKE[who]}", of, "ensemble", who, pool) for of, at, pool in AT + ALL]
    FINDINGS += [accuracy_by_doubt(f"{at}, {FALLS} {LIKE[who]}", of, who, "ensemble") for of, at, _ in ALL]

PLANE = ("plain", "bound", "head", "moons-sngp", "moons-ensemble")
STUDY = Study(
    name="distance",
    script=__file__,
    paper="Postels et al. 2022",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("moons", "confidence_inputs", PLANE, by_cohort=True),
        Figure("turned", "pooled_raulc", ("softmax", "ensemble", *LIKE), by_cohort=True),
        Figure("maps", "spread", by_cohort=True),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
