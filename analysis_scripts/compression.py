"""Compression: what pruning and quantisation cost, and whether curvature foresees it.

    python analysis_scripts/compression.py [--quick | --full]

Trains small convolutional networks in five ways and prunes (Han et al. 2015) and rounds (Jacob et al. 2018)
their weights; takes the change of the loss beside what curvature foresees (LeCun et al. 1990; Dong et al.
2020); and trains some on with rounded or pruned weights, beside as much training without.
"""

from functools import partial
from itertools import pairwise

from landscape.reference import models
from landscape.reference.compression import prune, prune_iteratively, quantise, quantise_aware
from landscape.reference.training import PostProcessing, Recipe, SharpnessAware, tune
from landscape.studies import Association, Cohort, Data, Figure, Finding, On, Size, Study, effects
from landscape.studies.quantities import accuracy
from landscape.studies.settings import SHORT_SGD

SMALL = {"optimizer": "adamw", "lr": 0.01, "schedule": "warmup_cosine", "batch_size": 64}
TUNING = {"tuning": {"epochs": 2, "lr": 3e-3}, "longer": {"epochs": 6, "lr": 3e-3}}
WAYS = {"bits": (8, 5, 4, 3, 2), "few": (3, 2), "shares": (0.3, 0.5, 0.8), "trace": {"rel_se": 0.2}}
SHARP = {"plain": {}, "sam": {"objective": SharpnessAware(0.1)}}
LARGE, DECAY, SHORT = {"batch_size": 250}, {"weight_decay": 0.3}, {"epochs": 2}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=30, side=12),
        training={**SMALL, "batch_size": 30, "epochs": 1},
        trainings=SHARP,
        vgg={"width": 2, "blocks": [1, 1], "head": "gap", "image": 12},
        **{**TUNING, "bits": (4, 3), "few": (3,), "shares": (0.5,), "trace": {"max_products": 16}},
        examples=60,
    ),
    "default": Size(
        data=Data.digits(train=1000, test=1000, side=12),
        training={**SMALL, "epochs": 6},
        trainings={**SHARP, "large-batch": LARGE, "decay": DECAY, "short": SHORT},
        vgg={"width": 8, "blocks": [1, 1, 1], "head": "gap", "image": 12},
        **{**TUNING, **WAYS},
        examples=500,
    ),
    "full": Size(
        data=Data.cifar(10),
        training=SHORT_SGD,
        trainings={**SHARP, "large-batch": {"batch_size": 1024}, "decay": {"weight_decay": 5e-3}},
        vgg={"width": 64, "blocks": [2, 2, 3], "head": "gap", "image": 32, "in_channels": 3},
        **{**TUNING, **WAYS},
        examples=5000,
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """Five trainings, and what is made of the first."""
    steps: dict[str, tuple[PostProcessing, ...]] = dict.fromkeys(size.trainings, ())
    kinds = tuple(steps)
    for bits in size.few:
        rounded = PostProcessing(quantise, {"bits": bits})
        steps[f"rounded-{bits}"] = (rounded,)
        steps[f"tuned-{bits}"] = (PostProcessing(tune, size.tuning), rounded)
        steps[f"aware-{bits}"] = (PostProcessing(quantise_aware, {"bits": bits, **size.tuning}),)
    most, once = {"share": 0.9}, {"share": 0.9, "rounds": 1, **size.longer}
    steps["once"] = (PostProcessing(prune_iteratively, once),)
    steps["iterative"] = (PostProcessing(prune_iteratively, {**most, "rounds": 3, **size.tuning}),)
    steps["late"] = (PostProcessing(tune, size.longer), PostProcessing(prune, most))
    steps["random"] = (PostProcessing(prune_iteratively, {**once, "scope": "random"}),)
    recipes = [
        Recipe(k, models.vgg, size.vgg, size.training | size.trainings.get(k, {}), {"kind": k}, after)
        for k, after in steps.items()
    ]
    bits = {"bits": size.bits, "scales": ("channel", "tensor")}
    foreseen = {**bits, **size.trace, "shares": size.shares, "prune": ("global",), "layers": False}
    lost = {**bits, "prune": ("global", "layer", "random"), "curvature": False, "layers": False, "repeats": 5}
    layers = {**size.trace, "bits": (3,), "prune": ()}
    measures = [
        On("train", "compression", foreseen, kinds, examples=size.examples, label="foreseen"),
        On("test", "compression", lost, kinds, label="lost"),
        On("train", "compression", layers, kinds, "first", size.examples, label="layers"),
    ]
    return [Cohort(recipes, size.data, measures)]


AWARE, HAN = {"paper": "Jacob et al. 2018"}, {"paper": "Han et al. 2015"}
POINTS = {"of": "lost", "unit": "points of accuracy", "scale": 100}
SAM = {**POINTS, "more": "sam", "than": "plain", "paper": "Foret et al. 2021"}
PRUNED = {**POINTS, "above_zero": "plain", "paper": "Han et al. 2015"}
SCALES = {"of": "lost", "above_zero": "plain", "unit": "nats", "paper": "Krishnamoorthi 2018"}
SHARE = {"of": "foreseen", "above_zero": "plain", "unit": "of both terms"}
RATHER = {
    "tr·‖δ‖²": partial(effects.compressed, "predicted_trace"),
    "the trace alone": lambda way: effects.number("trace"),
    "HAWQ's traces": partial(effects.compressed, "predicted_layer_trace"),
}


def rises(size: Size, way: str, over: str = "predicted", rather: str = "") -> Association:
    """The claim that the loss change of a way rises with a number of the same result."""
    change, number = effects.compressed("loss_change", way), effects.compressed(over, way)
    form = "the quadratic form" if over == "predicted" else "tr·‖δ‖²"
    claim = f"{way}: the loss change rises with {form}{', more than with ' if rather else ''}{rather}"
    than, kinds = RATHER[rather](way) if rather else None, tuple(size.trainings)
    return Association(claim, change, "foreseen", number, "foreseen", kinds, rather_than=than)


def findings(size: Size) -> list[Association | Finding]:
    """What curvature foresees, what training on gives, which form costs least."""
    change = partial(effects.compressed, "accuracy_change")
    ways, shares = [f"{b} bits" for b in size.bits if b < 8], [f"prune {100 * s:g} %" for s in size.shares]
    scales = {w: effects.compressed("loss_change", f"{w} (tensor)", w) for w in ways}
    channel, rounded = "one scale a channel costs less than one a layer", "training with rounded weights"
    half = "pruning half: the smallest weights cost less than"
    halves = {w: change("prune 50 %", f"prune 50 % ({w})") for w in ("random", "layer")}
    return [
        *(rises(size, way) for way in ways),
        *(rises(size, way, rather=r) for r in RATHER for way in ways if way != "2 bits"),
        *(rises(size, way, over) for over in ("predicted", "predicted_trace") for way in shares),
        *(
            Finding(f"less is foreseen of {a} than of {b}", effects.unforeseen(a, b), **SHARE)
            for a, b in pairwise(reversed(ways))
        ),
        *(
            accuracy(f"{b} bits: {rounded} gives more than {w}", more=f"aware-{b}", than=f"{k}-{b}", **AWARE)
            for b in size.few
            for k, w in {"tuned": "as much without", "rounded": "none"}.items()
        ),
        Finding("SAM loses less to 3 bits", change("3 bits"), **SAM),
        Finding("SAM loses less to pruning 80 %", change("prune 80 %"), **SAM),
        *(Finding(f"{way}: {channel}", effect, **SCALES) for way, effect in scales.items()),
        Finding(f"{half} any", halves["random"], **PRUNED),
        Finding(f"{half} as many of each layer", halves["layer"], **PRUNED),
        accuracy("pruning 90 % in rounds leaves more than at once", more="iterative", than="once", **HAN),
        accuracy("and at once more than after the training", more="once", than="late", **HAN),
        accuracy("the smallest more than any, both trained on", more="once", than="random", **HAN),
    ]


TWO, LOST = ("plain", "sam"), ("accuracy_pruning", "accuracy_quantisation", "size")
FIGURES = [
    *(Figure("foreseen", "foreseen"), Figure("foreseen", ("loss_quantisation", "loss_pruning"), TWO)),
    *(Figure("lost", LOST, TWO), Figure("layers", "layers", TWO)),
]
STUDY = Study(
    name="compression",
    script=__file__,
    paper="LeCun et al. 1990",
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=FIGURES,
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
