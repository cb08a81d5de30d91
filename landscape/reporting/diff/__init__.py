"""Diff: two models of a store, or two groups, held against each other."""

from __future__ import annotations

from landscape.reporting.diff.difference import Difference, diff, difference_of

__all__ = ["Difference", "diff", "difference_of"]
