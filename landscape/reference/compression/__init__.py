"""Compression: functions from a trained model to a cheaper one with the same modules.

Each has the form ``(model, data, **options) -> model`` and is named in a recipe as
``after=(PostProcessing(function, options),)``.
"""

from __future__ import annotations

from landscape.reference.compression.pruning import prune

__all__ = ["prune"]
