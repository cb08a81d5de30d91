"""Panels of a store: figures of several analyses or models as one lettered figure for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from landscape.base.figure import FigureSpec
from landscape.base.panels import COLUMNS, letter, lettered, panels_of, side_by_side
from landscape.errors import InputError
from landscape.export.figures import figures_of_store
from landscape.plotting.gathering import gathered, leading_first
from landscape.plotting.palette import Palette
from landscape.store.contents import read_contents

__all__ = ["panels_of_store"]


def panels_of_store(
    store: str | Path,
    wanted: Sequence[str],
    *,
    analysis: str | None = None,
    models: Sequence[str] = (),
    by: str | None = None,
    columns: int = COLUMNS,
) -> tuple[FigureSpec, Palette]:
    """One figure of several of a store, with panels (a), (b), (c), ...

    Args:
        store: Folder of the results.
        wanted: Each ``figure``, of the one ``analysis``; or ``analysis:figure``; or, where no analysis is
            given, an analysis alone, for the figure that stands for it. A name that the figures of several
            models share gives a panel for each.
        analysis: A section of the store, by label or by name of the analysis.
        models: Patterns such as ``"vit-*"``; only matching models are drawn.
        by: Draw medians and bands over the models of each group, seed, or value of a tag.
        columns: Most panels of a row.

    Raises:
        StoreError: If the store cannot be read.
        InputError: If nothing is wanted, or an analysis, a figure or the grouping is not there.
    """
    names = [name.strip() for name in wanted if name.strip()]
    if not names:
        raise InputError("there are no panels: name figures, as in 'spectrum:eigenvalues,line:loss'.")
    contents = read_contents(store)
    subjects = {s.label: list(s.results) for s in contents.sections}
    subjects |= {s.analysis: list(s.results) for s in contents.sections if s.analysis not in subjects}
    found: list[FigureSpec] = []
    looks: list[Palette] = []
    for name in names:
        label, _, figure = name.partition(":") if analysis is None else (analysis, ":", name)
        specs, palette = figures_of_store(store, label, figure=figure or None, models=models, by=by)
        specs = gathered(specs, subjects.get(label, ()))
        found += specs if figure else leading_first(specs)[:1]
        looks.append(palette)
    if not found:
        raise InputError(f"{' and '.join(names)} have no figure to make panels of; choose others.")
    parts = [replace(p, caption="", errors="") for s in found for p in panels_of(s)]
    whole = lettered(side_by_side("panels", "", parts, columns=columns))
    return replace(whole, caption=_caption(found)), looks[0]


def _caption(found: Sequence[FigureSpec]) -> str:
    """What each figure shows after the letters of its panels, and what its own bars and bands mean."""
    said, letters = [], map(letter, count())
    for spec in found:
        names = [panel.title for panel in panels_of(spec)] if spec.panels else []
        own = [next(letters) for _ in panels_of(spec)]
        of = f": {', '.join(names)}" if names else ""
        said.append(f"({', '.join(own)}) {spec.title}{of}. {spec.whole_caption}".strip())
    return " ".join(said)
