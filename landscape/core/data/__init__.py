"""Examples in batches, whatever form they come in. Knows no model and no loss."""

from landscape._moved import old_names

__getattr__ = old_names(__name__)  # was a module until 0.1
