"""Gaussian posteriors about a checkpoint: what the data determine, and what they leave open."""
