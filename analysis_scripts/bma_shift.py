"""Bayesian model averaging under covariate shift (Izmailov, Nicholson, Lotfi & Wilson, NeurIPS 2021).

    python analysis_scripts/bma_shift.py [--quick]

Samples the posterior of small networks of digits by Hamiltonian Monte Carlo, under a plain Gaussian prior and
under one with the covariance of the inputs, and holds the averages against the maxima of the same posteriors
and an ensemble of these, on digits with noise that is not cut to the range of pixels, and on corrupted ones.
Run it again to go on where it was stopped.
"""

from functools import partial

import numpy as np

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import models
from landscape.reference.training.recipe import PostProcessing
from landscape.reference.uncertainty import hmc_posterior, map_network
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, kind

VARIANCE = 0.1  # prior variance of a weight
EMPCOV = {"prior": "empirical_covariance"}
# the maximum is looked for from a draw of the prior: the training decides no more than which draw
TRAINING = {"epochs": 1, "optimizer": "sgd", "lr": 0.01, "batch_size": 100}
SPREAD = "landscape.studies.posterior_spread:posterior_spread"
CUT = ["gaussian_noise", "impulse_noise", "pixelate", "gaussian_blur", "brightness"]
SIZES = {
    "quick": Size(
        data=Data.digits(40, 30, side=14, standardised=False),
        hidden=4,
        parts=1,
        steps=30,
        chain={"samples": 8, "burn_in": 4},
        noise=(0.6,),
        bootstrap=2,
        corruptions=CUT,
        k=4,
    ),
    "default": Size(
        data=Data.digits(500, 1000, standardised=False),
        hidden=16,
        parts=5,
        steps=800,
        chain={"samples": 50, "burn_in": 25, "most_steps": 400},
        noise=(0.2, 0.4, 0.6, 0.8),
        bootstrap=50,
        corruptions=CUT,
        k=50,
    ),
}


def part_of(size, part):
    """Maxima, their ensemble and chains on one random part of the digits."""
    test = size.data.test.kwargs["count"]
    data = Data.digits(size.data.examples, test, size.data.side, seed=part, standardised=False)
    widths = {"widths": [data.side**2, size.hidden, 10]}
    most = {"variance": VARIANCE, "steps": size.steps}
    recipes = [
        kind("map", models.mlp, widths, TRAINING, PostProcessing(map_network, most)),
        kind("map-empcov", models.mlp, widths, TRAINING, PostProcessing(map_network, {**most, **EMPCOV})),
    ]
    chain = {"variance": VARIANCE, "chains": 1, **size.chain}
    averages = [
        Average("ensemble", "map", DeepEnsemble),
        Average("hmc", "map", hmc_posterior, chain, fit="train", kept=True),
        Average("hmc-empcov", "map-empcov", hmc_posterior, {**chain, **EMPCOV}, fit="train", kept=True),
    ]
    noise = {"shifts": ["gaussian_noise"], "intensities": list(size.noise), "clip": False}
    measure = [
        On("test", "uncertainty", {**noise, "bootstrap": size.bootstrap}, label="noise"),
        On("test", "corruptions", {"kinds": size.corruptions}),
        On("train", SPREAD, {"prior_variance": VARIANCE, "k": size.k}, ("hmc",), label="spread"),
    ]
    return Cohort(recipes, data, measure, f"part-{part}", averages=averages, first_seed=("map-empcov",))


def cohorts(size):
    """Random parts of the digits: five maxima, one chain under each prior."""
    return [part_of(size, part) for part in range(size.parts)]


def under_noise(ds, score, amount):
    """A score on digits with noise of a standard deviation, in the range of pixels."""
    return float(ds[score].values[0, np.argmin(np.abs(ds["amount"].values[0] - amount)) if amount else 0])


def corrupted(ds, corruption):
    """Accuracy on digits that are changed with severity 4 and cut to the range of pixels."""
    return float(ds["accuracy"].sel(corruption=corruption, severity=4))


def compared(claim, more, than, amount=0.0, score="accuracy"):
    """The finding that a score is larger for one kind than for another, without or with noise."""
    effect = partial(under_noise, score=score, amount=amount)
    unit, scale = {"accuracy": ("points", 100.0), "nll": ("nats", 1.0), "ece": ("", 1.0)}[score]
    return Finding(claim, effect, "noise", more=more, than=than, unit=unit, scale=scale, by_cohort=True)


def cut(claim, more, than, corruption):
    """The same for the accuracy on digits that are corrupted as usual."""
    effect = partial(corrupted, corruption=corruption)
    return Finding(
        claim, effect, "corruptions", more=more, than=than, unit="points", scale=100.0, by_cohort=True
    )


def spread(claim, effect, unit, paper=""):
    """A finding about samples of the plain prior alone."""
    return Finding(claim, effect, "spread", above_zero="hmc", unit=unit, by_cohort=True, paper=paper)


EMP = "with the covariance prior HMC is more accurate than"
FINDINGS = [
    compared("under noise of 0.6 the maximum is more accurate than HMC", "map", "hmc", 0.6),
    compared("under noise of 0.6 the maximum has a lower NLL than HMC", "hmc", "map", 0.6, "nll"),
    compared(f"under noise of 0.6 {EMP} with the plain one", "hmc-empcov", "hmc", 0.6),
    compared(f"under noise of 0.6 {EMP} the maximum", "hmc-empcov", "map", 0.6),
    compared(f"under noise of 0.6 {EMP} the ensemble", "hmc-empcov", "ensemble", 0.6),
    compared(f"under noise of 0.6 {EMP} its own maximum", "hmc-empcov", "map-empcov", 0.6),
    compared("clean, HMC is more accurate than the maximum", "hmc", "map"),
    compared("clean, HMC has a lower NLL than the maximum", "map", "hmc", 0.0, "nll"),
    compared(f"clean, {EMP} the maximum", "hmc-empcov", "map"),
    compared("clean, with the covariance prior HMC has a lower NLL than the maximum", "map", "hmc-empcov", 0.0, "nll"),
    cut(f"noise cut to 0 … 1: {EMP} with the plain one", "hmc-empcov", "hmc", "gaussian_noise"),
    cut("noise cut to 0 … 1: the maximum is more accurate than HMC", "map", "hmc", "gaussian_noise"),
    cut(f"brightness: {EMP} the maximum", "hmc-empcov", "map", "brightness"),
    cut("pixelate: the maximum is more accurate than HMC", "map", "hmc", "pixelate"),
    cut("blur: the maximum is more accurate than HMC", "map", "hmc", "gaussian_blur"),
    spread(
        "samples of the weights of dead pixels have the spread of the prior (within 3 %)",
        lambda ds: 0.03 - abs(float(ds["dead_ratio"]) ** 0.5 - 1.0),
        "of σ",
    ),
    spread(
        "the maximum has no weight on dead pixels (below 1e-5)",
        lambda ds: 1e-5 - float(ds["dead_weight"]),
        "",
    ),
    spread(
        "along leading eigenvectors samples spread wider than Laplace says",
        lambda ds: float(np.log(ds["ratio"] / ds["laplace_ratio"]).mean()),
        "ln ratio",
        "landscape",
    ),
]

STUDY = Study(
    name="bma",
    script=__file__,
    paper="Izmailov et al. 2021",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("noise", ("mean_accuracy", "mean_nll", "mean_ece"), by_cohort=True),
        Figure("corruptions", "mean_accuracy", by_cohort=True),
        Figure("spread", cohorts=("part-0",), analysis=SPREAD),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
