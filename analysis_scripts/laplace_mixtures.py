"""Mixtures of Laplace approximations (Eschenhagen, Daxberger, Hennig & Kristiadi, 2021).

    python analysis_scripts/laplace_mixtures.py [--quick]

Trains networks on two half moons and on digits, gives each the Laplace posterior of its last layer, averages
networks and posteriors, and asks how sure each is far from its data and of photographs. Run it again to go
on where it was stopped.
"""

from landscape.base.figure import Axis
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import models
from landscape.reference.data import circle, two_moons
from landscape.reference.uncertainty import linearised_laplace
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, Sweep, effects, kind

NEAR, FAR = 10, 100  # radii of circles about points of radius 1
MOONS = {"optimizer": "adamw", "lr": 0.005, "batch_size": 50, "schedule": "cosine"}
DIGITS = {"optimizer": "adamw", "lr": 0.002, "batch_size": 64, "schedule": "cosine"}
LENET = {"channels": [8, 16], "hidden": 64, "kernel": 5, "stride": 2}
MEASURE = {"mean": [0.1307], "std": [0.3081], "ood_data": ["landscape.reference.data:patches"]}
PRECISIONS = {"unit": 1.0, "evidence": "own_evidence", "large": 100.0}  # prior precisions δ
SIZES = {
    "quick": Size(
        data=Data.digits(80, 40),
        epochs=(5, 2),
        parts=(1, 1),
        points=40,
        radii=(NEAR, FAR),
        measure={**MEASURE, "shifts": ["gaussian_noise"], "intensities": [0.2], "bootstrap": 2},
    ),
    "default": Size(
        data=Data.digits(1000, 200),
        epochs=(100, 30),
        parts=(5, 5),
        points=200,
        radii=(2, 3, NEAR, 30, FAR),
        measure={**MEASURE, "shifts": ["rotation", "gaussian_noise"]},
    ),
}


def laplace(name, of, delta, **options):
    """Laplace posteriors of the networks of a kind: their mixture, or with each=True one by one."""
    return Average(name, of, linearised_laplace, {"prior_precision": delta}, fit="train", **options)


def moons(size, part):
    """Networks of the plane, seen on circles about their points."""
    data = Data.table(two_moons, 2, part=part, count=size.points)
    for radius in size.radii:
        data = data.beside(f"ring-{radius}", circle, radius=float(radius))
    recipe = kind("moons", models.mlp, {"widths": [2, 64, 64, 2]}, {**MOONS, "epochs": size.epochs[0]})
    averages = [
        Average("moons-ensemble", "moons", DeepEnsemble),
        laplace("moons-laplace", "moons", 1.0, each=True),
        laplace("moons-mola", "moons", 1.0),
    ]
    measure = [On(name, "calibration", {"bootstrap": 2}, label=name) for name in data.others]
    return Cohort([recipe], data, measure, f"moons-{part}", averages=averages)


def digits(size, part):
    """Networks of digits, seen under rotation and noise, and on photographs."""
    data = Data.digits(size.data.examples, size.data.test.kwargs["count"], seed=part)
    recipe = kind("single", models.lenet, LENET, {**DIGITS, "epochs": size.epochs[1]})
    averages = [Average("ensemble", "single", DeepEnsemble)]
    averages += [laplace(f"mola-{name}", "single", delta) for name, delta in PRECISIONS.items()]
    averages.append(laplace("laplace-large", "single", PRECISIONS["large"], each=True))
    weighted = {"prior_precision": "own_evidence", "weights": "evidence"}
    averages.append(Average("mola-weighted", "single", linearised_laplace, weighted, fit="train"))
    measure = [On("test", "uncertainty", size.measure)]
    return Cohort([recipe], data, measure, f"digits-{part}", averages=averages)


def cohorts(size):
    """Random points and random digits, with as many networks of a kind as there are seeds."""
    pairs = zip((moons, digits), size.parts, strict=True)
    return [make(size, part) for make, parts in pairs for part in range(parts)]


def clean(name):
    """A score of ``uncertainty`` on unchanged digits."""
    return lambda ds: float(ds[name][0, 0])


NLL, ECE, SHIFTED = (clean("nll"), "nats"), (clean("ece"), ""), (effects.shifted("nll"), "nats")
MEAN, LARGEST = ((effect, "probability") for effect in (effects.mean_confidence, effects.largest_confidence))
PHOTOS, AUROC = (effects.ood_confidence, "probability"), (effects.ood_auroc, "AUROC")
MIX, ONE = "a mixture of Laplace posteriors", "one Laplace posterior"
LOWER, CHANGED = f"{MIX} has a lower NLL than an ensemble", "on rotated and noisy digits"
UNIT, LARGE, EVIDENCE = ("δ = 1 (published)", "δ = 100", "δ of most evidence")
RING, DISTANT, TEST = f"ring-{NEAR}", f"ring-{FAR}", "uncertainty"
FAR_OFF, SURE = f"far from moons {MIX} is less sure", f"{MIX} is less sure of photographs than"
WEIGHTS, ONES = f"weights by evidence lower the NLL {CHANGED}", ("laplace-large", "mola-large")
MOONS_BOTH, BOTH, ENSEMBLE = ("moons-ensemble", "moons-mola"), ("ensemble", "mola-large"), "ensemble"
ROWS = [  # claim, effect, of, larger in and than in, δ
    (f"{FAR_OFF} than an ensemble", MEAN, RING, MOONS_BOTH, UNIT),
    (f"{FAR_OFF} than one of them", MEAN, RING, ("moons-laplace", "moons-mola"), UNIT),
    (f"far from moons {ONE} is less sure than one network", MEAN, RING, ("moons", "moons-laplace"), UNIT),
    (f"{FAR_OFF} where each is surest", LARGEST, DISTANT, MOONS_BOTH, UNIT),
    (f"{LOWER} on digits", NLL, TEST, (ENSEMBLE, "mola-unit"), UNIT),
    (f"{LOWER} on digits", NLL, TEST, (ENSEMBLE, "mola-evidence"), EVIDENCE),
    (f"{LOWER} on digits", NLL, TEST, BOTH, LARGE),
    (f"{MIX} is better calibrated on digits than an ensemble", ECE, TEST, BOTH, LARGE),
    (f"{LOWER} {CHANGED}", SHIFTED, TEST, (ENSEMBLE, "mola-evidence"), EVIDENCE),
    (f"{LOWER} {CHANGED}", SHIFTED, TEST, BOTH, LARGE),
    (f"{MIX} has a lower NLL than one of them {CHANGED}", SHIFTED, TEST, ONES, LARGE),
    (f"{SURE} an ensemble", PHOTOS, TEST, BOTH, LARGE),
    (f"{SURE} one of them", PHOTOS, TEST, ONES, LARGE),
    (f"{MIX} tells photographs better than an ensemble", AUROC, TEST, BOTH[::-1], LARGE),
    (WEIGHTS, SHIFTED, TEST, ("mola-evidence", "mola-weighted"), EVIDENCE),
]


def figures(size):
    """Confidence against distance; scores on digits."""
    rings = Sweep(
        "confidence",
        "Confidence on circles about two moons",
        {f"ring-{radius}": float(radius) for radius in size.radii},
        effects.mean_confidence,
        ("moons", "moons-ensemble", "moons-laplace", "moons-mola"),
        Axis("radius of the circle", scale="log"),
        Axis("mean confidence"),
        "The networks have seen points within 2 of the middle. Laplace posteriors of the last layer, δ = 1.",
    )
    kinds = ("single", "ensemble", "laplace-large", "mola-large", "mola-evidence", "mola-unit")
    names = ("mean_nll", "mean_ece", "ood_auroc")
    return [rings, Figure(TEST, names, kinds, "digits", by_cohort=True)]


STUDY = Study(
    name="mola",
    script=__file__,
    paper="Eschenhagen et al. 2021",
    sizes=SIZES,
    cohorts=cohorts,
    findings=[
        Finding(f"{claim}, {delta}", effect, of, more=more, than=than, unit=unit, by_cohort=True)
        for claim, (effect, unit), of, (more, than), delta in ROWS
    ],
    figures=figures,
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
