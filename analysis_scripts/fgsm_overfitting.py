"""Catastrophic overfitting of training against one step (Wong et al. 2020), and what downsampling does to it.

    python analysis_scripts/fgsm_overfitting.py [--quick | --full]

Trains networks on images changed by the fast gradient sign method, from the image itself, and looks at
whether they are wrong against many steps though right against one: with strided convolutions, with
downsampling without aliasing (Grabinski et al. 2022), and from a random start. Surfaces of the loss around
images show why.
"""

from landscape.reference import models
from landscape.reference.training import FGSM, Adversarial
from landscape.studies import Association, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.settings import CIFAR10_PIXELS, DIGIT_PIXELS

SMALL = {"optimizer": "adamw", "lr": 0.005, "schedule": "warmup_cosine", "batch_size": 64}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=30),
        training={**SMALL, "batch_size": 30, "epochs": 1},
        resnet={"width": 2, "blocks": [1, 1, 1]},
        pixels=DIGIT_PIXELS,
        radius=0.3,
        downs=("stride", "flc"),
        images=20,
        steps=3,
        points=5,
    ),
    "default": Size(
        data=Data.digits(train=1000, test=1000),
        training={**SMALL, "epochs": 10},
        resnet={"width": 8, "blocks": [1, 1, 1]},
        pixels=DIGIT_PIXELS,
        radius=0.3,
        downs=("stride", "flc"),
        images=200,
        steps=20,
        points=11,
    ),
    "full": Size(
        data=Data.cifar(10),
        training={
            "optimizer": "sgd",
            "lr": 0.2,
            "weight_decay": 5e-4,
            "schedule": "warmup_cosine",
            "batch_size": 128,
            "epochs": 30,
            "augment": "crop_flip",
        },
        resnet={"width": 64, "blocks": [2, 2, 2, 2], "in_channels": 3, "preact": True},
        pixels=CIFAR10_PIXELS,
        radius=8 / 255,
        downs=("stride", "max", "blur", "flc"),
        images=1000,
        steps=50,
        points=25,
    ),
}
RANDOM = "random-start"


def cohorts(size: Size) -> list[Cohort]:
    """One kind for each way to halve maps, trained from the image itself; strides from a random start too."""
    zero = Adversarial(FGSM(size.radius, step=1.0, start="zero"), **size.pixels)
    random = Adversarial(FGSM(size.radius, step=1.25, start="uniform"), **size.pixels)
    recipes = [
        kind(down, models.resnet, {**size.resnet, "down": down}, {**size.training, "objective": zero})
        for down in size.downs
    ]
    recipes.append(kind(RANDOM, models.resnet, size.resnet, {**size.training, "objective": random}))
    shown = {**size.pixels, "images": size.images}
    attacks = {"radii": (size.radius / 2, size.radius), "steps": size.steps, "targets": 1, "distance": False}
    surface = {"radius": size.radius, "points": size.points, "plane": 3}
    plane = {**surface, "plane": size.points}
    return [
        Cohort(
            recipes,
            size.data,
            [
                On("test", "robustness", {**shown, **attacks}),
                On("test", "input_surface", {**shown, **surface}),
                On("test", "input_surface", {**shown, **plane}, seeds="first", label="plane"),
            ],
        )
    ]


def findings(size: Size) -> list[Finding | Association]:
    """What FLC pooling does; what a random start does; what goes with overfitting to one step."""
    gap = {"effect": effects.attack_gap, "of": "robustness", "unit": "points of accuracy", "scale": 100}
    many = {**gap, "effect": effects.attacked_accuracy("pgd")}
    flc = {"paper": "Grabinski et al. 2022"}
    found: list[Finding | Association] = []
    for down in (d for d in size.downs if d != "flc"):
        found += [
            Finding(
                f"FLC pooling closes the gap of FGSM to PGD ({down})", more=down, than="flc", **gap, **flc
            ),
            Finding(
                f"FLC pooling raises the accuracy under PGD ({down})", more="flc", than=down, **many, **flc
            ),
        ]
    kinds = (*size.downs, RANDOM)
    together = {"effect": effects.attack_gap, "of": "robustness", "over_of": "input_surface", "kinds": kinds}
    return [
        Finding("there is a gap of FGSM to PGD after training from the image", above_zero="stride", **gap),
        *found,
        Finding("a random start closes the gap of FGSM to PGD", more="stride", than=RANDOM, **gap),
        Finding("a random start raises the accuracy under PGD", more=RANDOM, than="stride", **many),
        Association(
            "the gap rises with the share of distorted images",
            over=effects.number("distorted"),
            paper="Kim et al. 2021",
            **together,
        ),
        Association(
            "the gap falls with the cosine of gradients in the ball",
            over=effects.number("gradient_cosine"),
            sign=-1,
            paper="Andriushchenko & Flammarion 2020",
            **together,
        ),
        Association(
            "the gap rises with the distance of the loss from its tangent",
            over=effects.number("linearity"),
            paper="Qin et al. 2019",
            **together,
        ),
    ]


STUDY = Study(
    name="fgsm",
    script=__file__,
    paper="Wong et al. 2020",
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=[
        Figure("robustness", ("attacks", "gap")),
        Figure("input_surface", "loss"),
        Figure("plane", ("plane_0", "plane_1", "plane_2"), tag=""),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
