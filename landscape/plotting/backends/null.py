"""The back end that draws nothing: it takes every decision that the others take, and returns them.

For tests of analyses' plots, where only the figure as data matters.
"""

from __future__ import annotations

from landscape.base.figure import FigureSpec, Guide, Heatmap, Violin
from landscape.base.panels import panels_of
from landscape.plotting.axes_layout import AxesLayout, axes_layout, color_limits
from landscape.plotting.palette import Palette
from landscape.plotting.panel_ranges import with_common_ranges
from landscape.plotting.violin_outline import violin_outline

__all__ = ["draw"]


def draw(spec: FigureSpec, palette: Palette) -> AxesLayout:
    """Work out everything that a drawing needs; of panels, what is returned is of the first."""
    if spec.panels:
        drawn = [draw(panel, palette) for panel in panels_of(with_common_ranges(spec))]
        return drawn[0]
    axes = axes_layout(spec)
    axes.ticks(spec, "x")
    axes.ticks(spec, "y")
    for mark in spec.marks:
        if isinstance(mark, Heatmap):
            color_limits(mark.color, mark.z)  # type: ignore[arg-type]
        elif not isinstance(mark, Guide):
            palette.style(mark.series)
        if isinstance(mark, Violin):
            violin_outline(mark.y, spec.y)
    return axes
