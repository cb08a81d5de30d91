"""Deterministic uncertainty by distance (Liu et al., NeurIPS 2020; Postels et al., ICML 2022).

    python analysis_scripts/distance_aware.py [--quick]

Trains residual networks on two half moons and on digits: plain, with bounded layers, with a Gaussian process
head, with kernels of distances (DUQ), with a decoder (MIR). Densities of features, variances and distances
stand against softmax and ensembles far from the data, under shift and on other data. Run it again to go on
where it was stopped.
"""

from functools import partial

import torch

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import data as examples
from landscape.reference import models
from landscape.reference.training import CrossEntropy, KernelLoss, Reconstruction
from landscape.reference.uncertainty import duq_network, feature_density, mir_network, sngp, sngp_network
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind

SIDE, FAR = 14, 1.0  # pixels along an edge; what is far from moons of radius 1
ADAM = {"optimizer": "adamw", "schedule": "cosine"}
MOONS = {**ADAM, "lr": 1e-3, "weight_decay": 1e-4, "batch_size": 128}
RESNET = {"builder": "landscape.reference.models:resnet"}
RESIDUAL = {"builder": "landscape.reference.models:residual_mlp"}
PIXELS = {"mean": [0.1307], "std": [0.3081]}
OTHER = ["distance_aware:patches", "distance_aware:inverted", "distance_aware:quarters"]
SIZES = {
    "quick": Size(
        data=Data.digits(80, 40, side=SIDE),
        epochs=(2, 1),
        parts=1,
        points=60,
        moons={"width": 8, "depth": 2},
        resnet={"width": 2, "blocks": [1, 1]},
        features=16,
        degrees=[90, 180],
        scores={"bootstrap": 2},
    ),
    "default": Size(
        data=Data.digits(2000, 400, side=SIDE),
        epochs=(60, 8),
        parts=5,
        points=500,
        moons={"width": 128, "depth": 6},
        resnet={"width": 8},
        features=512,
        degrees=list(range(20, 200, 20)),
        scores={"bootstrap": 20},
    ),
}


def patches():
    """Photographs."""
    return examples.patches(400, size=SIDE)


def inverted():
    """Digits, black on white."""
    x, y = examples.digits("test", 400, size=SIDE)
    return (1 - 2 * PIXELS["mean"][0]) / PIXELS["std"][0] - x, y


def quarters():
    """Digits whose quarters have changed places."""
    x, y = examples.digits("test", 400, size=SIDE)
    return x.roll((SIDE // 2, SIDE // 2), (2, 3)), y


def grid():
    """Points of the plane about the moons."""
    steps = torch.linspace(-4, 4, 41)
    return torch.cartesian_prod(steps, steps), torch.zeros(41 * 41, dtype=torch.long)


def moons(size, part):
    """Networks of the plane, asked on a grid."""
    data = Data.table(examples.two_moons, 2, part=part, count=size.points)
    training = {**MOONS, "epochs": size.epochs[0]}
    of = {**RESIDUAL, "kwargs": size.moons, "shape": [2]}
    process = {**of, "count": 2 * size.features}
    recipes = [
        kind("plain", models.residual_mlp, size.moons, training),
        kind("bound", models.bounded, {**of, "bound": 0.95}, training),
        kind("head-net", sngp_network, {**process, "bound": None}, training),
        kind("sngp-net", sngp_network, {**process, "bound": 0.95}, training),
    ]
    averages = [
        Average("moons-ensemble", "plain", DeepEnsemble),
        Average("head", "head-net", sngp, fit="train"),
        Average("moons-sngp", "sngp-net", sngp, fit="train"),
    ]
    measure = [On("train", "distance_awareness", {"other_data": ["distance_aware:grid"]}, label="moons")]
    alone = ("bound", "head-net", "sngp-net")
    return Cohort(recipes, data, measure, f"moons-{part}", averages=averages, first_seed=alone)


def digits(size, part):
    """Networks of digits that turn and drown in noise, and other images."""
    data = Data.digits(size.data.examples, size.data.test.kwargs["count"], side=SIDE, seed=part)
    training = {**ADAM, "lr": 0.005, "batch_size": 64, "epochs": size.epochs[1]}
    of = {**RESNET, "kwargs": size.resnet}
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
    turned = {"shifts": ["rotation_wide"], "intensities": size.degrees, "ood_data": OTHER}
    shown = ("softmax", "duq", *(average.name for average in averages))
    measure = [
        On("test", "uncertainty", {**PIXELS, **size.scores, **turned}, shown, label="turned"),
        On(
            "test",
            "uncertainty",
            {**PIXELS, **size.scores, "shifts": ["gaussian_noise"]},
            shown,
            label="noisy",
        ),
        On("train", "distance_awareness", kinds=("softmax", "softmax-*", "*-net"), label="maps"),
        On("train", "distance_awareness", {"layer": "body"}, kinds=("duq",), label="maps"),
    ]
    alone = tuple(recipe.group for recipe in recipes[1:])
    return Cohort(recipes, data, measure, f"digits-{part}", averages=averages, first_seed=alone)


def cohorts(size):
    """Random points and random digits."""
    return [make(size, part) for make in (moons, digits) for part in range(size.parts)]


def far(ds):
    """Mean confidence at grid points far from all moons."""
    return float(ds["point_confidence"].values[ds["point_input_distance"].values > FAR].mean())


def growing(ds, by="confidence"):
    """Rank correlation of doubt and distance on the grid."""
    return float(ds["spearman"].sel(space="inputs", by=by).values[0])


def spread(ds):
    """ln of the 99 % over the 1 % quantile of the expansion between examples."""
    return float(torch.tensor(ds["expansion_spread"].values[0]).log())


def told(ds, by="score"):
    """AUROC against other data, mean over these."""
    return float(ds["ood_auroc"].sel(by=by).mean())


def ordered(ds, by="score", name="raulc"):
    """rAULC at the strongest shift, or of all intensities together."""
    values = ds[name].sel(by=by).values[0]
    return float(values if name == "pooled_raulc" else values[-1])


def against(claim, of, effect, more, than, unit, note="", **names):
    """The finding that a method is ahead by its score, and softmax or an ensemble by entropy."""
    by = {"softmax": "entropy", "ensemble": "entropy"}
    first, second = (partial(effect, by=by.get(who, "score"), **names) for who in (more, than))
    found = {"of": of, "more": more, "than": than, "than_effect": second, "unit": unit, "note": note}
    return Finding(claim, first, by_cohort=True, **found)


DUMS = {"density": "a density", "ddu": "DDU", "sngp": "SNGP", "duq": "DUQ", "mir": "MIR"}
BETTER, LATER = "tells other images better than softmax", "Postels et al. 2022"
SURE, DOUBT, EVEN = (far, "probability"), (growing, "rank correlation"), (spread, "ln ratio")
VARIANCE = partial(growing, by="score"), "rank correlation"
MOONS_ROWS = [  # claim, effect, larger in, than in
    ("far from moons SNGP is less sure than one network", SURE, "plain", "moons-sngp"),
    ("far from moons SNGP is less sure than an ensemble", SURE, "moons-ensemble", "moons-sngp"),
    ("the doubt of SNGP grows more with the distance than that of one network", DOUBT, "moons-sngp", "plain"),
    ("far from moons SNGP is less sure than its head alone", SURE, "head", "moons-sngp"),
    ("the bound makes the variance follow the distance", VARIANCE, "moons-sngp", "head"),
    ("the bound makes features more even: plain", EVEN, "plain", "bound"),
    ("the bound makes features more even: Gaussian process head", EVEN, "head-net", "sngp-net"),
]
FINDINGS = [
    Finding(claim, effect, "moons", more=more, than=than, unit=unit, by_cohort=True)
    for claim, (effect, unit), more, than in MOONS_ROWS
]
FINDINGS += [
    Finding("the bound makes features more even: digits", spread, "maps", more="softmax", than="softmax-bound",
            unit="ln ratio", by_cohort=True),
    *(against(f"{name} {BETTER}", "turned", told, who, "softmax", "AUROC") for who, name in DUMS.items()),
    against("the bound helps a density to tell other images", "turned", told, "ddu", "density", "AUROC"),
    *(
        against(f"{what} strongest, an ensemble orders errors better than {name}", of, ordered, "ensemble", who,
                "rAULC", note)
        for of, what, note in (("turned", "turned", "180°"), ("noisy", "noise at its", "severity 5"))
        for who, name in DUMS.items() if who != "density"
    ),
    *(
        against(f"all turns together, an ensemble orders errors better than {name}", "turned", ordered,
                "ensemble", who, "rAULC", name="pooled_raulc")
        for who, name in DUMS.items() if who != "density"
    ),
]  # fmt: skip

STUDY = Study(
    name="distance",
    script=__file__,
    paper="Liu et al. 2020; Postels et al. 2022",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("moons", ("confidence_inputs", "expansion"), tag="moons", cohorts=("moons-0",)),
        Figure("turned", ("ood_auroc", "mean_pooled_raulc"), tag="digits", by_cohort=True),
        Figure("maps", ("expansion", "jacobian"), tag="digits", cohorts=("digits-0",)),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
