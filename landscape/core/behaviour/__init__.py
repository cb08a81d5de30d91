"""Predictions on clean and changed inputs: calibration, detection, corruptions, averages."""
