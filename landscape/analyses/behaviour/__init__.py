"""Predictions: calibration, noise, corruptions."""
