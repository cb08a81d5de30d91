"""Compression: what pruning and quantisation cost, and whether curvature foresees it.

    python analysis_scripts/compression.py [--quick | --full]

Trains small convolutional networks in five ways and prunes (Han et al. 2015) and rounds (Jacob et al. 2018)
their weights; takes the change of the loss beside what gradient, Hessian and trace foresee of it (LeCun et al.
1990; Dong et al. 2020); and trains some on with rounded or with pruned weights, beside as much training without.
"""

from landscape.reference import models
from landscape.reference.compression import prune, prune_iteratively, quantise, quantise_aware
from landscape.reference.training import PostProcessing, Recipe, SharpnessAware, tune
from landscape.studies import Association, Cohort, Data, Figure, Finding, On, Size, Study, effects
from landscape.studies.quantities import accuracy
from landscape.studies.settings import SHORT_SGD

SMALL = {"optimizer": "adamw", "lr": 0.01, "schedule": "warmup_cosine", "batch_size": 64}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=30, side=12),
        training={**SMALL, "batch_size": 30, "epochs": 1},
        large={"batch_size": 60},
        short=1,
        vgg={"width": 2, "blocks": [1, 1], "head": "gap", "image": 12},
        decay=0.3,
        tuning={"epochs": 1, "lr": 3e-3},
        longer={"epochs": 3, "lr": 3e-3},
        trace={"max_products": 16},
        examples=60,
    ),
    "default": Size(
        data=Data.digits(train=1000, test=1000, side=12),
        training={**SMALL, "epochs": 6},
        large={"batch_size": 250},
        short=2,
        vgg={"width": 12, "blocks": [1, 1, 1], "head": "gap", "image": 12},
        decay=0.3,
        tuning={"epochs": 2, "lr": 3e-3},
        longer={"epochs": 6, "lr": 3e-3},
        trace={"rel_se": 0.1},
        examples=1000,
    ),
    "full": Size(
        data=Data.cifar(10),
        training=SHORT_SGD,
        large={"batch_size": 1024},
        short=5,
        vgg={"width": 64, "blocks": [2, 2, 3], "head": "gap", "image": 32, "in_channels": 3},
        decay=5e-3,
        tuning={"epochs": 2, "lr": 3e-4},
        longer={"epochs": 6, "lr": 3e-4},
        trace={"rel_se": 0.1},
        examples=5000,
    ),
}
KINDS = ("adamw", "large-batch", "sam", "decay", "short")


def cohorts(size: Size) -> list[Cohort]:
    """Five trainings, and what is made of the first."""
    ways = {
        "adamw": {},
        "large-batch": size.large,
        "sam": {"objective": SharpnessAware(0.1)},
        "decay": {"weight_decay": size.decay},
        "short": {"epochs": size.short},
    }
    steps = {}
    for bits in (3, 2):
        rounded = PostProcessing(quantise, {"bits": bits})
        steps[f"rounded-{bits}"] = (rounded,)
        steps[f"tuned-{bits}"] = (PostProcessing(tune, size.tuning), rounded)
        steps[f"aware-{bits}"] = (PostProcessing(quantise_aware, {"bits": bits, **size.tuning}),)
    most = {"share": 0.9}
    steps |= {
        "once": (PostProcessing(prune_iteratively, {**most, "rounds": 1, **size.longer}),),
        "iterative": (PostProcessing(prune_iteratively, {**most, "rounds": 3, **size.tuning}),),
        "late": (PostProcessing(tune, size.longer), PostProcessing(prune, most)),
        "random": (
            PostProcessing(prune_iteratively, {**most, "rounds": 1, "scope": "random", **size.longer}),
        ),
    }
    recipes = [
        Recipe(name, models.vgg, size.vgg, {**size.training, **ways.get(name, {})}, {"kind": name}, after)
        for name, after in ({kind: () for kind in KINDS} | steps).items()
    ]
    bits = {"bits": (8, 5, 4, 3, 2), "scales": ("channel", "tensor")}
    foreseen = {**bits, **size.trace, "shares": (0.3, 0.5, 0.8), "prune": ("global",), "layers": False}
    lost = {**bits, "prune": ("global", "layer", "random"), "curvature": False, "layers": False, "repeats": 5}
    layers = {**size.trace, "bits": (3,), "prune": ()}
    return [
        Cohort(
            recipes,
            size.data,
            [
                On("train", "compression", foreseen, KINDS, examples=size.examples, label="foreseen"),
                On("test", "compression", lost, KINDS, label="lost"),
                On("train", "compression", layers, KINDS, "first", size.examples, label="layers"),
            ],
        )
    ]


def rises(claim: str, way: str, over: str, rather: str = "", **given: object) -> Association:
    """The claim that the loss change of a way rises with a number of the same result."""
    change, number = effects.compressed("loss_change", way), effects.compressed(over, way)
    than = (
        effects.number("trace") if rather == "trace" else effects.compressed(rather, way) if rather else None
    )
    return Association(
        f"{way}: {claim}", change, "foreseen", number, "foreseen", KINDS, rather_than=than, **given
    )


POINTS = {"of": "lost", "unit": "points of accuracy", "scale": 100}
NATS = {"of": "lost", "unit": "nats", "paper": "Krishnamoorthi 2018"}
SHARE = {"of": "foreseen", "above_zero": "adamw", "unit": "of both terms"}
SAM = {**POINTS, "more": "sam", "than": "adamw", "paper": "Foret et al. 2021"}
PRUNED = {**POINTS, "above_zero": "adamw", "paper": "Han et al. 2015"}
AWARE = {"paper": "Jacob et al. 2018"}
FINDINGS = [
    *(rises("loss change rises with the quadratic form", f"{b} bits", "predicted") for b in (5, 4, 3, 2)),
    *(rises("more than with tr·‖δ‖²", f"{b} bits", "predicted", "predicted_trace") for b in (5, 4, 3)),
    *(rises("more than with the trace alone", f"{b} bits", "predicted", "trace") for b in (5, 4, 3)),
    *(
        rises("more than with HAWQ's traces", f"{b} bits", "predicted", "predicted_layer_trace")
        for b in (4, 3)
    ),
    *(rises("it rises with the quadratic form", f"prune {s} %", "predicted") for s in (30, 50, 80)),
    *(rises("it rises with tr·‖δ‖²", f"prune {s} %", "predicted_trace") for s in (30, 50, 80)),
    Finding("less is foreseen of 3 bits than of 5", effects.unforeseen("3 bits", "5 bits"), **SHARE),
    Finding("less is foreseen of 2 bits than of 3", effects.unforeseen("2 bits", "3 bits"), **SHARE),
    Finding("less is foreseen of 5 bits than of 8", effects.unforeseen("5 bits", "8 bits"), **SHARE),
    *(
        accuracy(
            f"{b} bits: training with rounded weights gives more than {what}",
            more=f"aware-{b}",
            than=k,
            **AWARE,
        )
        for b in (3, 2)
        for k, what in ((f"tuned-{b}", "as much without"), (f"rounded-{b}", "none"))
    ),
    Finding("SAM loses less to 3 bits", effects.compressed("accuracy_change", "3 bits"), **SAM),
    Finding("SAM loses less to pruning 80 %", effects.compressed("accuracy_change", "prune 80 %"), **SAM),
    *(
        Finding(
            f"{b} bits: one scale a channel costs less than one a layer",
            effects.compressed("loss_change", f"{b} bits (tensor)", f"{b} bits"),
            above_zero="adamw",
            **NATS,
        )
        for b in (4, 3, 2)
    ),
    *(
        Finding(
            f"pruning half: the smallest weights cost less than {what}",
            effects.compressed("accuracy_change", "prune 50 %", f"prune 50 % ({way})"),
            **PRUNED,
        )
        for way, what in (("random", "any"), ("layer", "as many of each layer"))
    ),
    accuracy(
        "pruning 90 % in rounds leaves more than at once",
        more="iterative",
        than="once",
        paper="Han et al. 2015",
    ),
    accuracy("and at once more than after the training", more="once", than="late", paper="Han et al. 2015"),
    accuracy(
        "the smallest more than any, both trained on", more="once", than="random", paper="Han et al. 2015"
    ),
]

STUDY = Study(
    name="compression",
    script=__file__,
    paper="LeCun et al. 1990",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("foreseen", ("foreseen", "loss_quantisation", "loss_pruning")),
        Figure("lost", ("accuracy_pruning", "accuracy_quantisation", "size")),
        Figure("layers", "layers"),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
