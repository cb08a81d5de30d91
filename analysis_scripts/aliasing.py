"""Aliasing in small networks: what taking it out does to shifts, and to attacks.

    python analysis_scripts/aliasing.py [--quick | --size natural --data DIR | --full]

Trains networks whose maps are halved with and without low-pass filters (Grabinski et al. 2022;
Rodríguez-Muñoz & Torralba 2022), and with activations that cut off less, and measures the energy that
subsampling folds, answers that stay when the image moves, and answers that attacks change.
"""

from landscape.reference import models
from landscape.studies import Association, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.settings import CIFAR10_PIXELS, DIGIT_PIXELS, SHORT_SGD

SMALL = {"optimizer": "adamw", "lr": 0.005, "schedule": "warmup_cosine", "batch_size": 64}
KINDS = {name: {"down": name} for name in ("stride", "max", "blur", "kaiser", "flc")}
KINDS["quantile"] = {"down": "stride", "activation": "quantile_relu"}
KINDS["antialiased"] = {"down": "kaiser", "activation": "filtered_relu"}
QUICK = {"linf": (0.05,), "l2": (0.4,), "shifts": (1,), "images": 10, "steps": 3}
DEFAULT = {"linf": (0.02, 0.05), "l2": (0.2, 0.4), "shifts": (1, 2, 3), "images": 128, "steps": 20}
NATURAL = {"linf": (1 / 255, 4 / 255), "l2": (0.1, 0.25), "shifts": (1, 2, 3, 4), "images": 256, "steps": 20}
FULL = {**NATURAL, "linf": (1 / 255, 2 / 255, 4 / 255), "l2": (0.1, 0.25, 0.5), "images": 1000, "steps": 50}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=30, side=14),
        training={**SMALL, "batch_size": 30, "epochs": 1},
        net=(models.resnet, {"width": 2, "blocks": [1, 1, 1]}),
        pixels=DIGIT_PIXELS,
        kinds=("stride", "flc", "quantile", "antialiased"),
        **QUICK,
    ),
    "default": Size(
        data=Data.digits(train=1000, test=1000, side=14),
        training={**SMALL, "epochs": 6},
        net=(models.resnet, {"width": 8, "blocks": [1, 1, 1]}),
        pixels=DIGIT_PIXELS,
        kinds=("stride", "blur", "kaiser", "flc", "quantile", "antialiased"),
        **DEFAULT,
    ),
    "natural": Size(
        data=Data.natural(train=5000, test=1000),
        training={**SMALL, "lr": 0.01, "batch_size": 32, "epochs": 16, "augment": "crop_flip"},
        net=(models.vgg, {"width": 8, "blocks": [1, 1, 1], "in_channels": 3, "image": 32, "head": "gap"}),
        pixels=CIFAR10_PIXELS,
        kinds=("stride", "blur", "flc", "quantile"),
        **NATURAL,
    ),
    "full": Size(
        data=Data.cifar(10),
        training=SHORT_SGD,
        net=(models.resnet, {"width": 64, "blocks": [2, 2, 2, 2], "in_channels": 3}),
        pixels=CIFAR10_PIXELS,
        kinds=tuple(KINDS),
        **FULL,
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """One kind for each way to halve maps, and for each activation that is said to alias less."""
    recipes = [kind(k, size.net[0], {**size.net[1], **KINDS[k]}, size.training) for k in size.kinds]
    shown = {**size.pixels, "images": size.images}
    many = {**shown, "steps": size.steps, "targets": 1, "distance": False}
    few = {**shown, "objective": "cross_entropy", "steps": 10, "distance": False, "attacks": ("pgd",)}
    least = {"norm": "l2", "attacks": ("fgsm",), "distance": True}
    some = {"examples": size.images}  # in one batch: small ones are slow
    three = {**some, "kinds": ("stride", "flc", "quantile"), "label": "distance"}
    amounts = tuple(pixels / size.data.side for pixels in size.shifts)
    moves = {**size.pixels, "shifts": ("roll",), "bootstrap": 2, "intensities": amounts}
    return [
        Cohort(
            recipes,
            size.data,
            [
                On("test", "robustness", {**many, "norm": "linf", "radii": size.linf}, label="linf", **some),
                On("test", "robustness", {**many, "norm": "l2", "radii": size.l2}, label="l2", **some),
                On("test", "robustness", {**many, **least, "radii": size.l2}, **three),
                On("test", "robustness", {**few, "norm": "linf", "radii": size.linf}, label="few", **some),
                On("test", "uncertainty", moves, label="shift"),
                On("test", "transfer", {"kinds": ("downsampling",), "bootstrap": 2}),
            ],
        )
    ]


FOLDED = {"effect": effects.aliasing, "of": "transfer", "unit": "share of power"}
MOVED = {"effect": effects.shifted("agreement"), "of": "shift", "unit": "points of answers", "scale": 100}
MANY = {"effect": effects.attacked_accuracy(), "of": "linf", "unit": "points of accuracy", "scale": 100}
FAR = {**MANY, "of": "l2"}
NEAR = {"effect": effects.number("median_distance"), "of": "distance", "unit": "pixel range, ℓ2"}
FEW = {**MANY, "effect": effects.attacked_accuracy("pgd"), "of": "few"}
SMALL_STEP = {**MANY, "effect": effects.attacked_accuracy(place=1)}
CLEAN = {**MANY, "effect": effects.test_accuracy, "of": "training"}
PAPERS = {"blur": "Zhang 2019", "flc": "Grabinski et al. 2022"}


def findings(size: Size) -> list[Finding | Association]:
    """What low-pass filters do; what the quantile does without one; whether aliasing goes with the attack."""
    random = {**MANY, "effect": effects.over_random}
    found = [Finding("attacks do what random signs of that size do not", above_zero="stride", **random)]
    for low in (k for k in size.kinds if k in ("blur", "kaiser", "flc")):
        paper = {"paper": PAPERS.get(low, "")}
        found += [
            Finding(f"less energy is folded ({low})", more="stride", than=low, **FOLDED, **paper),
            Finding(f"more answers stay under shifts ({low})", more=low, than="stride", **MOVED, **paper),
            Finding(f"accuracy under attack rises ({low}, ℓ2)", more=low, than="stride", **FAR, **paper),
        ]
    flc = {"more": "flc", "than": "stride", "paper": PAPERS["flc"]}
    quantile = {"more": "quantile", "than": "stride"}
    both = [
        Finding("filters raise that further (antialiased)", more="antialiased", than="quantile", **FAR),
        Finding("more answers stay under shifts (antialiased)", more="antialiased", than="stride", **MOVED),
    ]
    return [
        *found,
        Finding("accuracy under attack rises (flc, ℓ∞)", **flc, **MANY),
        Finding("the nearest wrong answer is farther (flc)", **flc, **NEAR),
        Finding("the nearest wrong answer is farther (quantile)", **quantile, **NEAR),
        Finding("accuracy under attack rises (quantile, ℓ2)", **quantile, **FAR),
        *(both if "antialiased" in size.kinds else ()),
        Finding("accuracy under a weak attack rises (quantile, ℓ∞)", **quantile, **FEW),
        Finding("accuracy under attack rises (quantile, ℓ∞)", **quantile, **MANY),
        Finding("accuracy under a smaller attack rises (quantile, ℓ∞)", **quantile, **SMALL_STEP),
        Finding("clean accuracy is kept (quantile)", **quantile, **CLEAN),
        Finding("more answers stay under shifts (quantile)", **quantile, **MOVED),
        Finding("less energy is folded (quantile)", more="stride", than="quantile", **FOLDED),
        Association(
            "accuracy under attack falls with what is folded (ℓ2)",
            FAR["effect"],
            "l2",
            over=effects.aliasing,
            over_of="transfer",
            kinds=size.kinds,
            sign=-1,
        ),
    ]


STUDY = Study(
    name="aliasing",
    script=__file__,
    paper="Rodríguez-Muñoz & Torralba 2022",
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=[
        Figure("linf", ("worst", "attacks", "power")),
        Figure("distance", "distance", tag=""),
        Figure("shift", "agreement_roll"),
        Figure("transfer", "aliasing"),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
