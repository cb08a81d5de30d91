"""One figure drawn with matplotlib, on a canvas of its own or on axes that are there."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from landscape.base.figure import Bars, ColorAxis, FigureSpec, Guide, Heatmap, Line, Points, Stems, Violin
from landscape.plotting.axes_layout import (
    AxesLayout,
    axes_layout,
    color_limits,
    color_ticks,
    edges,
    finite_runs,
    has_field,
    padded,
    with_gaps,
)
from landscape.plotting.backends.matplotlib_style import styled
from landscape.plotting.palette import PLAIN, Palette, colormap, sample
from landscape.plotting.scales import narrow_log_ticks, number
from landscape.plotting.violin_outline import violin_outline

__all__ = ["WIDTH", "PaperFigure", "add_bar", "add_legend"]

Array = NDArray[np.float64]

WIDTH = 5.2
"""How wide a figure is that is not set for a paper, in inches."""

_HEIGHT = 3.4
_TALL = 4.6  # a field with many rows
_FEW = 8  # most categories named at full size
_ROW = 0.19
_LINE = 0.13  # of the names of categories beside their rows
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_MEANING = "#59616b"  # colour of symbols in the legend, which are those of points of any colour
_SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^", "cross": "X"}

_FARTHEST_DECADE = 240  # matplotlib puts its open-ended log contours at 10^±250


class PaperFigure(Figure):
    """A figure that shows itself in a notebook and is saved with embedded fonts."""

    def savefig(self, fname: Any, **keywords: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does, in the style it was drawn in."""
        with styled():
            super().savefig(fname, **keywords)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()


class _Drawing:
    """One figure being drawn, on a canvas of its own.

    Args:
        spec: The figure.
        palette: The look of each model.
        width: In inches.
    """

    def __init__(self, spec: FigureSpec, palette: Palette, width: float = WIDTH) -> None:
        self.width = width
        self.spec = with_gaps(spec)
        self.palette = palette
        self.layout: AxesLayout = axes_layout(self.spec)
        many = has_field(spec) and len(spec.y.categories or ()) > _FEW
        height = (_TALL if many else _HEIGHT) * (width / WIDTH) ** 0.75  # a wide figure is flatter
        if spec.y.categories and not has_field(spec):
            lines = max(1 + name.count("\n") for name in spec.y.categories)
            height = max(height, 0.9 + _LINE * lines * len(spec.y.categories))
        self.canvas, self.axes = self.place(width, height)
        self.handles: dict[str, Any] = {}
        self.bars: list[ColorAxis] = []

    def place(self, width: float, height: float) -> tuple[PaperFigure, Axes]:
        """The canvas, and the axes on it."""
        canvas = PaperFigure(figsize=(width, height), layout="constrained")
        return canvas, canvas.add_subplot()

    def figure(self) -> PaperFigure:
        """Draw."""
        self.set_scale("x")
        self.set_scale("y")
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
                self.heatmap(mark)
            elif isinstance(mark, Violin):
                self.violin(i, mark)
            else:
                self.guide(mark)
        if self.layout.bar is not None:
            self.colorbar(self.layout.bar, colormap("line"), self.layout.bar.limits or (0.0, 1.0))
        self.axes.set_xlabel(_plain(self.spec.x.title))
        self.axes.set_ylabel(_plain(self.spec.y.title))
        self.axes.set_title(_plain(self.spec.title))
        self.set_axis("x")
        self.set_axis("y")
        if self.spec.equal:
            self.axes.set_aspect("equal", adjustable="box")
        self.legend()
        return self.canvas

    # marks

    def line(self, i: int, mark: Line) -> None:
        style = self.palette.style(mark.series)
        color = style.color
        if mark.color_value is not None:
            color = sample(colormap("line"), mark.color_value)
            if self.layout.alike:
                style = PLAIN
        look: dict[str, Any] = {"color": color, "linestyle": _DASHES[mark.style or style.dash]}
        if mark.markers:
            look |= {"marker": _SYMBOLS[style.symbol], "markersize": 4}
        x = np.asarray(mark.x)
        # A white rim, since a field may have the line's own colour anywhere.
        halo = [withStroke(linewidth=3, foreground="white")] if has_field(self.spec) else None
        self.axes.plot(x, np.asarray(mark.y), path_effects=halo, **look)
        if mark.low is not None and mark.high is not None:
            low, high = np.asarray(mark.low), np.asarray(mark.high)
            if self.spec.y.scale == "log":
                low = np.maximum(low, self.layout.floor)
            for run in finite_runs(x, low, high):
                self.axes.fill_between(x[run], low[run], high[run], color=color, alpha=0.18, linewidth=0)
        self.entry(i, mark.series.name, Line2D([], [], **look))

    def points(self, i: int, mark: Points) -> None:
        style = self.palette.style(mark.series)
        x, y = np.asarray(mark.x), np.asarray(mark.y)
        symbols = np.array(mark.symbols or (style.symbol,) * x.size)
        common = mark.symbols[0] if len(set(mark.symbols)) == 1 else style.symbol
        over = has_field(self.spec)
        # Over a field larger and with a wide rim: it may have the point's own colour anywhere.
        shape: dict[str, Any] = {"linestyle": "", "markersize": 7 if over else 5, "color": style.color}
        shape |= (
            {"mfc": "none", "mec": style.color} if mark.hollow else {"mec": "white" if over else style.color}
        )
        shape |= {"mew": 1.4} if over else {}
        for symbol in dict.fromkeys(symbols.tolist()):
            of = symbols == symbol
            self.axes.plot(x[of], y[of], marker=_SYMBOLS[symbol], **shape)
        self.error(x, y, mark.error, style.color)
        look = shape | {"marker": _SYMBOLS[common], "mec": style.color, "markersize": 5, "mew": 1.0}
        if len(set(mark.symbols)) > 1:  # they tell kinds, so the legend shows the colour alone
            look = {"linewidth": 5, "color": style.color}
        kinds = len(set(mark.symbols)) > 1
        bar = (
            Patch(facecolor="none", edgecolor=style.color)
            if kinds and mark.hollow
            else Line2D([], [], **look)
        )
        self.entry(i, mark.series.name, bar)

    def stems(self, i: int, mark: Stems) -> None:
        style = self.palette.style(mark.series)
        x = np.asarray(mark.x) + self.layout.slots[i].offset
        y = np.asarray(mark.y)
        good = np.isfinite(x) & np.isfinite(y)
        self.axes.vlines(x[good], self.layout.floor, y[good], color=style.color, linewidth=1.0)
        look = {
            "linestyle": "",
            "marker": _SYMBOLS[style.symbol],
            "markersize": 5,
            "color": style.color,
        }
        self.axes.plot(x, y, **look)  # type: ignore[arg-type]
        self.error(x, y, mark.error, style.color)
        self.entry(i, mark.series.name, Line2D([], [], **look))  # type: ignore[arg-type]

    def columns(self, i: int, mark: Bars) -> None:
        style = self.palette.style(mark.series)
        slot = self.layout.slots[i]
        x, y = np.asarray(mark.x) + slot.offset, np.asarray(mark.y)
        floor = self.layout.floor
        self.axes.bar(x, y - floor, width=slot.width, bottom=floor, color=style.color, linewidth=0)
        self.error(x, y, mark.error, style.color)
        self.entry(i, mark.series.name, Line2D([], [], color=style.color, linewidth=6))

    def violin(self, i: int, mark: Violin) -> None:
        shape = violin_outline(mark.y, self.spec.y)
        if shape is None:
            return
        color = self.palette.style(mark.series).color
        left, right = mark.x - shape.half, mark.x + shape.half
        self.axes.fill_betweenx(shape.y, left, right, color=color, alpha=0.25, linewidth=0)
        for side in (left, right):
            self.axes.plot(side, shape.y, color=color, linewidth=0.8)
        lower, median, upper = shape.quartiles
        self.axes.vlines(mark.x, lower, upper, color=color, linewidth=4)
        self.axes.plot(mark.x, median, marker="o", markersize=5, color="white", mec=color)
        self.entry(i, mark.series.name, Line2D([], [], color=color, linewidth=6))

    def heatmap(self, mark: Heatmap) -> None:
        x, y, z = np.asarray(mark.x), np.asarray(mark.y), np.asarray(mark.z)
        colors = colormap(mark.color.kind)
        limits = color_limits(mark.color, z)
        look: dict[str, Any] = {"cmap": _map(colors), "norm": _norm(mark.color, limits)}
        shown = np.ma.masked_invalid(np.where(z > 0, z, np.nan) if mark.color.scale == "log" else z)
        ends = np.log10(limits) if mark.color.scale == "log" else limits
        levels = np.linspace(ends[0], ends[1], 21)
        # matplotlib raises where levels do not rise, as those of a constant field.
        drawable = bool((np.diff(levels) > 0).all())
        if mark.color.scale == "log":
            levels = 10**levels
            drawable &= float(np.abs(ends).max()) < _FARTHEST_DECADE
        if mark.contours and drawable and min(z.shape) >= 2 and shown.count() > 0:
            self.axes.contourf(x, y, shown, levels=levels, extend="both", **look)
            self.axes.contour(x, y, shown, levels=levels, colors="white", linewidths=0.3, alpha=0.5)
        else:
            # The cells as one bitmap: as vectors, a large field makes a file of many megabytes.
            self.axes.pcolormesh(edges(x), edges(y), shown, shading="flat", rasterized=True, **look)
        self.axes.grid(False)
        if mark.color not in self.bars:
            self.colorbar(mark.color, colors, limits)

    def guide(self, mark: Guide) -> None:
        look: dict[str, Any] = {
            "color": "#7d8590",
            "linewidth": 0.9,
            "linestyle": "--",
            "zorder": 1.5,
        }
        left = mark.x is not None
        if mark.x is not None:
            self.axes.axvline(mark.x, **look)
            at, place = (mark.x, 0.99), self.axes.get_xaxis_transform()
        else:
            assert mark.y is not None
            self.axes.axhline(mark.y, **look)
            left = left or self.layout.crowded_guides
            at, place = (0.01 if left else 0.99, mark.y), self.axes.get_yaxis_transform()
        back = self.layout.at_end(self.spec, mark)
        if mark.x is not None:
            beside, above, shift = ("right" if back else "left"), "top", (-3 if back else 3, 0)
        else:
            beside, above = ("left" if left else "right"), ("top" if back else "bottom")
            shift = (0, -2 if back else 2)
        if mark.label:
            self.axes.annotate(
                _plain(mark.label),
                at,
                xycoords=place,
                xytext=shift,
                textcoords="offset points",
                ha=beside,
                va=above,
                fontsize=7.5,
                color="#59616b",
                annotation_clip=True,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )

    # pieces

    def error(self, x: Array, y: Array, error: Any, color: str) -> None:
        if error is None:
            return
        good = np.isfinite(x) & np.isfinite(y) & np.isfinite(np.asarray(error))
        # matplotlib refuses bars of negative length.
        size = np.abs(np.asarray(error)[good])
        self.axes.errorbar(x[good], y[good], yerr=size, linestyle="", color=color, elinewidth=1.0, capsize=2)

    def entry(self, i: int, name: str, handle: Any) -> None:
        if i in self.layout.named:
            handle.set_label(_plain(name))
            self.handles[f"{i}"] = handle

    def colorbar(self, color: ColorAxis, colors: tuple[str, ...], limits: tuple[float, float]) -> None:
        self.bars.append(color)
        add_bar(self.canvas, [self.axes], color, colors, limits)

    def set_scale(self, name: str) -> None:
        axis = self.spec.x if name == "x" else self.spec.y
        options: dict[str, Any] = {"nonpositive": "mask"} if axis.scale == "log" else {}
        if axis.scale == "symlog":
            # In base 10, linscale 0.9 makes the linear half as long as one decade, as in `symlog`.
            options = {"linthresh": axis.linthresh, "linscale": 0.9}
        getattr(self.axes, f"set_{name}scale")(axis.scale, **options)
        # Ranges are set beforehand: matplotlib warns when it fits axes to data that it cannot show.
        limits = axis.limits or padded(self.layout.extents[name], axis, not has_field(self.spec))
        getattr(self.axes, f"set_{name}lim")(*limits)

    def set_axis(self, name: str) -> None:
        axis = self.spec.x if name == "x" else self.spec.y
        ticks = self.layout.ticks(self.spec, "x" if name == "x" else "y")
        which = self.axes.xaxis if name == "x" else self.axes.yaxis
        if name == "y" and axis.categories is not None and not has_field(self.spec):
            ticks = [float(i) for i in range(len(axis.categories))]  # the picture is as tall as they need
        if axis.scale == "log":
            ticks = narrow_log_ticks(*map(float, which.get_view_interval()))
        if ticks is not None:
            which.set_major_locator(FixedLocator(ticks))
            which.set_minor_locator(NullLocator())
            names = axis.categories
            texts = [number(t) if names is None else names[round(t)] for t in ticks]
            which.set_major_formatter(FixedFormatter([_plain(t) for t in texts]))
        elif self.spec.equal and axis.scale == "linear":
            which.set_major_locator(MaxNLocator(5))
        if axis.categories is not None:
            which.grid(False)
            if len(axis.categories) > _FEW:
                self.axes.tick_params("x" if name == "x" else "y", labelsize=6.0)
            long = max(map(len, axis.categories)) * len(axis.categories)
            # More characters than stand side by side below the axis.
            if name == "x" and long > 54:
                self.axes.tick_params("x", rotation=45 if long < 200 else 90)
                for label in self.axes.get_xticklabels():
                    label.set(ha="right", rotation_mode="anchor")

    def legend(self) -> None:
        handles = list(self.handles.values())
        for sign, text in self.spec.symbols:
            look: dict[str, Any] = {"linestyle": "", "marker": _SYMBOLS.get(sign), "markersize": 5}
            if sign in _DASHES:
                look = {"linestyle": _DASHES[sign]}
            handles.append(Line2D([], [], label=_plain(text), color=_MEANING, **look))
        self.finish(handles)

    def finish(self, handles: list[Any]) -> None:
        """Set the legend, of which the entries are given."""
        add_legend(self.canvas, handles, self.width)


def add_bar(
    canvas: Figure | SubFigure,
    axes: Sequence[Axes],
    color: ColorAxis,
    colors: tuple[str, ...],
    limits: tuple[float, float],
) -> None:
    """A colour bar beside axes, which make room for it."""
    mappable = ScalarMappable(_norm(color, limits), _map(colors))
    bar = canvas.colorbar(mappable, ax=list(axes), pad=0.02, fraction=0.05, aspect=24)
    bar.outline.set_visible(False)
    bar.set_label(_plain(color.title))
    if color.scale == "log":
        values, texts = color_ticks(color, limits)
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.set_ticks(values, labels=texts)


def add_legend(canvas: Figure | SubFigure, handles: list[Any], width: float) -> None:
    """A legend below all axes, unless there is nothing to tell apart; the canvas grows by it."""
    if len(handles) < 2:
        return
    longest = max(len(str(h.get_label())) for h in handles)
    # About as many characters of a legend as the figure is wide.
    room = 78 * width / WIDTH
    columns = int(np.clip(room // (longest + 7), 1, min(4, len(handles))))
    rows = -(-len(handles) // columns)
    if isinstance(canvas, Figure):  # a part of a page has its size
        canvas.set_size_inches(width, canvas.get_figheight() + _ROW * rows)
    canvas.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)


def _plain(text: str) -> str:
    """Text that matplotlib shows as it is: a dollar sign would start mathematics."""
    return text.replace("$", r"\$")


def _map(colors: Sequence[str]) -> Colormap:
    return LinearSegmentedColormap.from_list("landscape", list(colors))


def _norm(color: ColorAxis, limits: tuple[float, float]) -> Normalize:
    return LogNorm(*limits) if color.scale == "log" else Normalize(*limits)
