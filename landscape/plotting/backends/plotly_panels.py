"""Panels with plotly: every panel drawn by itself, then set on axes of its own in one layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from landscape.base.figure import FigureSpec
from landscape.base.panels import panels_of, shares
from landscape.plotting.axes_layout import has_field
from landscape.plotting.backends.plotly_layout import escape, legend_rows
from landscape.plotting.palette import Palette
from landscape.plotting.panel_ranges import with_common_ranges

__all__ = ["Grid", "draw_panels"]

_PAGE = 950  # px that axes take of a page of common width
_HEIGHT, _TALL = 220, 330
_ROWS_NAMED = 8  # a field with more rows is tall
_TITLE, _LABELS = 24, 46  # px above a panel, and below one whose axis is labelled
_LEGEND_ROW = 21
# Between columns, as shares of the width.
_GAPS = {"shared": 0.025, "fields": 0.05, "own": 0.085, "barred": 0.15}

Draw = Callable[[FigureSpec, Palette], dict[str, Any]]


class Grid:
    """Where panels stand, in shares of the area that all of them take.

    Args:
        rows: How many rows.
        columns: How many panels the longest row has.
        across: Gap between columns, as a share of the width.
        height: Of a panel, in pixels.
        down: Gap between rows, in pixels.
    """

    def __init__(self, rows: int, columns: int, across: float, height: float, down: float) -> None:
        self.height = rows * height + (rows - 1) * down
        self._width = (1 - (columns - 1) * across) / columns
        self._steps = (self._width + across, (height + down) / self.height)
        self._share = height / self.height

    def domain(self, row: int, column: int) -> tuple[list[float], list[float]]:
        """From where to where a panel stands, across and upwards."""
        left, top = column * self._steps[0], 1 - row * self._steps[1]
        across = [round(left, 6), round(min(1.0, left + self._width), 6)]
        return across, [round(max(0.0, top - self._share), 6), round(top, 6)]


def draw_panels(spec: FigureSpec, palette: Palette, draw: Draw) -> dict[str, Any]:
    """The panels of a figure as ``data`` and ``layout``.

    ``layout["meta"]["panels"]`` tells a page how to set them one below the other where it is narrow.

    Args:
        spec: A figure with panels.
        palette: The look of each model.
        draw: Draws a figure without panels.
    """
    spec = with_common_ranges(spec)
    places = [(r, c) for r, row in enumerate(spec.panels) for c in range(len(row))]
    panels = panels_of(spec)
    drawn = [draw(panel, palette) for panel in panels]
    barred = len(_bars(drawn)) > 1
    shared = {name: shares(spec, name) for name in ("x", "y")}
    columns = max(map(len, spec.panels))
    # Fields are numbered up to their corners, where the numbers of two neighbours would touch.
    near = "fields" if any(panel.equal for panel in panels) else "shared"
    across = _GAPS["barred" if barred else near if shared["y"] else "own"] if columns > 1 else 0.0
    height = _panel_height(panels, columns)
    grid = Grid(len(spec.panels), columns, across, height, _TITLE + (8 if shared["x"] else _LABELS))
    data: list[dict[str, Any]] = []
    layout = {k: v for k, v in drawn[0]["layout"].items() if k not in ("xaxis", "yaxis", "title")}
    layout |= {"shapes": [], "annotations": []}
    told: list[dict[str, Any]] = []
    told_bar = False
    for i, ((row, column), panel, one) in enumerate(zip(places, panels, drawn, strict=True)):
        number = "" if i == 0 else str(i + 1)
        x, y = grid.domain(row, column)
        axes = {name: {**one["layout"][f"{name}axis"], "domain": d} for name, d in (("x", x), ("y", y))}
        told.append({name: axes[name].get("title") for name in axes})
        axes["x"]["anchor"], axes["y"]["anchor"] = f"y{number}", f"x{number}"
        if "scaleanchor" in axes["y"]:
            axes["y"]["scaleanchor"] = f"x{number}"
        inner = {"x": shared["x"] and (row + 1, column) in places, "y": shared["y"] and column > 0}
        for name, axis in axes.items():
            if shared[name] and number and not panel.equal:
                axis["matches"] = name
            if inner[name]:
                axis |= {"showticklabels": False, "title": {"text": ""}}
            layout[f"{name}axis{number}"] = axis
        for trace in one["data"]:
            data.append(_on(trace, number, x, y, barred, first_bar=not told_bar))
            told_bar |= _holder(trace) is not None
        layout["shapes"] += [_moved(shape, number) for shape in one["layout"]["shapes"]]
        layout["annotations"] += [_heading(panel.title, x[0], y[1])] if panel.title else []
    names = _legend_once(data)
    title = escape(spec.title)
    margin = {"l": 72, "r": 16, "t": (44 if title else 12) + _TITLE, "b": 48}
    total = grid.height + margin["t"] + margin["b"] + legend_rows(names) * _LEGEND_ROW
    layout |= {"height": round(total), "margin": margin, "showlegend": len(names) > 1}
    layout["meta"] = {"panels": told, "height": height, "gap": _TITLE + _LABELS, "area": round(grid.height)}
    if title:
        layout["title"] = {"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"}
    return {"data": data, "layout": layout}


def _panel_height(panels: list[FigureSpec], columns: int) -> int:
    if any(panel.equal for panel in panels):
        return round(min(440.0, 0.9 * _PAGE / columns))
    tall = any(has_field(p) and len(p.y.categories or ()) > _ROWS_NAMED for p in panels)
    return _TALL if tall else _HEIGHT + (60 if columns < 3 else 0)


def _holder(trace: dict[str, Any]) -> dict[str, Any] | None:
    """What of a trace has a colour bar, which is shown."""
    for holder in (trace, trace.get("marker", {})):
        if holder.get("showscale") and "colorbar" in holder:
            return dict(holder)
    return None


def _bars(drawn: list[dict[str, Any]]) -> set[str]:
    """The colour bars that differ, as text."""
    found = set()
    for one in drawn:
        for trace in one["data"]:
            if (holder := _holder(trace)) is not None:
                ends = [holder.get(k) for k in ("zmin", "zmax", "cmin", "cmax")]
                found.add(repr((holder["colorbar"]["title"], ends)))
    return found


def _on(
    trace: dict[str, Any], number: str, x: list[float], y: list[float], barred: bool, first_bar: bool
) -> dict[str, Any]:
    """A trace on the axes of its panel; a colour bar of its own stands beside it, one of all is told once."""
    moved = {**trace, "xaxis": f"x{number}", "yaxis": f"y{number}"}
    holder = _holder(trace)
    if holder is None:
        return moved
    own: dict[str, Any] = {}
    if barred:
        bar = {**holder["colorbar"], "x": x[1] + 0.005, "y": (y[0] + y[1]) / 2, "len": y[1] - y[0]}
        own = {"colorbar": {**bar, "thickness": 9, "xpad": 2, "lenmode": "fraction"}}
    elif not first_bar:
        own = {"showscale": False}
    if "colorbar" in trace:
        return moved | own
    return moved | {"marker": {**trace["marker"], **own}}


def _moved(shape: dict[str, Any], number: str) -> dict[str, Any]:
    refs = {f"{n}ref": shape[f"{n}ref"].replace(n, f"{n}{number}", 1) for n in ("x", "y")}
    return {**shape, **refs}


def _heading(text: str, x: float, y: float) -> dict[str, Any]:
    place = {"x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": escape(text), "showarrow": False, "font": {"size": 12}, **place}


def _legend_once(data: list[dict[str, Any]]) -> list[str]:
    """Let each entry of the legend stand once, whichever panels it is in; their names."""
    seen: dict[tuple[str, str], None] = {}
    for trace in data:
        if trace.get("showlegend"):
            key = (trace.get("legendgroup", ""), trace.get("name", ""))
            trace["showlegend"] = key not in seen
            seen.setdefault(key)
    return [name for _, name in seen]
