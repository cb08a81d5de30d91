"""Predictive uncertainty: networks, ensembles and posteriors as modules that any analysis takes.

The averages that analyses use themselves live in `landscape.core.behaviour`; a posterior of a published
method gets a file of its own here.
"""

from __future__ import annotations

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.mc_dropout import MCDropout, mc_samples
from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive, predictive_of
from landscape.reference.uncertainty.dropout import mc_dropout
from landscape.reference.uncertainty.laplace import LinearisedLaplace, fit_laplace, linearised_laplace
from landscape.reference.uncertainty.posterior_samples import PosteriorSamples
from landscape.reference.uncertainty.temperature import TemperatureScaled, temperature_scaled

__all__ = [
    "DeepEnsemble",
    "Draws",
    "LinearisedLaplace",
    "MCDropout",
    "Mixture",
    "Point",
    "PosteriorSamples",
    "Predictive",
    "TemperatureScaled",
    "fit_laplace",
    "linearised_laplace",
    "mc_dropout",
    "mc_samples",
    "predictive_of",
    "temperature_scaled",
]
