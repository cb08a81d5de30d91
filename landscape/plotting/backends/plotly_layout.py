"""The plotly back end's page side: axes, legend, texts, traces and colours as plotly wants them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import Axis, FigureSpec, Heatmap, Series
from landscape.plotting.axes_layout import AxesLayout, has_field
from landscape.plotting.palette import INK
from landscape.plotting.scales import number, round_ticks, symlog

__all__ = [
    "CONFIG",
    "EDGE",
    "GAP",
    "category",
    "colorscale",
    "escape",
    "escaped",
    "in_template",
    "layout",
    "legend_key",
    "legend_rows",
    "log10",
    "on_axis",
    "short_name",
    "trace",
    "translucent",
]

Array = NDArray[np.float64]

CONFIG: dict[str, Any] = {
    "responsive": True,
    "displaylogo": False,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
}
"""How a page shows a figure: no logo, and no button that sends data anywhere."""

GAP = "\u2002"
"""Stands between the ticks of a colour bar and its title."""

EDGE = "rgba(128,136,148,0.7)"
"""Axis lines and guides: visible on white and on black."""

_GRID = "rgba(128,136,148,0.22)"
_TEXT = "#2b3138"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_HEIGHT = 380
_FIELD = 560  # a square field, or one with many rows
_AROUND = 140  # title, ticks and labels above and below it
_LOWEST = 330  # of a field, whose colour bar has a title as long as itself
_LEGEND_ROW = 21
_LONGEST_NAME = 44
_CATEGORY = 14  # characters of a category on one line
_FEW_DECADES = 0.7  # from 1 to 5: of 1, 2, 5 one alone may lie within
_MOST_TICKS = 6
_WRAPPED = 8  # most categories whose names are wrapped; more are turned upright


def layout(spec: FigureSpec, axes: AxesLayout, shapes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The layout of a figure: the legend stands below the axes, and the height grows with it."""
    title = escape(spec.title)
    names = [short_name(spec.marks[i].series) for i in axes.named]  # type: ignore[union-attr]
    names += [text for _, text in spec.symbols]
    tall = spec.equal or (has_field(spec) and len(spec.y.categories or ()) > _WRAPPED)
    out: dict[str, Any] = {
        "font": {"family": _FONT, "size": 12, "color": _TEXT},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": _axis(spec, axes, "x"),
        "yaxis": _axis(spec, axes, "y"),
        "shapes": list(shapes),
        "hovermode": "closest",
        "barmode": "overlay",  # their slots have set bars apart already
        "height": (_field_height(spec) if tall else _HEIGHT)
        + legend_rows(names) * _LEGEND_ROW
        + (30 if title else 0),
        # Room for most tick labels: where these widen the margin, a legend may need another row, and plotly
        # goes to and fro between the two.
        "margin": {"l": 72, "r": 16, "t": 44 if title else 28, "b": 48},
        "showlegend": len(names) > 1,
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "font": {"size": 12},
            "maxheight": 0.34,
            "itemwidth": 40,
            "tracegroupgap": 0,
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": EDGE, "activecolor": INK},
    }
    if title:
        out["title"] = {"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"}
    return out


def legend_rows(names: Sequence[str]) -> int:
    """Rows that the legend takes on a page of common width, at most 8; a longer one scrolls."""
    if len(names) < 2:
        return 0
    longest = max(map(len, names))
    columns = max(1, 760 // (60 + 7 * longest))
    return min(8, -(-len(names) // columns))


def _axis(spec: FigureSpec, axes: AxesLayout, name: str) -> dict[str, Any]:
    axis = spec.x if name == "x" else spec.y
    out: dict[str, Any] = {
        "title": {"text": escape(axis.title), "font": {"size": 13}, "standoff": 8},
        "tickfont": {"size": 12},
        "type": "log" if axis.scale == "log" else "linear",
        "gridcolor": _GRID,
        "zeroline": False,
        "showline": True,
        "linecolor": EDGE,
        "ticks": "outside",
        "tickcolor": EDGE,
        "ticklen": 4,
        "automargin": True,
        "exponentformat": "power",
        "minexponent": 5,
    }
    if axis.scale == "log":
        low, high = axis.limits or axes.extents[name]
        out["dtick"] = _log_step(low, high)
        if low >= 1e-4 and high <= 1e5:
            out["tickformat"] = "~g"  # 0.01 reads better than a power
        else:
            out["tickfont"] = {"size": 10}  # plotly sets powers a quarter larger
    ticks = axes.ticks(spec, "x" if name == "x" else "y")
    if ticks is not None:
        names = axis.categories
        texts = escaped([number(t) if names is None else names[round(t)] for t in ticks])
        if names is not None and name == "x":
            if len(texts) > _WRAPPED:
                out["tickangle"] = 90
            else:
                texts = ["<br>".join(wrap(text, _CATEGORY)) for text in texts]
        if names is not None and len(texts) > _WRAPPED:
            out["tickfont"] = {"size": 10}
        out |= {"tickmode": "array", "tickvals": on_axis(axis, ticks), "ticktext": texts}
    if axis.categories is not None:
        out["showgrid"] = False
    if axis.limits is not None:
        ends = np.log10(axis.limits) if axis.scale == "log" else on_axis(axis, axis.limits)
        out["range"] = [float(end) for end in ends]
    if has_field(spec) or spec.equal:
        out["constrain"] = "domain"  # the axes end where the field does
    if spec.equal and name == "y":
        out |= {"scaleanchor": "x", "scaleratio": 1}
    return out


def _field_height(spec: FigureSpec) -> int:
    """The height of a figure with a field: of a wide one less, or a band of nothing stands around it."""
    fields = [m for m in spec.marks if isinstance(m, Heatmap)]
    if not (spec.equal and fields):
        return _FIELD
    spans = [max(float(np.ptp(getattr(m, side))) for m in fields) for side in "xy"]
    if not spans[0] > 0:
        return _FIELD
    return min(_FIELD, max(_LOWEST, _AROUND + round((_FIELD - _AROUND) * spans[1] / spans[0])))


def _log_step(low: float, high: float) -> int | str:
    """Ticks at decades on a long log axis, at 1, 2, 5 on a short one, equally spaced where these are few."""
    decades = float(np.log10(high) - np.log10(low))
    if decades < _FEW_DECADES and len(ticks := round_ticks(low, high, _MOST_TICKS)) > 1:
        return f"L{ticks[1] - ticks[0]:.3g}"
    return max(1, round(decades / 8)) if decades > 2 else "D2"


def trace(kind: str, **fields: Any) -> dict[str, Any]:
    """A trace as plain data, without the fields that are ``None``."""
    return {"type": kind, **{name: value for name, value in fields.items() if value is not None}}


def on_axis(axis: Axis, values: Any) -> Array:
    """Where values stand on an axis: plotly has no symlog axis and is given transformed values."""
    array = np.asarray(values, dtype=np.float64)
    return symlog(array, axis.linthresh) if axis.scale == "symlog" else array


def escape(text: str) -> str:
    """Plotly shows a subset of HTML and takes $...$ for formulas; names and labels must stay text."""
    return html.escape(text, quote=False).replace("$", "&#36;")


def escaped(texts: Sequence[str]) -> list[str]:
    """Several texts, escaped."""
    return [escape(t) for t in texts]


def in_template(text: str) -> str:
    """Escaped text as a literal part of a hover template."""
    return text.replace("%{", "%&#123;")


def short_name(series: Series) -> str:
    """The legend entry, escaped; the middle of a very long one is left out."""
    name = series.name
    if len(name) > _LONGEST_NAME:
        half = (_LONGEST_NAME - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    return escape(name)


def legend_key(series: Series) -> str:
    """What a legend entry shows and hides together."""
    return escape(f"{series.model}|{series.name}")


def category(axis: Axis, value: float) -> str:
    """The name of a position on an axis of categories, escaped."""
    names = axis.categories or ()
    k = round(value) if np.isfinite(value) else -1
    return escape(names[k]) if 0 <= k < len(names) else number(float(value))


def log10(values: Array) -> Array:
    """The decadic logarithm; NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Array = np.where(values > 0, np.log10(values), np.nan)
    return logs


def colorscale(colors: tuple[str, ...]) -> list[list[Any]]:
    """Equally spaced colours as plotly writes them."""
    return [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]


def translucent(color: str, alpha: float) -> str:
    """A ``#rrggbb`` colour with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
