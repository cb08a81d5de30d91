"""Pictures of a difference: the clearest ones in order, and layers against measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Points, Series
from landscape.plotting.scales import number

if TYPE_CHECKING:
    from landscape.reporting.diff.changes import Change
    from landscape.reporting.diff.difference import Difference
    from landscape.reporting.diff.layers import LayerChange

__all__ = ["difference_figures"]

MOST_ROWS = 25
MOST_LAYERS = 20
_LONGEST = 44


def difference_figures(difference: Difference) -> list[FigureSpec]:
    """The figures that there is something to draw of: ``differences`` and ``layers``."""
    known = [c for c in difference.changes if np.isfinite(c.gap.strength)][:MOST_ROWS]
    found = [_strengths(difference, known)] if known else []
    if difference.layer_changes:
        found.append(_layers(difference))
    return found


def _strengths(difference: Difference, changes: list[Change]) -> FigureSpec:
    names = tuple(_short(f"{c.section}: {c.name}") for c in reversed(changes))
    strength = [c.gap.strength for c in reversed(changes)]
    marks = []
    for clear, label, color in ((True, "differs", "clear"), (False, "undecided", "")):
        places = [i for i, c in enumerate(reversed(changes)) if c.gap.clear is clear]
        if places:
            texts = tuple(_told(changes[len(changes) - 1 - i]) for i in places)
            x = [strength[i] for i in places]
            marks.append(Points(x, places, Series(color, label=label), texts=texts, hollow=not clear))
    a, b = difference.a.name, difference.b.name
    return FigureSpec(
        "differences",
        f"What differs most between {_short(a)} and {_short(b)}",
        Axis("difference / half its 95 % interval", scale="symlog"),
        Axis("", categories=names, limits=(-0.5, len(names) - 0.5)),
        (*marks, Guide(x=-1.0), Guide(x=0.0), Guide(x=1.0)),
        caption=(
            f"{b} minus {a}, each number in half widths of its 95 % interval: beyond the lines at ±1 the"
            f" interval leaves out zero. To the right: larger in {b}. Linear between these lines, logarithmic"
            " beyond."
        ),
    )


def _told(change: Change) -> str:
    return f"{number(change.a)} → {number(change.b)}"


def _layers(difference: Difference) -> FigureSpec:
    layers = list(dict.fromkeys(c.layer for c in _in_order(difference.layer_changes)))
    total = len(layers)
    if len(layers) > MOST_LAYERS:
        kept = {row.layer for row in difference.layers[:MOST_LAYERS]}
        layers = [layer for layer in layers if layer in kept]
    measures = list(dict.fromkeys(c.measure for c in difference.layer_changes))
    z = np.full((len(layers), len(measures)), np.nan)
    for c in difference.layer_changes:
        if c.layer in layers:
            z[layers.index(c.layer), measures.index(c.measure)] = c.size
    reach = float(np.nanmax(np.abs(z))) or 1.0
    a, b = difference.a.name, difference.b.name
    return FigureSpec(
        "layers",
        f"Layers of {_short(b)} against those of {_short(a)}",
        Axis("measure", categories=tuple(_short(m) for m in measures)),
        Axis("layer, the first at the top", categories=tuple(_short(n) for n in reversed(layers))),
        (
            Heatmap(
                np.arange(len(measures)),
                np.arange(len(layers)),
                z[::-1],
                ColorAxis("difference over spread of layers", kind="diverging", limits=(-reach, reach)),
            ),
        ),
        caption=(
            f"Every measure that both have of a layer, {b} minus {a}, over the standard deviation of that"
            " measure over the layers of both. Red: larger in the second; blank: not measured there."
            + (f" The {len(layers)} of {total} layers that changed most." if len(layers) < total else "")
        ),
    )


def _in_order(changes: tuple[LayerChange, ...]) -> list[LayerChange]:
    """Changes in the order of layers of the measure that has most of them, then what only others have."""
    counts: dict[str, int] = {}
    for c in changes:
        counts[c.measure] = counts.get(c.measure, 0) + 1
    most = max(counts, key=lambda m: counts[m])
    return [c for c in changes if c.measure == most] + [c for c in changes if c.measure != most]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
