"""Predictive uncertainty: networks, ensembles and posteriors as modules that any analysis takes.

The averages that analyses use themselves live in `landscape.core.behaviour`; a posterior of a published
method gets a file of its own here.
"""

from __future__ import annotations

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.mc_dropout import MCDropout, mc_samples
from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive, predictive_of
from landscape.reference.uncertainty.density import FeatureDensity, feature_density, fit_density
from landscape.reference.uncertainty.dropout import mc_dropout
from landscape.reference.uncertainty.due import DUE, due_network
from landscape.reference.uncertainty.duq import DUQ, duq_network
from landscape.reference.uncertainty.film import FiLMEnsemble, film, film_member, members_as_plain
from landscape.reference.uncertainty.gaussian import GaussianHead, spread_ensemble
from landscape.reference.uncertainty.gaussian_process import (
    GaussianProcess,
    fit_gaussian_process,
    gaussian_process,
)
from landscape.reference.uncertainty.hmc import HMCResult, hmc, hmc_posterior
from landscape.reference.uncertainty.laplace import LinearisedLaplace, fit_laplace, linearised_laplace
from landscape.reference.uncertainty.map_estimate import map_estimate, map_network
from landscape.reference.uncertainty.mir import Reconstructing, mir_network
from landscape.reference.uncertainty.nomu import Nomu, NomuLoss, fit_nomu, nomu, nomu_loss
from landscape.reference.uncertainty.posterior_samples import (
    PosteriorSamples,
    posterior_samples,
    stored_posterior,
)
from landscape.reference.uncertainty.sngp import SNGP, RandomFeatureGP, fit_sngp, sngp, sngp_network
from landscape.reference.uncertainty.temperature import TemperatureScaled, temperature_scaled
from landscape.reference.uncertainty.variational import (
    Variational,
    VariationalConv2d,
    VariationalLinear,
    kl,
    variational,
    variational_network,
)

__all__ = [
    "DUE",
    "DUQ",
    "SNGP",
    "DeepEnsemble",
    "Draws",
    "FeatureDensity",
    "FiLMEnsemble",
    "GaussianHead",
    "GaussianProcess",
    "HMCResult",
    "LinearisedLaplace",
    "MCDropout",
    "Mixture",
    "Nomu",
    "NomuLoss",
    "Point",
    "PosteriorSamples",
    "Predictive",
    "RandomFeatureGP",
    "Reconstructing",
    "TemperatureScaled",
    "Variational",
    "VariationalConv2d",
    "VariationalLinear",
    "due_network",
    "duq_network",
    "feature_density",
    "film",
    "film_member",
    "fit_density",
    "fit_gaussian_process",
    "fit_laplace",
    "fit_nomu",
    "fit_sngp",
    "gaussian_process",
    "hmc",
    "hmc_posterior",
    "kl",
    "linearised_laplace",
    "map_estimate",
    "map_network",
    "mc_dropout",
    "mc_samples",
    "members_as_plain",
    "mir_network",
    "nomu",
    "nomu_loss",
    "posterior_samples",
    "predictive_of",
    "sngp",
    "sngp_network",
    "spread_ensemble",
    "stored_posterior",
    "temperature_scaled",
    "variational",
    "variational_network",
]
