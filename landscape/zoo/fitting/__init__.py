"""Fitting: which of a file's tensors are a model's weights, and by what names the model calls them."""
