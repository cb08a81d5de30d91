"""Algorithms on a symmetric operator: know no network."""
