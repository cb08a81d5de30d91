"""Layers of published methods, one file each."""
