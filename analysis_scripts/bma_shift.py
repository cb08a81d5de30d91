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
AMOUNTS = (0.2, 0.4, 0.6, 0.8)
CUT = ["gaussian_noise", "impulse_noise", "pixelate", "gaussian_blur", "brightness"]


def sized(data, hidden, parts, steps, chain, noise, bootstrap, k):
    """A size: digits, hidden units, random parts, steps to the maximum, iterations, noises, eigenvectors."""
    most = {"samples": chain[0], "burn_in": chain[1], "most_steps": 400}
    fields = {"hidden": hidden, "parts": parts, "steps": steps, "noise": noise, "bootstrap": bootstrap}
    return Size(data=data, chain=most, k=k, **fields)


SIZES = {
    "quick": sized(Data.digits(40, 30, 14, standardised=False), 4, 1, 30, (8, 4), (0.6,), 2, 4),
    "default": sized(Data.digits(500, 1000, standardised=False), 16, 5, 800, (50, 25), AMOUNTS, 50, 50),
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
        On("test", "corruptions", {"kinds": CUT}),
        On("train", SPREAD, {"prior_variance": VARIANCE, "k": size.k}, ("hmc",), label="spread"),
    ]
    return Cohort(recipes, data, measure, f"part-{part}", averages=averages, first_seed=("map-empcov",))


def cohorts(size):
    """Random parts of the digits: five maxima, one chain under each prior."""
    return [part_of(size, part) for part in range(size.parts)]


def noisy(ds, score, amount):
    """A score on digits with noise of a standard deviation, in the range of pixels."""
    return float(ds[score].values[0, np.argmin(np.abs(ds["amount"].values[0] - amount)) if amount else 0])


def corrupted(ds, corruption):
    """Accuracy on digits that are changed with severity 4 and cut to the range of pixels."""
    return float(ds["accuracy"].sel(corruption=corruption, severity=4))


def spread(claim, effect, unit, paper=""):
    """A finding about samples of the plain prior alone."""
    return Finding(claim, effect, "spread", above_zero="hmc", unit=unit, by_cohort=True, paper=paper)


UNITS = {"accuracy": ("points", 100.0), "nll": ("nats", 1.0)}
HMC, EMP = "is more accurate than HMC", "with the covariance prior HMC is more accurate than"
LOWER, NOISE, CUTTING = "has a lower NLL than", "under noise of 0.6", "under noise cut to 0 to 1"
ROWS = [  # claim, larger in and than in, amount of noise or corruption, score
    (f"{NOISE} the maximum {HMC}", "map", "hmc", 0.6, "accuracy"),
    (f"{NOISE} the maximum {LOWER} HMC", "hmc", "map", 0.6, "nll"),
    (f"{NOISE} {EMP} with the plain one", "hmc-empcov", "hmc", 0.6, "accuracy"),
    (f"{NOISE} {EMP} the maximum", "hmc-empcov", "map", 0.6, "accuracy"),
    (f"{NOISE} {EMP} the ensemble", "hmc-empcov", "ensemble", 0.6, "accuracy"),
    (f"{NOISE} {EMP} its own maximum", "hmc-empcov", "map-empcov", 0.6, "accuracy"),
    ("clean, HMC is more accurate than the maximum", "hmc", "map", 0.0, "accuracy"),
    (f"clean, HMC {LOWER} the maximum", "map", "hmc", 0.0, "nll"),
    (f"clean, {EMP} the maximum", "hmc-empcov", "map", 0.0, "accuracy"),
    (f"clean, with the covariance prior HMC {LOWER} the maximum", "map", "hmc-empcov", 0.0, "nll"),
    (f"{CUTTING} {EMP} with the plain one", "hmc-empcov", "hmc", "gaussian_noise", "accuracy"),
    (f"{CUTTING} the maximum {HMC}", "map", "hmc", "gaussian_noise", "accuracy"),
    (f"brightened, {EMP} the maximum", "hmc-empcov", "map", "brightness", "accuracy"),
    (f"pixelated, the maximum {HMC}", "map", "hmc", "pixelate", "accuracy"),
    (f"blurred, the maximum {HMC}", "map", "hmc", "gaussian_blur", "accuracy"),
]


def compared(claim, more, than, shift, score):
    """The finding of a row, paired by part."""
    unit, scale = UNITS[score]
    of, effect = "noise", partial(noisy, score=score, amount=shift)
    if isinstance(shift, str):
        of, effect = "corruptions", partial(corrupted, corruption=shift)
    return Finding(claim, effect, of, more=more, than=than, unit=unit, scale=scale, by_cohort=True)


DEAD = "the weights of dead pixels"
FINDINGS = [compared(*row) for row in ROWS] + [
    spread(
        f"samples of {DEAD} have the spread of the prior (within 3 %)",
        lambda ds: 0.03 - abs(float(ds["dead_ratio"]) ** 0.5 - 1.0),
        "of σ",
    ),
    spread(
        f"the maximum has {DEAD} at 0 (below 1e-5)",
        lambda ds: -5.0 - float(np.log10(max(float(ds["dead_weight"]), 1e-30))),
        "decades",
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
        Figure("noise", [f"{score}_gaussian_noise" for score in ("accuracy", "nll", "ece")], by_cohort=True),
        Figure("corruptions", ("accuracy_gaussian_noise", "accuracy_brightness"), by_cohort=True),
        Figure("spread", cohorts=("part-0",), analysis=SPREAD),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
