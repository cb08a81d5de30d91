"""Analyses of tables of measurements: their subject is not a model but what was measured on many."""
