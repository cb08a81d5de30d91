"""The matplotlib back end: figures for papers.

Figures are made without pyplot, so nothing is kept alive behind the caller's back, and no global
setting stays changed; they show themselves in notebooks and embed their fonts when saved.
"""

from __future__ import annotations

from landscape.base.figure import FigureSpec
from landscape.plotting.backends.matplotlib_drawing import WIDTH, PaperFigure, _Drawing
from landscape.plotting.backends.matplotlib_panels import draw_panels
from landscape.plotting.backends.matplotlib_style import COLUMNS, styled, styled_for_print
from landscape.plotting.palette import Palette

__all__ = ["PaperFigure", "draw", "draw_column"]


def draw(spec: FigureSpec, palette: Palette) -> PaperFigure:
    """Draw one figure."""
    with styled():
        return _drawn(spec, palette, WIDTH)


def draw_column(spec: FigureSpec, palette: Palette, column: str) -> PaperFigure:
    """Draw one figure as wide as a column of a paper, with type that is readable in print.

    Args:
        spec: The figure. Papers set titles in captions: give it without one.
        palette: The look of each model.
        column: ``single`` or ``double``, see `matplotlib_style.COLUMNS`.
    """
    with styled_for_print():
        return _drawn(spec, palette, COLUMNS[column])


def _drawn(spec: FigureSpec, palette: Palette, width: float) -> PaperFigure:
    if spec.panels:
        return draw_panels(spec, palette, width)
    return _Drawing(spec, palette, width).figure()
