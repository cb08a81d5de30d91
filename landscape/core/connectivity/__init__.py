"""Curves, bands and simplices between models, and the barriers on them."""
