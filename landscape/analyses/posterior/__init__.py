"""Analyses of Gaussian posteriors about a checkpoint."""
