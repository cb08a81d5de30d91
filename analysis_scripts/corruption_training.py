"""Adversarial weights of an image-to-image network against corruptions (AdA: Calian et al. 2022), and DiGN.

    python analysis_scripts/corruption_training.py [--quick]

Trains networks on digits and on the same changed by a small network from images to images, whose weights are
moved the way that fools the classifier (AdA), or at random in the same balls; beside them consistency under
noise (DiGN: Tsiligkaridis & Tsiligkaridis 2023) and noise as augmentation.
"""

from functools import cache

from torch import Generator, nn

from landscape.base.analysis import Analysis, Metric, Params
from landscape.base.schema import Schema, Variable
from landscape.reference import models
from landscape.reference.data import digits
from landscape.reference.training import CrossEntropy
from landscape.reference.training.methods import AdversarialAugmentation, NoiseAugmentation, NoiseConsistency
from landscape.studies import Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.settings import DIGIT_PIXELS


@cache
def adversary(side):
    """The attack with an image network of its own, the same for all classifiers."""
    attack = AdversarialAugmentation(0.05, steps=10, fitting=15, **DIGIT_PIXELS)
    attack.begin(nn.Linear(1, 1), digits("train", 600, size=side), Generator().manual_seed(2022))
    return attack


def attacked(problem, params, context):
    """The share of right answers under the worst weights found."""
    draws, right = Generator().manual_seed(0), []
    for x, y in ((batch.inputs, batch.target) for batch in problem.batches):
        changed = adversary(x.shape[-1]).changed(problem.module, x, y, draws)
        right += (problem.module(changed).argmax(1) == y).tolist()
    return {"accuracy": sum(right) / len(right)}


weight_attack = Analysis(
    name="weight_attack",
    title="Accuracy under adversarial weights of an image network",
    description="Digits changed by an image network whose weights are moved to fool the classifier.",
    scope="checkpoint",
    params=Params,
    schema=Schema(version=1, variables=(Variable("accuracy", (), "share of right answers"),)),
    compute=attacked,
    plots=lambda datasets: [],
    summary=lambda ds: [Metric("accuracy", float(ds["accuracy"]))],
)


def ada(radius, **given):
    """Half of the loss on the digits, half on those that the image network changes."""
    return 0.5 * CrossEntropy() + 0.5 * AdversarialAugmentation(radius, fitting=15, **DIGIT_PIXELS, **given)


OBJECTIVES = {
    "plain": CrossEntropy(),
    "random": ada(0.05, steps=0),
    "ada": ada(0.05),
    "random-wide": ada(0.3, steps=0),
    "ada-wide": ada(0.3),
    "noise": NoiseAugmentation(0.5, std=DIGIT_PIXELS["std"]),
    "dign": CrossEntropy() + 3.0 * NoiseConsistency(0.5, samples=2, share=1.0, std=DIGIT_PIXELS["std"]),
}
SMALL = {"optimizer": "adamw", "lr": 0.01, "schedule": "warmup_cosine"}
SIZES = {
    "quick": Size(
        data=Data.digits(train=20, test=10, side=8),
        training={**SMALL, "batch_size": 20, "epochs": 1},
        vgg={"width": 2, "blocks": [1, 1], "head": "gap", "image": 8},
        kinds=("plain", "ada", "dign"),
        images=10,
    ),
    "default": Size(
        data=Data.digits(train=600, test=1000, side=12),
        training={**SMALL, "batch_size": 64, "epochs": 6},
        vgg={"width": 12, "blocks": [1, 1, 1], "head": "gap", "image": 12},
        kinds=tuple(OBJECTIVES),
        images=100,
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """One kind for each objective, on the same network."""
    given = {k: {**size.training, "objective": OBJECTIVES[k]} for k in size.kinds}
    recipes = [kind(k, models.vgg, size.vgg, training) for k, training in given.items()]
    pgd = {"radii": (0.1,), "steps": 10, "targets": 1, "distance": False, "images": size.images}
    looks = {
        "corruptions": ("corruptions", DIGIT_PIXELS),
        "robustness": ("robustness", {**DIGIT_PIXELS, **pgd}),
        "weights": ("corruption_training:weight_attack", {}),
    }
    measures = [On("test", *what, examples=size.images, label=label) for label, what in looks.items()]
    return [Cohort(recipes, size.data, measures)]


ALL = {"effect": effects.corrupted_accuracy, "of": "corruptions"}
NOISE = {**ALL, "effect": effects.accuracy_under("gaussian_noise", "shot_noise", "impulse_noise")}
UNSEEN = {**ALL, "effect": effects.accuracy_under("shot_noise", "impulse_noise")}
BLUR = {**ALL, "effect": effects.accuracy_under("gaussian_blur")}
PGD = {"effect": effects.attacked_accuracy("pgd"), "of": "robustness", "scale": 100}
WEIGHTS = {"effect": effects.number("accuracy"), "of": "weights", "scale": 100}
CLEAN = {"effect": effects.test_accuracy, "of": "training", "scale": 100}
ADA, DIGN = "Calian et al. 2022", "Tsiligkaridis & Tsiligkaridis 2023"
ROWS = [  # claim, effect, the kind with more, the kind with less, where it is said
    ("AdA raises the accuracy on corruptions", ALL, "ada", "plain", ADA),
    ("AdA does better on corruptions than random weights", ALL, "ada", "random", ADA),
    ("wide AdA raises the accuracy on corruptions", ALL, "ada-wide", "plain", ADA),
    ("wide AdA does better on corruptions than random weights", ALL, "ada-wide", "random-wide", ADA),
    ("random weights raise the accuracy on corruptions", ALL, "random", "plain", "ours"),
    ("wide random weights raise the accuracy on corruptions", ALL, "random-wide", "plain", "ours"),
    ("AdA raises the accuracy under PGD", PGD, "ada", "plain", ADA),
    ("AdA raises the accuracy under the worst weights", WEIGHTS, "ada", "plain", ADA),
    ("wide AdA raises the accuracy under the worst weights", WEIGHTS, "ada-wide", "plain", "ours"),
    ("AdA costs clean accuracy", CLEAN, "plain", "ada", "ours"),
    ("AdA costs accuracy on blur", BLUR, "plain", "ada", "ours"),
    ("DiGN raises the accuracy on unseen noise", UNSEEN, "dign", "plain", DIGN),
    ("DiGN does better on unseen noise than augmentation", UNSEEN, "dign", "noise", DIGN),
    ("AdA raises the accuracy on noise", NOISE, "ada", "plain", ADA),
    ("DiGN does better on noise than AdA", NOISE, "dign", "ada", "ours"),
    ("AdA does better on all corruptions than DiGN", ALL, "ada", "dign", "ours"),
]


def findings(size: Size) -> list[Finding]:
    """The rows on kinds that a size has."""
    rows = [row for row in ROWS if {row[2], row[3]} <= {*size.kinds}]
    return [Finding(c, more=m, than=t, unit="points", paper=p, **effect) for c, effect, m, t, p in rows]


STUDY = Study(
    name="corruption_training",
    script=__file__,
    paper=ADA,
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=[Figure("corruptions", "mean_accuracy"), Figure("robustness", "worst")],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
