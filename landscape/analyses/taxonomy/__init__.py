"""Analyses of tables of measurements: their subject is not a model but what was measured on many."""

from __future__ import annotations

from landscape.analyses.taxonomy.compute import taxonomy
from landscape.base.table import TableAnalysis

__all__ = ["TABLES", "TableAnalysis", "taxonomy"]

TABLES = {taxonomy.name: taxonomy}
"""All of them by name; zoos do not plan them, but they are drawn and reported as others are."""
