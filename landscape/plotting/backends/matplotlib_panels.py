"""Panels with matplotlib: several figures on one canvas, with what they share said once."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from landscape.base.figure import ColorAxis, FigureSpec
from landscape.base.panels import panels_of, shares
from landscape.plotting.backends.matplotlib_drawing import PaperFigure, _Drawing, add_bar, add_legend
from landscape.plotting.palette import Palette
from landscape.plotting.panel_ranges import with_common_ranges

__all__ = ["draw_on", "draw_panels", "panel_rows_height"]

_LOWEST = 1.35  # inches
_Bar = tuple[ColorAxis, tuple[str, ...], tuple[float, float]]


class _Panel(_Drawing):
    """A figure drawn on axes that are there; its legend and colour bars are left to the whole."""

    def __init__(self, spec: FigureSpec, palette: Palette, canvas: Any, axes: Axes, width: float) -> None:
        self._given = canvas, axes
        self.told: list[_Bar] = []
        self.labelled: list[Any] = []
        super().__init__(spec, palette, width)

    def place(self, width: float, height: float) -> tuple[Any, Axes]:
        return self._given

    def colorbar(self, color: ColorAxis, colors: tuple[str, ...], limits: tuple[float, float]) -> None:
        self.bars.append(color)
        self.told.append((color, colors, limits))

    def finish(self, handles: list[Any]) -> None:
        self.labelled = handles


class _Part(_Drawing):
    """A figure without panels, drawn on a part of a page."""

    def __init__(self, spec: FigureSpec, palette: Palette, part: SubFigure, width: float) -> None:
        self._part = part
        super().__init__(spec, palette, width)

    def place(self, width: float, height: float) -> tuple[Any, Axes]:
        return self._part, self._part.add_subplot()


def draw_on(part: SubFigure, spec: FigureSpec, palette: Palette, width: float) -> None:
    """Draw a figure, with panels or without, on a part of a page that is so many inches wide."""
    if spec.panels:
        _set_out(part, with_common_ranges(spec), palette, width)
    else:
        _Part(spec, palette, part, width).figure()


def panel_rows_height(spec: FigureSpec, width: float) -> float:
    """The height that all rows of panels take, in inches."""
    each = width / max(map(len, spec.panels))
    square = any(p.equal for p in panels_of(spec))
    return len(spec.panels) * max(_LOWEST, each * (0.95 if square else 0.9))


def draw_panels(spec: FigureSpec, palette: Palette, width: float) -> PaperFigure:
    """Draw a figure with panels.

    Args:
        spec: The figure.
        palette: The look of each model.
        width: Of all panels together, in inches.
    """
    spec = with_common_ranges(spec)
    canvas = PaperFigure(figsize=(width, panel_rows_height(spec, width)), layout="constrained")
    _set_out(canvas, spec, palette, width)
    return canvas


def _set_out(canvas: Any, spec: FigureSpec, palette: Palette, width: float) -> None:
    """Draw all panels on a canvas, a figure or a part of one, with one legend and the colour bars."""
    places = [(r, c) for r, row in enumerate(spec.panels) for c in range(len(row))]
    rows, columns = len(spec.panels), max(map(len, spec.panels))
    each = width / columns
    grid = canvas.add_gridspec(rows, columns)
    drawn = []
    for (row, column), panel in zip(places, panels_of(spec), strict=True):
        one = _Panel(panel, palette, canvas, canvas.add_subplot(grid[row, column]), width)
        one.figure()
        one.axes.title.set_fontsize(8.0)
        if panel.equal and each < 2.6:  # the numbers of more ticks would touch
            for axis in (one.axes.xaxis, one.axes.yaxis):
                axis.set_major_locator(MaxNLocator(3))
        if columns > 1:
            one.axes.xaxis.label.set_fontsize(7.5)
            one.axes.yaxis.label.set_fontsize(7.5)
        if shares(spec, "x") and (row + 1, column) in places:
            one.axes.tick_params("x", which="both", labelbottom=False)
            one.axes.set_xlabel("")
        if shares(spec, "y") and column:
            one.axes.tick_params("y", which="both", labelleft=False)
            one.axes.set_ylabel("")
        drawn.append(one)
    _bars(canvas, drawn)
    if spec.title:
        canvas.suptitle(spec.title.replace("$", r"\$"), fontsize=10.0)
    handles = {str(h.get_label()): h for one in drawn for h in one.labelled}
    add_legend(canvas, list(handles.values()), width)


def _bars(canvas: Any, drawn: list[_Panel]) -> None:
    """One colour bar for all panels if it tells the same of each, else one beside each."""
    told = [bar for one in drawn for bar in one.told]
    if told and all(bar == told[0] for bar in told):
        add_bar(canvas, [one.axes for one in drawn], *told[0])
        return
    for one in drawn:
        for bar in one.told:
            add_bar(canvas, [one.axes], *bar)
