"""Paper figures: the results of a store as vector graphics of the width of a column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landscape.base.figure import FigureSpec
from landscape.errors import InputError, suggest
from landscape.plotting.choice import choose_figures
from landscape.plotting.group_summary import summarize_by_group
from landscape.plotting.model_groupings import model_groupings
from landscape.plotting.palette import Palette
from landscape.plotting.saving import FORMATS, save_figures
from landscape.store.contents import read_contents
from landscape.store.select import results_of

__all__ = ["FORMATS", "figures_of_store", "save_figures"]


def figures_of_store(
    store: str | Path,
    analysis: str,
    *,
    figure: str | None = None,
    models: Sequence[str] = (),
    by: str | None = None,
) -> tuple[list[FigureSpec], Palette]:
    """The figures of one analysis of a store, and the look that its models have in the report.

    Args:
        store: Folder of the results.
        analysis: A section of the store, by label or by name of the analysis. One of your own is named in
            full, ``package.module:attribute``: what only the store names is not imported.
        figure: Only the figure of this name; see `landscape.plotting.choice.choose_figures`.
        models: Patterns such as ``"vit-*"``; only matching models are drawn.
        by: Draw medians and bands over the models of each ``group``, ``seed``, or value of a tag.

    Raises:
        StoreError: If the store cannot be read.
        InputError: If the analysis, the figure, the models or the grouping is not there.
    """
    from landscape.base.registry import find_recorded, named

    contents = read_contents(store)
    section, results = results_of(contents, analysis, models)
    own = named([analysis]) if ":" in analysis else {}  # these words are the user's
    specs = find_recorded(section.analysis, own).figures(results)
    if figure is not None:
        specs = choose_figures(specs, figure, results, f"'{section.label}' has")
    if by is None:
        return specs, Palette({m.name: m.group for m in contents.models})
    ways = {way.name: way for way in model_groupings(contents, results)}
    if by not in ways:
        hint = suggest(by, ways) if ways else "they share no group, seed or tag: leave it out."
        raise InputError(f"the models cannot be grouped by '{by}'; {hint}")
    return [summarize_by_group(s, ways[by].groups, by) for s in specs], ways[by].palette
