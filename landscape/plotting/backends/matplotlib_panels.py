"""Panels with matplotlib: several figures on one canvas, with what they share said once."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from landscape.base.figure import ColorAxis, FigureSpec
from landscape.base.panels import panels_of, shares
from landscape.plotting.backends.matplotlib import Drawing, PaperFigure, add_bar, add_legend
from landscape.plotting.palette import Palette
from landscape.plotting.panel_ranges import with_common_ranges

__all__ = ["draw_panels"]

_LOWEST = 1.35  # inches
_Bar = tuple[ColorAxis, tuple[str, ...], tuple[float, float]]


class _Panel(Drawing):
    """A figure drawn on axes that are there; its legend and colour bars are left to the whole."""

    def __init__(self, spec: FigureSpec, palette: Palette, canvas: PaperFigure, axes: Axes) -> None:
        self._given = canvas, axes
        self.told: list[_Bar] = []
        self.labelled: list[Any] = []
        super().__init__(spec, palette, canvas.get_figwidth())

    def place(self, width: float, height: float) -> tuple[PaperFigure, Axes]:
        return self._given

    def colorbar(self, color: ColorAxis, colors: tuple[str, ...], limits: tuple[float, float]) -> None:
        self.bars.append(color)
        self.told.append((color, colors, limits))

    def finish(self, handles: list[Any]) -> None:
        self.labelled = handles


def draw_panels(spec: FigureSpec, palette: Palette, width: float) -> PaperFigure:
    """Draw a figure with panels.

    Args:
        spec: The figure.
        palette: The look of each model.
        width: Of all panels together, in inches.
    """
    spec = with_common_ranges(spec)
    places = [(r, c) for r, row in enumerate(spec.panels) for c in range(len(row))]
    rows, columns = len(spec.panels), max(map(len, spec.panels))
    each = width / columns
    height = max(_LOWEST, each * (0.95 if any(p.equal for p in panels_of(spec)) else 0.9))
    canvas = PaperFigure(figsize=(width, rows * height), layout="constrained")
    grid = canvas.add_gridspec(rows, columns)
    drawn = []
    for (row, column), panel in zip(places, panels_of(spec), strict=True):
        one = _Panel(panel, palette, canvas, canvas.add_subplot(grid[row, column]))
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
    return canvas


def _bars(canvas: PaperFigure, drawn: list[_Panel]) -> None:
    """One colour bar for all panels if it tells the same of each, else one beside each."""
    told = [bar for one in drawn for bar in one.told]
    if told and all(bar == told[0] for bar in told):
        add_bar(canvas, [one.axes for one in drawn], *told[0])
        return
    for one in drawn:
        for bar in one.told:
            add_bar(canvas, [one.axes], *bar)
