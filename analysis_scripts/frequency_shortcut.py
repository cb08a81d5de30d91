"""Shortcuts of high and of low frequency, and training under frequency dropout (Islam & Glocker 2022).

    python analysis_scripts/frequency_shortcut.py [--quick | --size natural --data DIR]

Trains plain and residual networks on digits, or on natural images, with a grating that tells the class in 95
of 100 images, of high or of low frequency, while fixed filters drawn at random stand behind their
convolutions; and looks at images without the grating and at images with that of another class.
"""

from landscape.base.figure import Axis
from landscape.reference import models
from landscape.reference.layers import FilterRanges
from landscape.reference.training import CrossEntropy, FilteredTraining
from landscape.studies import Cohort, Data, Figure, Finding, On, Size, Study, Sweep, effects, kind
from landscape.studies.settings import CIFAR10_PIXELS, DIGIT_PIXELS

GAUSSIAN, HIGHPASS = FilterRanges(("gaussian",)), FilterRanges(("highpass",))
OBJECTIVES = {
    "plain": CrossEntropy(),
    "gf-epoch": FilteredTraining(ranges=GAUSSIAN),
    "gf-batch": FilteredTraining(ranges=GAUSSIAN, every="batch"),
    "rf-epoch": FilteredTraining(),
    "rf-batch": FilteredTraining(every="batch"),
    "hp-epoch": FilteredTraining(ranges=HIGHPASS),
    "hp-batch": FilteredTraining(ranges=HIGHPASS, every="batch"),
    "gf-off": FilteredTraining(ranges=GAUSSIAN, at_test="on"),  # on at the end of training, off as saved
}
FILTERED, HIGHPASSED = ("gf-epoch", "gf-batch", "rf-epoch", "rf-batch"), ("hp-epoch", "hp-batch")
SHOWN = ("plain", "gf-batch", "rf-epoch", "rf-batch", *HIGHPASSED)
FREQUENCIES = {"high": 0.42, "low": 1 / 12}  # cycles per pixel
SMALL = {"optimizer": "adamw", "lr": 0.01, "schedule": "warmup_cosine"}
TINY = {"width": 2, "blocks": [1, 1], "head": "gap", "image": 8}
VGG = {"width": 12, "blocks": [1, 1, 1], "head": "gap", "image": 12}
RESNET = {"width": 8, "blocks": [1, 1, 1], "head": "gap", "image": 12}
NATURAL = {"in_channels": 3, "image": 32}
DIGITS = {"share": 0.95, "pixels": DIGIT_PIXELS, "looked_at": None, "noisy": ("*",)}
DIGITS |= {"amplitude": {"high": 0.2, "low": 0.2}}  # pixel range; before: which images and kinds meet noise
BOTH = {
    "high": (models.vgg, VGG, tuple(OBJECTIVES)),
    "low": (models.vgg, VGG, tuple(OBJECTIVES)[:-1]),
    "high-res": (models.resnet, RESNET, ("plain", *FILTERED)),
    "low-res": (models.resnet, RESNET, ("plain", "rf-epoch", "rf-batch", "hp-epoch", "hp-batch")),
}
SIZES = {
    "quick": Size(
        **DIGITS,
        data=Data.digits(train=40, test=20, side=8),
        training={**SMALL, "batch_size": 20, "epochs": 1},
        cohorts={"high": (models.vgg, TINY, ("plain", "gf-epoch", "rf-batch", "gf-off"))},
    ),
    "default": Size(
        **DIGITS,
        data=Data.digits(train=1000, test=1000, side=12),
        training={**SMALL, "batch_size": 64, "epochs": 6},
        cohorts=BOTH,
    ),
    "natural": Size(
        share=0.95,
        data=Data.natural(train=2000, test=1000),
        training={**SMALL, "batch_size": 64, "epochs": 6},
        cohorts={n: (net, {**kwargs, **NATURAL}, of) for n, (net, kwargs, of) in BOTH.items()},
        # of a pilot with another seed: taken by the plain network, and not by all of its answers
        amplitude={"high": 0.03, "low": 0.1},
        pixels=CIFAR10_PIXELS,
        looked_at=500,
        noisy=("plain-*", "rf-batch-*"),
    ),
}


def band(name: str) -> str:
    """Whether the grating of a cohort is of high or of low frequency."""
    return name.split("-")[0]


def cohorts(size: Size) -> list[Cohort]:
    """One for each frequency and network, whose name ends those of its kinds and results."""
    noise = {**size.pixels, "heat_steps": 1, "sigma": 0.5}
    looks = {"test": "removed", "grating": "grating", "wrong": "wrong"}
    found, few = [], {"kinds": size.noisy, "examples": size.looked_at}
    for name, (builder, kwargs, objectives) in size.cohorts.items():
        given = {one: {**size.training, "objective": OBJECTIVES[one]} for one in objectives}
        recipes = [kind(f"{one}-{name}", builder, kwargs, training) for one, training in given.items()]
        measures = [On(on, "calibration", {"bootstrap": 2}, label=f"{of}-{name}") for on, of in looks.items()]
        measures.append(On("test", "frequency_noise", noise, label=f"noise-{name}", **few))
        data = size.data.with_gratings(FREQUENCIES[band(name)], size.amplitude[band(name)], size.share)
        found.append(Cohort(recipes, data, measures, name=name))
    return found


RIGHT = effects.number("accuracy")
PAPER, OURS, HELPS = "Islam & Glocker 2022", "ours", "accuracy without the grating rises"
HIGH, LOW, SIDES = ("high", "high-res"), ("low", "low-res"), {"wrong": -1, "removed": 0, "grating": 1}
ROWS = [  # claim, where it is said, result, cohorts, the kind with more, the kind with less
    *((f"{HELPS} ({k})", PAPER, "removed", HIGH, k, "plain") for k in FILTERED),
    ("rf gains more than gf, by epoch", PAPER, "removed", HIGH, "rf-epoch", "gf-epoch"),
    ("rf gains more than gf, by batch", PAPER, "removed", HIGH, "rf-batch", "gf-batch"),
    *((f"accuracy without it falls ({k})", OURS, "removed", LOW, "plain", k) for k in FILTERED),
    *((f"{HELPS} ({k})", OURS, "removed", LOW, k, "plain") for k in HIGHPASSED),
    ("accuracy with a wrong grating rises (rf-batch)", OURS, "wrong", HIGH + LOW, "rf-batch", "plain"),
    ("filters off: BatchNorm statistics must be taken anew", OURS, "removed", HIGH, "gf-epoch", "gf-off"),
    ("then off is better than on", OURS, "training", HIGH, "gf-epoch", "gf-off"),
    ("noise near the grating harms less (rf-batch)", OURS, "noise", HIGH + LOW, "plain", "rf-batch"),
]


def findings(size: Size) -> list[Finding]:
    """The rows on kinds that a size has."""
    known, found = {recipe.group for cohort in cohorts(size) for recipe in cohort.recipes}, []
    for claim, paper, of, names, *pair in ROWS:
        for name in names:
            more, than = (f"{one}-{name}" for one in pair)
            harm = effects.near_noise_harm(FREQUENCIES[band(name)])
            reads = {"training": effects.test_accuracy, "noise": harm}
            given = {"unit": "points of accuracy", "scale": 1 if of == "noise" else 100, "paper": paper}
            label = of if of == "training" else f"{of}-{name}"
            made = Finding(f"{name}: {claim}", reads.get(of, RIGHT), label, more=more, than=than, **given)
            found += [made] if {more, than} <= known else []
    return found


def figures(size: Size) -> list[Sweep | Figure]:
    """Accuracies with the class's grating, with none, with a wrong one; and which noise harms."""
    sweeps = [
        Sweep(
            f"accuracy-{name}",
            f"Accuracy with a grating of {name.replace('-res', '')} frequency, {builder.__name__}",
            {f"{of}-{name}": sign * size.amplitude[band(name)] for of, sign in SIDES.items()},
            lambda ds: 100 * RIGHT(ds),
            tuple(f"{k}-{name}" for k in SHOWN if k in objectives),
            Axis("grating: another class's (< 0), its own (> 0)", "pixel range"),
            Axis("accuracy", "%"),
            "In training the grating told the class of 95 in 100 images, at the amplitude on the right.",
            by_cohort=False,
        )
        for name, (builder, _, objectives) in size.cohorts.items()
    ]
    return [*sweeps, Figure("noise-high", "accuracy_change")]


STUDY = Study(
    name="frequency_shortcut",
    script=__file__,
    paper="Islam & Glocker 2022",
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=figures,
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
