"""Checkpoints that are made of others."""
