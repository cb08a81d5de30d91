"""The back end that draws nothing: it takes every decision that the others take, and returns them.

For tests of analyses' plots, where only the figure as data matters.
"""

from __future__ import annotations

from landscape.base.figure import FigureSpec, Guide, Heatmap, Violin
from landscape.plotting.arrange import Arrangement, arrange, color_limits
from landscape.plotting.palette import Palette
from landscape.plotting.violins import outline

__all__ = ["draw"]


def draw(spec: FigureSpec, palette: Palette) -> Arrangement:
    """Work out everything that a drawing needs."""
    arrangement = arrange(spec)
    arrangement.ticks(spec, "x")
    arrangement.ticks(spec, "y")
    for mark in spec.marks:
        if isinstance(mark, Heatmap):
            color_limits(mark.color, mark.z)  # type: ignore[arg-type]
        elif not isinstance(mark, Guide):
            palette.style(mark.series)
        if isinstance(mark, Violin):
            outline(mark.y, spec.y)
    return arrangement
