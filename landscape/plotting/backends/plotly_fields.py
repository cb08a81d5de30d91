"""The plotly back end's colour side: fields, their hover texts and the bars that tell their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.base.figure import ColorAxis, FigureSpec, Heatmap
from landscape.plotting.axes_layout import color_limits, color_ticks
from landscape.plotting.backends.plotly_layout import (
    GAP,
    colorscale,
    escape,
    in_template,
    log10,
    on_axis,
    short_name,
    trace,
)
from landscape.plotting.palette import colormap
from landscape.plotting.scales import number, round_ticks

__all__ = ["field", "line_bar"]


def field(spec: FigureSpec, mark: Heatmap, bars: Sequence[ColorAxis]) -> dict[str, Any]:
    """The trace of a field, with a bar of its own unless ``bars`` already tell its colours."""
    z = np.asarray(mark.z)
    color = mark.color
    low, high = color_limits(color, z)
    shown = z
    if color.scale == "log":
        shown = log10(z)
        low, high = float(np.log10(low)), float(np.log10(high))
    common: dict[str, Any] = {
        "x": on_axis(spec.x, mark.x),
        "y": on_axis(spec.y, mark.y),
        "z": shown,
        "colorscale": colorscale(colormap(color.kind)),
        "zmin": low,
        "zmax": high,
        "showscale": color not in bars,
        "colorbar": _bar(spec, color, len(bars)),
        # For the pointer, which shows the value and not its logarithm.
        "customdata": z if color.scale == "log" else None,
        "hovertemplate": _hover(spec, color),
        "name": short_name(mark.series),
    }
    if not mark.contours:
        return trace("heatmap", **common)
    # As many as in matplotlib's pictures of the same field.
    levels = {"start": low, "end": high, "size": (high - low) / 20, "coloring": "fill"}
    lines = {"width": 0.5, "color": "rgba(255,255,255,0.45)"}
    return trace("contour", contours=levels, line=lines, **common)


def line_bar(spec: FigureSpec, color: ColorAxis) -> dict[str, Any]:
    """A trace that shows nothing but the bar that tells the colours of lines."""
    low, high = color.limits or (0.0, 1.0)
    marker = {
        "color": [low],
        "colorscale": colorscale(colormap("line")),
        "cmin": low,
        "cmax": high,
        "showscale": True,
        "colorbar": _bar(spec, color, 0),
        "size": 0,
    }
    return trace(
        "scatter",
        x=[None],
        y=[None],
        mode="markers",
        marker=marker,
        showlegend=False,
        hoverinfo="skip",
    )


def _hover(spec: FigureSpec, color: ColorAxis) -> str:
    value = "%{customdata:.4~g}" if color.scale == "log" else "%{z:.4~g}"
    rows = [f"{in_template(escape(a.title))}: %{{{n}:.4~g}}" for n, a in (("x", spec.x), ("y", spec.y))]
    return "<br>".join([*rows, f"{in_template(escape(color.title))}: {value}"]) + "<extra></extra>"


def _bar(spec: FigureSpec, color: ColorAxis, place: int) -> dict[str, Any]:
    """A colour bar, beside as many as its place says."""
    bar: dict[str, Any] = {
        "title": {"text": escape(color.title), "side": "right", "font": {"size": 12}},
        "thickness": 12,
        "outlinewidth": 0,
        "tickfont": {"size": 11},
        "ticksuffix": GAP,
        "x": 1.02 + 0.16 * place,
    }
    if color.scale == "log":
        fields = [np.asarray(m.z) for m in spec.marks if isinstance(m, Heatmap) and m.color == color]
        values, texts = color_ticks(color, color_limits(color, *fields))
        bar |= {"tickvals": np.log10(values), "ticktext": [t + GAP for t in texts]}
    elif contoured := [m for m in spec.marks if isinstance(m, Heatmap) and m.contours]:
        # Left to itself, plotly writes the levels of contours, which are seldom round.
        low, high = color_limits(color, *(np.asarray(m.z) for m in contoured if m.color == color))
        ticks = round_ticks(low, high, 7)
        bar |= {"tickvals": ticks, "ticktext": [number(t) + GAP for t in ticks]}
    return bar
