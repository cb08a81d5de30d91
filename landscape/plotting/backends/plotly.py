"""The plotly back end: interactive figures for notebooks and the report.

Figures carry no template and a transparent ground, so that a page can give them its own colours.
All texts are escaped, since plotly reads a subset of HTML in labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import (
    DASHES,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Series,
    Stems,
    Violin,
)
from landscape.plotting.axes_layout import AxesLayout, axes_layout, finite_runs, has_field, with_gaps
from landscape.plotting.backends.plotly_fields import field, line_bar
from landscape.plotting.backends.plotly_layout import (
    CONFIG,
    EDGE,
    category,
    escape,
    escaped,
    in_template,
    layout,
    legend_key,
    on_axis,
    short_name,
    trace,
    translucent,
)
from landscape.plotting.backends.plotly_panels import draw_panels
from landscape.plotting.palette import PLAIN, Palette, colormap, sample
from landscape.plotting.scales import number
from landscape.plotting.violin_outline import violin_outline

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["CONFIG", "draw", "draw_plain"]

Array = NDArray[np.float64]

_SYMBOLS = {"triangle": "triangle-up", "cross": "x"}


def draw(spec: FigureSpec, palette: Palette) -> go.Figure:
    """Draw one figure."""
    import plotly.graph_objects as go

    plain = draw_plain(spec, palette)
    # An empty template: plotly's own would restyle the figure, which looks as in a report without it.
    return go.Figure(plain["data"], {**plain["layout"], "template": go.layout.Template()})


def draw_plain(spec: FigureSpec, palette: Palette) -> dict[str, Any]:
    """The figure as plain ``data`` and ``layout``: what plotly.js takes, without plotly's own checks.

    A page of hundreds of figures is made ten times as fast from these.
    """
    if spec.panels:
        return draw_panels(spec, palette, draw_plain)
    return _Drawing(spec, palette).figure()


class _Drawing:
    def __init__(self, spec: FigureSpec, palette: Palette) -> None:
        self.spec = with_gaps(spec)
        self.palette = palette
        self.layout: AxesLayout = axes_layout(self.spec)
        self.traces: list[Any] = []
        self.shapes: list[dict[str, Any]] = []
        self.bars: list[ColorAxis] = []

    def figure(self) -> dict[str, Any]:
        if self.layout.bar is not None:
            self.traces.append(line_bar(self.spec, self.layout.bar))
            self.bars.append(self.layout.bar)
        for i, mark in enumerate(self.spec.marks):
            if isinstance(mark, Line):
                self.line(i, mark)
            elif isinstance(mark, Points):
                self.points(i, mark)
            elif isinstance(mark, Stems):
                self.stems(i, mark)
            elif isinstance(mark, Bars):
                self.columns(i, mark)
            elif isinstance(mark, Heatmap):
                self.field(mark)
            elif isinstance(mark, Violin):
                self.violin(i, mark)
            else:
                self.guide(mark)
        self.traces += [self.meaning(sign, text) for sign, text in self.spec.symbols]
        return {"data": self.traces, "layout": layout(self.spec, self.layout, self.shapes)}

    # marks

    def line(self, i: int, mark: Line) -> None:
        style = self.palette.style(mark.series)
        color = style.color
        if mark.color_value is not None:
            color = sample(colormap("line"), mark.color_value)
            if self.layout.alike:
                style = PLAIN
        if mark.low is not None and mark.high is not None:
            self.band(mark, color)
        hover, custom = self.hover(mark.series, mark.x, mark.y)
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", mark.x),
                y=self.at("y", mark.y),
                mode="lines+markers" if mark.markers else "lines",
                line={"color": color, "dash": mark.style or style.dash, "width": 2},
                marker={
                    "symbol": _SYMBOLS.get(style.symbol, style.symbol),
                    "size": 6,
                    "color": color,
                },
                connectgaps=False,
                hovertemplate=hover,
                customdata=custom,
                **self.legend(i, mark.series),
                **({"meta": "scale"} if mark.color_value is not None else {}),
            )
        )

    def band(self, mark: Line, color: str) -> None:
        x, low, high = (np.asarray(a) for a in (mark.x, mark.low, mark.high))
        if self.spec.y.scale == "log":
            low = np.maximum(low, self.layout.floor)
        xs: list[Array] = []
        ys: list[Array] = []
        # A polygon for each run, with NaN between them: one for all would be filled across the gaps.
        for run in finite_runs(x, low, high):
            xs += [x[run], x[run][::-1], np.array([np.nan])]
            ys += [high[run], low[run][::-1], np.array([np.nan])]
        if not xs:
            return
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", np.concatenate(xs[:-1])),
                y=self.at("y", np.concatenate(ys[:-1])),
                mode="lines",
                line={"width": 0, "color": color},
                fill="toself",
                fillcolor=translucent(color, 0.18),
                hoverinfo="skip",
                name=short_name(mark.series),
                showlegend=False,
                legendgroup=legend_key(mark.series),
            )
        )

    def points(self, i: int, mark: Points) -> None:
        style = self.palette.style(mark.series)
        over = has_field(self.spec)
        symbols = [_SYMBOLS.get(s, s) + "-open" * mark.hollow for s in mark.symbols or (style.symbol,)]
        hover, custom = self.hover(mark.series, mark.x, mark.y, texts=mark.texts)
        entry = self.legend(i, mark.series)
        if len(set(mark.symbols)) > 1 and entry["showlegend"]:
            # they tell kinds, so the legend shows the colour alone
            # By a trace without points: plotly has no entries of a legend but those of traces.
            bar = {"width": 1 if mark.hollow else 5, "color": style.color}
            self.traces.append(trace("scatter", x=[None], y=[None], mode="lines", line=bar, **entry))
            entry = {**entry, "showlegend": False}
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", mark.x),
                y=self.at("y", mark.y),
                mode="markers",
                marker={
                    "color": style.color,
                    # Over a field larger and with a wide rim: it may have the point's own colour anywhere.
                    "size": 12 if over else 8,
                    "symbol": symbols if mark.symbols else symbols[0],
                    "line": {"width": 1.2}
                    if mark.hollow
                    else {"width": 2.4 if over else 0, "color": "white"},
                },
                error_y=self.error(mark.y, mark.error, style.color),
                text=escaped(mark.texts) or None,
                hovertemplate=hover,
                customdata=custom,
                **entry,
            )
        )

    def meaning(self, sign: str, text: str) -> dict[str, Any]:
        """An entry of the legend that shows a symbol, or a style of lines."""
        look: dict[str, Any] = {
            "mode": "markers",
            "marker": {"symbol": _SYMBOLS.get(sign, sign), "size": 8, "color": EDGE},
        }
        if sign in DASHES:
            look = {"mode": "lines", "line": {"dash": sign, "width": 2, "color": EDGE}}
        return trace(
            "scatter",
            x=[None],
            y=[None],
            **look,
            name=escape(text),
            legendgroup=f"symbol {sign}",
            showlegend=True,
            hoverinfo="skip",
        )

    def stems(self, i: int, mark: Stems) -> None:
        style = self.palette.style(mark.series)
        x = np.asarray(mark.x) + self.layout.slots[i].offset
        y = np.asarray(mark.y)
        gap = np.full_like(x, np.nan)
        floor = np.where(np.isfinite(y), self.layout.floor, np.nan)
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", np.column_stack([x, x, gap]).ravel()),
                y=self.at("y", np.column_stack([floor, y, gap]).ravel()),
                mode="lines",
                line={"color": style.color, "width": 1.5},
                hoverinfo="skip",
                name=short_name(mark.series),
                showlegend=False,
                legendgroup=legend_key(mark.series),
            )
        )
        hover, custom = self.hover(mark.series, mark.x, y, texts=mark.texts, moved=True)
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", x),
                y=self.at("y", y),
                mode="markers",
                marker={
                    "color": style.color,
                    "size": 8,
                    "symbol": _SYMBOLS.get(style.symbol, style.symbol),
                },
                error_y=self.error(y, mark.error, style.color),
                text=escaped(mark.texts) or None,
                hovertemplate=hover,
                customdata=custom,
                **self.legend(i, mark.series),
            )
        )

    def columns(self, i: int, mark: Bars) -> None:
        style = self.palette.style(mark.series)
        slot = self.layout.slots[i]
        x, y = np.asarray(mark.x), np.asarray(mark.y)
        # Both edges are put on the axis: on a symlog one, the middle of a bar is not where x would be.
        left = self.at("x", x + slot.offset - slot.width / 2)
        right = self.at("x", x + slot.offset + slot.width / 2)
        hover, custom = self.hover(mark.series, x, y, moved=True)
        self.traces.append(
            trace(
                "bar",
                x=(left + right) / 2,
                y=self.at("y", y),
                width=np.nan_to_num(right - left) if self.spec.x.scale != "log" else None,
                marker={"color": style.color, "line": {"width": 0}},
                error_y=self.error(y, mark.error, style.color),
                hovertemplate=hover,
                customdata=custom,
                **self.legend(i, mark.series),
            )
        )

    def violin(self, i: int, mark: Violin) -> None:
        shape = violin_outline(mark.y, self.spec.y)
        if shape is None:
            return
        color = self.palette.style(mark.series).color
        common = {"name": short_name(mark.series), "legendgroup": legend_key(mark.series)}
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", np.concatenate([mark.x - shape.half, (mark.x + shape.half)[::-1]])),
                y=self.at("y", np.concatenate([shape.y, shape.y[::-1]])),
                mode="lines",
                line={"width": 1, "color": color},
                fill="toself",
                fillcolor=translucent(color, 0.25),
                hoverinfo="skip",
                showlegend=False,
                **common,
            )
        )
        lower, median, upper = shape.quartiles
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", [mark.x, mark.x]),
                y=self.at("y", [lower, upper]),
                mode="lines",
                line={"width": 5, "color": color},
                hoverinfo="skip",
                showlegend=False,
                **common,
            )
        )
        text = f"quartiles: {number(lower)}, {number(upper)}<br>values: {shape.count}"
        hover, custom = self.hover(mark.series, [mark.x], [median], texts=(text,))
        self.traces.append(
            trace(
                "scatter",
                x=self.at("x", [mark.x]),
                y=self.at("y", [median]),
                mode="markers",
                marker={"color": "white", "size": 8, "line": {"color": color, "width": 2}},
                text=[text],
                hovertemplate=hover,
                customdata=custom,
                **self.legend(i, mark.series),
            )
        )

    def field(self, mark: Heatmap) -> None:
        self.traces.append(field(self.spec, mark, self.bars))
        if mark.color not in self.bars:
            self.bars.append(mark.color)

    def guide(self, mark: Guide) -> None:
        name = "x" if mark.x is not None else "y"
        at = float(self.at(name, mark.x if mark.x is not None else mark.y))
        across = "y" if name == "x" else "x"
        start = name == "y" and self.layout.crowded_guides
        back = self.layout.at_end(self.spec, mark)
        beside = "right" if back else "left"
        self.shapes.append(
            {
                "type": "line",
                f"{name}0": at,
                f"{name}1": at,
                f"{name}ref": name,
                f"{across}0": 0,
                f"{across}1": 1,
                f"{across}ref": f"{across} domain",
                "layer": "below" if not has_field(self.spec) else "above",
                "line": {"color": EDGE, "width": 1.2, "dash": "dash"},
                "label": {
                    "text": escape(mark.label),
                    "font": {"size": 11},
                    "textposition": "start" if start else "end",
                    "textangle": 0,
                    "xanchor": beside if name == "x" else "left" if start else "right",
                    "yanchor": "top" if name == "x" or back else "bottom",
                },
            }
        )

    # pieces

    def at(self, name: str, values: Any) -> Array:
        return on_axis(self.spec.x if name == "x" else self.spec.y, values)

    def error(self, y: Any, error: Any, color: str) -> dict[str, Any] | None:
        if error is None:
            return None
        y, error = np.asarray(y), np.asarray(error)
        # As lengths on the axis: plotly knows no symlog axis, on which even bars come out uneven.
        middle = self.at("y", y)
        return {
            "type": "data",
            "symmetric": False,
            "array": self.at("y", y + error) - middle,
            "arrayminus": middle - self.at("y", y - error),
            "color": color,
            "thickness": 1.4,
            "width": 3,
        }

    def legend(self, i: int, series: Series) -> dict[str, Any]:
        return {
            "name": short_name(series),
            "legendgroup": legend_key(series),
            "showlegend": i in self.layout.named,
        }

    def hover(
        self, series: Series, x: Any, y: Any, texts: Sequence[str] = (), moved: bool = False
    ) -> tuple[str, Any]:
        """The text at the pointer: true values, where the drawn ones are transformed or moved."""
        columns: list[list[Any]] = []
        lines = [f"<b>{in_template(short_name(series))}</b>"] if series.name else []
        for name, values, axis in (("x", x, self.spec.x), ("y", y, self.spec.y)):
            shown = f"%{{{name}:.4~g}}"
            if axis.categories is not None:
                shown = f"%{{customdata[{len(columns)}]}}"
                columns.append([category(axis, v) for v in np.asarray(values)])
            elif axis.scale == "symlog" or (moved and name == "x"):
                shown = f"%{{customdata[{len(columns)}]:.4~g}}"
                columns.append(np.asarray(values).tolist())
            lines.append(f"{in_template(escape(axis.title))}: {shown}")
        if texts:
            lines.append("%{text}")
        custom = [list(row) for row in zip(*columns, strict=True)] if columns else None
        return "<br>".join(lines) + "<extra></extra>", custom
