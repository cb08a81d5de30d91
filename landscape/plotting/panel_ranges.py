"""Ranges of panels: what is shared by the panels of a figure, written into each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from landscape.base.figure import Axis, FigureSpec, Heatmap
from landscape.base.panels import each_panel, one_bar, panels_of, shares
from landscape.plotting.axes_layout import axes_layout, color_limits, has_field, padded

__all__ = ["with_common_ranges"]


def with_common_ranges(spec: FigureSpec) -> FigureSpec:
    """The figure with one range of each shared axis, and of the colours if one bar tells them.

    Back ends then draw every panel by itself, and equal places still mean equal values.
    """
    for name in ("x", "y"):
        if shares(spec, name):
            axis = _common(spec, name)
            changed: dict[str, Any] = {name: axis}
            spec = each_panel(spec, lambda panel, changed=changed: replace(panel, **changed))  # type: ignore[misc]
    return _with_common_colors(spec) if one_bar(spec) else spec


def _common(spec: FigureSpec, name: str) -> Axis:
    panels = panels_of(spec)
    axis = panels[0].x if name == "x" else panels[0].y
    if axis.limits is not None:
        return axis
    reach = [
        padded(axes_layout(p).extents[name], axis, not has_field(p))
        for p in panels
        if any(_holds(mark) for mark in p.marks)
    ]
    if not reach:
        return axis
    low, high = min(r[0] for r in reach), max(r[1] for r in reach)
    return replace(axis, limits=(low, high)) if low < high else axis


def _holds(mark: Any) -> bool:
    """Whether a mark has a value: of a panel without any, the range is a mere default."""
    values = getattr(mark, "z", None)
    values = getattr(mark, "y", None) if values is None else values
    return values is not None and bool(np.isfinite(np.asarray(values, np.float64)).any())


def _with_common_colors(spec: FigureSpec) -> FigureSpec:
    fields = [m for panel in panels_of(spec) for m in panel.marks if isinstance(m, Heatmap)]
    color = fields[0].color
    low, high = color_limits(color, *(np.asarray(m.z) for m in fields))
    color = replace(color, limits=(low, high)) if low < high else color

    def recoloured(panel: FigureSpec) -> FigureSpec:
        marks = (replace(m, color=color) if isinstance(m, Heatmap) else m for m in panel.marks)
        return replace(panel, marks=tuple(marks))

    return each_panel(spec, recoloured)
