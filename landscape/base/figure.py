"""FigureSpec: a figure as data, drawn by any back end.

A figure is two axes and a list of marks. Analyses build these from datasets; `landscape.plot` draws
them with plotly or matplotlib. Nothing here knows a plotting library, so figures can be tested as
values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape.base.interval import Interval
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Axis",
    "Bars",
    "ColorAxis",
    "FigureSpec",
    "Guide",
    "Heatmap",
    "Line",
    "Mark",
    "Points",
    "Series",
    "Stems",
    "Violin",
    "has_errors",
    "series",
]

Array = NDArray[np.float64]


DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "square", "diamond", "triangle", "cross")


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _check_scale(what: str, scale: str, known: tuple[str, ...], limits: tuple[float, float] | None) -> None:
    if scale not in known:
        raise InputError(f"{what} has no scale '{scale}'; {suggest(scale, known)}")
    if limits is None:
        return
    low, high = limits
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(f"{what} needs finite limits (low, high) with low < high; got {limits}.")
    if scale == "log" and low <= 0:
        raise InputError(f"{what} is logarithmic, so its limits must be positive; got {limits}.")


@dataclass(frozen=True)
class Axis:
    """An axis: what it shows, in which unit, on which scale.

    Attributes:
        label: The quantity, for example ``"loss"``; TeX-free Unicode such as ``"λ"``.
        unit: Its unit; ``"1"`` or ``""`` for a pure number.
        scale: ``linear``, ``log`` or ``symlog`` (linear between ``±linthresh``).
        limits: Fixed range in data values, or ``None`` to fit the data.
        categories: Names shown instead of numbers at 0, 1, 2, ...
        linthresh: Where a symlog axis turns linear.
    """

    label: str
    unit: str = ""
    scale: Literal["linear", "log", "symlog"] = "linear"
    limits: tuple[float, float] | None = None
    categories: tuple[str, ...] | None = None
    linthresh: float = 1.0

    def __post_init__(self) -> None:
        _check_scale(f"axis '{self.label}'", self.scale, ("linear", "log", "symlog"), self.limits)
        if not (np.isfinite(self.linthresh) and self.linthresh > 0):
            raise InputError(f"axis '{self.label}' needs linthresh > 0; got {self.linthresh}.")

    @property
    def title(self) -> str:
        """The label with its unit in parentheses, unless it is a pure number."""
        return self.label if self.unit in ("", "1") else f"{self.label} ({self.unit})"


@dataclass(frozen=True)
class ColorAxis:
    """How values become colours: a label, a unit and a range shared by all figures to be compared.

    Attributes:
        label: The quantity.
        unit: Its unit.
        scale: ``linear`` or ``log``.
        limits: Fixed range, or ``None`` to fit the data.
        kind: ``sequential``, or ``diverging`` about zero.
    """

    label: str
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    limits: tuple[float, float] | None = None
    kind: Literal["sequential", "diverging"] = "sequential"

    def __post_init__(self) -> None:
        _check_scale(f"colour axis '{self.label}'", self.scale, ("linear", "log"), self.limits)
        if self.kind == "diverging" and self.scale != "linear":
            raise InputError(
                f"colour axis '{self.label}' is diverging about zero, which a log scale has not."
            )

    @property
    def title(self) -> str:
        """The label with its unit in parentheses, unless it is a pure number."""
        return self.label if self.unit in ("", "1") else f"{self.label} ({self.unit})"


@dataclass(frozen=True)
class Series:
    """Who a mark belongs to: decides its colour, its dash and its legend entry.

    Marks of one model (same ``model``) share a colour over all figures of a report; models of one
    ``group`` share a hue. Marks of one model and one ``name`` share a legend entry.
    """

    model: str = ""
    group: str = ""
    label: str | None = None

    @property
    def name(self) -> str:
        """The text of the legend entry."""
        return self.model if self.label is None else self.label


def series(label: str, ds: xr.Dataset) -> Series:
    """Whom the marks of a result belong to.

    Args:
        label: The result's label among the ``datasets`` of an analysis's ``plots``.
        ds: The result; the zoo put its group into the attributes.

    Returns:
        The series of that label and group.
    """
    return Series(model=label, group=str(ds.attrs.get("group", "")))


def _same_length(kind: str, **arrays: Array | None) -> None:
    sizes = {name: a.shape for name, a in arrays.items() if a is not None}
    if len(set(sizes.values())) > 1 or any(len(s) != 1 for s in sizes.values()):
        raise InputError(f"a {kind} mark needs 1D arrays of one length; got {sizes}.")


@dataclass(frozen=True)
class Line:
    """A curve through points, with an optional band ``[low, high]``. NaN leaves a gap."""

    x: ArrayLike
    y: ArrayLike
    series: Series = field(default_factory=Series)
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    markers: bool = False
    style: Literal["solid", "dash", "dot"] | None = None
    color_value: float | None = None
    """A number in [0, 1] that picks the colour from the sequential map (depth, time) instead of the
    series; `FigureSpec.color` says what it means."""
    beyond: tuple[float, float] = (float("nan"), float("nan"))
    """The value before the first point and after the last, which medians over models need and which is not
    drawn: a count is 0 beyond the largest value. NaN where there is none."""

    def __post_init__(self) -> None:
        _freeze(self, "line", "x", "y", "low", "high")
        if (self.low is None) != (self.high is None):
            raise InputError("a line's band needs both low and high, or neither.")
        if self.style is not None and self.style not in DASHES:
            raise InputError(f"a line has no style '{self.style}'; {suggest(self.style, DASHES)}")
        if self.color_value is not None and not 0 <= self.color_value <= 1:
            raise InputError(f"a line's color_value lies in [0, 1]; got {self.color_value}.")


@dataclass(frozen=True)
class Points:
    """Single points with optional symmetric errors in y."""

    x: ArrayLike
    y: ArrayLike
    series: Series = field(default_factory=Series)
    error: ArrayLike | None = None
    texts: tuple[str, ...] = ()
    """What a reader sees on pointing at each point."""
    symbols: tuple[str, ...] = ()
    """One of circle, square, diamond, triangle, cross per point (block kinds, phases)."""
    hollow: bool = False
    """Whether points are outlines: a second reading of a model, in the model's colour."""

    def __post_init__(self) -> None:
        _freeze(self, "points", "x", "y", "error")
        _check_per_point("points", self.x, texts=self.texts, symbols=self.symbols)
        for symbol in self.symbols:
            _check_symbol(symbol)


@dataclass(frozen=True)
class Stems:
    """Vertical stems from zero, with optional symmetric errors in y."""

    x: ArrayLike
    y: ArrayLike
    series: Series = field(default_factory=Series)
    error: ArrayLike | None = None
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, "stems", "x", "y", "error")
        _check_per_point("stems", self.x, texts=self.texts)


@dataclass(frozen=True)
class Bars:
    """Bars at categories or positions, with optional symmetric errors in y."""

    x: ArrayLike
    y: ArrayLike
    series: Series = field(default_factory=Series)
    error: ArrayLike | None = None

    def __post_init__(self) -> None:
        _freeze(self, "bars", "x", "y", "error")


@dataclass(frozen=True)
class Heatmap:
    """A field ``z`` of shape ``(len(y), len(x))``, as cells or as filled contours."""

    x: ArrayLike
    y: ArrayLike
    z: ArrayLike
    color: ColorAxis
    contours: bool = False
    series: Series = field(default_factory=Series)

    def __post_init__(self) -> None:
        x, y, z = _floats(self.x), _floats(self.y), _floats(self.z)
        if z.shape != (y.size, x.size):
            raise InputError(
                f"a heat map needs z of shape (len(y), len(x)) = ({y.size}, {x.size}); got {z.shape}."
            )
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "z", z)


@dataclass(frozen=True)
class Violin:
    """The distribution of values ``y`` at one place ``x``: outline, median and quartiles.

    The density is that on the scale of the y axis; NaN and infinities are left out.
    """

    x: float
    y: ArrayLike
    series: Series = field(default_factory=Series)

    def __post_init__(self) -> None:
        x = float(self.x)
        if not np.isfinite(x):
            raise InputError(f"a violin stands at a finite x; got {x}.")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", _floats(self.y).ravel())


@dataclass(frozen=True)
class Guide:
    """A reference line across the figure: at ``x`` (vertical) or at ``y`` (horizontal)."""

    x: float | None = None
    y: float | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if (self.x is None) == (self.y is None):
            raise InputError("a guide stands at x or at y: give exactly one of them.")


Mark = Line | Points | Stems | Bars | Heatmap | Violin | Guide


def has_errors(mark: Mark) -> bool:
    """Whether a mark shows an error bar or a band anywhere."""
    names = ("low", "high", "error")
    return any(np.isfinite(e).any() for n in names if (e := getattr(mark, n, None)) is not None)


def _freeze(mark: object, kind: str, *names: str) -> None:
    """Turn the arrays of a mark into float arrays of one length."""
    arrays = {n: getattr(mark, n) for n in names}
    floats = {n: None if a is None else _floats(a) for n, a in arrays.items()}
    _same_length(kind, **floats)
    for name, value in floats.items():
        object.__setattr__(mark, name, value)


def _check_symbol(symbol: str) -> None:
    if symbol not in SYMBOLS:
        raise InputError(f"there is no point symbol '{symbol}'; {suggest(symbol, SYMBOLS)}")


def _check_per_point(kind: str, x: ArrayLike, **given: tuple[str, ...]) -> None:
    n = len(np.asarray(x))
    for name, values in given.items():
        if values and len(values) != n:
            raise InputError(f"a {kind} mark of {n} points needs {n} {name} or none; got {len(values)}.")


@dataclass(frozen=True)
class FigureSpec:
    """One figure: a title, two axes, marks, and a caption that a paper could print.

    Attributes:
        name: Short identifier, unique within its analysis (file names, anchors).
        title: One line.
        x: Horizontal axis.
        y: Vertical axis.
        marks: What is drawn, in order.
        caption: What is shown, in which units, at which parameters; nothing about error bars and bands.
        errors: What error bars and bands mean, as an `Interval` or in words; models drawn together lose it.
        equal: Whether one unit is as long on both axes.
        color: What the ``color_value`` of lines means, for the colour bar: values 0 and 1 stand for
            its limits (0 and 1 if it has none).
        symbols: What the symbols of points mean, or the styles of lines, for the legend: pairs of a symbol
            or a style (solid, dash, dot) and a word.
        choice: By what a reader chooses it among its like, such as a pair of models.
        others: Its like, such as those of other pairs, which a page shows in its place when chosen,
            and which are drawn by their names.
        panels: Figures side by side, as rows of columns, in place of marks; see `landscape.base.panels`.
        leads: Whether it stands for its section where there is room for one; else the first one does.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    caption: str = ""
    errors: Interval | str = ""
    equal: bool = False
    color: ColorAxis | None = None
    symbols: tuple[tuple[str, str], ...] = ()
    choice: str = ""
    others: tuple[FigureSpec, ...] = ()
    panels: tuple[tuple[FigureSpec, ...], ...] = ()
    leads: bool = False

    def __post_init__(self) -> None:
        for sign, _ in self.symbols:
            if sign not in DASHES:
                _check_symbol(sign)
        if self.panels:
            _check_panels(self)

    @property
    def whole_caption(self) -> str:
        """What to print below the figure: the caption and, if a mark has any, what errors and bands mean."""
        errors = [
            str(f.errors)
            for f in (self, *(p for row in self.panels for p in row))
            if any(has_errors(m) for m in f.marks)
        ]
        return " ".join(p for p in dict.fromkeys([self.caption, *errors]) if p)


def _check_panels(spec: FigureSpec) -> None:
    if spec.marks:
        raise InputError(f"figure '{spec.name}' has panels, so its marks belong to these: give it none.")
    if not all(spec.panels):
        raise InputError(f"figure '{spec.name}' has a row without panels: leave it out.")
    if any(panel.panels for row in spec.panels for panel in row):
        raise InputError(f"a panel of figure '{spec.name}' has panels itself: give them all side by side.")
