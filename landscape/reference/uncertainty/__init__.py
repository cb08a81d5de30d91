"""Predictive uncertainty: networks, ensembles and posteriors as modules that any analysis takes.

The averages that analyses use themselves live in `landscape.core.behaviour`; a posterior of a published
method gets a file of its own here.
"""

from __future__ import annotations

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.mc_dropout import MCDropout, mc_samples
from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive, predictive_of
from landscape.reference.uncertainty.dropout import mc_dropout
from landscape.reference.uncertainty.film import FiLMEnsemble, film, film_member, members_as_plain
from landscape.reference.uncertainty.gaussian import GaussianHead, spread_ensemble
from landscape.reference.uncertainty.laplace import LinearisedLaplace, fit_laplace, linearised_laplace
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
    "FiLMEnsemble",
    "GaussianHead",
    "LinearisedLaplace",
    "MCDropout",
    "Mixture",
    "Point",
    "PosteriorSamples",
    "Predictive",
    "TemperatureScaled",
    "Variational",
    "VariationalConv2d",
    "VariationalLinear",
    "film",
    "film_member",
    "fit_laplace",
    "kl",
    "linearised_laplace",
    "mc_dropout",
    "mc_samples",
    "members_as_plain",
    "posterior_samples",
    "predictive_of",
    "spread_ensemble",
    "temperature_scaled",
    "variational",
    "variational_network",
]
