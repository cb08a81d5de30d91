"""Adversarial weights of an image-to-image network against corruptions (AdA: Calian et al. 2022), and DiGN.

    python analysis_scripts/corruption_training.py [--quick]

Trains networks on digits and on the same changed by a small network from images to images, whose weights are
moved the way that fools the classifier (AdA), or at random in the same balls; beside them consistency under
noise of three weights (DiGN: Tsiligkaridis & Tsiligkaridis 2023) and noise as augmentation.
"""

from landscape.reference import models
from landscape.reference.training import CrossEntropy
from landscape.reference.training.methods import AdversarialAugmentation, NoiseAugmentation, NoiseConsistency
from landscape.studies import Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.settings import DIGIT_PIXELS


def ada(radius, **given):
    """Half of the loss on the digits, half on those that the image network changes."""
    return 0.5 * CrossEntropy() + 0.5 * AdversarialAugmentation(radius, fitting=15, **DIGIT_PIXELS, **given)


NOISY = NoiseAugmentation(0.5, std=DIGIT_PIXELS["std"])
CONSISTENT = NoiseConsistency(0.5, samples=2, share=1.0, std=DIGIT_PIXELS["std"])
OBJECTIVES = {
    "plain": CrossEntropy(),
    "random": ada(0.05, steps=0),
    "ada": ada(0.05),
    "random-wide": ada(0.3, steps=0),
    "ada-wide": ada(0.3),
    "noise": NOISY,
    "both": CrossEntropy() + NOISY,
    "dign-weak": CrossEntropy() + 0.2 * CONSISTENT,
    "dign-mid": CrossEntropy() + CONSISTENT,
    "dign": CrossEntropy() + 3.0 * CONSISTENT,
    "plain-long": CrossEntropy(),
    "ada-long": ada(0.05),
    "ada-ramp": ada(0.05, ramp=0.5),
}
LONGER = {k: {"epochs": 10} for k in ("plain-long", "ada-long", "ada-ramp")}  # the others have six
SMALL = {"optimizer": "adamw", "lr": 0.01, "schedule": "warmup_cosine"}
SIZES = {
    "quick": Size(
        data=Data.digits(train=20, test=10, side=8),
        training={**SMALL, "batch_size": 20, "epochs": 1},
        vgg={"width": 2, "blocks": [1, 1], "head": "gap", "image": 8},
        kinds=("plain", "ada", "dign"),
        images=10,
        shifted=10,
    ),
    "default": Size(
        data=Data.digits(train=600, test=1000, side=12),
        training={**SMALL, "batch_size": 64, "epochs": 6},
        vgg={"width": 12, "blocks": [1, 1, 1], "head": "gap", "image": 12},
        kinds=tuple(OBJECTIVES),
        images=100,
        shifted=500,
    ),
}
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")


def cohorts(size: Size) -> list[Cohort]:
    """One kind for each objective, on the same network."""
    given = {k: {**size.training, **LONGER.get(k, {}), "objective": OBJECTIVES[k]} for k in size.kinds}
    recipes = [kind(k, models.vgg, size.vgg, training) for k, training in given.items()]
    pgd = {"radii": (0.1,), "steps": 10, "targets": 1, "distance": False, "images": size.images}
    looks = {
        "corruptions": ("corruptions", DIGIT_PIXELS, size.images),
        "noise": ("corruptions", {**DIGIT_PIXELS, "kinds": NOISES}, size.shifted),
        "curvature": ("input_curvature", {**DIGIT_PIXELS, "hessian": False}, size.images),
        "robustness": ("robustness", {**DIGIT_PIXELS, **pgd}, size.images),
        "weights": ("landscape.studies.weight_attack:weight_attack", {}, size.images),
    }
    measures = [On("test", *what, examples=n, label=label) for label, (*what, n) in looks.items()]
    return [Cohort(recipes, size.data, measures)]


ALL = {"effect": effects.corrupted_accuracy, "of": "corruptions"}
NOISE = {**ALL, "effect": effects.accuracy_under(*NOISES)}
UNSEEN = {**ALL, "effect": effects.accuracy_under(*NOISES[1:])}
BLUR = {**ALL, "effect": effects.accuracy_under("gaussian_blur")}
PGD = {"effect": effects.attacked_accuracy("pgd"), "of": "robustness", "scale": 100}
WEIGHTS = {"effect": effects.number("accuracy"), "of": "weights", "scale": 100}
CLEAN = {"effect": effects.test_accuracy, "of": "training", "scale": 100}
ECE = {"effect": effects.shifted("ece"), "of": "noise", "unit": "ECE under noise"}
CURVED = {"effect": effects.log_number("median_fisher_trace"), "of": "curvature", "unit": "ln of the median"}
ADA, DIGN, OURS = "Calian et al. 2022", "Tsiligkaridis & Tsiligkaridis 2023", "ours"
ADAS = {"AdA": "ada", "wide AdA": "ada-wide", "longer AdA": "ada-long", "ramped AdA": "ada-ramp"}
PAIRS = [(a, k, "plain-long" if k in LONGER else "plain") for a, k in ADAS.items()]
ROWS = [  # claim, effect, the kind with more, the kind with less, where it is said
    *((f"{a} raises the accuracy on corruptions", ALL, k, plain, ADA) for a, k, plain in PAIRS),
    ("AdA does better on corruptions than random weights", ALL, "ada", "random", ADA),
    ("wide AdA does better on corruptions than random weights", ALL, "ada-wide", "random-wide", ADA),
    ("random weights raise the accuracy on corruptions", ALL, "random", "plain", OURS),
    ("wide random weights raise the accuracy on corruptions", ALL, "random-wide", "plain", OURS),
    ("AdA raises the accuracy under PGD", PGD, "ada", "plain", ADA),
    ("AdA raises the accuracy under the worst weights", WEIGHTS, "ada", "plain", ADA),
    ("wide AdA raises the accuracy under the worst weights", WEIGHTS, "ada-wide", "plain", OURS),
    *((f"{a} costs clean accuracy", CLEAN, plain, k, OURS) for a, k, plain in PAIRS),
    ("the ramp leaves more clean accuracy", CLEAN, "ada-ramp", "ada-long", OURS),
    ("the ramp costs accuracy on corruptions", ALL, "ada-long", "ada-ramp", OURS),
    ("AdA costs accuracy on blur", BLUR, "plain", "ada", OURS),
    ("DiGN raises the accuracy on unseen noise", UNSEEN, "dign", "plain", DIGN),
    ("DiGN of weight 0.2 raises the accuracy on unseen noise", UNSEEN, "dign-weak", "plain", DIGN),
    ("DiGN does better on unseen noise than augmentation", UNSEEN, "dign", "noise", DIGN),
    ("DiGN does better on unseen noise than both losses", UNSEEN, "dign", "both", OURS),
    ("DiGN leaves more clean accuracy than augmentation", CLEAN, "dign", "noise", DIGN),
    ("DiGN costs clean accuracy", CLEAN, "plain", "dign", OURS),
    ("DiGN lowers the input's curvature more than augmentation", CURVED, "noise", "dign", OURS),
    ("DiGN of weight 0.2 has less ECE than augmentation", ECE, "noise", "dign-weak", DIGN),
    ("DiGN of weight 1 has less ECE than augmentation", ECE, "noise", "dign-mid", OURS),
    ("DiGN of weight 3 has more ECE than augmentation", ECE, "dign", "noise", OURS),
    ("AdA raises the accuracy on noise", NOISE, "ada", "plain", ADA),
    ("DiGN does better on noise than AdA", NOISE, "dign", "ada", OURS),
    ("AdA does better on all corruptions than DiGN", ALL, "ada", "dign", OURS),
]


def findings(size: Size) -> list[Finding]:
    """The rows on kinds that a size has."""
    rows = [row for row in ROWS if {row[2], row[3]} <= {*size.kinds}]
    return [Finding(c, more=m, than=t, paper=p, **{"unit": "points", **read}) for c, read, m, t, p in rows]


STUDY = Study(
    name="corruption_training",
    script=__file__,
    paper=ADA,
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=[
        Figure("corruptions", "mean_accuracy"),
        Figure("robustness", "worst"),
        Figure("noise", "mean_ece"),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
