"""Which units of a model may be permuted, and one model put in the order of another."""

from landscape._moved import old_names

__getattr__ = old_names(__name__)  # was a module until 0.1
