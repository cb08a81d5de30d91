"""Zoos: checkpoints, manifests, plans and runs."""
