"""Compression: functions from a trained model to a cheaper one with the same modules.

Each has the form ``(model, data, **options) -> model`` and is named in a recipe as
``after=(PostProcessing(function, options),)``.
"""

from __future__ import annotations

from landscape.reference.compression.channels import prune_channels
from landscape.reference.compression.low_rank import factorise, low_rank
from landscape.reference.compression.pruning import prune, prune_iteratively
from landscape.reference.compression.quantisation import FakeQuantised, quantise, quantise_aware

__all__ = [
    "FakeQuantised",
    "factorise",
    "low_rank",
    "prune",
    "prune_channels",
    "prune_iteratively",
    "quantise",
    "quantise_aware",
]
