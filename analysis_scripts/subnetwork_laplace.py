"""Subnetwork Laplace posteriors against full ones (Daxberger et al., ICML 2021).

    python analysis_scripts/subnetwork_laplace.py [--quick]

Trains networks so small that the full Laplace posterior is exact, and asks what posteriors over a part of
the weights keep of it, by the published selection and by others, with the prior precision of weight decay and
with that of most evidence. Held-out digits are seen upright and turned. Run it again to go on where it was
stopped.
"""

from functools import partial

import numpy as np

from landscape.reference import models
from landscape.reference.training.recipe import address
from landscape.studies import Cohort, Data, Figure, Finding, On, Size, Study, kind
from landscape.studies.data import rotated

TURNED = "60°"
DECAY = 1e-3  # weight decay as a term of the loss
PART, LARGE = 0.1, 0.3  # shares of the weights
TV = "predictive_tv"
TRAINING = {"optimizer": "sgd", "lr": 0.1, "batch_size": 50, "weight_decay": DECAY}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=40, side=14),
        training={**TRAINING, "epochs": 10},
        degrees=(0, 60),
        by=("variance", "random", "curvature"),
    ),
    "default": Size(
        data=Data.digits(train=300, test=300, side=14),
        training={**TRAINING, "epochs": 60},
        degrees=(0, 30, 60),
        by=("variance", "random", "magnitude", "curvature", "predictive"),
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """One kind of network; two prior precisions."""
    recipe = kind("mlp", models.mlp, {"widths": (196, 8, 10)}, size.training)
    decay = DECAY * size.data.examples
    test = {"reference": size.data.test.reference, "kwargs": dict(size.data.test.kwargs)}
    options = {
        "by": size.by,
        "shares": (0.01, 0.03, PART, LARGE),
        "other_data": address(rotated),
        "other_kwargs": {**test, "degrees": list(size.degrees)},
    }
    measure = [
        On(
            "train",
            "posterior_mass",
            {**options, "prior_precision": decay},
            label="decay",
        ),
        On("train", "posterior_mass", {**options, "prior_precision": "evidence"}, label="evidence"),
        On("train", "evidence", label="curve"),
    ]
    return [Cohort([recipe], size.data, measure)]


def read(ds, score, who, inputs):
    """A score of ``map``, ``full``, ``diagonal``, ``head``, or of a ranking and a share of the weights."""
    at = ds.sel(inputs=inputs)
    if who == "head":
        return float(at[f"layer_{score}"][-1])
    if isinstance(who, str):
        return float(at[f"{who}_{score}"])
    by, share = who
    return float(at[score].sel(by=by).values[np.argmin(np.abs(at["share"].values - share))])


def gap(ds, score, more, than, inputs):
    """By how much the score of one posterior is larger than that of another."""
    return read(ds, score, more, inputs) - read(ds, score, than, inputs)


def larger(claim, score, more, than, inputs, of="decay", **options):
    """The finding that a score is larger for one posterior than for another, paired by training seed."""
    unit = {"nll": "nats", "ece": ""}.get(score, "total variation")
    effect = partial(gap, score=score, more=more, than=than, inputs=inputs)
    return Finding(claim, effect, of, above_zero="mlp", unit=unit, **options)


def knee(ds):
    """Share of predictive variance in the fewest weights measured that are as many as N(δ), less half."""
    enough = ds["share"].values * float(ds["weights"]) >= float(ds["effective_dimension"])
    kept = ds["variance_share"].sel(by="curvature", inputs="0°").values[enough]
    return float(kept[0]) - 0.5 if len(kept) else float("nan")


VARIANCE, RANDOM, CURVATURE = (("variance", PART), ("random", PART), ("curvature", PART))
TEN, OURS = "a tenth of the weights", {"paper": "landscape"}
LOWER = "lowers the NLL of turned digits"
PUBLISHED = "the largest marginal variances keep more than random weights do"
FULL = "with full covariance is nearer to the full posterior than all weights, independent"
BY_EVIDENCE = {"of": "evidence", "note": "δ of most evidence"}

FINDINGS = [
    larger(f"{TEN}, by variance, {LOWER}", "nll", "map", VARIANCE, TURNED),
    larger(f"{TEN}, by curvature, {LOWER}", "nll", "map", CURVATURE, TURNED),
    larger(f"the last layer alone {LOWER}", "nll", "map", "head", TURNED),
    larger(f"{PUBLISHED} (upright)", TV, RANDOM, VARIANCE, "0°"),
    larger(f"{PUBLISHED} (turned)", TV, RANDOM, VARIANCE, TURNED),
    larger("the largest curvatures keep more than random weights do", TV, RANDOM, CURVATURE, "0°", **OURS),
    larger(f"{TEN} {FULL}", TV, "diagonal", CURVATURE, "0°"),
    larger(f"a third of the weights {FULL}", TV, "diagonal", ("curvature", LARGE), "0°", **BY_EVIDENCE),
    larger("the full posterior is better calibrated than the checkpoint", "ece", "map", "full", "0°"),
    larger("with the best δ it is", "ece", "map", "full", "0°", paper="MacKay 1992", **BY_EVIDENCE),
    larger("with the best δ, turned", "ece", "map", "full", TURNED, paper="MacKay 1992", **BY_EVIDENCE),
    Finding(
        "as many weights as the data determine directions keep half of the variance",
        knee,
        "evidence",
        above_zero="mlp",
        unit="of the variance",
        note="by curvature, of the shares measured",
        **OURS,
    ),
    Finding(
        "most evidence lies above the prior precision of weight decay",
        lambda ds: np.log(float(ds["best_prior_precision"]) / (DECAY * ds.attrs["examples"])),
        "curve",
        above_zero="mlp",
        unit="ln δ",
        **OURS,
    ),
]


STUDY = Study(
    name="subnetwork",
    script=__file__,
    paper="Daxberger et al. 2021",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("decay", ("variance_share", "predictive_tv"), tag="decay"),
        Figure("evidence", ("variance_share", "predictive_tv"), tag="evidence"),
        Figure("curve", ("evidence", "terms")),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
