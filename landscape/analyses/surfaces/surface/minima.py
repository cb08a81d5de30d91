"""Figures of the minima of a surface: barcode and merge tree, beside the surface itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import Axis, FigureSpec, Heatmap, Line, Mark, Points, Series, series
from landscape.base.panels import side_by_side

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["minima_figures", "places_in_tree"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_MARKED = ("square", "diamond", "triangle", "cross")
"""Symbols of the deepest minima, which tell them in all panels; the others are circles."""

_NUMBERED = 9  # minima whose numbers the axes have room for

_ROOM = 0.25
"""How far lines that end nowhere reach beyond the highest saddle, over what the saddles span."""


_CAPTION = (
    "Barcode: a line from the loss at each minimum of the grid to that of the saddle where its basin joins a"
    " deeper one. Merge tree: the same lines, each joined at its saddle to the minimum that goes on. The"
    " deepest minimum joins none: its line goes on beyond the picture, and is not among those of the mean."
)


def minima_figures(
    datasets: Mapping[str, xr.Dataset], surfaces: Mapping[str, FigureSpec], losses: Axis
) -> list[FigureSpec]:
    """Barcode, merge tree and surface of each model with more than one minimum, side by side.

    Args:
        datasets: Results by model.
        surfaces: The contours of the loss of each.
        losses: The axis of losses.
    """
    specs = []
    for index, (label, ds) in enumerate(datasets.items()):
        if ds.sizes["minimum"] < 2 or not np.isfinite(ds["minimum_saddle"].values).any():
            continue
        suffix, who = (f"-{index + 1}", f": {label}") if len(datasets) > 1 else ("", "")
        smad = (
            f" The mean length of the finite lines (SMAD) is {float(ds['smad']):.4g}." if "smad" in ds else ""
        )
        panels = [*_bars(ds, series(label, ds), losses), _marked(surfaces[label], ds)]
        specs.append(
            side_by_side(
                f"minima{suffix}",
                f"Minima of the surface, and how they join{who}",
                panels,
                caption=f"{_CAPTION}{smad} Symbols tell the same minimum in all panels.",
            )
        )
    return specs


def places_in_tree(into: Sequence[int] | Index, saddle: Sequence[float] | Array) -> Index:
    """Where the lines of a merge tree stand so that none of its joints crosses another line.

    Right of each minimum stand those that join it, the lower saddles nearer, each with what joined it.

    Args:
        into: Which minimum each joins (m,); −1 for none.
        saddle: The loss at which it does (m,).

    Returns:
        The place of each (m,), from 0 on.

    Example:
        >>> places_in_tree([-1, 0, 0], [np.inf, 2.0, 1.0]).tolist()
        [0, 2, 1]
    """
    children: dict[int, list[int]] = {}
    for k in sorted(range(len(into)), key=lambda k: saddle[k]):
        children.setdefault(int(into[k]), []).append(k)
    order: list[int] = []
    waiting = children.get(-1, [])[::-1]
    while waiting:
        k = waiting.pop()
        order.append(k)
        waiting += children.get(k, [])[::-1]
    places = np.empty(len(into), dtype=np.intp)
    places[order] = np.arange(len(order))
    return places


def _bars(ds: xr.Dataset, who: Series, losses: Axis) -> list[FigureSpec]:
    """The barcode and the merge tree, with the losses upwards."""
    birth, saddle, into = (ds[f"minimum_{name}"].values for name in ("loss", "saddle", "into"))
    low, high = float(birth.min()), float(saddle[np.isfinite(saddle)].max())
    room = _ROOM * (high - low)
    losses = replace(losses, limits=(low - 0.3 * room, high + room))
    ends = np.where(np.isfinite(saddle), saddle, high + 2 * room)
    symbols = _symbols(birth.size)
    found = []
    order, tree = np.arange(birth.size), places_in_tree(into, saddle)
    for name, places in (("Barcode", order), ("Merge tree", tree)):
        marks: list[Mark] = [
            Line([at, at], [b, e], who) for at, b, e in zip(places, birth, ends, strict=True)
        ]
        if name == "Merge tree":
            joined = [(tree[[k, j]], saddle[k]) for k, j in enumerate(into) if j >= 0]
            marks += [Line(across, [height] * 2, who) for across, height in joined]
        texts = tuple(f"minimum {k + 1}: loss {b:.4g}" for k, b in enumerate(birth))
        marks.append(Points(places, birth, who, texts=texts, symbols=symbols))
        numbers = tuple(str(k + 1) if k < _NUMBERED else "" for k in np.argsort(places))
        sides = Axis("minimum, by persistence", limits=(-0.7, birth.size - 0.3), categories=numbers)
        found.append(FigureSpec(name.lower().replace(" ", "_"), name, sides, losses, tuple(marks)))
    return found


def _symbols(count: int) -> tuple[str, ...]:
    return tuple(_MARKED[k] if k < len(_MARKED) else "circle" for k in range(count))


def _marked(surface: FigureSpec, ds: xr.Dataset) -> FigureSpec:
    """The surface with its minima marked, and what their symbols mean."""
    x, y, birth = (ds[f"minimum_{name}"].values for name in ("x", "y", "loss"))
    symbols = _symbols(birth.size)
    key = [(symbol, f"minimum {k + 1}") for k, symbol in enumerate(_MARKED[: birth.size])]
    key += [("circle", "others")] * (birth.size > len(_MARKED))
    texts = tuple(f"minimum {k + 1}: loss {b:.4g}" for k, b in enumerate(birth))
    marks: list[Mark] = [m for m in surface.marks if isinstance(m, Heatmap)]
    marks.append(Points(x, y, Series(), texts=texts, symbols=symbols))
    return replace(surface, title="Surface", marks=tuple(marks), caption="", symbols=tuple(key))
