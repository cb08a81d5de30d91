"""Training methods of papers, one file each: objectives to add to `CrossEntropy` or to put in its place."""

from __future__ import annotations

from landscape.reference.training.methods.dign import NoiseConsistency

__all__ = ["NoiseConsistency"]
