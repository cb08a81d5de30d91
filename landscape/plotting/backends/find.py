"""Back ends: what draws a `FigureSpec`, found by name."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from landscape.base.figure import FigureSpec
from landscape.errors import InputError, suggest
from landscape.plotting.palette import Palette

__all__ = ["BACKENDS", "Backend", "find_backend"]

BACKENDS = {
    "plotly": "landscape.plotting.backends.plotly",
    "matplotlib": "landscape.plotting.backends.matplotlib",
    "relief": "landscape.plotting.backends.relief",
    "null": "landscape.plotting.backends.null",
}


class Backend(Protocol):
    """A module (or object) that turns a figure specification into a figure."""

    def draw(self, spec: FigureSpec, palette: Palette) -> Any:
        """Draw one figure with the look that the palette gives each model."""


def find_backend(name: str) -> Backend:
    """The back end of that name; its plotting library is imported here and not before.

    Raises:
        InputError: If there is none, with the nearest name.
    """
    if name not in BACKENDS:
        raise InputError(f"there is no plotting back end '{name}'; {suggest(name, BACKENDS)}")
    backend: Backend = importlib.import_module(BACKENDS[name])
    return backend
