"""The relief back end: fields as surfaces in three dimensions, everything else as plotly draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from landscape.base.figure import Axis, FigureSpec, Heatmap, Line, Points
from landscape.base.panels import one_bar, panels_of
from landscape.plotting.backends import plotly as draw_plotly
from landscape.plotting.backends.plotly_layout import EDGE, escape, escaped
from landscape.plotting.palette import INK, Palette
from landscape.plotting.panel_ranges import with_common_ranges

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["draw", "draw_plain"]

Array = NDArray[np.float64]

_HEIGHT = 560
_FINE = 4  # places of a line to a cell of the field
_MOST_STEPS = 400


def draw(spec: FigureSpec, palette: Palette) -> go.Figure:
    """Draw one figure; its fields rise by their values, on the scale and in the colours of the flat figure.

    Points and lines lie on the first field.
    """
    import plotly.graph_objects as go

    plain = draw_plain(spec, palette)
    return go.Figure(plain["data"], {**plain["layout"], "template": go.layout.Template()})


def draw_plain(spec: FigureSpec, palette: Palette) -> dict[str, Any]:
    """The figure as plain ``data`` and ``layout``; see `landscape.plotting.backends.plotly.draw_plain`."""
    if spec.panels:
        return _panels(spec, palette)
    flat = draw_plotly.draw_plain(spec, palette)
    fields = [mark for mark in spec.marks if isinstance(mark, Heatmap)]
    if not fields:
        return flat
    drawn = [trace for trace in flat["data"] if trace["type"] in ("contour", "heatmap")]
    traces = [_surface(mark, trace) for mark, trace in zip(fields, drawn, strict=True)]
    traces += [_overlay(mark, fields[0]) for mark in spec.marks if isinstance(mark, Points | Line)]
    color = fields[0].color
    scene = {
        "xaxis": _axis(spec.x),
        "yaxis": _axis(spec.y),
        # The range of the colours, which all models of a section share: so their heights can be compared.
        "zaxis": _axis(Axis(color.label, color.unit, color.scale, color.limits)),
        "aspectmode": "cube",
        # From far enough that the titles of the axes, which stand beside the cube, stay in the picture.
        "camera": {"eye": {"x": 1.6, "y": -1.75, "z": 1.05}, "center": {"x": 0, "y": 0, "z": -0.12}},
    }
    layout = {**flat["layout"], "scene": scene, "height": _HEIGHT, "showlegend": False, "shapes": []}
    return {"data": traces, "layout": layout}


def _panels(spec: FigureSpec, palette: Palette) -> dict[str, Any]:
    """A scene for each panel, with one range of heights if one bar tells their colours."""
    common = with_common_ranges(spec)
    drawn = [draw_plain(panel, palette) for panel in panels_of(common)]
    columns = min(2, max(map(len, spec.panels)))
    rows = -(-len(drawn) // columns)
    layout = {**drawn[0]["layout"], "annotations": [], "height": _HEIGHT if rows == 1 else 400 * rows}
    traces: list[dict[str, Any]] = []
    heights = [_heights(m) for p in panels_of(common) for m in p.marks if isinstance(m, Heatmap)]
    for i, (panel, one) in enumerate(zip(panels_of(common), drawn, strict=True)):
        row, column = divmod(i, columns)
        x = [column / columns, (column + 1) / columns]
        y = [1 - (row + 1) / rows, 1 - row / rows]
        scene = {**one["layout"].get("scene", {}), "domain": {"x": x, "y": y}}
        if one_bar(spec):
            scene["zaxis"] = {**scene["zaxis"], "range": _range(heights, scene["zaxis"]["type"] == "log")}
        name = "scene" if i == 0 else f"scene{i + 1}"
        layout[name] = scene
        place = {"x": x[0], "y": y[1], "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top"}
        layout["annotations"].append({"text": escape(panel.title), "showarrow": False, **place})
        for trace in one["data"]:
            bar = (
                {"showscale": trace.get("showscale", False) and i == 0} if trace["type"] == "surface" else {}
            )
            traces.append({**trace, "scene": name, **bar})
    return {"data": traces, "layout": layout}


def _range(heights: list[Array], log: bool) -> list[float]:
    values = np.concatenate([h[np.isfinite(h)] for h in heights])
    ends = [float(values.min()), float(values.max())] if values.size else [0.0, 1.0]
    return [float(np.log10(e)) for e in ends] if log and values.size else ends


def _surface(mark: Heatmap, flat: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "surface",
        "x": flat["x"],
        "y": flat["y"],
        "z": _heights(mark),
        "surfacecolor": flat["z"],
        "cmin": flat["zmin"],
        "cmax": flat["zmax"],
        "colorscale": flat["colorscale"],
        "colorbar": flat["colorbar"],
        "showscale": flat["showscale"],
        "name": flat["name"],
        "contours": {"z": {"show": True, "color": "rgba(255,255,255,0.35)", "width": 1}},
        "hovertemplate": "x: %{x:.4~g}<br>y: %{y:.4~g}<br>%{z:.4~g}<extra></extra>",
    }


def _overlay(mark: Points | Line, field: Heatmap) -> dict[str, Any]:
    x, y = np.asarray(mark.x), np.asarray(mark.y)
    if isinstance(mark, Line):
        x, y = _along(x, y, field)
    texts = escaped(mark.texts) if isinstance(mark, Points) else []
    return {
        "type": "scatter3d",
        "x": x,
        "y": y,
        "z": _height(x, y, field),
        "mode": "markers" if isinstance(mark, Points) else "lines",
        "marker": {"size": 4, "color": INK, "line": {"color": "white", "width": 1}},
        "line": {"color": INK, "width": 5},
        "hoverinfo": "text" if texts else "skip",
        **({"text": texts} if texts else {}),
    }


def _along(x: Array, y: Array, field: Heatmap) -> tuple[Array, Array]:
    """Places along a line so near one another that between them the field is as good as straight.

    Drawn between its own points alone, a line would run through a hill and above a valley.
    """
    cells = [np.diff(np.asarray(a)) for a in (field.x, field.y)]
    sizes = [float(np.abs(c[c != 0]).min(initial=np.inf)) for c in cells]
    xs, ys = [x[:1]], [y[:1]]
    for i in range(1, x.size):
        steps = max(abs(x[i] - x[i - 1]) / sizes[0], abs(y[i] - y[i - 1]) / sizes[1])
        count = int(np.clip(np.ceil(_FINE * steps), 1, _MOST_STEPS)) if np.isfinite(steps) else 1
        share = np.arange(1, count + 1) / count
        xs.append(x[i - 1] + share * (x[i] - x[i - 1]) if count > 1 else x[i : i + 1])
        ys.append(y[i - 1] + share * (y[i] - y[i - 1]) if count > 1 else y[i : i + 1])
    return np.concatenate(xs), np.concatenate(ys)


def _height(x: Array, y: Array, field: Heatmap) -> Array:
    """The height of the field, between its points as the picture shows it; NaN beyond the grid."""
    log = field.color.scale == "log"
    heights = _heights(field)
    between = RegularGridInterpolator(
        (np.asarray(field.y), np.asarray(field.x)), np.log10(heights) if log else heights, bounds_error=False
    )
    found: Array = between(np.column_stack([y, x]))
    return 10.0**found if log else found


def _heights(mark: Heatmap) -> Array:
    """Values as they are; on a log scale those that are not positive have no height."""
    z = np.asarray(mark.z, np.float64)
    return np.where(z > 0, z, np.nan) if mark.color.scale == "log" else z


def _axis(axis: Axis) -> dict[str, Any]:
    log = axis.scale == "log"
    out: dict[str, Any] = {
        "title": {"text": escape(axis.title)},
        "type": "log" if log else "linear",
        "showbackground": False,
        "gridcolor": EDGE,
        "zeroline": False,
        "exponentformat": "power",
    }
    if log:
        out["dtick"] = 1
    if axis.limits is not None:
        out["range"] = [float(np.log10(end)) for end in axis.limits] if log else list(axis.limits)
    return out
