"""Predictive uncertainty: networks, ensembles and posteriors as modules that any analysis takes.

The averages that analyses use themselves live in `landscape.core.behaviour`; a posterior of a published
method gets a file of its own here.
"""

from __future__ import annotations

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.mc_dropout import MCDropout, mc_samples
from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive, predictive_of
from landscape.reference.uncertainty.dropout import mc_dropout
from landscape.reference.uncertainty.gaussian import GaussianHead, spread_ensemble
from landscape.reference.uncertainty.gaussian_process import (
    GaussianProcess,
    fit_gaussian_process,
    gaussian_process,
)
from landscape.reference.uncertainty.laplace import LinearisedLaplace, fit_laplace, linearised_laplace
from landscape.reference.uncertainty.nomu import Nomu, NomuLoss, fit_nomu, nomu, nomu_loss
from landscape.reference.uncertainty.posterior_samples import PosteriorSamples, posterior_samples
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
    "DeepEnsemble",
    "Draws",
    "GaussianHead",
    "GaussianProcess",
    "LinearisedLaplace",
    "MCDropout",
    "Mixture",
    "Nomu",
    "NomuLoss",
    "Point",
    "PosteriorSamples",
    "Predictive",
    "TemperatureScaled",
    "Variational",
    "VariationalConv2d",
    "VariationalLinear",
    "fit_gaussian_process",
    "fit_laplace",
    "fit_nomu",
    "gaussian_process",
    "kl",
    "linearised_laplace",
    "mc_dropout",
    "mc_samples",
    "nomu",
    "nomu_loss",
    "posterior_samples",
    "predictive_of",
    "spread_ensemble",
    "temperature_scaled",
    "variational",
    "variational_network",
]
