"""Figures of the page: each in every way of comparing models, with its data, within a budget of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.figure import FigureSpec, Guide, Heatmap
from landscape.base.panels import panels_of
from landscape.errors import LandscapeError
from landscape.plotting.backends import plotly as draw_plotly
from landscape.plotting.backends import relief as draw_relief
from landscape.plotting.backends.plotly_layout import legend_key
from landscape.plotting.decimation import decimate
from landscape.plotting.gathering import gathered, leading_first
from landscape.plotting.group_summary import models_of, summarize_by_group
from landscape.plotting.model_groupings import MOST_MODELS, Grouping
from landscape.plotting.palette import Palette
from landscape.reporting.choices import Chooser, chooser, owners
from landscape.reporting.csv_data import csv_of
from landscape.reporting.encode import compact, packed

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis
    from landscape.store.contents import Section

__all__ = ["DETAILS_BYTES", "MODELS_WAY", "Details", "Drawn", "FigureView", "details", "draw_section"]

MODELS_WAY = "model"
"""The way of comparing in which every model is drawn by itself."""

DETAILS_BYTES = 3_500_000
"""What the figures of single models of a large zoo may take in the page."""

MOST_FIGURES = 24
"""Figures of one section."""

MOST_OPEN = 2
"""Pairs or groups whose own figures a section shows one below the other; of more a reader chooses."""


@dataclass(frozen=True)
class FigureView:
    """One figure.

    Attributes:
        anchor: Its id.
        spec: What it shows by default.
        json: Plotly data and layout, and a caption, for each way of comparing: ``{way: {...}}``.
        more: Its CSV and, for a field over a plane, its relief, as packed JSON.
        relief: Whether it has a relief.
        height: The height to keep free for it, in pixels.
        of: The one model, pair or group that it shows; empty if it shows more.
    """

    anchor: str
    spec: FigureSpec
    json: str
    more: str
    relief: bool
    height: int
    of: tuple[str, ...] = ()


@dataclass
class Drawn:
    """The figures of a section, what kept some from being drawn, and how many stand elsewhere."""

    figures: list[FigureView] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: int = 0
    chooser: Chooser | None = None


@dataclass(frozen=True)
class Details:
    """The figures of single models: packed JSON by model, and how many models there are in all."""

    packs: dict[str, str]
    total: int


def draw_section(
    analysis: Analysis,
    results: Mapping[str, xr.Dataset],
    anchor: str,
    palette: Palette,
    ways: Sequence[Grouping],
) -> Drawn:
    """Draw a section; an analysis that fails to draw must not take the report down.

    Of many models, figures of a single one are left out: `details` has them. Of several pairs and groups, of
    more figures than a section shows, and where a figure has others like it, a reader chooses.
    """
    drawn = Drawn()
    try:
        specs = analysis.figures(results)
    except Exception as error:
        drawn.problems.append(f"The figures could not be made: {_reason(error)}")
        return drawn
    subjects = list(results)
    of_models = analysis.scope == "checkpoint"
    if of_models and len(results) > MOST_MODELS:
        shared = [
            spec
            for spec, owner in zip(specs, owners(specs, subjects), strict=True)
            if not owner and len([m for m in models_of(spec) if m in results]) != 1
        ]
        drawn.left_out = len(specs) - len(shared)
        specs, subjects = shared, []
    specs = _choices(drawn, specs, subjects, anchor, analysis.scope, palette)
    specs = leading_first(gathered(specs, results))
    for i, spec in enumerate(specs):
        try:
            drawn.figures.append(_view(spec, f"{anchor}-{i}", palette, ways))
        except Exception as error:
            text = f"The figure “{spec.title}” could not be drawn: {_reason(error)}"
            drawn.problems.append(text)
    return drawn


def _choices(
    drawn: Drawn, specs: list[FigureSpec], subjects: list[str], anchor: str, scope: str, palette: Palette
) -> list[FigureSpec]:
    """Put what a reader chooses into a chooser; the figures that are left."""
    of = owners(specs, subjects)
    several = scope in ("pair", "group") and len(set(of) - {""}) > MOST_OPEN
    if several or len(specs) > MOST_FIGURES:
        chosen = [bool(name) or bool(s.others) for s, name in zip(specs, of, strict=True)]
    else:
        chosen = [bool(s.others) for s in specs]
    for i in [i for i, apart in enumerate(chosen) if not apart][MOST_FIGURES:]:
        chosen[i] = True
    every = subjects[0] if len(subjects) == 1 else "all together"
    owned: dict[str, list[FigureSpec]] = {}
    for spec, name, apart in zip(specs, of, chosen, strict=True):
        if apart:
            owned.setdefault(name or every, []).append(spec)
    if owned:
        what = {"checkpoint": "model"}.get(scope, scope)
        planes = [s for s in specs if _is_plane(s)]
        try:
            first = {name: leading_first(own) for name, own in owned.items()}
            drawn.chooser = chooser(first, anchor, what, palette, planes)
        except Exception as error:
            drawn.problems.append(f"The figures of each {what} could not be drawn: {_reason(error)}")
    return [s for s, apart in zip(specs, chosen, strict=True) if not apart]


def _reason(error: Exception) -> str:
    """What went wrong, as a sentence: our own errors are sentences."""
    return str(error) if isinstance(error, LandscapeError) else f"{type(error).__name__}: {error}."


def _view(spec: FigureSpec, anchor: str, palette: Palette, ways: Sequence[Grouping]) -> FigureView:
    variants = _variants(spec, palette, ways)
    plain = {way: _drawing(s, p) for way, (s, p) in variants.items()}
    first, (shown, look) = next(iter(variants.items()))
    relief = all(_is_plane(panel) for panel in panels_of(spec))
    whole = spec if first == MODELS_WAY else shown  # of many models the CSV has what is drawn
    more: dict[str, Any] = {"csv": csv_of(whole)}
    if relief:
        more["relief"] = draw_relief.draw_plain(replace(shown, title=""), look)
    height = int(plain[first]["layout"]["height"])
    models = models_of(spec)
    of = tuple(models) if len(models) == 1 else ()
    return FigureView(anchor, shown, compact(plain), packed(compact(more)), relief, height, of)


def _variants(
    spec: FigureSpec, palette: Palette, ways: Sequence[Grouping]
) -> dict[str, tuple[FigureSpec, Palette]]:
    """The figure and its colours in each way of comparing; ways that change nothing are left out."""
    models = models_of(spec)
    if spec.panels and all(len(models_of(panel)) < 2 for panel in panels_of(spec)):
        return {MODELS_WAY: (decimate(spec), palette)}  # one model each: no way of comparing changes them
    found: dict[str, tuple[FigureSpec, Palette]] = {}
    if len(models) <= MOST_MODELS:
        found[MODELS_WAY] = (decimate(spec), palette)
    for way in ways:
        of = {way.groups[m] for m in models if m in way.groups}
        if len(models) > MOST_MODELS or (len(of) > 1 and len(models) > len(of)):
            found[way.name] = (decimate(summarize_by_group(spec, way.groups, way.name)), way.palette)
    return found or {MODELS_WAY: (decimate(spec), palette)}


def _drawing(spec: FigureSpec, palette: Palette) -> dict[str, Any]:
    """A figure without its title, which the page sets as a heading; each trace says whose it is."""
    plain = draw_plotly.draw_plain(replace(spec, title=""), palette)
    models = {legend_key(m.series): m.series.model for m in spec.marks if not isinstance(m, Guide)}
    for trace in plain["data"]:
        key = trace.get("legendgroup", "")
        of = models.get(key, key.partition("|")[0] if "|" in key else "")
        if of:
            trace["of"] = of
    return {**plain, "caption": spec.whole_caption}


def _is_plane(spec: FigureSpec) -> bool:
    """Whether the figure is a smooth field over a plane, which a relief shows well."""
    fields = [m for m in spec.marks if isinstance(m, Heatmap)]
    return len(fields) == 1 and fields[0].contours and min(np.asarray(fields[0].z).shape) >= 3


def details(
    sections: Sequence[Section],
    known: Sequence[Analysis | None],
    titles: Sequence[str],
    palette: Palette,
    names: Sequence[str],
    order: Iterable[str],
) -> Details:
    """The figures of single models of a large zoo, in the given order, until the budget is used up.

    Args:
        sections: The sections of the store.
        known: Their analyses; ``None`` for those not installed here.
        titles: Their headings.
        palette: The look of each model.
        names: All models.
        order: The models, those first that should get a part before the budget is used up.
    """
    packs: dict[str, str] = {}
    if len(names) <= MOST_MODELS:
        return Details(packs, len(names))
    left = DETAILS_BYTES
    for name in order:
        parts = [
            {"title": title, "figures": _single(analysis, name, section.results[name], palette)}
            for section, analysis, title in zip(sections, known, titles, strict=True)
            if analysis is not None and name in section.results
        ]
        pack = packed(compact(parts))
        left -= len(pack)
        if left < 0:
            break
        packs[name] = pack
    return Details({n: packs[n] for n in names if n in packs}, len(names))


def _single(analysis: Analysis, name: str, ds: xr.Dataset, palette: Palette) -> list[dict[str, Any]]:
    try:
        specs = [decimate(s) for s in analysis.figures({name: ds})]
        return [{"title": s.title, **_drawing(s, palette), "csv": csv_of(s)} for s in specs]
    except Exception as error:
        return [{"title": f"The figures could not be made: {_reason(error)}"}]
