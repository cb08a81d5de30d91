"""The command line."""

from __future__ import annotations

from landscape._moved import old_names
from landscape.cli.start import main

__all__ = ["main"]

__getattr__ = old_names(__name__)  # was a module until 0.1
