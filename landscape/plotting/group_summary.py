"""Group summaries: a figure of hundreds of models becomes one of a few groups, with medians and bands.

A figure stays readable up to a dozen models. Beyond, the models of one group (method, width, epoch, ...)
are drawn together: curves as their median with a band, single points as one cloud. The caption says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landscape.base.figure import (
    Axis,
    Bars,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Mark,
    Points,
    Series,
    Stems,
    Violin,
    has_errors,
)
from landscape.base.panels import each_panel, panels_of
from landscape.plotting.scales import from_symlog, symlog

__all__ = ["MOST_POINTS", "QUANTILES", "models_of", "summarize_by_group"]

Array = NDArray[np.float64]

MOST_POINTS = 400
"""Points of one cloud; of more, every second, third, ... is drawn."""

QUANTILES = (0.1, 0.9)
"""Ends of a band over five or more models; over fewer it holds them all."""

_FEW = 5
_MOST_BANDS = 6  # more of them cover one another
_PLACES = 160  # where curves that share no places are compared


@dataclass(frozen=True)
class _Key:
    """What is drawn together: marks of one kind, of one group, of one part of a legend entry."""

    kind: type[Mark]
    group: str
    part: str
    style: str = ""


def models_of(spec: FigureSpec) -> list[str]:
    """The models that a figure shows, in order of appearance."""
    marks = (m for panel in panels_of(spec) for m in panel.marks if not isinstance(m, Guide))
    return [m for m in dict.fromkeys(mark.series.model for mark in marks) if m]


def summarize_by_group(spec: FigureSpec, groups: Mapping[str, str], what: str) -> FigureSpec:
    """The figure with the models of each group drawn together.

    Lines, stems and bars become the median over the models with a band from the 10th to the 90th
    percentile; points become one cloud per group; violins are pooled. Fields, guides and marks without
    a model, or with one that ``groups`` does not know, stay as they are. The error bars and bands of single
    models go, and with them what the figure says of these. A figure of one model stays as it is.

    Args:
        spec: A figure of several models.
        groups: The group of each model, in the order in which groups are to be named.
        what: What a group is, for the caption: ``"group"``, ``"width"``.
    """
    if spec.panels:
        return each_panel(spec, lambda panel: summarize_by_group(panel, groups, what))
    order = list(dict.fromkeys(groups.values()))
    collected: dict[_Key, list[Mark]] = {}
    kept: list[Mark] = []
    for mark in spec.marks:
        if isinstance(mark, Guide | Heatmap) or mark.series.model not in groups:
            kept.append(mark)
        else:
            group = groups[mark.series.model]
            style = (mark.style or "") if isinstance(mark, Line) else ""
            key = _Key(type(mark), group, _part(mark.series), style)
            collected.setdefault(key, []).append(mark)
    count = len(_names(collected))
    if count < 2:
        return spec
    places = _model_places(spec, groups)
    if places is not None:  # a group that has no model here needs no place
        order = [g for g in order if g in places.values() or any(key.group == g for key in collected)]
    marks: list[Mark] = []
    for key in sorted(collected, key=lambda k: order.index(k.group)):
        parts = [other for other in collected if other.group == key.group]
        slot = _slot(parts.index(key), len(parts))
        marks += _together(key, collected[key], spec, order, places, slot)
    marks = _legible(marks)
    x = spec.x if places is None else _group_axis(spec.x, order)
    one = "pair" if all(" ~ " in name for name in _names(collected)) else "model"
    caption = f"{spec.caption} {_note(marks, count, what, one)}".strip()
    single = bool(spec.errors) and any(has_errors(m) for m in kept)
    errors = f"Marks without a {what} keep theirs. {spec.errors}" if single else ""
    return replace(spec, marks=(*kept, *marks), x=x, caption=caption, errors=errors)


def _legible(marks: list[Mark]) -> list[Mark]:
    """The marks without bands, if these are too many to be told apart."""
    if sum(isinstance(m, Line) and m.low is not None for m in marks) <= _MOST_BANDS:
        return marks
    return [replace(m, low=None, high=None) if isinstance(m, Line) else m for m in marks]


def _part(series: Series) -> str:
    """What a legend entry says beside the model: ``"vit-s0, test"`` gives ``"test"``."""
    return series.name.replace(series.model, "").strip(" ,:–-")


def _model_places(spec: FigureSpec, groups: Mapping[str, str]) -> dict[float, str] | None:
    """If the x axis names the models one by one: the group at each place."""
    names = spec.x.categories
    if names is None or not names or not all(name in groups for name in names):
        return None
    return {float(i): groups[name] for i, name in enumerate(names)}


def _group_axis(axis: Axis, order: Sequence[str]) -> Axis:
    label = "" if axis.label == "model" else axis.label
    return replace(axis, label=label, categories=tuple(order), limits=(-0.5, len(order) - 0.5))


def _together(
    key: _Key,
    marks: Sequence[Mark],
    spec: FigureSpec,
    order: Sequence[str],
    places: dict[float, str] | None,
    slot: tuple[float, float],
) -> list[Mark]:
    label = f"{key.group}, {key.part}" if key.part else key.group
    series = Series(key.group, "", label)
    if key.kind is Violin:
        return _pooled([m for m in marks if isinstance(m, Violin)], series, key.group, order, places)
    drawn = [m for m in marks if isinstance(m, Line | Points | Stems | Bars)]
    if places is None and spec.x.categories is None and (key.kind is Line or _aligned(key.kind, drawn)):
        band = _band(drawn, series, spec, key)
        if band is not None:
            return [band]
    return _cloud(drawn, series, key.group, order, places, slot)


def _slot(part: int, parts: int) -> tuple[float, float]:
    """From where to where, about the place of a group, its part of so many stands: none hides another."""
    width = 0.5 / parts
    gap = 0.0 if parts == 1 else 0.1 * width
    return -0.25 + part * width + gap, -0.25 + (part + 1) * width - gap


def _aligned(kind: type[Mark], marks: Sequence[Line | Points | Stems | Bars]) -> bool:
    """Whether stems or bars of several models stand at the same places: ranks, bins."""
    if kind is Points:
        return False
    x = np.concatenate([np.asarray(m.x) for m in marks])
    return len(marks) == 1 or 2 * np.unique(x).size <= x.size


def _pooled(
    marks: Sequence[Violin], series: Series, group: str, order: Sequence[str], places: dict[float, str] | None
) -> list[Mark]:
    at: dict[float, list[Array]] = {}
    for mark in marks:
        x = float(order.index(group)) if places is not None else mark.x
        at.setdefault(x, []).append(np.asarray(mark.y))
    return [Violin(x, np.concatenate(values), series) for x, values in at.items()]


def _cloud(
    marks: Sequence[Line | Points | Stems | Bars],
    series: Series,
    group: str,
    order: Sequence[str],
    places: dict[float, str] | None,
    slot: tuple[float, float],
) -> list[Mark]:
    """All points in one mark, each naming its model; on axes of categories groups stand side by side."""
    x = np.concatenate([np.asarray(m.x) for m in marks])
    y = np.concatenate([np.asarray(m.y) for m in marks])
    names = [m.series.model for m in marks for _ in range(np.asarray(m.x).size)]
    symbols = [s for m in marks for s in getattr(m, "symbols", ())]
    if places is not None:
        # Side by side within the place of the group, so that equal values do not hide one another.
        spread = np.linspace(*slot, x.size) if x.size > 1 else np.full(x.size, sum(slot) / 2)
        x = order.index(group) + spread
    step = slice(None, None, max(1, -(-x.size // MOST_POINTS)))
    texts = tuple(names[step])
    kept = tuple(symbols[step]) if len(symbols) == x.size else ()
    hollow = all(getattr(m, "hollow", False) for m in marks)
    return [Points(x[step], y[step], series, texts=texts, symbols=kept, hollow=hollow)]


def _band(
    marks: Sequence[Line | Points | Stems | Bars], series: Series, spec: FigureSpec, key: _Key
) -> Line | None:
    """Median and band where every model has a value; ``None`` if there is no such place.

    A median over whichever models have a value would jump, and rise where every curve falls. Models that have
    values at less than half of the places of the others would leave nothing of these: they do not count, and
    the legend says how many do.
    """
    x, rows = _stacked(marks, spec.x)
    have = np.isfinite(rows).sum(axis=1)
    counted = (have > 0) & (2 * have >= np.median(have[have > 0])) if have.any() else have > 0
    rows = rows[counted]
    whole = np.isfinite(rows).all(axis=0) & bool(counted.any())
    if not whole.any():
        return None
    first, last = np.flatnonzero(whole)[[0, -1]]
    # places in between that some model lacks stay as gaps
    x, rows = x[first : last + 1], np.where(whole, rows, np.nan)[:, first : last + 1]
    ends = (0.0, 1.0) if len(rows) < _FEW else QUANTILES
    low, middle, high = (np.quantile(rows, q, axis=0) for q in (ends[0], 0.5, ends[1]))
    if len(rows) < len(marks):
        series = replace(series, label=f"{series.name} ({len(rows)} of {len(marks)})")
    style = next((s for s in ("solid", "dash", "dot") if s == key.style), None)
    markers = any(not isinstance(m, Line) or m.markers for m in marks)
    return Line(x, middle, series, low, high, markers=markers, style=style)


def _stacked(marks: Sequence[Line | Points | Stems | Bars], axis: Axis) -> tuple[Array, Array]:
    """Common places and one row of values per mark, NaN where a mark has none."""
    xs = [np.asarray(m.x, dtype=np.float64) for m in marks]
    ys = [np.where(np.isfinite(m.y), m.y, np.nan) for m in marks]
    grid = np.unique(np.concatenate(xs))
    grid = grid[np.isfinite(grid)]
    lined = all(isinstance(m, Line) for m in marks)
    if lined and grid.size > max(2 * max(x.size for x in xs), _PLACES):
        grid = _even(grid, axis)
    return grid, np.stack(
        [
            _on(grid, x, y, m.beyond if isinstance(m, Line) and lined else None)
            for x, y, m in zip(xs, ys, marks, strict=True)
        ]
    )


def _even(places: Array, axis: Axis) -> Array:
    """Places that stand evenly along the axis, whatever its scale."""
    if axis.scale == "log":
        places = places[places > 0]
        return np.geomspace(places[0], places[-1], _PLACES)
    if axis.scale == "symlog":
        low, high = symlog([places[0], places[-1]], axis.linthresh)
        return from_symlog(np.linspace(low, high, _PLACES), axis.linthresh)
    return np.linspace(places[0], places[-1], _PLACES)


def _on(grid: Array, x: Array, y: Array, beyond: tuple[float, float] | None) -> Array:
    """Values at the places of the grid: between those of a curve by interpolation, else exact ones only.

    Args:
        grid: The places.
        x: Places of one mark.
        y: Its values.
        beyond: Of a curve, its values before its first place and after its last; ``None``: no curve.
    """
    good = np.isfinite(x)
    x, y = x[good], y[good]
    order = np.argsort(x, kind="stable")
    if not x.size:
        return np.full(grid.shape, np.nan)
    if beyond is not None:
        # Left to itself, `interp` would go on with the last value.
        return np.interp(grid, x[order], y[order], left=beyond[0], right=beyond[1])
    out = np.full(grid.shape, np.nan)
    out[np.searchsorted(grid, x)] = y
    return out


def _names(collected: Mapping[_Key, Sequence[Mark]]) -> set[str]:
    return {m.series.model for marks in collected.values() for m in marks if not isinstance(m, Guide)}


def _note(marks: Sequence[Mark], count: int, what: str, one: str) -> str:
    parts = []
    if any(isinstance(m, Line) for m in marks):
        low, high = (round(100 * q) for q in QUANTILES)
        banded = any(isinstance(m, Line) and m.low is not None for m in marks)
        bands = (
            f"; bands their {low}th to {high}th percentile (fewer than {_FEW} {one}s: from the lowest to the"
            " highest)."
        )
        parts.append(
            f"Lines are medians over the {one}s of each {what}, where all have a value"
            + (bands if banded else f"; of more than {_MOST_BANDS} lines no spread is drawn.")
        )
        if any(m.series.name.endswith(")") and " of " in m.series.name for m in marks if isinstance(m, Line)):
            parts.append(f"In brackets: how many of the {one}s, where some have values at few places.")
    if any(isinstance(m, Points) for m in marks):
        parts.append(f"Points are those of single {one}s, at most {MOST_POINTS} of each {what}.")
    if any(isinstance(m, Violin) for m in marks):
        parts.append(f"Violins pool the {one}s of each {what}.")
    return f"{count} {one}s{' of models' if one == 'pair' else ''}. {' '.join(parts)}"
