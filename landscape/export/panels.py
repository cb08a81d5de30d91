"""Panels of a store: figures of several analyses or models as one lettered figure for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from landscape.base.figure import FigureSpec
from landscape.base.panels import COLUMNS, lettered, panels_of, side_by_side
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
    # what is said of all panels of a figure is said once, after the letters
    parts = [replace(p, caption="") if s.panels else p for s in found for p in panels_of(s)]
    joined = side_by_side("panels", "", parts, columns=columns)
    captions = " ".join(dict.fromkeys(s.caption for s in found if s.panels and s.caption))
    whole = lettered(joined)
    return replace(whole, caption=f"{whole.caption} {captions}".strip()), looks[0]
